"""Dropout in a single pass over a text and in many: chapter 7, "Training"."""

from pathlib import Path
from typing import TYPE_CHECKING

from lib.display import GRAY, PALETTE, band, course_style, label_lines
from lib.experiments.grid import Run, run_grid
from lib.experiments.small import CONTEXT, SEEDS, short_training, small_gpt
from lib.experiments.tables import DATA, Row, curve, read_table
from lib.experiments.texts import PIECES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH = 32  # sequences: 2,048 bytes to a step
PASSES = {"a single pass": 1, "40 passes": 40}
DROPOUTS = {0: "blue", 0.1: "red", 0.2: "black"}


def grid() -> list[Run]:
    """Dropout 0, 0.1 and 0.2, in a single pass over the
    text and in 40 over a part of it.

    All runs take the same number of steps, so they see equally many tokens; they differ
    in how often each token comes.
    """
    steps = 480
    return [
        Run(
            labels=(("passes over the text", name), ("dropout", dropout)),
            model=small_gpt(64, n_heads=2, dropout=dropout),
            training=short_training(steps, 5e-3, seed, evaluations=8, batch_size=BATCH),
            training_bytes=steps * BATCH * CONTEXT // passes,
            pieces=PIECES,
        )
        for name, passes in PASSES.items()
        for dropout in (0.0, 0.1, 0.2)
        for seed in SEEDS
    ]


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Do what the table in `folder` lacks, `workers` runs at a time."""
    return run_grid(grid(), folder / "dropout.csv", workers)


def table() -> list[Row]:
    """The committed runs."""
    return read_table("dropout")


def figure(rows: list[Row] | None = None) -> "Figure":
    """Validation (solid) and training loss (dotted) by dropout; bands span the seeds."""
    import matplotlib
    from matplotlib.figure import Figure

    rows = table() if rows is None else rows
    with matplotlib.rc_context(course_style()):
        drawn = Figure(figsize=(7.2, 3.6))
        axes = drawn.subplots(1, 2, sharey=True)
        for ax, passes in zip(axes, PASSES, strict=True):
            for dropout, color in DROPOUTS.items():
                kind = {"passes_over_the_text": passes, "dropout": dropout}
                valid = curve(rows, "validation_loss", **kind)
                data = (valid.step, valid.low, valid.mean, valid.high)
                band(ax, *data, PALETTE[color], label=f"dropout {dropout:g}")
                training = curve(rows, "training_loss", **kind)
                ax.plot(training.step, training.mean, ":", color=PALETTE[color], linewidth=1.4)
            ax.set(title=passes.capitalize(), xlabel="step", xlim=(0, 690), ylim=(0.9, 3.3))
            ax.set_xticks(range(0, 500, 120))
            label_lines(ax)
        axes[0].set_ylabel("loss (nats per byte)")
        axes[0].text(20, 1.0, "dotted: training\nsolid: validation", color=GRAY, fontsize=9)
        drawn.suptitle(
            "Dropout costs in a single pass; a little of it helps over many", x=0.01, ha="left"
        )
    return drawn
