"""Eight feed-forward layers with equally many parameters on English: "feed-forward layers"."""

from pathlib import Path

from lib.experiments.grid import Run, run_grid
from lib.experiments.small import BATCH, CONTEXT, SEEDS, short_training, small_llama
from lib.experiments.tables import DATA, Row, read_table
from lib.experiments.texts import PIECES
from lib.model.feedforward import GATED_FORMS, gated_width

STEPS, RATE = 400, 6e-3
PLAIN = {"ReLU": "relu", "GELU": "gelu", "Swish": "silu"}
D_FF = 240  # plain; two thirds of it, 160, with a gate: exactly as many parameters
# How far matrices spread before training. GPT-2's 0.02 is made for widths near 1,000; 1 / sqrt(C)
# keeps the size of what goes through a matrix.
INITIAL_STDS = (0.02, 0.125)


def grid() -> list[Run]:
    """Three plain and five gated layers with equally many parameters, as in Shazeer (2020)."""
    variants = {name: dict(gated=False, activation=kind) for name, kind in PLAIN.items()}
    variants |= {name: dict(gated=True, activation=kind) for name, kind in GATED_FORMS.items()}
    return [
        Run(
            labels=(("layer", name), ("initial std", initial_std)),
            model=small_llama(
                d_ff=gated_width(D_FF) if variant["gated"] else D_FF,
                initial_std=initial_std,
                **variant,
            ),
            training=short_training(STEPS, RATE, seed, evaluations=4),
            training_bytes=STEPS * BATCH * CONTEXT,
            pieces=PIECES,
        )
        for initial_std in INITIAL_STDS
        for name, variant in variants.items()
        for seed in SEEDS
    ]


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Do what the table in `folder` lacks, `workers` runs at a time."""
    return run_grid(grid(), folder / "feedforward.csv", workers)


def table() -> list[Row]:
    """The committed runs."""
    return read_table("feedforward")
