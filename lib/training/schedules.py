"""Learning-rate schedules: one number for each step, computed from the step alone."""

import math
from collections.abc import Callable

from lib.settings import require

Schedule = Callable[[int], float]  # step (0 is the first) -> learning rate


def constant(peak: float, warmup: int = 0) -> Schedule:
    """Rise to `peak` over `warmup` steps, then stay.

    Step s of the warmup has peak * (s + 1) / (warmup + 1): no step is wasted at zero.
    """
    require("warmup", warmup, "[0, inf)", whole=True)
    _check(peak, warmup, warmup + 1)
    return lambda step: peak * min(1.0, (step + 1) / (warmup + 1))


def warmup_cosine(peak: float, total: int, warmup: int = 0, floor: float = 0.1) -> Schedule:
    """Linear warmup, then half a cosine from `peak` at step `warmup` to floor * peak at `total`.

    Source: Loshchilov & Hutter (2017), equation 5, without restarts; Brown et al. (2020), appendix
    B, for the warmup and the floor of a tenth. Raises ValueError for steps that do not fit.
    """
    _check(peak, warmup, total, floor)

    def rate(step: int) -> float:
        if step < warmup:
            return peak * (step + 1) / (warmup + 1)
        progress = min(1.0, (step - warmup) / (total - warmup))
        return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2)

    return rate


def warmup_stable_decay(
    peak: float, total: int, warmup: int = 0, decay: int | None = None, floor: float = 0.0
) -> Schedule:
    """Linear warmup, a plateau at `peak`, then a straight line to floor * peak at `total`.

    `decay` is the length of the last part (default: a fifth of the steps after warmup). The plateau
    is the same whatever `total` is, so that a run can be prolonged from a checkpoint on it.
    Source: Hu et al. (2024), MiniCPM, section 4; Hägele et al. (2024) for the linear decay.
    """
    _check(peak, warmup, total, floor)
    decay = decay_steps(total, warmup) if decay is None else decay
    require("decay", decay, f"[0, {total - warmup}]", whole=True)

    def rate(step: int) -> float:
        rise = min(1.0, (step + 1) / (warmup + 1))
        left = min(1.0, max(0, total - step) / decay) if decay else 1.0
        return peak * min(rise, floor + (1 - floor) * left)

    return rate


def decay_steps(total: int, warmup: int) -> int:
    """How long the last part of `warmup_stable_decay` is unless it is given."""
    return (total - warmup) // 5


SCHEDULES = {
    "cosine": warmup_cosine,
    "stable_decay": warmup_stable_decay,
    "linear": lambda peak, total, warmup: warmup_stable_decay(peak, total, warmup, total - warmup),
    "constant": lambda peak, total, warmup: constant(peak, warmup),
}


def _check(peak: float, warmup: int, total: int, floor: float = 0.0) -> None:
    require("the peak learning rate", peak, "(0, inf)")
    require("the number of steps", total, "[1, inf)", whole=True)
    require(f"warmup (of {total} steps)", warmup, f"[0, {total - 1}]", whole=True)
    require("floor (a share of the peak)", floor, "[0, 1]")
