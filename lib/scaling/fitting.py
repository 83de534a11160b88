"""Two ways to fall: by a constant factor per doubling (power law), or per step (exponential).

And what all fits of this room share: points, checked before any work is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lib.scaling.separable import solve
from lib.settings import shortened

Number = float | int | np.number
Numbers = Sequence[Number] | np.ndarray
Quantity = Number | np.ndarray  # one number, or many at once
Point = tuple[Number, Number]


def positive_points(least: int, **columns: Numbers) -> list[Float[np.ndarray, " n"]]:
    """The columns as arrays of float64, equally long, of positive finite numbers.

    Raises ValueError that names the column, if they are not, or if there are fewer than `least`.
    """
    arrays = {name: as_numbers(name, column) for name, column in columns.items()}
    first, length = next((name, len(np.atleast_1d(a))) for name, a in arrays.items())
    for name, array in arrays.items():
        if array.ndim != 1 or len(array) != length:
            raise ValueError(
                f"{name} must be one row of {length} numbers like {first}, "
                f"got an array of shape {array.shape}"
            )
        if bad := array[~(np.isfinite(array) & (array > 0))].tolist():
            raise ValueError(f"{name} must be positive and finite, got {bad[0]}")
    if length < least:
        raise ValueError(f"this law needs at least {least} points, got {length}")
    return list(arrays.values())


def as_numbers(name: str, values: Quantity | Numbers) -> np.ndarray:
    """The values as float64. Raises ValueError for what holds no numbers."""
    try:
        array = np.asarray(values)
        if array.dtype.kind in "iuf" or array.dtype == object:
            return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        array = None
    raise ValueError(f"{name} must hold numbers, got {shortened(values)}")


@dataclass(frozen=True)
class PowerLaw:
    """y = floor + a x^-p. What is above the floor shrinks by 2^-p if x doubles."""

    a: Number
    p: Number
    floor: Number = 0.0

    def __call__(self, x: Quantity) -> Quantity:
        return self.floor + self.a * np.power(np.asarray(x, dtype=np.float64), -self.p)

    def slope(self, x: Quantity) -> Quantity:
        """d ln y / d ln x, the slope on log-log axes: -p
        without a floor, else it goes to 0.
        """
        return -self.p * (1 - self.floor / self(x))

    @classmethod
    def through(cls, first: Point, second: Point, floor: Number = 0.0) -> "PowerLaw":
        """The one power law with this floor that passes through two points (x, y)."""
        ln_x, ln_y = logarithms(first, second, floor)
        p = -(ln_y[1] - ln_y[0]) / (ln_x[1] - ln_x[0])
        return cls(float(np.exp(ln_y[0] + p * ln_x[0])), float(p), float(floor))


@dataclass(frozen=True)
class Exponential:
    """y = floor + a e^(-k x). What is above the floor
    shrinks by e^-k whenever x grows by 1.
    """

    a: Number
    k: Number
    floor: Number = 0.0

    def __call__(self, x: Quantity) -> Quantity:
        return self.floor + self.a * np.exp(-self.k * np.asarray(x, dtype=np.float64))

    def slope(self, x: Quantity) -> Quantity:
        """d ln y / d ln x, the slope on log-log axes:
        without a floor -k x, ever steeper.
        """
        return -self.k * np.asarray(x, dtype=np.float64) * (1 - self.floor / self(x))

    @classmethod
    def through(cls, first: Point, second: Point, floor: Number = 0.0) -> "Exponential":
        """The one exponential with this floor that passes through two points (x, y)."""
        ln_y = logarithms(first, second, floor)[1]
        k = -(ln_y[1] - ln_y[0]) / (second[0] - first[0])
        return cls(float(np.exp(ln_y[0] + k * first[0])), float(k), float(floor))


def logarithms(first: Point, second: Point, floor: Number) -> np.ndarray:
    """ln x and ln(y - floor) of two points, as two rows; ValueError where there is none."""
    (x_1, y_1), (x_2, y_2) = first, second
    if not (x_1 > 0 and x_2 > 0 and x_1 != x_2):
        raise ValueError(f"two different x above 0 are needed, got {x_1} and {x_2}")
    if not (y_1 > floor and y_2 > floor):
        raise ValueError(f"both y must be above the floor {floor}, got {y_1} and {y_2}")
    return np.log([[x_1, x_2], [y_1 - floor, y_2 - floor]])


Law = PowerLaw | Exponential


def gain_of_doubling(law: Law, x: Quantity) -> Quantity:
    """The share of y that the next doubling of x takes away: 1 - y(2x) / y(x)."""
    return 1 - law(2 * np.asarray(x, dtype=np.float64)) / law(x)


def fit_power_law(
    x: Numbers,
    y: Numbers,
    floor: bool = True,
    robust: bool = False,
) -> PowerLaw:
    """The power law with the least sum of squared relative errors, (y_fit / y - 1)^2.

    `floor=False` holds the floor at 0; otherwise it is at least 0. Relative errors
    because the scatter of losses is about the same share of the loss everywhere.
    `robust`: the least sum of absolute relative errors, which one bad run does not
    bend. Raises ValueError for points that are not positive or too few.
    """
    return _fit(PowerLaw, x, y, floor, robust)


def fit_exponential(
    x: Numbers, y: Numbers, floor: bool = True, robust: bool = False
) -> Exponential:
    """The exponential with the least sum of squared relative errors; as `fit_power_law`."""
    return _fit(Exponential, x, y, floor, robust)


def _fit(kind: type[Law], x: Numbers, y: Numbers, floor: bool, robust: bool) -> Law:
    least = 3 if floor else 2
    x, y = positive_points(least, x=x, y=y)
    if len(np.unique(x)) < least:
        raise ValueError(f"this law needs at least {least} different x, got {len(np.unique(x))}")
    return fit_many(kind, x, y, floor, robust, np.ones((1, len(x))))[0]


def fit_many(
    kind: type[Law],
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    floor: bool,
    robust: bool,
    weights: Float[np.ndarray, "S n"],
) -> list[Law]:
    """One law for each row of `weights`, which says how much each point counts."""
    if kind is PowerLaw:
        shift = np.log(x).mean()  # so that powers stay near 1
        t, rates = np.log(x) - shift, np.geomspace(1e-3, 20, 600)
    else:
        shift = x.min()
        t, rates = x - shift, _exponential_rates(x)
    found = solve(t, y, rates, floor, robust, weights)
    return [
        kind(float(a * np.exp(rate * shift)), float(rate), float(level))
        for a, rate, level in zip(found.a, found.rate, found.floor, strict=True)
    ]


def _exponential_rates(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " R"]:
    """Rates from "hardly any change over the whole range" to "gone before the second point"."""
    gaps = np.diff(np.unique(x))
    return np.geomspace(1e-3 / np.ptp(x), 50 / gaps.min(), 600)


def exact_match(loss: Quantity, length: Quantity) -> Quantity:
    """The chance that `length` sampled tokens are all right: e^(-loss * length).

    e^-loss is the (geometric) mean probability of a right token; tokens are taken as
    independent. Why skills seem to come at once: Schaeffer, Miranda & Koyejo (2023),
    "Are Emergent Abilities of Large Language Models a Mirage?", section 2.
    """
    loss, length = (np.asarray(x, dtype=np.float64) for x in (loss, length))
    return np.exp(-loss * length)
