"""Chapter 9's prediction and its check. Tables: `python -m tools.experiments scaling ...`."""

import json

import numpy as np

from lib.display import save_figure
from lib.scaling import laws
from lib.scaling.plots import prediction_figure
from lib.training.experiments import read_table
from lib.training.scaling_grids import STEPS
from tools.course import ROOT

TITLE = "Three laws agree where they were fitted, and part beyond"
ALT = (
    "Loss in nats per byte over parameters, logarithmic, for twelve sizes of small models, and "
    "three laws fitted to them: beyond the models a power law without a floor goes lowest, an "
    "exponential stays highest, and a power law with a floor lies between."
)
STAR = " A star marks what the largest model reached when it was trained after the prediction."
SHOWN = ("power law + floor", "power law", "exponential + floor")


def draw() -> None:
    figures = ROOT / "figures"
    prediction = json.loads((figures / "scaling_prediction.json").read_text())
    seen = ends(read_table(figures / "scaling_experiment.csv"))
    check = ends(read_table(figures / "scaling_largest_experiment.csv"))
    chosen = {name: prediction["predictions"][name] for name in SHOWN}
    fitted = {
        name: (laws.Exponential if "k" in p["law"] else laws.PowerLaw)(**p["law"])
        for name, p in chosen.items()
    }
    intervals = {name: (p["loss"], p["low"], p["high"]) for name, p in chosen.items()}
    target = prediction["non_embedding"]
    figure = prediction_figure(seen, check, target, fitted, intervals, TITLE)
    data = {"predicted": chosen, "reached": check[1].tolist()}
    alt = ALT + (STAR if len(check[1]) else "")
    save_figure(figure, figures / "scaling_experiment.png", alt=alt, data=data)


def ends(rows: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Parameters and loss of the runs of one whole pass."""
    last = [row for row in rows if row["step"] == row["steps"] == STEPS]
    return tuple(np.array([row[k] for row in last]) for k in ("non_embedding", "validation_loss"))
