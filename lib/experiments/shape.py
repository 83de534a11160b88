"""Few wide layers or many narrow ones, with equally many parameters: chapter "the transformer"."""

from pathlib import Path
from typing import TYPE_CHECKING

from lib.display import PALETTE, course_style, seed_dots
from lib.experiments.grid import Run, run_grid
from lib.experiments.small import CONTEXT, SEEDS, short_training, small_gpt
from lib.experiments.tables import DATA, Curve, Row, curve, last, read_table
from lib.experiments.texts import PIECES
from lib.model import ModelConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS, BATCH = 320, 32  # sequences of 64 bytes
SHAPES = {1: 128, 2: 96, 4: 64, 8: 48}  # layers: width
RATES = (1.5e-3, 3e-3, 6e-3, 1.2e-2)
BLOCK_PARAMETERS = 200_000


def grid() -> list[Run]:
    """From one wide layer to eight narrow ones, the blocks of all with equally many parameters.

    The best learning rate may differ with the shape, so each has four. Heads are 16 wide in all.
    """
    return [
        Run(
            labels=(("layers", layers), ("width", width), ("learning rate", learning_rate)),
            model=shape(layers, width),
            training=short_training(STEPS, learning_rate, seed, evaluations=8, batch_size=BATCH),
            training_bytes=STEPS * BATCH * CONTEXT,
            pieces=PIECES,
        )
        for layers, width in SHAPES.items()
        for learning_rate in RATES
        for seed in SEEDS
    ]


def shape(layers: int, width: int) -> ModelConfig:
    """A GPT whose blocks have `BLOCK_PARAMETERS` parameters, to within 1%: d_ff sees to it.

    A block has 4 d_model^2 + 2 d_model d_ff weights, 5 d_model + d_ff biases (3 for queries, keys
    and values, 1 for each output) and 4 d_model for its norms.
    """
    per_layer = (BLOCK_PARAMETERS - 2 * width) / layers
    d_ff = round((per_layer - 4 * width**2 - 9 * width) / (2 * width + 1))
    return small_gpt(width, layers, d_ff=d_ff)


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Do what the table in `folder` lacks, `workers` runs at a time."""
    return run_grid(grid(), folder / "shape.csv", workers)


def table() -> list[Row]:
    """The committed runs."""
    return read_table("shape")


def best_by_shape(rows: list[Row]) -> dict[int, tuple[float, Curve]]:
    """For each number of layers the best learning rate and its curve of validation loss."""
    best = {}
    for layers in SHAPES:
        rates = sorted({row["learning rate"] for row in rows if row["layers"] == layers})
        curves = {
            rate: curve(rows, "validation_loss", layers=layers, learning_rate=rate)
            for rate in rates
        }
        rate = min(curves, key=lambda rate: curves[rate].mean[-1])
        best[layers] = (rate, curves[rate])
    return best


def figure(title: str, rows: list[Row] | None = None) -> "Figure":
    """The last validation loss by number of layers, at each shape's best learning rate."""
    import matplotlib
    from matplotlib.figure import Figure

    rows = table() if rows is None else rows
    best = best_by_shape(rows)
    with matplotlib.rc_context(course_style()):
        drawn = Figure(figsize=(6.0, 3.4))
        ax = drawn.subplots()
        mean = [end.mean[-1] for _, end in best.values()]
        ax.plot(range(len(best)), mean, "-", color=PALETTE["blue"])
        seeds = [
            last(rows, "validation_loss", layers=layers, learning_rate=rate)
            for layers, (rate, _) in best.items()
        ]
        seed_dots(ax, range(len(best)), seeds, PALETTE["red"], spread=False)
        names = [f"{layers}\n{width}" for layers, width in SHAPES.items()]
        ax.set_xticks(range(len(best)), names)
        ax.set(xlabel="layers, and below them the width", ylabel="validation loss (nats per byte)")
        ax.set_title(title)
    return drawn
