"""Two ways to fall: by a constant factor per doubling (power law), or per step (exponential)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar

from lib.scaling.checks import Number, Numbers, Quantity, positive_points

Point = tuple[Number, Number]


@dataclass(frozen=True)
class PowerLaw:
    """y = floor + a x^-p. What is above the floor shrinks by 2^-p whenever x doubles."""

    a: Number
    p: Number
    floor: Number = 0.0

    def __call__(self, x: Quantity) -> Quantity:
        return self.floor + self.a * np.power(np.asarray(x, dtype=np.float64), -self.p)

    def slope(self, x: Quantity) -> Quantity:
        """d ln y / d ln x, the slope on log-log axes: -p without a floor, else it goes to 0."""
        return -self.p * (1 - self.floor / self(x))

    @classmethod
    def through(cls, first: Point, second: Point, floor: Number = 0.0) -> "PowerLaw":
        """The one power law with this floor that passes through two points (x, y)."""
        ln_x, ln_y = _logs(first, second, floor)
        p = -(ln_y[1] - ln_y[0]) / (ln_x[1] - ln_x[0])
        return cls(float(np.exp(ln_y[0] + p * ln_x[0])), float(p), float(floor))


@dataclass(frozen=True)
class Exponential:
    """y = floor + a e^(-k x). What is above the floor shrinks by e^-k whenever x grows by 1."""

    a: Number
    k: Number
    floor: Number = 0.0

    def __call__(self, x: Quantity) -> Quantity:
        return self.floor + self.a * np.exp(-self.k * np.asarray(x, dtype=np.float64))

    def slope(self, x: Quantity) -> Quantity:
        """d ln y / d ln x, the slope on log-log axes: without a floor -k x, ever steeper."""
        return -self.k * np.asarray(x, dtype=np.float64) * (1 - self.floor / self(x))

    @classmethod
    def through(cls, first: Point, second: Point, floor: Number = 0.0) -> "Exponential":
        """The one exponential with this floor that passes through two points (x, y)."""
        ln_y = _logs(first, second, floor)[1]
        k = -(ln_y[1] - ln_y[0]) / (second[0] - first[0])
        return cls(float(np.exp(ln_y[0] + k * first[0])), float(k), float(floor))


Law = PowerLaw | Exponential


def _logs(first: Point, second: Point, floor: Number) -> np.ndarray:
    """ln x and ln(y - floor) of two points, as two rows."""
    (x_1, y_1), (x_2, y_2) = first, second
    if not (x_1 > 0 and x_2 > 0 and x_1 != x_2):
        raise ValueError(f"two different x above 0 are needed, got {x_1} and {x_2}")
    if not (y_1 > floor and y_2 > floor):
        raise ValueError(f"both y must be above the floor {floor}, got {y_1} and {y_2}")
    return np.log([[x_1, x_2], [y_1 - floor, y_2 - floor]])


def gain_of_doubling(law: Law, x: Quantity) -> Quantity:
    """The share of y that the next doubling of x takes away: 1 - y(2x) / y(x)."""
    return 1 - law(2 * np.asarray(x, dtype=np.float64)) / law(x)


def fit_power_law(x: Numbers, y: Numbers, floor: bool = True) -> PowerLaw:
    """The power law with the least sum of squared relative errors, (y_fit / y - 1)^2.

    `floor=False` holds the floor at 0; otherwise it is at least 0. Relative errors because the
    scatter of losses is about the same share of the loss everywhere. Raises ValueError for points
    that are not positive or too few.
    """
    x, y = positive_points(3 if floor else 2, x=x, y=y)
    center = np.exp(np.log(x).mean())  # so that powers stay near 1
    p = _best_rate(lambda p: np.outer(p, -np.log(x / center)), POWERS, y, floor)
    a, level, _ = solve_linear(np.exp(-p * np.log(x / center))[None], y, floor)
    return PowerLaw(float(a[0, 0] * center**p), float(p), float(level[0, 0]))


def fit_exponential(x: Numbers, y: Numbers, floor: bool = True) -> Exponential:
    """The exponential with the least sum of squared relative errors; as `fit_power_law`."""
    x, y = positive_points(3 if floor else 2, x=x, y=y)
    k = _best_rate(lambda k: np.outer(k, x.min() - x), exponential_rates(x), y, floor)
    a, level, _ = solve_linear(np.exp(-k * (x - x.min()))[None], y, floor)
    return Exponential(float(a[0, 0] * np.exp(k * x.min())), float(k), float(level[0, 0]))


POWERS = np.geomspace(1e-3, 20, 600)


def exponential_rates(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " R"]:
    """Rates from "hardly any change over the whole range" to "gone before the second point"."""
    gaps = np.diff(np.unique(x))
    return np.geomspace(1e-3 / np.ptp(x), 50 / gaps.min(), 600)


def solve_linear(
    shape: Float[np.ndarray, "R n"],
    y: Float[np.ndarray, " n"],
    floor: bool,
    weights: Float[np.ndarray, "S n"] | None = None,
) -> tuple[Float[np.ndarray, "S R"], Float[np.ndarray, "S R"], Float[np.ndarray, "S R"]]:
    """Best a >= 0 and floor >= 0 of floor + a * shape, and their error, for each row of `shape`.

    Once the exponent is fixed, both laws are linear in what is left, and the best a and floor are
    those of a weighted linear regression (separable least squares: Golub & Pereyra, 1973). Each
    row of `weights` counts the points anew, as a bootstrap sample does.
    """
    weights = np.ones((1, len(y))) if weights is None else weights
    relative = weights / y**2
    s_1, s_b, s_bb = relative.sum(1, keepdims=True), relative @ shape.T, relative @ (shape**2).T
    s_y, s_by = (relative @ y)[:, None], relative @ (shape * y).T
    without = s_by / s_bb  # a, if the floor is 0
    if not floor:
        a, level = without, np.zeros_like(without)
    else:
        determinant = s_1 * s_bb - s_b**2
        flat = determinant <= 1e-12 * s_1 * s_bb  # the shape is as good as constant
        determinant = np.where(flat, 1.0, determinant)
        a = (s_1 * s_by - s_b * s_y) / determinant
        level = (s_bb * s_y - s_b * s_by) / determinant
        outside = flat | (level < 0) | (a < 0)
        a, level = np.where(outside, without, a), np.where(outside, 0.0, level)
    total = weights.sum(1, keepdims=True)
    error = total - 2 * (a * s_by + level * s_y)
    error = error + a**2 * s_bb + 2 * a * level * s_b + level**2 * s_1
    return a, level, error


def _best_rate(exponents, rates: Float[np.ndarray, " R"], y: np.ndarray, floor: bool) -> float:
    """The rate with the least error: the best of many, then a search between its neighbors."""

    def error(ln_rate: np.ndarray) -> np.ndarray:
        return solve_linear(np.exp(exponents(np.exp(ln_rate))), y, floor)[2][0]

    best = int(error(np.log(rates)).argmin())
    low, high = rates[max(best - 1, 0)], rates[min(best + 1, len(rates) - 1)]
    found = minimize_scalar(
        lambda ln_rate: float(error(np.array([ln_rate]))[0]),
        bounds=(np.log(low), np.log(high)),
        method="bounded",
        options={"xatol": 1e-12},
    )
    return float(np.exp(found.x))
