"""Each chapter runs from the wheel, in an empty folder; a process that dies fails the run."""

import os
import re
import subprocess
import sys

import nbformat
import pytest

from tests.library import ROOT
from tools.wheel import KERNEL, prepare

CELL = """
from pathlib import Path
import importlib.util, os
assert os.listdir() == [{name!r}], os.listdir()
assert importlib.util.find_spec("tools") is None
"""


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("build") / "wheel")


def run_pytest(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, arguments)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_the_wheel_holds_the_whole_library(copies):
    site = copies[0].parents[2] / "site"
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "lib"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.split("\0")[:-1]
    tracked = [name for name in tracked if (ROOT / name).exists()]
    assert tracked
    for name in tracked:
        assert (site / name).read_bytes() == (ROOT / name).read_bytes()
    assert {path.name for path in site.iterdir() if path.suffix != ".dist-info"} == {"lib"}


def test_each_chapter_is_alone_in_its_folder(copies):
    names = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert [copy.stem for copy in copies] == names
    for copy in copies:
        assert list(copy.parent.iterdir()) == [copy]
        assert nbformat.read(copy, as_version=4).metadata.kernelspec.name == KERNEL


@pytest.mark.parametrize("from_wheel", [True, False])
def test_a_chapter_sees_the_wheel_and_nothing_of_the_repository(copies, tmp_path, from_wheel):
    notebook = nbformat.read(copies[0], as_version=4)
    folder = tmp_path / "alone"
    folder.mkdir()
    cell = nbformat.v4.new_code_cell(CELL.format(name="a.ipynb"))
    notebook.cells = [notebook.cells[0], cell]  # the guard, and what looks around
    if not from_wheel:
        notebook.metadata.kernelspec.name = "python3"
    nbformat.write(notebook, folder / "a.ipynb")
    share = copies[0].parents[2] / "share" / "jupyter"
    done = run_pytest("--nbmake", folder / "a.ipynb", JUPYTER_PATH=str(share), PYTHONPATH="")
    assert (done.returncode == 0) == from_wheel, done.stdout


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_process_that_is_killed_fails_the_run(tmp_path):
    """With the Makefile's own flags; the run ends, and says which test it was."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for name in "abcd":
        (tmp_path / f"test_{name}.py").write_text(
            "import os, pytest, signal\n"
            "@pytest.mark.parametrize('i', range(5))\n"
            f"def test_{name}(i):\n"
            f"    if {name!r} == 'b' and i == 2:\n"
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
        )
    flags = re.search(r"^TWO +:= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    alone = dict(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")  # xdist is enough, and starts much sooner
    done = run_pytest(
        "-p", "xdist", "-c", tmp_path / "pytest.ini", *flags.split(), tmp_path, **alone
    )
    assert done.returncode != 0
    assert "test_b.py::test_b[2]" in done.stdout
    assert "crashed" in done.stdout
