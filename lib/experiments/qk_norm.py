"""What holds attention's scores: the same model with and without QK-norm: "normalization"."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lib.display import PALETTE, band, course_style, label_lines
from lib.experiments.grid import Run, run_grid
from lib.experiments.small import BATCH, CONTEXT, SEEDS, short_training, small_gpt
from lib.experiments.tables import DATA, Row, curve, read_table
from lib.experiments.texts import PIECES
from lib.model import LanguageModel
from lib.model.inspection import layer_steps
from lib.training.batches import Tokens, windows_in_order

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 200
RATES = (1e-2, 1e-1)


def grid() -> list[Run]:
    """With and without QK-norm at a high learning rate and at ten times that."""
    return [
        one_run(qk_norm, rate, seed)
        for qk_norm in (False, True)
        for rate in RATES
        for seed in SEEDS
    ]


def one_run(
    qk_norm: bool, learning_rate: float, seed: int, steps: int = STEPS, evaluations: int = 8
) -> Run:
    """One run of two layers with RMSNorm."""
    return Run(
        labels=(("qk norm", "with" if qk_norm else "without"), ("learning rate", learning_rate)),
        model=small_gpt(64, norm="rmsnorm", qk_norm=qk_norm),
        training=short_training(
            steps, learning_rate, seed, evaluations=evaluations, evaluation_sequences=256
        ),
        training_bytes=steps * BATCH * CONTEXT,
        pieces=PIECES,
    )


def attention_scores(model: LanguageModel, validation: Tokens) -> Row:
    """The largest scaled attention score that a query may see, and the entropy of the weights."""
    windows = next(iter(windows_in_order(validation, CONTEXT, BATCH)))
    largest, entropies = [], []
    for steps in layer_steps(model, windows[:, :-1]):
        largest.append(steps.masked.max().item())
        entropies.append(torch.special.entr(steps.weights).sum(dim=-1).mean().item())
    return {
        "largest_score": round(max(largest), 3),
        "entropy": round(sum(entropies) / len(entropies), 4),
    }


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Do what the table in `folder` lacks, `workers` runs at a time."""
    return run_grid(grid(), folder / "qk_norm.csv", workers, attention_scores)


def table() -> list[Row]:
    """The committed runs."""
    return read_table("qk_norm")


def figure(rows: list[Row] | None = None) -> "Figure":
    """The largest score over training, logarithmic, and the validation loss; bands span seeds."""
    import matplotlib
    from matplotlib.figure import Figure

    colors = {("without", RATES[0]): "orange", ("without", RATES[1]): "red"}
    colors |= {("with", RATES[0]): "sky", ("with", RATES[1]): "blue"}
    rows = table() if rows is None else rows
    with matplotlib.rc_context(course_style()):
        drawn = Figure(figsize=(7.2, 3.6))
        left, right = drawn.subplots(1, 2)
        for (norm, rate), color in colors.items():
            for ax, column in ((left, "largest_score"), (right, "validation_loss")):
                line = curve(rows, column, qk_norm=norm, learning_rate=rate)
                style = {"linestyle": "-" if norm == "with" else "--"}
                name = f"{norm}, rate {rate:g}"
                data = (line.step, line.low, line.mean, line.high)
                band(ax, *data, PALETTE[color], label=name, **style)
        left.set(
            yscale="log", ylabel="largest score (logarithmic)", title="Scores with and without it"
        )
        right.set(ylabel="validation loss (nats per byte)", ylim=(2.6, 3.5), title="Loss")
        for ax in (left, right):
            ax.set(xlabel="step", xlim=(0, 360))
            ax.set_xticks((0, 100, 200))
            label_lines(ax)
        title = "QK-norm bounds the scores; without it a high rate holds learning back"
        drawn.suptitle(title, x=0.01, ha="left")
    return drawn
