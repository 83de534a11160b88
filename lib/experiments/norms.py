"""Four norms in the same small model, trained on real text: chapter "normalization"."""

from pathlib import Path
from typing import TYPE_CHECKING

from lib.display import GRAY, PALETTE, course_style, seed_dots
from lib.experiments.grid import Run, run_grid
from lib.experiments.leak import loss_in_training_mode
from lib.experiments.small import BATCH, CONTEXT, SEEDS, short_training, small_gpt
from lib.experiments.tables import DATA, Row, last, read_table
from lib.experiments.texts import PIECES
from lib.model import LanguageModel
from lib.training.batches import Tokens

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 200
RATE = 6e-3
NORMS = ("layernorm", "rmsnorm", "batchnorm", "dynamic_tanh")
UNIGRAM = 3.313  # nats per byte: the loss of byte frequencies alone (lib.training.ngrams)
NAMES = {
    ("layernorm", 0.02): "LayerNorm",
    ("rmsnorm", 0.02): "RMSNorm",
    ("batchnorm", 0.02): "BatchNorm",
    ("dynamic_tanh", 0.02): "Dynamic Tanh",
    ("layernorm", "unit"): "LayerNorm,\nunit embeddings",
    ("dynamic_tanh", "unit"): "Dynamic Tanh,\nunit embeddings",
}


def grid() -> list[Run]:
    """Four norms in the same pre-norm model, and two of them with larger embeddings."""
    settings = [(norm, "0.02") for norm in NORMS] + [
        ("layernorm", "unit"),
        ("dynamic_tanh", "unit"),
    ]
    return [one_run(norm, start, seed) for norm, start in settings for seed in SEEDS]


def one_run(norm: str, start: str, seed: int, steps: int = STEPS) -> Run:
    """One run of two layers with this norm.

    "unit" embeddings start with standard deviation 1 instead of 0.02: Dynamic Tanh changes nothing
    about the size of what it gets, so it depends on the size at the start.
    """
    unit = dict(embedding_std=64**-0.5, scale_embeddings=True) if start == "unit" else {}
    return Run(
        labels=(("norm", norm), ("embeddings", start)),
        model=small_gpt(64, norm=norm, **unit),
        training=short_training(steps, RATE, seed, evaluations=4, evaluation_sequences=256),
        training_bytes=steps * BATCH * CONTEXT,
        pieces=PIECES,
    )


def training_mode(model: LanguageModel, validation: Tokens) -> Row:
    """The validation loss with every norm in training mode, on batches as training has them."""
    return {"training_mode_loss": round(loss_in_training_mode(model, validation, BATCH, 256), 5)}


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Do what the table in `folder` lacks, `workers` runs at a time."""
    return run_grid(grid(), folder / "norms.csv", workers, training_mode)


def table() -> list[Row]:
    """The committed runs."""
    return read_table("norms")


def figure(rows: list[Row] | None = None) -> "Figure":
    """Last validation loss of each norm, a dot for each seed."""
    import matplotlib
    from matplotlib.figure import Figure

    rows = table() if rows is None else rows
    with matplotlib.rc_context(course_style()):
        drawn = Figure(figsize=(6.4, 3.2))
        ax = drawn.subplots()
        for place, (norm, start) in enumerate(NAMES):
            ends = last(rows, "validation_loss", norm=norm, embeddings=start)
            color = PALETTE["red" if norm in ("batchnorm", "dynamic_tanh") else "blue"]
            seed_dots(ax, [place], [ends], color, horizontal=True, spread=False)
        ax.set_yticks(range(len(NAMES)), list(NAMES.values()))
        ax.invert_yaxis()
        ax.axvline(UNIGRAM, color=GRAY, linestyle=":", linewidth=1)
        ax.text(UNIGRAM - 0.01, 4.5, "byte frequencies only", color=GRAY, fontsize=9, ha="right")
        ax.set_title("LayerNorm's and RMSNorm's seeds overlap")
        ax.set_xlabel("validation loss after 200 steps (nats per byte), one dot for each seed")
    return drawn
