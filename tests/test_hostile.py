"""No hostile input of any room ends in an obscure error, or takes longer than ten seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.__main__ import ROOMS


@pytest.fixture(scope="module")
def answering():
    """A process of their own for all rooms: there the types of arguments are checked by lib alone.

    To import torch takes longer than the cases of most rooms.
    """
    command = [sys.executable, "-m", "tests.hostile", "--asked"]
    pipe, root = subprocess.PIPE, Path(__file__).parents[1]
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True, cwd=root
    ) as process:
        yield process


@pytest.mark.parametrize("room", ROOMS)
def test_errors_are_clear(answering, room):
    print(room, file=answering.stdin, flush=True)
    said = ""
    for line in answering.stdout:
        said += line
        if line.startswith(f"{room}: "):
            break
    assert said.endswith("0 obscure, 0 slow\n"), said
