"""Three budgets of compute, five sizes each, to find the best size for a budget: isoFLOP profiles.

Sizes, text and learning rates are those of lib.experiments.scaling_pilot. The budget counts 6 N D,
N without embeddings, so a small model reads more: up to 3.5 times the training text.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lib.display import course_style, ink
from lib.experiments.grid import Run, run_grid
from lib.experiments.scaling_pilot import STEPS, scaling_run, sized, tuned_rate
from lib.experiments.small import BATCH, CONTEXT
from lib.experiments.tables import DATA, Row, read_table
from lib.model.parameters import non_embedding_parameters
from lib.scaling import fit_exponent, lowest_of_isoflop, tokens_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS = (0, 1)
BUDGETS = {  # FLOP, and the widths of two layers that spend it
    3e10: (12, 16, 20, 24, 32),
    1e11: (16, 20, 24, 32, 48),
    3e11: (24, 32, 48, 64, 96),
}


def steps_for(budget: float, width: int) -> int:
    """How many steps of 1,024 bytes a model of this width can take for a budget of 6 N D FLOP."""
    tokens = tokens_for(budget, non_embedding_parameters(sized(width)))
    return round(float(tokens) / (CONTEXT * BATCH))


def grid() -> list[Run]:
    """Five sizes for each budget, each with two seeds, at the rates of one whole pass."""
    return [
        scaling_run(width, steps_for(budget, width), tuned_rate(width, STEPS), seed)
        for seed in SEEDS
        for budget, widths in BUDGETS.items()
        for width in widths
    ]


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Do what the table in `folder` lacks, `workers` runs at a time."""
    return run_grid(grid(), folder / "isoflop.csv", workers)


def table() -> list[Row]:
    """The committed runs."""
    return read_table("isoflop")


def profile(rows: list[Row], budget: float) -> tuple[np.ndarray, np.ndarray]:
    """Parameters without embeddings and last loss of a budget's runs."""
    steps = {width: steps_for(budget, width) for width in BUDGETS[budget]}
    ends = [r for r in rows if r["step"] == r["steps"] == steps.get(r["width"])]
    return tuple(np.array([r[k] for r in ends]) for k in ("non_embedding", "validation_loss"))


def around_lowest(
    parameters: np.ndarray,
    loss: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The size of least loss and its two neighbors, with the lower loss of each size's seeds.

    A seed may go wrong early; the lower of two did not. Three points determine a parabola.
    """
    sizes = np.unique(parameters)
    least = np.array([loss[parameters == size].min() for size in sizes])
    at = int(np.clip(least.argmin(), 1, len(sizes) - 2))
    return sizes[at - 1 : at + 2], least[at - 1 : at + 2]


def best_sizes(rows: list[Row]) -> list[float]:
    """For each budget the lowest point of the parabola in ln N."""
    return [lowest_of_isoflop(*around_lowest(*profile(rows, c)))[0] for c in BUDGETS]


def resampled_exponents(
    rows: list[Row],
    samples: int = 400,
    seed: int = 0,
) -> list[float]:
    """A bootstrap of a in N ~ C^a: each size's runs are drawn again from its runs.

    Draws in which a budget has no valley (its parabola opens downward) are left out.
    """
    random, exponents = np.random.default_rng(seed), []
    profiles = [profile(rows, budget) for budget in BUDGETS]
    for _ in range(samples):
        try:
            found = []
            for n, loss in profiles:
                again = [random.choice(np.flatnonzero(n == size)) for size in n]
                found.append(lowest_of_isoflop(*around_lowest(n, loss[again]))[0])
            exponents.append(fit_exponent(list(BUDGETS), found)[0])
        except ValueError:
            continue
    return exponents


def figure(rows: list[Row] | None = None) -> "Figure":
    """Loss over size for each budget, with the parabola about its lowest point."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(course_style()):
        drawn = Figure(figsize=(6, 3.4))
        ax = drawn.subplots()
        for budget in BUDGETS:
            n, loss = profile(rows or table(), budget)
            three, least = around_lowest(n, loss)
            at = np.geomspace(three[0], three[-1], 60)
            curve = np.polyval(
                np.polyfit(np.log(three / three[1]), least, 2), np.log(at / three[1])
            )
            color = ax.plot(at, curve)[0].get_color()
            ax.plot(n, loss, "o", markersize=4, color=color)
            ax.plot(*lowest_of_isoflop(three, least), "D", color=color, markeredgecolor="black")
            last = n.argmax()
            ax.annotate(
                f"{budget:.0e} FLOP", (1.1 * n[last], loss[last]), color=ink(color), va="center"
            )
        ax.set(xscale="log", xlabel="parameters without embeddings", xlim=(3e3, 1.2e6))
        ax.set(
            ylabel="loss (nats per byte)",
            title="Each of our budgets has its best size, the diamond",
        )
    return drawn
