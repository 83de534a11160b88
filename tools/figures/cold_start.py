"""Chapter 14's life-cycle. The table is made by `python -m lib.experiments cold_start`."""

from lib.display import mean_and_error, save_figure
from lib.experiments import cold_start
from lib.experiments.cold_start_results import COLUMNS, STAGES, values
from tools.course import ROOT

TITLE = "RL finds right answers; the cold start makes them readable"
ALT = (
    "Share of right answers, of clean format and of mixed languages at five stages, three seeds "
    "each: base, R1-Zero, cold start, cold start with RL, final SFT. Right answers are rare in the "
    "base and usual from R1-Zero on; the format is clean only after a cold start; languages are "
    "mixed in the base and in R1-Zero."
)


def draw() -> None:
    rows = cold_start.table()
    data = {
        stage: {
            column: dict(
                zip(
                    ("mean", "error"),
                    mean_and_error(values(rows, "lifecycle", stage, column)),
                    strict=True,
                )
            )
            for column in COLUMNS
        }
        for stage in STAGES
    }
    path = ROOT / "figures" / "cold_start.png"
    save_figure(cold_start.figure(TITLE), path, alt=ALT, data=data)
