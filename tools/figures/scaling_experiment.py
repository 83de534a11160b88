"""Chapter 13's prediction and its check. Tables: `python -m lib.experiments scaling ...`."""

from lib.display import save_figure
from lib.experiments import scaling, scaling_largest
from tools.course import ROOT

ALT = (
    "Loss in nats per byte over parameters, logarithmic, for twelve sizes of small models, and "
    "three laws fitted to them: beyond the models a power law without a floor goes lowest, an "
    "exponential stays highest, and a power law with a floor lies between."
)
STAR = " A star marks what the largest model reached when it was trained after the prediction."


def draw() -> None:
    predictions = scaling_largest.prediction()["predictions"]
    reached = scaling.ends(scaling_largest.table())[1]
    data = {
        "predicted": {name: predictions[name] for name in scaling_largest.SHOWN},
        "reached": reached.tolist(),
    }
    path = ROOT / "figures" / "scaling_experiment.png"
    alt = ALT + (STAR if len(reached) else "")
    save_figure(scaling_largest.figure(), path, alt=alt, data=data)
