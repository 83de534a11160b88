"""The parts of the measured first run that need no network."""

import os
import subprocess
import sys

import pytest

from tools.browser import MISSING, NoBrowser, find_browser
from tools.first_run import environment, memory_of, size_of, watch


def test_a_file_counts_once(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_bytes(b"x" * 100_000)
    alone = size_of(tmp_path)
    assert 100_000 <= alone <= 130_000
    os.link(tmp_path / "sub" / "a", tmp_path / "b")
    assert size_of(tmp_path) == alone
    assert size_of(tmp_path / "nothing") == 0


def test_memory_of_a_process_and_its_children():
    """A shell whose child holds 200 MB for two seconds."""
    program = "x = bytearray(b'1') * 200_000_000; import time; time.sleep(2)"
    process = subprocess.Popen(["sh", "-c", f'"{sys.executable}" -c "{program}"; true'])
    seconds, peak = watch(process, lambda: process.poll() == 0)
    assert seconds > 1
    assert 200_000_000 < peak < 300_000_000
    assert memory_of(process.pid) == 0


def test_a_failure_on_the_way_is_said():
    process = subprocess.Popen(["sh", "-c", "exit 3"])
    with pytest.raises(RuntimeError, match="ended with 3"):
        watch(process, lambda: False)


def test_environment_is_empty_but_for_pip(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    found = environment(tmp_path)
    assert found["HOME"] == str(tmp_path)
    assert found["PIP_INDEX_URL"] == "https://index.example/simple"
    assert not [key for key in found if key.startswith(("XDG_", "VIRTUAL_ENV", "COURSE_"))]


def test_the_browser_is_named_or_missed(tmp_path, monkeypatch):
    named = tmp_path / "my-chrome"
    named.write_text("#!/bin/sh\n")
    named.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(named))
    assert find_browser() == str(named)
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "nothing"))
    with pytest.raises(NoBrowser, match="no program that can be run"):
        find_browser()
    monkeypatch.setenv("CHROMIUM", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("tools.browser.MAC", ())
    with pytest.raises(NoBrowser, match="apt install chromium"):
        find_browser()
    (tmp_path / "google-chrome").symlink_to(named)
    assert find_browser() == str(tmp_path / "google-chrome")
    assert "CHROMIUM=" in MISSING
