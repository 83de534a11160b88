"""From a text file of 1 MB to a model that writes: the time, and what a byte surprises it."""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lib.corpora import english
from tools.bench.measure import Row, limit
from tools.course import ROOT

COMMAND = "python -m tools.bench own_model"
N_BYTES = 1_000_000
MINUTES = 8  # for training: ten in all


def run() -> list[Row]:
    """The two commands of the README, on Python's documentation, with every core."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        text, out = Path(folder, "my.txt"), Path(folder, "mine")
        text.write_text(english(N_BYTES), encoding="utf-8")
        options = ["--data", text, "--out", out, "--size", "small", "--minutes", MINUTES]
        said = called("lib.training", *options)
        sample = called("lib.generation", out, "The method", "--temperature", 0.6, "--seed", 0)
        print(sample)  # to be read: no number says whether a text can be
    minutes = (time.perf_counter() - begin) / 60
    parameters = re.search(r"([\d,]+) parameters", said)[1]
    surprise = float(re.search(r"([\d.]+) per byte", said)[1])
    what = f"1 MB of text to a tokenizer, a model of {parameters} parameters and a sample"
    return [
        limit(what, minutes, "minutes", budget=10, command=COMMAND),
        limit(
            f"the same: mean surprise on the tenth that was held out, after {MINUTES} minutes "
            "of training or less",
            surprise,
            "nats a byte",
            budget=1.2,
            command=COMMAND,
        ),
    ]


def called(*arguments: object) -> str:
    """What a command of the library prints; its progress goes to the terminal."""
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
