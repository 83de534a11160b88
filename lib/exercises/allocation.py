"""Check of chapter 13: the compute-optimal model of a budget."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lib import scaling
from lib.exercises.checking import Exercise
from lib.scaling.chinchilla import ChinchillaLaw


def optimal(
    law: ChinchillaLaw,
    flop: float,
    *,
    each: float | int = 6,
    share: Callable = lambda law, total: law.beta / total,
    ratio: Callable = lambda law: law.alpha * law.A / (law.beta * law.B),
    root: Callable = lambda total: 1 / total,
    tokens: Callable = lambda n, flop, each: flop / (each * n),
    result: Callable = lambda n, d, law: (n, d),
) -> tuple[float, float] | Any:
    """Parameters and tokens of least loss for a budget of 6 N D FLOP."""
    total = law.alpha + law.beta
    n = ratio(law) ** root(total) * (flop / each) ** share(law, total)
    return result(float(n), float(tokens(n, flop, each)), law)


def _optimal_cases(seed: int) -> list[tuple]:
    random = np.random.default_rng(seed)
    alpha, beta = random.uniform(0.2, 0.6, 2)
    made_up = ChinchillaLaw(1.5, 300.0, 900.0, float(alpha), float(beta))
    return [
        (scaling.HOFFMANN, 1e21),
        (scaling.BESIROGLU, 5.76e23),
        (made_up, 1e19),
        (scaling.BESIROGLU, 1e28),
    ]


def _constant(law: ChinchillaLaw) -> float:
    return (law.alpha * law.A / (law.beta * law.B)) ** (1 / (law.alpha + law.beta))


G = "it is (alpha A / (beta B))^(1 / (alpha + beta))."
ROOT = "The exponent of the ratio is 1 / (alpha + beta)."
SHARE = "N grows like (C / 6)^(beta / (alpha + beta))."

check_optimal = Exercise(
    title="The compute-optimal model",
    reference=optimal,
    cases=_optimal_cases,
    switches={
        "each": {
            1: "The budget is 6 N D FLOP: N D is only a sixth of it.",
            2: "The budget is 6 N D FLOP, not 2 N D.",
        },
        "share": {
            lambda law, total: law.alpha / total: f"The exponents are exchanged: {SHARE}",
            lambda law, total: 0.5: f"It takes the root: {SHARE}",
        },
        "ratio": {
            lambda law: law.beta * law.B / (law.alpha * law.A): f"G is turned over: {G}",
            lambda law: law.A / law.B: (
                "Not the two terms are equal at the optimum but their slopes over ln N: alpha A / "
                "N^alpha = beta B / D^beta."
            ),
            lambda law: law.beta * law.A / (law.alpha * law.B): f"alpha, beta exchanged: {G}",
            lambda law: law.alpha * law.A / (law.beta * law.B) * 6**law.beta: "N lacks the 6: it "
            "grows with C / 6.",
            lambda law: 1.0: f"The constant G is missing: {G}",
            lambda law: law.alpha * law.A / (law.beta * law.B) * law.E: f"E has no part in it: {G}",
        },
        "root": {
            lambda total: 1.0: f"The root of the ratio is missing. {ROOT}",
            lambda total: total: f"The exponent is upside down. {ROOT}",
            lambda total: 2 / total: f"It takes the mean of alpha and beta. {ROOT}",
        },
        "tokens": {
            lambda n, flop, each: flop / n: "D lacks the 6: it is C / (6 N).",
            lambda n, flop, each: 6 * flop / n: "D is C / (6 N): divide by 6.",
            lambda n, flop, each: n: "D is not N: it is C / (6 N).",
            lambda n, flop, each: 20 * n: "20 a parameter is a rule of thumb: D = C / (6 N).",
        },
        "result": {
            lambda n, d, law: (d, n): "Return N first, then D.",
            lambda n, d, law: (math.log(n), math.log(d)): "These are logarithms.",
            lambda n, d, law: (math.log10(n), math.log10(d)): "These are logarithms.",
            lambda n, d, law: law.E + law.A * n**-law.alpha + law.B * d**-law.beta: (
                "This is the least loss: return N and D."
            ),
            **{
                lambda n, d, law, k=k: (n, d * _constant(law) ** k): "D has 1 / G where N has G: "
                "it is C / (6 N)."
                for k in (1, 2)
            },
            lambda n, d, law: (math.sqrt(n * d / 20), 20 * math.sqrt(n * d / 20)): (
                "20 tokens a parameter is a rule of thumb: this law's optimum is another."
            ),
        },
    },
    difficulty=3,
    minutes=20,
)
