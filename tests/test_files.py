import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from lib import files
from lib.files import PREFIX, atomic_write, temporary_beside, write_file

KILLED = """
import os, signal, sys
from lib.files import atomic_write
with atomic_write(sys.argv[1], folder=sys.argv[2] == "folder") as path:
    (path / "part" if path.is_dir() else path).write_text("half")
    print(os.getpid(), flush=True)
    signal.pause()
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def killed_run(target, kind):
    """A process that is killed in the middle of its writing."""
    command = [sys.executable, "-c", KILLED, str(target), kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    during = names(target.parent)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return during


@pytest.mark.parametrize("content", ["a\r\nb\n◌", b"\x00\xff", ""])
def test_content_arrives_as_it_is(tmp_path, content):
    for _ in range(2):  # new, and in place of another
        write_file(tmp_path / "file", content)
        found = (tmp_path / "file").read_bytes()
        assert found == (content if isinstance(content, bytes) else content.encode())
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("folder", [False, True])
def test_after_a_failure_the_old_content_is_there_and_nothing_else(tmp_path, folder, error):
    target = tmp_path / "target"
    with atomic_write(target, folder=folder) as path:
        (path / "a" if folder else path).write_text("old")
    with pytest.raises(error), atomic_write(target, folder=folder) as path:  # noqa: PT012
        (path / "b" if folder else path).write_text("new")
        raise error
    assert names(tmp_path) == ["target"]
    assert (target / "a" if folder else target).read_text() == "old"
    assert not folder or names(target) == ["a"]


def test_a_folder_replaces_a_folder(tmp_path):
    for name in ("first", "second"):
        with atomic_write(tmp_path / "run", folder=True) as path:
            (path / "deep").mkdir()
            (path / "deep" / name).write_text(name)
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run" / "deep") == ["second"]


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_run_left_goes_with_the_next_write(tmp_path, kind):
    during = killed_run(tmp_path / "table.csv", kind)
    assert len(during) == 1
    assert during[0].startswith(PREFIX)
    assert during[0].endswith("table.csv")
    assert names(tmp_path) == during  # not the target
    write_file(tmp_path / "other", "")
    assert names(tmp_path) == ["other"]


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_what_another_live_process_writes_stays(tmp_path):
    target = tmp_path / "table.csv"
    command = [sys.executable, "-c", KILLED, str(target), "file"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    with temporary_beside(target):  # of this process too
        write_file(target, "mine")
        assert len(names(tmp_path)) == 3
    process.kill()
    process.wait()


def test_a_folder_put_aside_by_a_killed_run_gets_its_name_back(tmp_path):
    aside = tmp_path / f"{files.ASIDE}{files._machine()}-{os.getpid()}-999-step-7"
    aside.mkdir()
    (aside / "state").write_text("old")
    write_file(tmp_path / "other", "")
    assert (tmp_path / "step-7" / "state").read_text() == "old"
    assert names(tmp_path) == ["other", "step-7"]


def test_of_other_machines_only_what_is_a_day_old_goes(tmp_path):
    fresh, old, foreign = (tmp_path / f"{PREFIX}{name}" for name in ("0-1-2-a", "0-1-2-b", "mine"))
    for path in (fresh, old, foreign):
        path.touch()
        os.utime(path, (1, 1))
    os.utime(fresh, (time.time(), time.time()))
    write_file(tmp_path / "other", "")
    assert names(tmp_path) == sorted([fresh.name, foreign.name, "other"])


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ("missing/file", FileNotFoundError, "missing does not exist: make this folder first"),
        ("file/below", NotADirectoryError, "file is not a folder"),
    ],
)
def test_a_parent_that_is_no_folder(tmp_path, target, folder, error, message):
    (tmp_path / "file").touch()
    with pytest.raises(error, match=message), atomic_write(tmp_path / target, folder=folder):
        pytest.fail("the block ran")
    assert names(tmp_path) == ["file"]


def test_a_target_of_the_other_kind(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="folder is a folder, and a file was to be"):
        write_file(tmp_path / "folder", "text")
    with (
        pytest.raises(FileExistsError, match="file is a file, and a folder"),
        atomic_write(tmp_path / "file", folder=True),
    ):
        pytest.fail("the block ran")


def test_a_full_disk(tmp_path):
    write_file(tmp_path / "table.csv", "old")
    with (
        pytest.raises(OSError, match=r"table.csv cannot be written: the disk is full\. Free some"),
        atomic_write(tmp_path / "table.csv"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == ["table.csv"]
    assert (tmp_path / "table.csv").read_text() == "old"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")  # noqa: PTH110
def test_a_device_that_is_full(tmp_path):
    with (
        pytest.raises(OSError, match="the disk is full"),
        atomic_write(tmp_path / "table.csv"),
        open("/dev/full", "w") as file,  # noqa: PTH123
    ):
        file.write("x" * 100_000)
    assert names(tmp_path) == []


def test_other_errors_pass_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"), atomic_write(tmp_path / "file"):
        (tmp_path / "nowhere").read_text()


@pytest.mark.parametrize("fault", ["open for reading", "open a folder", "fsync"])
def test_systems_that_open_or_flush_less(tmp_path, monkeypatch, fault):
    """Windows flushes no handle for reading only and opens no folder; some disks flush nothing."""
    real, flags_of = os.open, {}

    def restricted(path, flags, *rest, **named):
        if fault == "open a folder" and os.path.isdir(path):  # noqa: PTH112
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        descriptor = real(path, flags, *rest, **named)
        flags_of[descriptor] = (flags, os.path.isdir(path))  # noqa: PTH112
        return descriptor

    def fsync(descriptor):
        flags, is_folder = flags_of[descriptor]
        if fault == "fsync" or (not is_folder and not flags & (os.O_RDWR | os.O_WRONLY)):
            raise OSError(errno.EINVAL if fault == "fsync" else errno.EIO, "cannot flush")

    monkeypatch.setattr(os, "open", restricted)
    monkeypatch.setattr(os, "fsync", fsync)
    write_file(tmp_path / "file", "text")
    with atomic_write(tmp_path / "run", folder=True) as path:
        (path / "part").write_text("text")
    monkeypatch.undo()
    assert names(tmp_path) == ["file", "run"]


def test_permissions_and_links_stay(tmp_path):
    (tmp_path / "disk").mkdir()
    real, link = tmp_path / "disk" / "real", tmp_path / "link"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_file(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_name_as_long_as_can_be(tmp_path):
    write_file(tmp_path / ("ü" * 120 + ".json"), "{}")
    assert names(tmp_path) == ["ü" * 120 + ".json"]


def test_threads_that_write_the_same_file(tmp_path):
    def write(letter):
        for _ in range(10):
            write_file(tmp_path / "file", letter * 1000)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set((tmp_path / "file").read_text())) == 1
    assert names(tmp_path) == ["file"]
