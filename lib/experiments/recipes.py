"""What present recipes do otherwise than GPT-2's, one change at a time: chapter "training"."""

from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from lib.display import PALETTE, course_style
from lib.experiments.grid import Run, run_grid
from lib.experiments.small import BATCH, CONTEXT, SEEDS, short_training, small_gpt
from lib.experiments.tables import DATA, Row, last, read_table
from lib.experiments.texts import PIECES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS, WARMUP = 300, 40  # 1,024 bytes each
RATES = (3e-3, 6e-3, 1.2e-2)
HIGHER = (2.4e-2, 4.8e-2)  # for Muon too, which was best at the highest of the others
PLAIN = "AdamW, GELU, cosine"
# What each recipe changes: of the model, of the training, or the optimizer.
RECIPES = {
    PLAIN: {},
    "Muon": {"optimizer": "muon"},
    "squared ReLU": {"activation": "squared_relu"},
    "QK-norm": {"qk_norm": True},
    "linear to zero": {"schedule": "linear"},
    "constant, then to zero": {"schedule": "stable_decay"},
    "constant": {"schedule": "constant"},
}


def grid() -> list[Run]:
    """Seven recipes with three learning rates (Muon: five) and three seeds each.

    The best rate may differ between recipes: each is judged at its own.
    """
    return [
        one_run(name, rate, seed, STEPS)
        for name in RECIPES
        for rate in rates(name)
        for seed in SEEDS
    ]


def rates(name: str) -> tuple[float, ...]:
    """The learning rates that a recipe is tried with."""
    return RATES + HIGHER * (name == "Muon")


def one_run(name: str, learning_rate: float, seed: int, steps: int) -> Run:
    """One run of two layers, 64 wide, with one of the recipes."""
    changes = dict(RECIPES[name])
    optimizer = changes.pop("optimizer", "adamw")
    schedule = {"schedule": changes.pop("schedule")} if "schedule" in changes else {}
    settings = dict(warmup=min(WARMUP, steps // 2), evaluation_sequences=256) | schedule
    training = short_training(steps, learning_rate, seed, evaluations=3, **settings)
    return Run(
        labels=(("recipe", name), ("learning rate", learning_rate)),
        model=small_gpt(64, **changes),
        training=training,
        training_bytes=steps * BATCH * CONTEXT,
        pieces=PIECES,
        optimizer=optimizer,
    )


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Do what the table in `folder` lacks, `workers` runs at a time."""
    return run_grid(grid(), folder / "recipes.csv", workers)


def table() -> list[Row]:
    """The committed runs."""
    return read_table("recipes")


def ends(rows: list[Row], name: str, rate: float) -> list[float]:
    """The last validation loss of each seed."""
    return last(rows, "validation_loss", recipe=name, learning_rate=rate)


def best_rate(rows: list[Row], name: str) -> float:
    """The learning rate at which a recipe ends lowest, in the mean over seeds."""
    return min(rates(name), key=lambda rate: mean(ends(rows, name, rate)))


def figure(rows: list[Row] | None = None) -> "Figure":
    """The last validation loss of each recipe at its best rate: a dot for each seed."""
    import matplotlib
    from matplotlib.figure import Figure

    rows = table() if rows is None else rows
    with matplotlib.rc_context(course_style()):
        drawn = Figure(figsize=(7.2, 3.2))
        ax = drawn.subplots()
        names = sorted(RECIPES, key=lambda name: mean(ends(rows, name, best_rate(rows, name))))
        for place, name in enumerate(reversed(names)):
            values = ends(rows, name, best_rate(rows, name))
            color = PALETTE["black" if name == PLAIN else "blue"]
            ax.plot(values, [place] * len(values), "o", color=color, alpha=0.7)
            ax.plot([mean(values)], [place], "|", color=color, markersize=16)
        ax.set_yticks(range(len(names)), reversed(names))
        ax.set(xlabel="validation loss at the end (nats per byte); a dot for each of three seeds")
        ax.set_title("One change at a time, each at its own best learning rate")
    return drawn
