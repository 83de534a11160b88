"""Checks of chapter 13, scaling laws. Answers take and return plain numbers and NumPy arrays."""

import math

import numpy as np

from lib.exercises.checking import Exercise, Mistake
from lib.scaling import laws
from lib.scaling.chinchilla import ChinchillaLaw
from lib.scaling.chinchilla import huber as huber_with_slope


def gain(loss: float, floor: float, p: float) -> float:
    """The share of the loss that the next doubling takes away, for floor + a x^-p."""
    return (loss - floor) * (1 - 2**-p) / loss


def _gain_cases(seed: int) -> list[tuple]:
    random = np.random.default_rng(seed)
    floor, p = float(random.uniform(0.5, 1.5)), float(random.uniform(0.05, 0.6))
    return [(4.0, 0.0, 1.0), (2.0, 1.0, 0.5), (floor + 1.3, floor, p), (floor * 1.01, floor, p)]


check_gain = Exercise(
    title="What the next doubling buys",
    reference=gain,
    cases=_gain_cases,
    mistakes=[
        Mistake(
            lambda loss, floor, p: 1 - 2**-p,
            "This share is taken from what is above the floor, not from the whole loss.",
        ),
        Mistake(
            lambda loss, floor, p: (loss - floor) * 2**-p / loss,
            "2^-p is the part that stays; the part that goes is 1 - 2^-p.",
        ),
        Mistake(
            lambda loss, floor, p: (loss - floor) * (2**p - 1) / loss,
            "The sign of the exponent is turned: doubling x multiplies x^-p by 2^-p.",
        ),
        Mistake(
            lambda loss, floor, p: (loss - floor) * (1 - math.exp(-p)) / loss,
            "This is for x times e: a doubling multiplies x by 2.",
        ),
    ],
    difficulty=1,
    minutes=5,
)


def through(x_1: float, y_1: float, x_2: float, y_2: float) -> tuple[float, float]:
    """a and p of the power law a x^-p through two points."""
    law = laws.PowerLaw.through((x_1, y_1), (x_2, y_2))
    return law.a, law.p


def _through_cases(seed: int) -> list[tuple]:
    random = np.random.default_rng(seed)
    x = float(random.uniform(1, 50))
    return [
        (1.0, 8.0, 4.0, 2.0),
        (2.0, 8.0, 8.0, 2.0),
        (x, 3.0, 30 * x, float(random.uniform(1, 2))),
    ]


def _slope(x_1: float, y_1: float, x_2: float, y_2: float) -> float:
    return math.log(y_2 / y_1) / math.log(x_2 / x_1)


check_through = Exercise(
    title="A power law through two points",
    reference=through,
    cases=_through_cases,
    mistakes=[
        Mistake(
            lambda x_1, y_1, x_2, y_2: (
                y_1 * x_1 ** -_slope(x_1, y_1, x_2, y_2),
                _slope(x_1, y_1, x_2, y_2),
            ),
            "p has the wrong sign: in a x^-p the slope on log-log axes is -p.",
        ),
        Mistake(
            lambda x_1, y_1, x_2, y_2: (
                y_1 * math.exp(x_1 * math.log(y_1 / y_2) / (x_2 - x_1)),
                math.log(y_1 / y_2) / (x_2 - x_1),
            ),
            "This is the exponential: it divides by x_2 - x_1. A power law divides by ln x_2 - ln "
            "x_1.",
        ),
        Mistake(
            lambda x_1, y_1, x_2, y_2: (y_1, -_slope(x_1, y_1, x_2, y_2)),
            "a is the value at x = 1, not at x_1: carry it back with x_1^p.",
        ),
        Mistake(
            lambda x_1, y_1, x_2, y_2: (
                y_1 * x_1 ** (-1 / _slope(x_1, y_1, x_2, y_2)),
                -1 / _slope(x_1, y_1, x_2, y_2),
            ),
            "The slope is turned over: it is the change of ln y divided by that of ln x.",
        ),
    ],
    difficulty=1,
    minutes=8,
)


def huber(error: np.ndarray, delta: float) -> np.ndarray:
    """Huber's loss of each error."""
    return huber_with_slope(error, delta)[0]


def _huber_cases(seed: int) -> list[tuple]:
    random = np.random.default_rng(seed)
    return [
        (np.array([0.5, -0.5, 2.0, -3.0]), 1.0),
        (random.normal(size=9) * 2, 0.5),
        (random.normal(size=40) * 1e-2, 1e-3),
    ]


