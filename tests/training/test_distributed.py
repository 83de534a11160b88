"""Two processes under torchrun, over Gloo, against one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.library import ROOT

SETTINGS = ["--steps", "10", "--batch-size", "4", "--context-length", "16", "--accumulate", "2",
            "--evaluation-sequences", "6", "--evaluate-every", "5", "--checkpoint-every", "4",
            "--device", "cpu"]  # fmt: skip


def run(*command):
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TQDM_DISABLE": "1",
        "PYTHONPATH": str(ROOT),
    }
    result = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def numbers(path: Path):
    keys = ("step", "tokens", "loss", "gradient_norm", "learning_rate", "validation_loss")
    return [[row.get(key, 0.0) for key in keys] for row in json.loads(path.read_text())]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    path = tmp_path_factory.mktemp("alone") / "history.json"
    run("lib.training", *SETTINGS, "--history", path)
    return numbers(path)


TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.mark.parity("10 steps on two processes, DistributedDataParallel", "one process", "1e-5")
def test_two_processes_train_as_one_does(alone, tmp_path):
    printed = run(*TORCHRUN, "-m", "lib.training", *SETTINGS, "--history", tmp_path / "h.json")
    for ours, theirs in zip(numbers(tmp_path / "h.json"), alone, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5, rel=1e-5)
    assert printed.count("validation") == 1  # the first process speaks, the other is silent


@pytest.mark.parity("10 steps on two processes, fully_shard", "one process", "1e-5")
def test_a_sharded_model_trains_as_a_whole_one(alone, tmp_path):
    """Taken up again after the last checkpoint is lost, which the second call does not notice."""
    command = [*TORCHRUN, "tests/training/interrupted.py", "--fsdp", *SETTINGS]
    run(*command, "--history", tmp_path / "h.json", "--folder", tmp_path / "run")
    for name in ("h.json", "again.json"):
        for ours, theirs in zip(numbers(tmp_path / name), alone, strict=True):
            assert ours == pytest.approx(theirs, abs=1e-5, rel=1e-5)
