"""Checks of chapter 13: Huber's loss, and the lowest point of an isoFLOP curve."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lib import scaling
from lib.exercises.checking import Exercise, Probe


def huber(
    error: np.ndarray,
    delta: float,
    *,
    inside: Callable = lambda e, d: e**2 / 2,
    outside: Callable = lambda s, d: d * (s - d / 2),
    small: Callable = lambda e, d: np.abs(e) <= d,
    size: Callable = np.abs,
    smooth: Callable | None = None,
    result: Callable = lambda h, e, d: h,
) -> np.ndarray | Any:
    """Huber's loss of each error."""
    pieces = np.where(small(error, delta), inside(error, delta), outside(size(error), delta))
    return result(pieces if smooth is None else smooth(error, delta), error, delta)


def _huber_cases(seed: int) -> list[tuple]:
    random = np.random.default_rng(seed)
    return [
        (np.array([0.5, -0.5, 2.0, -3.0]), 1.0),
        (random.normal(size=9) * 2, 0.5),
        (random.normal(size=(3, 4)) * 3, 1.7),
        (random.normal(size=40) * 1e-2, 1e-3),
    ]


MEET = "the straight one is delta (|error| - delta / 2)."

check_huber = Exercise(
    title="Huber's loss",
    reference=huber,
    cases=_huber_cases,
    switches={
        "inside": {lambda e, d: e**2: "Small errors count half their square: the 1/2 is missing."},
        "outside": {
            lambda s, d: s**2 / 2: (
                "Errors above delta must count linearly: one bad run must not bend the whole law."
            ),
            lambda s, d: s**2: "Errors above delta must count linearly, not by their square.",
            lambda s, d: d * s: f"The two pieces do not meet at delta: {MEET}",
            lambda s, d: s: f"The two pieces do not meet at delta: {MEET}",
            lambda s, d: s - d / 2: (
                "The straight piece has slope delta, so that the slope does not jump there."
            ),
            lambda s, d: s - d + d**2 / 2: (
                "The straight piece has slope delta, not 1, so that there is no corner."
            ),
            lambda s, d: d * s - 0.5: f"It subtracts 1/2, not delta² / 2: {MEET}",
            lambda s, d: d**2 / 2 + (s - d) / 2: "The straight piece has slope delta, not 1/2.",
            lambda s, d: d * (s - d): f"delta² is not halved: {MEET}",
            lambda s, d: d * (s + d / 2): f"delta / 2 is added: {MEET}",
            lambda s, d: d * s + d: f"The two pieces do not meet at delta: {MEET}",
            lambda s, d: d**2 / 2 + 0 * s: "Errors above delta all count the same: a line goes on "
            "there.",
            lambda s, d: d + 0 * s: "Errors above delta all count the same: a line goes on there.",
        },
        "small": {
            lambda e, d: e <= d: "Negative errors can be large too: compare |error| with delta.",
            lambda e, d: np.abs(e) <= d**2: "It compares the size with delta²: compare with delta.",
            lambda e, d: e**2 <= d: "It compares the square with delta: compare the size.",
            lambda e, d: np.abs(e) > d: "The pieces are exchanged: squares within, a line beyond.",
            lambda e, d: np.abs(e) <= 1: "The border is delta, not 1.",
        },
        "size": {lambda e: e: "The line is in |error|: its absolute value is missing."},
        "smooth": {
            lambda e, d: d**2 * (np.sqrt(1 + (e / d) ** 2) - 1): "This is pseudo-Huber, a smooth "
            "likeness: two pieces are asked for.",
            lambda e, d: np.log(np.cosh(e)): "This is log cosh, a smooth likeness.",
            lambda e, d: np.log(np.cosh(e)) * d: "This is log cosh, a smooth likeness.",
            lambda e, d: np.clip(e, -d, d) ** 2 / 2: "It cuts errors off at delta: a line goes on "
            "there.",
            lambda e, d: np.clip(e, -d, d): "This is the loss's slope.",
            lambda e, d: np.abs(e): "It takes sizes everywhere: small errors count half their "
            "square.",
        },
        "result": {
            lambda h, e, d: h / d: "It divides by delta: that is smooth L1.",
            lambda h, e, d: h.sum(): "It sums: the loss of each error is asked for.",
            lambda h, e, d: h.mean(): "It averages: the loss of each error is asked for.",
            lambda h, e, d: np.sqrt(h): "It takes the root.",
            lambda h, e, d: 2 * h: "All is twice too large.",
            lambda h, e, d: np.sign(e) * h: "The loss has the error's sign: it is never negative.",
            lambda h, e, d: h.flatten(): "The shape is lost: keep that of `error`.",
        },
    },
    probes=[
        Probe("Errors of exactly delta lie on both pieces.", (np.array([-1.0, 1.0]), 1.0)),
        Probe("An error of 0 has the loss 0.", (np.array([0.0]), 0.5)),
    ],
    difficulty=2,
    minutes=10,
)


