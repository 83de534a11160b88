"""Chapter 7's first experiment. The table is made by `python -m lib.experiments dropout`."""

from dataclasses import asdict

from lib.display import save_figure
from lib.experiments import curve, dropout
from tools.course import ROOT

ALT = (
    "Two panels of loss over 480 training steps for dropout 0, 0.1 and 0.2. In a single pass over "
    "the text the order from best to worst is 0, 0.1, 0.2, and training and validation loss stay "
    "together. Over 40 passes validation loss without dropout turns up again and ends worst, "
    "dropout 0.1 ends best, and training loss lies far below."
)


def draw() -> None:
    rows = dropout.table()
    data = {
        f"{passes}, dropout {rate:g}": asdict(
            curve(rows, "validation_loss", passes_over_the_text=passes, dropout=rate)
        )
        for passes in dropout.PASSES
        for rate in dropout.DROPOUTS
    }
    path = ROOT / "figures" / "dropout_experiment.png"
    save_figure(dropout.figure(rows), path, alt=ALT, data=data)
