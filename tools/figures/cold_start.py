"""Chapter 10's life-cycle. The table is made by `python -m tools.experiments cold_start`."""

from lib.display import save_figure
from lib.reasoning.plots import stages_figure
from lib.reasoning.results import COLUMNS, STAGES, mean_and_error, values
from lib.training.experiments import read_table
from tools.course import ROOT

TITLE = "RL finds right answers; the cold start makes them readable"
ALT = (
    "Share of right answers, of clean format and of mixed languages at five stages, three seeds "
    "each: base, R1-Zero, cold start, cold start with RL, final SFT. Right answers are rare in the "
    "base and usual from R1-Zero on; the format is clean only after a cold start; languages are "
    "mixed in the base and in R1-Zero."
)


def draw() -> None:
    rows = read_table(ROOT / "figures" / "cold_start_experiment.csv")
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
    save_figure(stages_figure(rows, TITLE), path, alt=ALT, data=data)
