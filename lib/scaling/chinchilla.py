"""Chinchilla's law, L(N, D) = E + A / N^alpha + B / D^beta, and how it was fitted.

Source: Hoffmann et al. (2022), section 3.3 and appendix D.3.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lib.scaling.checks import Number, Numbers, Quantity, positive_points
from lib.scaling.quasi_newton import Objective, minimize_all


@dataclass(frozen=True)
class ChinchillaLaw:
    """Loss in nats per token from N parameters and D training tokens."""

    E: Number
    A: Number
    B: Number
    alpha: Number
    beta: Number

    def __call__(self, parameters: Quantity, tokens: Quantity) -> Quantity:
        n, d = np.asarray(parameters, dtype=np.float64), np.asarray(tokens, dtype=np.float64)
        return self.E + self.A * n**-self.alpha + self.B * d**-self.beta

    @property
    def parameter_exponent(self) -> float:
        """a in N_opt ~ C^a: beta / (alpha + beta), if compute is C = 6 N D (equation 4)."""
        return self.beta / (self.alpha + self.beta)


# The published constants, with the digits that stand in the source of the paper's text.
HOFFMANN = ChinchillaLaw(E=1.6934, A=406.401, B=410.723, alpha=0.33917, beta=0.28491)
# Besiroglu et al. (2024), table 1: fitted to the points of the paper's figure 4.
BESIROGLU = ChinchillaLaw(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658)

# Appendix D.3: all combinations are starts, 4,500 of them.
START_GRID = {
    "alpha": np.arange(0, 2.1, 0.5),
    "beta": np.arange(0, 2.1, 0.5),
    "e": np.arange(-1, 1.1, 0.5),
    "a": np.arange(0, 26, 5.0),
    "b": np.arange(0, 26, 5.0),
}
DELTA = 1e-3


def published_starts() -> Float[np.ndarray, "S 5"]:
    """Each start of the paper's grid: (a, b, e, alpha, beta), with A = e^a, B = e^b, E = e^e."""
    grid = itertools.product(*START_GRID.values())
    return np.array([(a, b, e, alpha, beta) for alpha, beta, e, a, b in grid])


def huber(
    error: Float[np.ndarray, "*shape"], delta: float
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Huber's loss and its derivative: error^2 / 2 up to delta, then a straight line.

    Source: Huber (1964). Points far off pull with the same force as points at delta.
    """
    slope = np.clip(error, -delta, delta)
    return slope * (error - 0.5 * slope), slope


def huber_objective(
    ln_n: Float[np.ndarray, " n"],
    ln_d: Float[np.ndarray, " n"],
    ln_loss: Float[np.ndarray, " n"],
    delta: float = DELTA,
    weights: Float[np.ndarray, "S n"] | None = None,
) -> Objective:
    """Equation 10's sum, with its gradient, for many parameters at once.

    sum over points of Huber(LSE(a - alpha ln N, b - beta ln D, e) - ln L), LSE = ln of the sum of
    e to each. Divided by delta and the number of points, so that values are near 1 in size.
    """
    scale = 1 / (delta * len(ln_n))

    def objective(points: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b, e, alpha, beta = points.T[:, :, None]
        terms = np.stack(np.broadcast_arrays(a - alpha * ln_n, b - beta * ln_d, e))
        largest = terms.max(0)
        terms = np.exp(terms - largest)
        total = terms.sum(0)
        value, slope = huber(largest + np.log(total) - ln_loss, delta)
        if weights is not None:
            value, slope = value * weights[rows], slope * weights[rows]
        of_a, of_b, of_e = terms * (slope / total)
        gradient = [of_a.sum(1), of_b.sum(1), of_e.sum(1), -of_a @ ln_n, -of_b @ ln_d]
        return scale * value.sum(1), scale * np.stack(gradient, 1)

    return objective


@dataclass(frozen=True)
class ChinchillaFit:
    """A fit and how it was reached: the Huber sum, and the share of starts that ended there."""

    law: ChinchillaLaw
    huber_sum: float
    share_of_starts: float


def fit_from_starts(
    parameters: Numbers, tokens: Numbers, loss: Numbers, delta: float = DELTA
) -> ChinchillaFit:
    """Minimize from the whole published grid of starts and keep the best.

    Raises ValueError for points that are not positive, or fewer than five.
    """
    n, d, loss = positive_points(5, parameters=parameters, tokens=tokens, loss=loss)
    problem = _Problem(n, d, loss, delta)
    ends, values = minimize_all(problem.objective(), problem.inward(published_starts()), 100)
    best, value = minimize_all(problem.objective(), ends[[values.argmin()]], 500)
    return ChinchillaFit(
        law=problem.law(best[0]),
        huber_sum=float(value[0] * delta * len(n)),
        share_of_starts=float((values < value[0] * 1.001).mean()),
    )


def fit_chinchilla(
    parameters: Numbers, tokens: Numbers, loss: Numbers, delta: float = DELTA
) -> ChinchillaLaw:
    """E, A, B, alpha, beta of L(N, D), by the paper's method (see `fit_from_starts`).

    `delta` near 0 makes it a fit of least absolute deviations of ln L.
    """
    return fit_from_starts(parameters, tokens, loss, delta).law


def refit(
    law: ChinchillaLaw,
    parameters: Numbers,
    tokens: Numbers,
    loss: Numbers,
    delta: float = DELTA,
    weights: Float[np.ndarray, "S n"] | None = None,
) -> list[ChinchillaLaw]:
    """Minimize from a law that is known already, once for each row of `weights` (None: once).

    A row says how often each point counts, as `lib.scaling.bootstrap.resampled_weights` draws it.
    """
    n, d, loss = positive_points(5, parameters=parameters, tokens=tokens, loss=loss)
    problem = _Problem(n, d, loss, delta)
    start = np.array([np.log(law.A), np.log(law.B), np.log(law.E), law.alpha, law.beta])
    starts = problem.inward(np.tile(start, (1 if weights is None else len(weights), 1)))
    ends, _ = minimize_all(problem.objective(weights), starts, 300)
    return [problem.law(end) for end in ends]


@dataclass(frozen=True)
class _Problem:
    """The points, with ln N and ln D counted from their means: then a hardly depends on alpha."""

    n: np.ndarray
    d: np.ndarray
    loss: np.ndarray
    delta: float

    def objective(self, weights: np.ndarray | None = None) -> Objective:
        ln_n, ln_d = np.log(self.n), np.log(self.d)
        ln_n, ln_d = ln_n - ln_n.mean(), ln_d - ln_d.mean()
        return huber_objective(ln_n, ln_d, np.log(self.loss), self.delta, weights)

    def inward(self, points: np.ndarray) -> np.ndarray:
        a, b, e, alpha, beta = points.T
        n, d = np.log(self.n).mean(), np.log(self.d).mean()
        return np.stack([a - alpha * n, b - beta * d, e, alpha, beta], 1)

    def law(self, point: np.ndarray) -> ChinchillaLaw:
        a, b, e, alpha, beta = point
        a, b = a + alpha * np.log(self.n).mean(), b + beta * np.log(self.d).mean()
        return ChinchillaLaw(*(float(v) for v in (*np.exp([e, a, b]), alpha, beta)))
