"""Checks of chapter 13, scaling laws; answers take and return plain numbers and NumPy arrays.

Fits (Huber's loss, the isoFLOP parabola) are in `scaling_fits`, the optimum in `allocation`.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lib.exercises.allocation import check_optimal, optimal
from lib.exercises.checking import Exercise, Probe
from lib.exercises.scaling_fits import check_huber, check_lowest, huber, lowest

__all__ = [
    "check_gain",
    "check_huber",
    "check_lowest",
    "check_optimal",
    "check_through",
    "gain",
    "huber",
    "lowest",
    "optimal",
    "through",
]


def gain(
    loss: float,
    floor: float,
    p: float,
    *,
    above: Callable = lambda loss, floor: loss - floor,
    lost: Callable = lambda p: 1 - 2**-p,
    share: Callable = lambda less, loss, floor: less / loss,
    whole: Callable | None = None,
) -> float:
    """The share of the loss that the next doubling takes away, for floor + a x^-p."""
    if whole is not None:
        return whole(loss, floor, 1 - lost(p))
    return share(above(loss, floor) * lost(p), loss, floor)


def _gain_cases(seed: int) -> list[tuple]:
    random = np.random.default_rng(seed)
    floor, p = float(random.uniform(0.5, 1.5)), float(random.uniform(0.05, 0.6))
    return [(4.0, 0.0, 1.0), (2.0, 1.0, 0.5), (floor + 1.3, floor, p), (floor * 1.01, floor, p)]


BRACKET = "Brackets are missing: (loss - floor) · (1 - 2^-p) / loss."

check_gain = Exercise(
    title="What the next doubling buys",
    reference=gain,
    cases=_gain_cases,
    switches={
        "above": {
            lambda loss, floor: loss: "Only what is above the floor shrinks: loss - floor.",
            lambda loss, floor: floor: "Only what is above the floor shrinks, not the floor.",
            lambda loss, floor: loss + floor: "The floor is added: only loss - floor shrinks.",
            lambda loss, floor: floor - loss: "The sign is turned: loss - floor shrinks.",
        },
        "lost": {
            lambda p: 2**-p: "2^-p is the part that stays; the part that goes is 1 - 2^-p.",
            lambda p: 2**p - 1: (
                "The sign of the exponent is turned: doubling x multiplies x^-p by 2^-p."
            ),
            lambda p: 1 - 2**p: (
                "The sign of the exponent is turned: doubling x multiplies x^-p by 2^-p."
            ),
            lambda p: 2**-p - 1: "The sign is turned: 1 - 2^-p goes.",
            lambda p: 1 - math.exp(-p): "This is for x times e: a doubling multiplies x by 2.",
            lambda p: 1 - 10**-p: "This is for x times 10: a doubling multiplies x by 2.",
            lambda p: 1 - 4**-p: "This is for two doublings: 2^-p stays, not 4^-p.",
            lambda p: p * math.log(2): "This is the slope times ln 2: right for small p alone.",
            lambda p: p: "It takes p itself: 1 - 2^-p goes.",
            lambda p: 1 - p: "It takes 1 - p: 1 - 2^-p goes.",
            lambda p: 0.5: "Half of what is above the floor goes only for p = 1: it is 1 - 2^-p.",
        },
        "share": {
            lambda less, loss, floor: less: "This is a difference of losses: divide by the loss.",
            lambda less, loss, floor: less / (loss - floor): (
                "This share is taken from what is above the floor, not from the whole loss."
            ),
            lambda less, loss, floor: less / (floor or 1): "It divides by the floor: divide by the "
            "whole loss.",
            lambda less, loss, floor: less / (loss - less): "It divides by the new loss: divide "
            "by the loss of now.",
        },
        "whole": {
            lambda loss, floor, stays: floor + (loss - floor) * stays: "This is the new loss: "
            "return the share that is taken away.",
            lambda loss, floor, stays: (floor + (loss - floor) * stays) / loss: "This is the share "
            "that stays: 1 minus it is asked for.",
            lambda loss, floor, stays: (loss - floor * (1 - stays)) / loss: BRACKET,
            lambda loss, floor, stays: loss - floor / loss * (1 - stays): BRACKET,
            lambda loss, floor, stays: loss - floor * (1 - stays) / loss: BRACKET,
            lambda loss, floor, stays: (loss - floor) * 1 - stays / loss: BRACKET,
            lambda loss, floor, stays: loss * (1 - stays) / (loss - floor): "It is turned over: "
            "what is above the floor shrinks, and the whole loss divides.",
            lambda loss, floor, stays: 1 - stays: "This share is taken from what is above the "
            "floor, not from the whole loss.",
        },
    },
    difficulty=1,
    minutes=5,
)


def _slope(x_1: float, y_1: float, x_2: float, y_2: float) -> float:
    return -math.log(y_2 / y_1) / math.log(x_2 / x_1)


def through(
    x_1: float,
    y_1: float,
    x_2: float,
    y_2: float,
    *,
    slope: Callable = _slope,
    height: Callable = lambda p, x_1, y_1, x_2, y_2: y_1 * x_1**p,
    result: Callable = lambda a, p: (a, p),
) -> tuple[float, float] | Any:
    """a and p of the power law a x^-p through two points."""
    p = slope(x_1, y_1, x_2, y_2)
    return result(height(p, x_1, y_1, x_2, y_2), p)


def _through_cases(seed: int) -> list[tuple]:
    random = np.random.default_rng(seed)
    x = float(random.uniform(2, 50))
    return [
        (1.0, 8.0, 4.0, 2.0),
        (2.0, 8.0, 8.0, 3.0),
        (x, 3.0, 30 * x, float(random.uniform(1, 2))),
        (3.0 + seed, 1.0, 6.0, 2.0),
    ]


SLOPE = "p is -(ln y_2 - ln y_1) / (ln x_2 - ln x_1)."
EXPONENTIAL = (
    "This is the exponential: it divides by x_2 - x_1. A power law divides by ln x_2 - ln x_1."
)

check_through = Exercise(
    title="A power law through two points",
    reference=through,
    cases=_through_cases,
    switches={
        "slope": {
            lambda *xy: -_slope(*xy): (
                "p has the wrong sign: in a x^-p the slope on log-log axes is -p."
            ),
            lambda *xy: 1 / _slope(*xy): (
                "The slope is turned over: it is the change of ln y divided by that of ln x."
            ),
            lambda *xy: -1 / _slope(*xy): (
                "The slope is turned over: it is the change of ln y divided by that of ln x."
            ),
            lambda x, y, v, w: math.log(y / w) / (v - x): EXPONENTIAL,
            lambda x, y, v, w: (y - w) / (v - x): f"This is a straight line's slope. {SLOPE}",
            lambda x, y, v, w: (w - y) / (v - x): f"This is a straight line's slope. {SLOPE}",
            lambda x, y, v, w: (y - w) / math.log(v / x): f"The logarithm of y is missing. {SLOPE}",
            lambda x, y, v, w: (y / w) / (v / x): f"The logarithms are missing. {SLOPE}",
            lambda x, y, v, w: (w / y) / (v / x): f"The logarithms are missing. {SLOPE}",
            lambda x, y, v, w: -(w / y) / (v / x): f"The logarithms are missing. {SLOPE}",
            lambda x, y, v, w: math.log(abs(w - y) + 1) / math.log(abs(v - x) + 1): (
                f"It takes logarithms of differences. {SLOPE}"
            ),
            lambda x, y, v, w: math.log(y / w) / math.log10(v / x): f"Two bases are mixed. {SLOPE}",
            lambda x, y, v, w: math.log10(y / w) / math.log(v / x): f"Two bases are mixed. {SLOPE}",
            lambda x, y, v, w: math.log2(y / w) / math.log(v / x): f"Two bases are mixed. {SLOPE}",
            lambda *xy: abs(_slope(*xy)): "The sign of p is lost: where y grows p is negative.",
        },
        "height": {
            lambda p, x, y, v, w: y: (
                "a is the value at x = 1, not at x_1: carry it back with x_1^p."
            ),
            lambda p, x, y, v, w: w: "a is the value at x = 1, not at x_2: carry it back.",
            lambda p, x, y, v, w: y / x**p: "a is y_1 · x_1^p: it divides where it must multiply.",
            lambda p, x, y, v, w: w / v**p: "a is y_2 · x_2^p: it divides where it must multiply.",
            lambda p, x, y, v, w: w * x**p: "Two points are mixed: take x and y of one point.",
            lambda p, x, y, v, w: y * v**p: "Two points are mixed: take x and y of one point.",
            lambda p, x, y, v, w: y * x * p: "It multiplies by p: a is y_1 · x_1^p.",
            lambda p, x, y, v, w: math.log(y) + p * math.log(x): "This is ln a: take exp of it.",
            lambda p, x, y, v, w: 10 ** (math.log(y) + p * math.log(x)): "Logarithms are natural, "
            "but 10 is raised to them: use one base.",
            lambda p, x, y, v, w: (y + w) / 2 * ((x + v) / 2) ** p: "The mean of the points is "
            "not on the curve: take one of them.",
            lambda p, x, y, v, w: y * math.exp(p * x): "The exponential's a: it is y_1 · x_1^p.",
            lambda p, x, y, v, w: y + p * math.log(x): "The logarithm of y is missing in a.",
            lambda p, x, y, v, w: y * (v - x + 1) ** p: "a is the value at x = 1: no difference "
            "of x belongs into it.",
            lambda p, x, y, v, w: w * (v - x + 1) ** p: "a is the value at x = 1: no difference "
            "of x belongs into it.",
        },
        "result": {
            lambda a, p: (p, a): "Return a first, then p.",
            lambda a, p: (-p, a): "Return a first, then p; and p has the wrong sign.",
            lambda a, p: (a, -p): "a is right, but p has the wrong sign: in a x^-p it is positive "
            "where y falls.",
            lambda a, p: (math.log(a), p): "This is ln a: take exp of it.",
        },
    },
    probes=[
        Probe(
            "Where y grows, p is negative: its sign must stay.",
            (1.0, 2.0, 4.0, 8.0),
            lambda expected, got: got[1] >= 0,
        ),
        Probe(
            "The larger x may come first.",
            (100.0, 1.0, 10.0, 3.0),
            lambda expected, got: got[1] <= 0,
        ),
        Probe("Between equal y the law is flat: p = 0, and a = y.", (2.0, 3.0, 5.0, 3.0)),
    ],
    difficulty=1,
    minutes=8,
)
