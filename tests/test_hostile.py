"""No hostile input of any room ends in an obscure error, or takes longer than ten seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOMS = sorted(p.stem for p in Path(__file__).parent.glob("hostile/*.py") if p.stem[0] != "_")


@pytest.mark.parametrize("room", ROOMS)
def test_errors_are_clear(room):
    """In a process of its own: there the types of arguments are checked by lib alone."""
    command = [sys.executable, "-m", "tests.hostile", room]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stdout + done.stderr
