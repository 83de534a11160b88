"""An exercise of chapter 7: the learning rate, with its warmup and its cosine."""

import math
from collections.abc import Callable

from lib.exercises.checking import Exercise, Probe

RISES: dict[str, Callable[[int, int], float]] = {
    "s+1 / w+1": lambda s, w: (s + 1) / (w + 1),
    "s / w": lambda s, w: s / w,
    "s+1 / w": lambda s, w: (s + 1) / w,
    "s / w+1": lambda s, w: s / (w + 1),
    "peak": lambda s, w: 1.0,
    "zero": lambda s, w: 0.0,
    "falls": lambda s, w: 1 - (s + 1) / (w + 1),
    "tenth": lambda s, w: 0.1 + 0.9 * (s + 1) / (w + 1),
}
PROGRESS: dict[str, Callable[[int, int, int], float]] = {
    "after": lambda s, t, w: (s - w) / (t - w),
    "all": lambda s, t, w: s / t,
    "t": lambda s, t, w: (s - w) / t,
    "one": lambda s, t, w: (s - w + 1) / (t - w),
    "last": lambda s, t, w: (s - w) / max(t - w - 1, 1),
    "s": lambda s, t, w: s / (t - w),
    "more": lambda s, t, w: (s - w) / (t - w + 1),
    "both": lambda s, t, w: (s - w + 1) / (t - w + 1),
    "rest": lambda s, t, w: 1 - (s - w) / (t - w),
}
FALLS: dict[str, Callable[[float], float]] = {
    "half": lambda p: (1 + math.cos(math.pi * p)) / 2,
    "line": lambda p: 1 - p,
    "whole": lambda p: (1 + math.cos(2 * math.pi * p)) / 2,
    "quarter": lambda p: math.cos(math.pi / 2 * p),
    "not halved": lambda p: 1 + math.cos(math.pi * p),
    "alone": lambda p: math.cos(math.pi * p),
    "rises": lambda p: (1 - math.cos(math.pi * p)) / 2,
    "degrees": lambda p: (1 + math.cos(180 * p)) / 2,
    "no pi": lambda p: (1 + math.cos(p)) / 2,
    "none": lambda p: 1.0,
}
ENDS: dict[str, Callable[[float], float]] = {
    "tenth": lambda c: 0.1 + 0.9 * c,
    "zero": lambda c: c,
    "hundredth": lambda c: 0.01 + 0.99 * c,
    "added": lambda c: 0.1 + c,
    "max": lambda c: max(0.1, c),
    "0.9": lambda c: 0.9 * c,
    "turned": lambda c: 0.9 + 0.1 * c,
    "product": lambda c: 0.1 * c,
}


def learning_rate(
    step: int,
    total: int,
    warmup: int,
    peak: float,
    *,
    rise: str = "s+1 / w+1",
    until: str = "warmup",
    progress: str = "after",
    fall: str = "half",
    end: str = "tenth",
) -> float:
    """peak (s + 1) / (w + 1) in the warmup, then half a cosine from peak down to a tenth of it."""
    last = {"warmup": warmup, "never": 0, "one more": warmup + 1, "one less": warmup - 1}[until]
    if step < last:
        return peak * RISES[rise](step, warmup)
    share = ENDS[end](FALLS[fall](PROGRESS[progress](step, total, warmup)))
    return peak * share


def _far(expected: float, got: float) -> bool:
    return abs(expected - got) > 5e-3  # no matter of digits


check_learning_rate = Exercise(
    title="Warmup and cosine",
    reference=learning_rate,
    cases=lambda seed: [
        (step, total, warmup, 0.5 + seed)
        for total, warmup in [(10, 2), (40, 0), (25, 10)]
        for step in (0, 1, warmup, total // 2, total - 1)
    ],
    switches={
        "rise": {
            "s / w": "The first step has a learning rate of zero, so it is wasted.",
            "s+1 / w": "It divides by warmup: the peak is then reached one step early. Divide by "
            "warmup + 1.",
            "s / w+1": "The first step has a learning rate of zero: step s has s + 1.",
            "peak": "It is at the peak during the warmup: it must rise.",
            "zero": "It is zero during the warmup: it must rise.",
            "falls": "It falls during the warmup: it must rise.",
            "tenth": "It rises from a tenth of the peak: the warmup begins at peak / (warmup + 1).",
        },
        "until": {
            "never": "The warmup is missing.",
            "one less": "The warmup ends one step early.",
        },
        "progress": {
            "all": "The cosine starts after the warmup: measure its progress from there.",
            "t": "Progress is divided by all steps: divide by those after the warmup.",
            "one": "Progress counts one step more: it is 0 at step `warmup`.",
            "last": "Progress reaches 1 at the last step: it is to reach it at step `total`.",
            "s": "Progress counts the warmup's steps, too: subtract them.",
            "more": "Progress is divided by one step too many.",
            "both": "Progress counts one step more: it is 0 at step `warmup`.",
            "rest": "Progress runs backward, from 1 to 0.",
        },
        "fall": {
            "line": "This is a straight line down, not a cosine.",
            "whole": "This is a whole cosine, down and up again: take half of it.",
            "quarter": "This is a quarter of a cosine: from 0 to π, not to π / 2.",
            "not halved": "1 + cos runs from 2 to 0: divide it by 2.",
            "alone": "The cosine alone runs from 1 to -1: add 1 and divide by 2.",
            "rises": "It rises after the warmup: the cosine's sign is turned.",
            "degrees": "The angle is in degrees: `math.cos` wants radians.",
            "no pi": "π is missing: the angle runs from 0 to π.",
            "none": "It stays at the peak after the warmup.",
        },
        "end": {
            "zero": "The cosine falls to zero, not to a tenth of the peak.",
            "hundredth": "It ends at a hundredth of the peak: a tenth is asked for.",
            "added": "0.1 is added to all: the peak is then 1.1 of what is asked for.",
            "max": "It is cut off at a tenth: the cosine itself runs from the peak to a tenth.",
            "0.9": "It is 0.9 of a cosine to zero: add the tenth.",
            "turned": "0.1 and 0.9 are swapped: it ends at nine tenths.",
            "product": "The cosine is multiplied by 0.1: it runs from the peak to a tenth.",
        },
    },
    probes=[
        Probe("The first step of a warmup of 3 has a quarter of the peak.", (0, 11, 3, 1.0), _far),
        Probe("At step `warmup` it is at the peak.", (3, 11, 3, 1.0), _far),
        Probe("Half of the way after the warmup it is at 0.55 of the peak.", (7, 11, 3, 1.0), _far),
        Probe("At step `total` it is at a tenth of the peak.", (11, 11, 3, 1.0), _far),
        Probe("Twice the peak is twice the rate.", (7, 11, 3, 2.0), _far),
        Probe("Without a warmup the first step is at the peak.", (0, 4, 0, 1.0), _far),
    ],
    difficulty=2,
    minutes=15,
)  # fmt: skip
