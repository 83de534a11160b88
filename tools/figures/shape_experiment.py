"""Chapter 6's second experiment. The table is made by `python -m lib.experiments shape`."""

from lib.display import save_figure
from lib.experiments import shape
from tools.course import ROOT

TITLE = "In this short training, fewer and wider layers win"
ALT = (
    "Validation loss after 320 training steps by number of layers, from one layer of width 128 to "
    "eight of width 48 with equally many parameters in their blocks, each at its best learning "
    "rate, a dot for each of three seeds. The loss rises with the number of layers."
)


def draw() -> None:
    data = {
        f"{layers} layers, width {shape.SHAPES[layers]}": {
            "learning rate": rate,
            "mean": end.mean[-1],
            "lowest": end.low[-1],
            "highest": end.high[-1],
        }
        for layers, (rate, end) in shape.best_by_shape(shape.table()).items()
    }
    path = ROOT / "figures" / "shape_experiment.png"
    save_figure(shape.figure(TITLE), path, alt=ALT, data=data)
