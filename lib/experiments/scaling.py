"""Twelve sizes over two orders of magnitude, to find how the loss falls with size: "scaling laws".

What a size is, how it is trained and with which learning rate: lib.experiments.scaling_pilot.
"""

from pathlib import Path

import numpy as np

from lib.experiments.grid import Run, run_grid
from lib.experiments.scaling_pilot import STEPS, exact_matches, scaling_run, tuned_rate
from lib.experiments.tables import DATA, Row, read_table

SEEDS = (0, 1)
LAST_REPEATED_WIDTH = 96  # up to it every size has a second seed
WIDTHS = (12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 112, 128)  # two layers each
FEWER_STEPS = (120, 240)
SURFACE_WIDTHS = (12, 20, 32, 48, 64, 96, 128)


def grid() -> list[Run]:
    """Twelve sizes over two orders of magnitude for one pass; seven of them for shorter ones too.

    The whole pass has a second seed for all but the two largest; the shorter runs have one.
    """

    def whole(seed: int) -> list[Run]:
        return [
            scaling_run(width, STEPS, tuned_rate(width, STEPS), seed, evaluations=8)
            for width in WIDTHS
        ]

    def shorter(seed: int) -> list[Run]:
        return [
            scaling_run(width, steps, tuned_rate(width, STEPS), seed)
            for steps in FEWER_STEPS
            for width in SURFACE_WIDTHS
        ]

    first, second = SEEDS
    again = [run for run in whole(second) if run.model.d_model <= LAST_REPEATED_WIDTH]
    return whole(first) + shorter(first) + again


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Do what the table in `folder` lacks, `workers` runs at a time."""
    return run_grid(grid(), folder / "scaling.csv", workers, exact_matches)


def table() -> list[Row]:
    """The committed runs."""
    return read_table("scaling")


def ends(rows: list[Row], steps: int = STEPS) -> tuple[np.ndarray, np.ndarray]:
    """Parameters without embeddings and last loss of the runs of so many steps."""
    last = [row for row in rows if row["step"] == row["steps"] == steps]
    return tuple(np.array([row[k] for row in last]) for k in ("non_embedding", "validation_loss"))