check_huber = Exercise(
    title="Huber's loss",
    reference=huber,
    cases=_huber_cases,
    mistakes=[
        Mistake(
            lambda error, delta: error**2 / 2,
            "Errors above delta must count linearly: one bad run must not bend the whole law.",
        ),
        Mistake(
            lambda error, delta: np.where(
                np.abs(error) <= delta, error**2 / 2, delta * np.abs(error)
            ),
            "The two pieces do not meet at delta: the straight one is delta (|error| - delta / 2).",
        ),
        Mistake(
            lambda error, delta: np.where(
                error <= delta, error**2 / 2, delta * (error - delta / 2)
            ),
            "Negative errors can be large too: compare |error| with delta.",
        ),
        Mistake(
            lambda error, delta: np.where(
                np.abs(error) <= delta, error**2 / 2, np.abs(error) - delta / 2
            ),
            "The straight piece has slope delta, so that the slope does not jump there.",
        ),
    ],
    difficulty=2,
    minutes=10,
)


def lowest(parameters: np.ndarray, loss: np.ndarray) -> float:
    """Where the parabola of loss over ln N through one budget's runs is lowest."""
    return laws.lowest_of_isoflop(parameters, loss)[0]


def _lowest_cases(seed: int) -> list[tuple]:
    random = np.random.default_rng(seed)
    budget = 10.0 ** random.uniform(18, 24)
    best = laws.optimal(laws.BESIROGLU, budget).parameters
    n = best * np.geomspace(0.2, 3, 7)
    return [
        (np.exp([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 2.5])),
        (np.exp([0.0, 1.0, 2.0, 4.0]), np.array([3.0, 2.0, 1.5, 2.5])),
        (n, laws.isoflop(laws.BESIROGLU, budget, n)),
    ]


def _vertex(x: np.ndarray, loss: np.ndarray, factor: float = -0.5) -> float:
    center = x.mean()
    square, linear, _ = np.polyfit(x - center, loss, 2)
    return float(center + factor * linear / square)


check_lowest = Exercise(
    title="The lowest point of an isoFLOP curve",
    reference=lowest,
    cases=_lowest_cases,
    mistakes=[
        Mistake(
            lambda parameters, loss: _vertex(parameters, loss),
            "The parabola is over N: sizes differ by factors, so fit it over ln N.",
        ),
        Mistake(
            lambda parameters, loss: _vertex(np.log(parameters), loss),
            "This is ln N: take exp of it.",
        ),
        Mistake(
            lambda parameters, loss: float(np.exp(_vertex(np.log(parameters), loss, 0.5))),
            "The sign is turned: a x^2 + b x + c is lowest at -b / (2a).",
        ),
        Mistake(
            lambda parameters, loss: float(np.exp(_vertex(np.log(parameters), loss, -1.0))),
            "a x^2 + b x + c is lowest at -b / (2a): the 2 is missing.",
        ),
        Mistake(
            lambda parameters, loss: float(parameters[loss.argmin()]),
            "This is the best of the runs that were made; the lowest point lies between them.",
        ),
    ],
    difficulty=2,
    minutes=12,
)


def optimal(law: ChinchillaLaw, flop: float) -> tuple[float, float]:
    """Parameters and tokens of least loss for a budget of 6 N D FLOP."""
    best = laws.optimal(law, flop)
    return float(best.parameters), float(best.tokens)


def _optimal_cases(seed: int) -> list[tuple]:
    random = np.random.default_rng(seed)
    alpha, beta = random.uniform(0.2, 0.6, 2)
    made_up = ChinchillaLaw(1.5, 300.0, 900.0, float(alpha), float(beta))
    return [(laws.HOFFMANN, 1e21), (laws.BESIROGLU, 5.76e23), (made_up, 1e19)]


def _allocated(
    law: ChinchillaLaw,
    flop: float,
    flop_each: float = 6,
    exponent: float | None = None,
    turned: bool = False,
    without_exponents: bool = False,
) -> tuple[float, float]:
    total = law.alpha + law.beta
    top, bottom = law.alpha * law.A, law.beta * law.B
    if without_exponents:
        top, bottom = law.A, law.B
    g = (bottom / top if turned else top / bottom) ** (1 / total)
    n = g * (flop / flop_each) ** (law.beta / total if exponent is None else exponent)
    return float(n), float(flop / (flop_each * n))


check_optimal = Exercise(
    title="The compute-optimal model",
    reference=optimal,
    cases=_optimal_cases,
    mistakes=[
        Mistake(
            lambda law, flop: _allocated(law, flop, flop_each=1),
            "The budget is 6 N D FLOP: N D is only a sixth of it.",
        ),
        Mistake(
            lambda law, flop: _allocated(law, flop, exponent=law.alpha / (law.alpha + law.beta)),
            "The exponents are exchanged: N grows like (C / 6)^(beta / (alpha + beta)).",
        ),
        Mistake(
            lambda law, flop: _allocated(law, flop, turned=True),
            "G is turned over: it is (alpha A / (beta B))^(1 / (alpha + beta)).",
        ),
        Mistake(
            lambda law, flop: _allocated(law, flop, without_exponents=True),
            "Not the two terms are equal at the optimum but their slopes over ln N: alpha A / "
            "N^alpha = beta B / D^beta.",
        ),
        Mistake(
            lambda law, flop: _allocated(law, flop)[::-1],
            "Return N first, then D.",
        ),
    ],
    difficulty=3,
    minutes=20,
)
