import numpy as np

from lib.experiments.scaling_largest import prediction_figure
from lib.scaling import laws
from lib.scaling.plots import three_axes


def test_three_axes_show_the_same_laws():
    pair = {"power": laws.PowerLaw(4, 0.5), "exponential": laws.Exponential(4, 0.1)}
    figure = three_axes(pair, np.geomspace(1, 100, 20), "x", "y", (0.01, 5), [(1, 4)])
    scales = [(ax.get_xscale(), ax.get_yscale()) for ax in figure.axes]
    assert scales == [("linear", "linear"), ("linear", "log"), ("log", "log")]
    for ax in figure.axes:
        drawn = [line.get_ydata() for line in ax.lines[:2]]
        assert (drawn[0] == pair["power"](np.geomspace(1, 100, 20))).all()
        assert len(ax.lines) == 3


def test_the_star_is_there_when_the_model_is_trained():
    law = laws.PowerLaw(4, 0.1)
    sizes = np.geomspace(1e3, 1e5, 5)
    for reached in (np.array([]), np.array([1.2])):
        figure = prediction_figure(
            (sizes, law(sizes)),
            (np.full(len(reached), 1e6), reached),
            1e6,
            {"power law": law},
            {"power law": (1.0, 0.9, 1.3)},
            "title",
        )
        stars = [line for line in figure.axes[0].lines if line.get_marker() == "*"]
        assert len(stars) == len(reached)
