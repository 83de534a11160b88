"""How long the library takes to import, beyond the time of torch."""

import statistics
import subprocess
import sys

from tools.bench.measure import Row, limit
from tools.course import ROOT

PROGRAM = """
import time, torch
begin = time.perf_counter()
import lib.generation, lib.model, lib.pretrained, lib.tokenization
print(time.perf_counter() - begin)
"""


def run() -> list[Row]:
    times = []
    for _ in range(8):
        command = [sys.executable, "-c", PROGRAM]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        times.append(float(result.stdout))
    return [
        limit(
            "import of model, tokenization, generation and pretrained, beyond import torch",
            statistics.median(times[1:]),  # the first may have to compile
            "s",
            budget=0.3,
            command="python -m tools.bench imports",
        )
    ]
