"""Norms after the residual sum or before each layer, with and without warmup: "normalization"."""

from pathlib import Path
from typing import TYPE_CHECKING

from lib.display import PALETTE, course_style, label_lines
from lib.experiments.grid import Run, run_grid
from lib.experiments.small import BATCH, CONTEXT, SEEDS, short_training, small_gpt
from lib.experiments.tables import DATA, Row, last, read_table
from lib.experiments.texts import PIECES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS, WARMUP = 240, 60
RATES = (3e-3, 1e-2)
LINES = {("post", 0): "red", ("post", WARMUP): "orange", ("pre", 0): "blue", ("pre", WARMUP): "sky"}


def grid() -> list[Run]:
    """Post- and pre-norm, with and without warmup, at a usual and at a high learning rate."""
    return [
        Run(
            labels=(("placement", place), ("warmup", warmup), ("learning rate", rate)),
            model=small_gpt(48, n_layers=4, norm_placement=place),
            training=short_training(
                STEPS, rate, seed, evaluations=2, warmup=warmup, evaluation_sequences=256
            ),
            training_bytes=STEPS * BATCH * CONTEXT,
            pieces=PIECES,
        )
        for place, warmup in (("post", 0), ("pre", 0), ("post", WARMUP), ("pre", WARMUP))
        for rate in RATES
        for seed in SEEDS
    ]


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Do what the table in `folder` lacks, `workers` runs at a time."""
    return run_grid(grid(), folder / "placement.csv", workers)


def table() -> list[Row]:
    """The committed runs."""
    return read_table("placement")


def figure(rows: list[Row] | None = None) -> "Figure":
    """Last validation loss by learning rate: medians as lines, a dot for each seed."""
    import matplotlib
    from matplotlib.figure import Figure

    rows = table() if rows is None else rows
    with matplotlib.rc_context(course_style()):
        drawn = Figure(figsize=(6.4, 3.6))
        ax = drawn.subplots()
        asides = (0.985, 1.005, 0.995, 1.015)  # so that no dot hides another
        for aside, ((place, warmup), color) in zip(asides, LINES.items(), strict=True):
            ends = [
                last(rows, "validation_loss", placement=place, warmup=warmup, learning_rate=rate)
                for rate in RATES
            ]
            label = f"{place}-norm, " + (f"{warmup} steps of warmup" if warmup else "no warmup")
            style = "--" if warmup else "-"
            median = [sorted(end)[len(end) // 2] for end in ends]
            ax.plot(RATES, median, style, color=PALETTE[color], label=label)
            for rate, end in zip(RATES, ends, strict=True):
                ax.plot([rate * aside] * len(end), end, "o", color=PALETTE[color])
        ax.set(xscale="log", xlim=(2.6e-3, 2.6e-2), xlabel="learning rate (logarithmic)")
        ax.set_xticks(RATES, [f"{rate:g}" for rate in RATES])
        ax.minorticks_off()
        ax.set_ylabel("validation loss (nats per byte)")
        ax.set_title("At the higher rate post-norm fails, warmup or not")
        label_lines(ax, dx=9)  # clear of the dots
    return drawn
