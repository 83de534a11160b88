"""Two and three processes under torchrun, over Gloo, against one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lib.pretrained import load_pretrained
from lib.training import __main__ as command
from lib.training import evaluate
from lib.training.corpus import english_tokens
from tests.library import ROOT

SETTINGS = ["--steps", "10", "--batch-size", "12", "--context-length", "16", "--accumulate", "2",
            "--evaluation-sequences", "6", "--schedule", "cosine", "--depth", "2",
            "--evaluate-every", "5", "--checkpoint-every", "4",
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
    assert command.main([*SETTINGS, "--history", str(path)]) == 0
    return numbers(path)


TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node"]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder that two processes have left: of copies, of shards, and of shards again."""
    folder = tmp_path_factory.mktemp("two")
    printed = run(*TORCHRUN, 2, "tests/training/interrupted.py", folder, *SETTINGS)
    assert printed.count("validation") == 3  # once for each run: the second process is silent
    return folder


@pytest.mark.parity("10 steps on 2 and 3 processes, DistributedDataParallel", "one process", "1e-5")
@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_train_as_one_does(alone, two, tmp_path, count):
    history = two / "copies.json"
    if count == 3:
        history = tmp_path / "h.json"
        printed = run(*TORCHRUN, count, "-m", "lib.training", *SETTINGS, "--history", history)
        assert printed.count("validation") == 1  # the first process speaks, others are silent
    for ours, theirs in zip(numbers(history), alone, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5, rel=1e-5)


@pytest.mark.parity("10 steps on two processes, fully_shard", "one process", "1e-5")
def test_a_sharded_model_trains_as_a_whole_one(alone, two):
    """Taken up again after the last checkpoint is lost, which the second call does not notice."""
    for name in ("shards.json", "again.json"):
        for ours, theirs in zip(numbers(two / name), alone, strict=True):
            assert ours == pytest.approx(theirs, abs=1e-5, rel=1e-5)
    # What it leaves is a whole model, though no process has held it.
    losses = [row[-1] for row in alone]
    model, _ = load_pretrained(two / "run")
    _, validation = english_tokens(16)
    assert evaluate(model, validation, 16, 12, 6) == pytest.approx(losses[-1], abs=1e-4)
