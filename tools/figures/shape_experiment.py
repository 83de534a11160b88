"""Chapter 5's second experiment. The table is made by `python -m tools.experiments shape`."""

from lib.display import save_figure
from lib.training.experiments import read_table
from lib.training.grids import SHAPES
from lib.training.plots import best_by_shape, shape_figure
from tools.course import ROOT

TITLE = "In this short training, fewer and wider layers win"
ALT = (
    "Validation loss after 320 training steps by number of layers, from one layer of width 128 to "
    "eight of width 48 with equally many parameters in their blocks, each at its best learning "
    "rate, a dot for each of three seeds. The loss rises with the number of layers."
)


def draw() -> None:
    rows = read_table(ROOT / "figures" / "shape_experiment.csv")
    data = {
        f"{layers} layers, width {SHAPES[layers]}": {
            "learning rate": rate,
            "mean": end.mean[-1],
            "lowest": end.low[-1],
            "highest": end.high[-1],
        }
        for layers, (rate, end) in best_by_shape(rows).items()
    }
    path = ROOT / "figures" / "shape_experiment.png"
    save_figure(shape_figure(rows, TITLE), path, alt=ALT, data=data)
