"""Move every control of a widget as the browser would: for the tests and the bench.

nbmake passes on a notebook whose widget callback raises, so it proves nothing about widgets. A
chapter's test is::

    def test_widget():
        for frame in drive(sampling_explorer(logits)):
            assert frame.state.top_k <= 50
"""

import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lib.widgets.controls import S
from lib.widgets.explorer import Explorer


@dataclass(frozen=True)
class Frame:
    """What a widget shows after one move."""

    control: str  # label of the control moved last
    value: Any  # what it sent
    state: S
    picture: bytes | str
    caption: str


def drive(
    explorer: Explorer, per_control: int = 12, mixed: int = 20, seed: int = 0
) -> Iterator[Frame]:
    """Move every control through its range, from the first state, then `mixed` moves at random.

    Yields the frame after each move. Raises what a callback raises, and AssertionError if a frame
    depends on the way to it, that is, if `draw` is not pure.
    """
    explorer.raise_errors = True
    explorer.set(explorer.initial)
    first = explorer.frame()
    everything = list(zip(explorer.controls, explorer.handles, strict=True))
    for control, handle in everything:
        for value in control.values(explorer.state, per_control):
            yield _move(explorer, control, handle, value)
        explorer.set(explorer.initial)
        _same(explorer, first, f"after moving {control.label}")
    dice = random.Random(seed)
    for _ in range(mixed):
        control, handle = dice.choice(everything)
        yield _move(explorer, control, handle, dice.choice(control.values(explorer.state, 50)))
    explorer.set(explorer.initial)
    _same(explorer, first, "after many moves")


def _move(explorer: Explorer, control: Any, handle: Any, value: Any) -> Frame:
    control.send(handle, value)
    state, picture = explorer.state, explorer.picture.current()
    return Frame(control.label, value, state, picture, explorer.describe(state))


def _same(explorer: Explorer, first: bytes | str, when: str) -> None:
    if not explorer.picture.current() == explorer.frame() == first:
        raise AssertionError(f"draw is not pure: {when}, the first state has another picture")


@dataclass(frozen=True)
class Latency:
    """Kernel-side milliseconds from the browser's message to the new picture ready to send."""

    median_ms: float
    p90_ms: float
    updates: int
    kilobytes: float  # median size of a picture


def measure_latency(explorer: Explorer, updates: int = 50, seed: int = 0) -> Latency:
    """Time `updates` random moves of random controls, leaving out moves that change nothing."""
    explorer.raise_errors = True
    dice = random.Random(seed)
    everything = list(zip(explorer.controls, explorer.handles, strict=True))[:-1]  # not Reset
    times, sizes = [], []
    for _ in range(100 * updates):
        control, handle = dice.choice(everything)
        value = dice.choice(control.values(explorer.state, 50))
        before = explorer.state
        start = time.perf_counter()
        control.send(handle, value)
        elapsed = time.perf_counter() - start
        if explorer.state == before:
            continue
        times.append(1000 * elapsed)
        sizes.append(len(explorer.picture.current()) / 1000)
        if len(times) == updates:
            break
    if len(times) < 2:
        raise ValueError("no control changes the state, so there is nothing to time")
    p90 = statistics.quantiles(times, n=10, method="inclusive")[-1]
    return Latency(statistics.median(times), p90, len(times), statistics.median(sizes))
