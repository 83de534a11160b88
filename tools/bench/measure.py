"""What every measurement uses: ours and a peer in turn in one process, and a row for the table."""

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of the table. `ratio` is ours / peer, `spread` its lowest and highest value."""

    what: str  # "SmolLM2 greedy decoding, 64 tokens, float32"
    unit: str  # "tokens/s", "s"
    ours: float  # median, in `unit`
    peer: float | None  # the same for the peer; None where there is only a limit in `unit`
    peer_name: str  # "transformers generate"; "" without a peer
    ratio: float | None
    spread: tuple[float, float] | None
    budget: float  # limit of `ratio`, or of `ours` where there is no peer
    higher_is_better: bool  # True: budget is the least, False: the most
    command: str  # how a reader measures the same: "python -m tools.bench decoding"

    @property
    def met(self) -> bool:
        value = self.ours if self.ratio is None else self.ratio
        return value >= self.budget if self.higher_is_better else value <= self.budget


def seconds(function: Callable[[], Any]) -> float:
    """Wall-clock seconds of one call, the garbage collector held back as in timeit."""
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        begin = time.perf_counter()
        function()
        return time.perf_counter() - begin
    finally:
        if was_enabled:
            gc.enable()


def compare(
    what: str,
    ours: Callable[[], Any],
    peer: Callable[[], Any],
    peer_name: str,
    *,
    budget: float,
    command: str,
    amount: float | None = None,
    unit: str = "s",
    repeats: int = 7,
    warmups: int = 1,
) -> Row:
    """Times `ours` and `peer` in turn, so that a busy moment of the machine strikes both.

    Without `amount` the row holds seconds and `budget` is the most that ours / peer may be. With
    `amount`, what one call processes (such as 64 tokens), it holds amount per second and `budget`
    is the least. The ratio is the median of the ratios of neighbors in time.
    """
    if repeats < 3:
        raise ValueError(f"repeats must be at least 3 to show a spread, got {repeats}")
    if (amount is None) != (unit == "s"):
        raise ValueError(f"give amount and its unit together, got {amount=} and {unit=}")
    for _ in range(warmups):
        ours()
        peer()
    pairs = []
    for turn in range(repeats):
        if turn % 2:  # who comes first alternates too
            peer_time = seconds(peer)
            pairs.append((seconds(ours), peer_time))
        else:
            pairs.append((seconds(ours), seconds(peer)))
    values = [(a, b) if amount is None else (amount / a, amount / b) for a, b in pairs]
    ratios = [a / b for a, b in values]
    return Row(
        what=what,
        unit=unit,
        ours=statistics.median(a for a, _ in values),
        peer=statistics.median(b for _, b in values),
        peer_name=peer_name,
        ratio=statistics.median(ratios),
        spread=(min(ratios), max(ratios)),
        budget=budget,
        higher_is_better=amount is not None,
        command=command,
    )


def limit(what: str, ours: float, unit: str, *, budget: float, command: str) -> Row:
    """A row without a peer: `ours`, in `unit`, is to be at most `budget`."""
    return Row(what, unit, ours, None, "", None, None, budget, False, command)


def machine() -> str:
    """The computer and the versions that a number depends on, in one line."""
    import torch

    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        processor = models[0].partition(":")[2].strip() if models else processor
    return (
        f"{os.cpu_count()} cores of {processor}, {platform.system()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads"
    )
