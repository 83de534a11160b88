"""Chapter 4's experiments: placement, kinds of norm, QK-norm.

Their tables are made by `python -m lib.experiments placement norms qk_norm`.
"""

from lib.display import save_figure
from lib.experiments import norms, placement, qk_norm
from tools.course import ROOT

FIGURES = {
    "placement": (
        placement,
        "Validation loss after 240 steps at learning rates 0.003 and 0.01 for post- and pre-norm, "
        "with and without warmup, with a dot for each of three seeds. At 0.01 post-norm without "
        "warmup is near the loss of byte frequencies, with warmup one seed of three is; pre-norm "
        "is below it at both rates.",
    ),
    "norms": (
        norms,
        "Validation loss after 200 steps, one dot for each of three seeds. LayerNorm, RMSNorm and "
        "BatchNorm overlap. Dynamic Tanh stays where only byte frequencies are learned; with "
        "embeddings of unit size it comes down.",
    ),
    "qk_norm": (
        qk_norm,
        "Two panels over 200 steps, with and without QK-norm at learning rates 0.01 and 0.1. "
        "Without it the largest score passes 1,000 at rate 0.1; with it, it stays near 20. At rate "
        "0.1 the loss with QK-norm ends lower; at 0.01 the two are close.",
    ),
}


def draw() -> None:
    for name, (experiment, alt) in FIGURES.items():
        path = ROOT / "figures" / f"{name}_experiment.png"
        save_figure(experiment.figure(), path, alt=alt, data=experiment.table())
