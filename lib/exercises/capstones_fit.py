"""Capstone of chapter 13: the reader's own law predicts the largest of the chapter's models."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from lib.display import claim
from lib.exercises.checking import Exercise, Probe
from lib.exercises.comparing import difference
from lib.experiments import scaling, scaling_largest


def fit(
    parameters: np.ndarray,
    loss: np.ndarray,
    target: float,
    *,
    fitted: tuple[int, int] = (25, 1),
    floor: int = 1,
    p_grid: Sequence[float] = tuple(np.geomspace(0.05, 2, 150)),
    law: Callable = lambda e, a, x, loss: e + a * x,
) -> float:
    """The loss at `target` of the law E + A N^-p with the least sum of |errors|.

    For each p of a grid E and A are found by least squares, weighted anew by 1 / |error|.
    """
    p = np.array(p_grid)[:, None]
    x = (parameters / target) ** -p
    weights = np.ones_like(x)
    for _ in range(fitted[0]):
        weights /= weights.sum(1, keepdims=True)
        x_mean, mean_loss = (floor * (weights * v).sum(1, keepdims=True) for v in (x, loss))
        off = weights * (x - x_mean)
        a = (off * loss).sum(1, keepdims=True) / (off * x).sum(1, keepdims=True)
        e = mean_loss - a * x_mean
        error = np.abs(e + a * x - loss)
        weights = 1 / np.maximum(error, 1e-4)
    best = (error ** fitted[1]).sum(1).argmin()
    return float(law(e[best, 0], a[best, 0], 1.0, loss))


def _fit_cases(seed: int) -> list[tuple]:
    dice = np.random.default_rng(seed)
    cases = []
    for floor, a, p in ((1.2, 30.0, 0.4), (0.8, 9.0, 0.25), (1.7, 200.0, 0.6)):
        n = np.geomspace(3e3, 4e5, 12) * dice.uniform(0.9, 1.1, 12)
        loss = floor + a * n**-p
        cases.append((n, loss, 2e6))
        for wrong in (3, 10):  # one run went wrong
            cases.append((n, loss + 0.6 * (np.arange(12) == wrong), 2e6))
    return cases


def predict_largest(my_fit: Callable) -> None:
    """From the committed runs of small models, predict the largest, which they do not hold."""
    n, loss = scaling.ends(scaling.table())
    largest = next(row for row in scaling_largest.table() if row["step"] == row["steps"])
    predicted = my_fit(n, loss, largest["non_embedding"])
    print(f"{len(n)} runs of at most {n.max():,.0f} parameters without embeddings")
    print(f"predicted for {largest['non_embedding']:,}: {predicted:.3f} nats per byte")
    print(
        f"measured: {largest['validation_loss']:.3f}; the best of the small runs {loss.min():.3f}"
    )
    gap = abs(predicted - largest["validation_loss"])
    claim(
        "the prediction is within 5 percent of the one run", gap < 0.05 * largest["validation_loss"]
    )


N = np.geomspace(3e3, 4e5, 12)
EVEN = N, 0.8 + 9 * N**-0.25, 2e6
BENT = N, EVEN[1] + (N[-1] == N), 2e6


def _near(case: tuple, sentence: str, slip: Callable, within: float = 1e-6) -> Probe:
    """Told of an answer that gives in `case`, what a slip gives."""
    value = slip(*case)
    return Probe(sentence, case, lambda expected, got: abs(got - value) < within * abs(value))


def _line(n: np.ndarray, loss: np.ndarray, target: float) -> float:
    slope, height = np.polyfit(np.log(n), np.log(loss), 1)
    return float(np.exp(height + slope * np.log(target)))


NO_FLOOR = "The law has no floor: E + A N^-p falls to E, not to 0."
WRONG = "One run that went wrong bends the law: "
SLIPS: dict[str, dict[Any, str]] = {
    "floor": {0: NO_FLOOR},
    "p_grid": {
        (p,): f"p is {p} here: fit it too, on a grid that begins lower and ends higher."
        for p in (0.5, 0.076, 0.34, 1.0)
    },
    "law": {
        lambda e, a, x, loss: a * x: "Only A N^-p is returned: the floor E is a part of it.",
        lambda e, a, x, loss: e: "Only the floor E is returned: A N^-p comes on top.",
    },
    "fitted": {
        (1, 2): f"{WRONG}sum |errors|, not their squares.",
        (1, 1): f"{WRONG}for each p, too, sum |errors|, not their squares.",
        (2, 1): f"{WRONG}weigh anew more often, until little changes.",
    },
}

check_my_fit = Exercise(
    title="Your own law",
    reference=fit,
    cases=_fit_cases,
    switches=SLIPS,
    probes=[
        _near(EVEN, "ln loss is no straight line over ln N: the law has a floor E.", _line),
        _near(
            EVEN,
            "A straight line over ln N is fitted: E + A N^-p bends.",
            lambda n, loss, target: np.polyval(np.polyfit(np.log(n), loss, 1), np.log(target)),
        ),
        _near(
            EVEN,
            "A parabola over ln N is fitted: E + A N^-p is asked for.",
            lambda n, loss, target: np.polyval(np.polyfit(np.log(n), loss, 2), np.log(target)),
        ),
        _near(
            BENT,
            "A parabola of ln loss over ln N is fitted: E + A N^-p is asked for.",
            lambda n, y, t: np.exp(np.polyval(np.polyfit(np.log(n), np.log(y), 2), np.log(t))),
        ),
        _near(EVEN, "This is the largest run's loss: the law goes on.", lambda n, y, t: y[-1]),
        _near(
            EVEN,
            "It goes on from the last two runs: fit all.",
            lambda n, y, t: _line(n[-2:], y[-2:], t),
        ),
        *(
            _near(
                BENT if name == "fitted" else EVEN,
                sentence,
                partial(fit, **{name: value}),
                0.04 if name in ("floor", "law") else 0.01,
            )
            for name, settings in SLIPS.items()
            for value, sentence in settings.items()
        ),
    ],
    compare=partial(difference, rtol=0.02),
    difficulty=3,
    minutes=25,
    seeds=(0,),
    result=predict_largest,
)
