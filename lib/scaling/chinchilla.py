"""Chinchilla's law, L(N, D) = E + A / N^alpha + B / D^beta, and how it was fitted.

Source: Hoffmann et al. (2022), section 3.3 and appendix D.3.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from lib.scaling.fitting import Number, Numbers, Quantity, positive_points

if TYPE_CHECKING:  # SciPy takes a second to load: only who fits waits for it
    from scipy.optimize import OptimizeResult

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]  # a point -> its value and gradient


@dataclass(frozen=True)
class ChinchillaLaw:
    """Loss in nats per token from N parameters and D training tokens."""

    E: Number
    A: Number
    B: Number
    alpha: Number
    beta: Number

    def __call__(self, parameters: Quantity, tokens: Quantity) -> Quantity:
        n, d = (np.asarray(x, dtype=np.float64) for x in (parameters, tokens))
        return self.E + self.A * n**-self.alpha + self.B * d**-self.beta

    @property
    def parameter_exponent(self) -> float:
        """a in N_opt ~ C^a: beta / (alpha + beta), if
        compute is C = 6 N D (equation 4).
        """
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


def published_starts(every: int = 1) -> Float[np.ndarray, "S 5"]:
    """Each start of the paper's grid: (a, b, e, alpha, beta), with A = e^a, B = e^b, E = e^e.

    `every=2` thins the grid to every second value of each axis: 243 starts, an eighteenth of the
    time. On the points behind the paper the best end of both grids is the same.
    """
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    grid = itertools.product(*(values[::every] for values in START_GRID.values()))
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
    weights: Float[np.ndarray, " n"] | None = None,
) -> Objective:
    """Equation 10's sum, with its gradient, as a function of (a, b, e, alpha, beta).

    sum over points of Huber(LSE(a - alpha ln N, b - beta ln D, e) - ln L), LSE = ln of
    the sum of e to each. Divided by delta and the number of points, so that values are
    near 1 in size.
    """
    scale = (1.0 if weights is None else weights) / (delta * len(ln_n))

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        a, b, e, alpha, beta = point
        terms = np.stack([a - alpha * ln_n, b - beta * ln_d, np.full_like(ln_n, e)])
        largest = terms.max(0)
        terms = np.exp(terms - largest)
        total = terms.sum(0)
        value, slope = huber(largest + np.log(total) - ln_loss, delta)
        of_a, of_b, of_e = terms * (scale * slope / total)
        gradient = [of_a.sum(), of_b.sum(), of_e.sum(), -of_a @ ln_n, -of_b @ ln_d]
        return float((scale * value).sum()), np.array(gradient)

    return objective


@dataclass(frozen=True)
class ChinchillaFit:
    """A fit and how it was reached: the Huber sum, and the share of starts that ended there."""

    law: ChinchillaLaw
    huber_sum: float
    share_of_starts: float


def fit_from_starts(
    parameters: Numbers,
    tokens: Numbers,
    loss: Numbers,
    delta: float = DELTA,
    starts: Float[np.ndarray, "S 5"] | None = None,
) -> ChinchillaFit:
    """Minimize from each start (None: the whole published grid, half a minute); keep the best.

    `starts=published_starts(every=2)` takes some two seconds.
    Raises ValueError for points that are not positive, or fewer than five.
    """
    n, d, loss = positive_points(5, parameters=parameters, tokens=tokens, loss=loss)
    problem = _Problem(n, d, loss, delta)
    objective = problem.objective()
    starts = published_starts() if starts is None else starts
    ends = [lbfgs(objective, problem.inward(start)) for start in starts]
    values = np.array([end.fun for end in ends])
    best = lbfgs(objective, ends[values.argmin()].x)  # again, without its memory
    return ChinchillaFit(
        law=problem.law(best.x),
        huber_sum=float(best.fun * delta * len(n)),
        share_of_starts=float((values < best.fun * 1.001).mean()),
    )


def fit_chinchilla(
    parameters: Numbers,
    tokens: Numbers,
    loss: Numbers,
    delta: float = DELTA,
    starts: Float[np.ndarray, "S 5"] | None = None,
) -> ChinchillaLaw:
    """E, A, B, alpha, beta of L(N, D), by the paper's method (see `fit_from_starts`).

    `delta` near 0 makes it a fit of least absolute deviations of ln L.
    """
    return fit_from_starts(parameters, tokens, loss, delta, starts).law


def refit(
    law: ChinchillaLaw,
    parameters: Numbers,
    tokens: Numbers,
    loss: Numbers,
    delta: float = DELTA,
    weights: Float[np.ndarray, "S n"] | None = None,
) -> list[ChinchillaLaw]:
    """Minimize from a law that is known already, once for each row of `weights` (None: once).

    A row says how often each point counts, as `lib.scaling.uncertainty.resampled_weights` draws it.
    """
    n, d, loss = positive_points(5, parameters=parameters, tokens=tokens, loss=loss)
    problem = _Problem(n, d, loss, delta)
    known = np.array([np.log(law.A), np.log(law.B), np.log(law.E), law.alpha, law.beta])
    start = problem.inward(known)
    rows = [None] if weights is None else weights
    return [problem.law(lbfgs(problem.objective(row), start).x) for row in rows]


def lbfgs(objective: Objective, start: Float[np.ndarray, " 5"]) -> "OptimizeResult":
    """SciPy's L-BFGS, the paper's method, from one start, until no step lowers the value.

    The long line search is for a small delta, whose gradient jumps.
    """
    from scipy.optimize import minimize

    options = {"maxiter": 1000, "maxls": 100, "ftol": 0.0, "gtol": 1e-9}
    with np.errstate(over="ignore", invalid="ignore"):  # a first step can be far too long
        return minimize(objective, start, jac=True, method="L-BFGS-B", options=options)


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

    def inward(self, point: np.ndarray) -> np.ndarray:
        a, b, e, alpha, beta = point
        n, d = np.log(self.n).mean(), np.log(self.d).mean()
        return np.array([a - alpha * n, b - beta * d, e, alpha, beta])

    def law(self, point: np.ndarray) -> ChinchillaLaw:
        a, b, e, alpha, beta = point
        a, b = a + alpha * np.log(self.n).mean(), b + beta * np.log(self.d).mean()
        return ChinchillaLaw(*(float(v) for v in (*np.exp([e, a, b]), alpha, beta)))
