"""Least squares for laws that are linear once their rate is known, many weightings at a time.

Once the exponent p (or k) is fixed, floor + a x^-p is linear in what is left, and the best a and
floor are those of a weighted linear regression. So only the rate is searched: by trying 600 of
them, then between the neighbors of the best.
Source: Golub & Pereyra (1973), separable least squares.

SciPy's least_squares finds the same rates, to 5 digits in the worst of 200 resampled sets, but each
set alone and from several starts: 2 to 3 s for 200 power laws or exponentials with a floor, and 8
to 9 s for robust ones, where this takes 0.02 s and 0.6 s (24 points, one core).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Array = np.ndarray
ZOOMS = 24  # each halves the search about the best rate
REWEIGHTINGS = 40
LEAST_ERROR = 1e-4  # relative; errors below it weigh alike, so that no weight is infinite


@dataclass(frozen=True)
class Solution:
    """For each weighting: rate, a and floor of the best law, in the shifted coordinate."""

    rate: Float[Array, " S"]
    a: Float[Array, " S"]
    floor: Float[Array, " S"]


def solve(
    t: Float[Array, " n"],
    y: Float[Array, " n"],
    rates: Float[Array, " R"],
    with_floor: bool,
    robust: bool,
    weights: Float[Array, "S n"],
) -> Solution:
    """The law floor + a e^(-rate t) of least weighted squared (or absolute) relative error.

    With t = ln x it is a power law, with t = x an exponential. Absolute errors are squared ones
    whose weights are divided by the error, again and again (iteratively reweighted least squares).
    """
    found = _least_squares(t, y, rates, with_floor, weights)
    for _ in range(REWEIGHTINGS if robust else 0):
        fitted = found.floor[:, None] + found.a[:, None] * _shape(np.outer(found.rate, t))
        error = np.abs(fitted / y - 1)
        reweighted = weights / np.maximum(error, LEAST_ERROR)
        found = _least_squares(t, y, rates, with_floor, reweighted)
    return found


def _least_squares(t: Array, y: Array, rates: Array, with_floor: bool, weights: Array) -> Solution:
    relative = weights / y**2
    shapes = _shape(np.outer(rates, t))
    sums = (relative @ shapes.T, relative @ (shapes**2).T, relative @ (shapes * y).T)
    error = _regression(relative, y, sums, with_floor)[2]
    best = error.argmin(1).clip(1, len(rates) - 2)
    middle, width = np.log(rates[best]), np.log(rates[1] / rates[0])
    for _ in range(ZOOMS):  # five rates for each weighting, ever closer about the best
        trial = middle[:, None] + width * np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
        error = _at(relative, y, t, trial, with_floor)[2]
        middle, width = trial[np.arange(len(trial)), error.argmin(1)], width / 2
    a, level, _ = _at(relative, y, t, middle[:, None], with_floor)
    return Solution(np.exp(middle), a[:, 0], level[:, 0])


def _shape(exponent: Array) -> Array:
    """e^-exponent, never so small that its square is 0."""
    return np.exp(-np.minimum(exponent, 300.0))


def _at(
    relative: Array, y: Array, t: Array, ln_rates: Float[Array, "S R"], with_floor: bool
) -> tuple[Array, Array, Array]:
    """The regression at rates of each weighting's own."""
    shapes = _shape(np.exp(ln_rates)[..., None] * t)  # S, R, n
    weighted = relative[:, None] * shapes
    sums = (weighted.sum(-1), (weighted * shapes).sum(-1), (weighted * y).sum(-1))
    return _regression(relative, y, sums, with_floor)


def _regression(
    relative: Float[Array, "S n"],
    y: Float[Array, " n"],
    sums: tuple[Array, Array, Array],
    with_floor: bool,
) -> tuple[Float[Array, "S R"], Float[Array, "S R"], Float[Array, "S R"]]:
    """a >= 0, floor >= 0 and their error, from the sums of shape, shape^2 and shape * y."""
    s_b, s_bb, s_by = sums
    s_1, s_y = relative.sum(1, keepdims=True), (relative @ y)[:, None]
    without = s_by / s_bb  # a, if the floor is 0
    a, level = without, np.zeros_like(without)
    if with_floor:
        determinant = s_1 * s_bb - s_b**2
        flat = determinant <= 1e-12 * s_1 * s_bb  # the shape is as good as constant
        determinant = np.where(flat, 1.0, determinant)
        a = (s_1 * s_by - s_b * s_y) / determinant
        level = (s_bb * s_y - s_b * s_by) / determinant
        outside = flat | (level < 0) | (a < 0)
        a, level = np.where(outside, without, a), np.where(outside, 0.0, level)
    total = (relative * y**2).sum(1, keepdims=True)
    error = total - 2 * (a * s_by + level * s_y)
    return a, level, error + a**2 * s_bb + 2 * a * level * s_b + level**2 * s_1