def _fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Coefficients of the parabola through the points, the highest power first."""
    center = x.mean()  # for the sake of precision
    a, b, c = np.polyfit(x - center, y, 2)
    return np.array([a, b - 2 * a * center, c - b * center + a * center**2])


def lowest(
    parameters: np.ndarray,
    loss: np.ndarray,
    *,
    axis: tuple[Callable, Callable] = (np.log, np.exp),
    height: Callable = lambda y: y,
    chosen: Callable = lambda x, y: slice(None),
    vertex: Callable = lambda a, b, c: -b / (2 * a),
    other: Callable | None = None,
) -> float:
    """Where the parabola of loss over ln N through one budget's runs is lowest."""
    if other is not None:
        return float(other(parameters, loss))
    some = chosen(parameters, loss)
    there, back = axis
    return float(back(vertex(*_fit(there(parameters)[some], height(loss)[some]))))


def _lowest_cases(seed: int) -> list[tuple]:
    random = np.random.default_rng(seed)
    budget = 10.0 ** random.uniform(18, 24)
    best = scaling.optimal(scaling.BESIROGLU, budget).parameters
    n = best * np.geomspace(0.2, 3, 7)
    return [
        (np.exp([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 2.5])),
        (np.exp([0.0, 1.0, 2.0, 4.0]), np.array([3.0, 2.0, 1.5, 2.5])),
        (np.exp([0.0, 4.0, 2.0, 1.0, 3.0]), np.array([3.0, 2.5, 1.5, 2.2, 2.0 + 0.1 * seed])),
        (n, scaling.isoflop(scaling.BESIROGLU, budget, n)),
    ]


LOWEST = "a x² + b x + c is lowest at -b / (2a)"


def _grid(n: np.ndarray, y: np.ndarray, count: int) -> float:
    x = np.linspace(np.log(n.min()), np.log(n.max()), count)
    return np.exp(x[np.polyval(_fit(np.log(n), y), x).argmin()])


def _exchanged(n: np.ndarray, y: np.ndarray) -> float:
    a, b, _ = np.polyfit(y, np.log(n), 2)
    return np.exp(-b / (2 * a))


check_lowest = Exercise(
    title="The lowest point of an isoFLOP curve",
    reference=lowest,
    cases=_lowest_cases,
    switches={
        "axis": {
            (
                np.asarray,
                np.asarray,
            ): "The parabola is over N: sizes differ by factors, so fit it over ln N.",
            (np.log10, np.exp): "The logarithm has base 10, but exp undoes base e: use one base.",
            (np.log2, np.exp): "The logarithm has base 2, but exp undoes base e: use one base.",
            (np.log10, np.asarray): "This is the logarithm of the size: raise 10 to it.",
            (np.log, np.asarray): "This is where ln N is lowest: take exp of it.",
            (np.log, lambda x: 10**x): "10 is raised to a logarithm of base e: use one base.",
            (np.log, lambda x: 2.0**x): "2 is raised to a logarithm of base e: use one base.",
            (np.log, lambda x: 10 ** round(float(x) / math.log(10))): "It is rounded to a power of "
            "ten.",
        },
        "height": {np.log: "The logarithm of the loss is fitted: take the loss as it is."},
        "vertex": {
            lambda a, b, c: b / (2 * a): f"The sign is turned: {LOWEST}.",
            lambda a, b, c: -b / a: f"{LOWEST}: the 2 is missing.",
            lambda a, b, c: -b / 2 * a: f"{LOWEST}: brackets are missing around 2a.",
            lambda a, b, c: -b / (2 * c): "np.polyfit returns the highest power first: a, b, c.",
            lambda a, b, c: c - b**2 / (4 * a): "This is the height of the lowest point: return "
            "the place.",
        },
        "chosen": {
            lambda x, y: slice(0, 3): "It fits the first three runs: fit all.",
            lambda x, y: np.argsort(y)[:3]: "It fits the three lowest runs: fit all.",
        },
        "other": {
            lambda n, y: n[y.argmin()]: (
                "This is the best of the runs that were made; the lowest point lies between them."
            ),
            lambda n, y: y.min(): "This is the least loss: return a size.",
            lambda n, y: np.polyval(_fit(np.log(n), y), np.log(lowest(n, y))): (
                "This is the loss at the lowest point: return the size."
            ),
            lambda n, y: np.exp(np.log(n).mean()): "This is the mean size: fit a parabola.",
            lambda n, y: n.mean(): "This is the mean size: fit a parabola.",
            _exchanged: "The axes are exchanged: ln N is fitted over the loss. Fit the loss.",
            lambda n, y: np.log(_exchanged(n, y)): "The axes are exchanged: ln N is fitted over "
            "the loss. Fit the loss, and take exp of where it is lowest.",
            **{
                lambda n, y, k=k: _grid(n, y, k): "It takes the best point of a grid: use the "
                "parabola's vertex."
                for k in (10, 11, 20, 21, 50, 51, 100, 101)
            },
        },
    },
    probes=[
        Probe(
            "The lowest point may lie outside the sizes of the runs.",
            (np.array([1e6, 2e6, 4e6, 8e6]), np.array([3.0, 2.8, 2.7, 2.65])),
            lambda expected, got: abs(got / 8e6 - 1) < 1e-3,  # cut off at the largest size
        )
    ],
    difficulty=2,
    minutes=12,
)
