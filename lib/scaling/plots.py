"""Pictures of laws: the same curves on three kinds of axes; a prediction and its check."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from lib.display import GRAY, PALETTE, course_style, ink, label_lines, plain_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AXES = (
    ("linear axes", "linear", "linear"),
    ("semi-log", "linear", "log"),
    ("log-log", "log", "log"),
)
STYLES = ("-", "--", "-.", ":")


def three_axes(
    laws: dict[str, Callable],
    x: Float[np.ndarray, " n"],
    x_label: str,
    y_label: str,
    y_limits: tuple[float | int, float | int],
    points: list[tuple[float | int, float | int]] = (),
) -> "Figure":
    """Each law over `x` on linear, semi-log (y) and log-log axes; `points` are marked."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(course_style()):
        figure = Figure(figsize=(7.2, 2.9))
        for ax, (title, x_scale, y_scale) in zip(figure.subplots(1, 3), AXES, strict=True):
            for law, style in zip(laws.values(), STYLES, strict=False):
                ax.plot(x, law(x), style, color=list(PALETTE.values())[2 * len(ax.lines)])
            for point in points:
                ax.plot(*point, "x", color="black", markersize=8)
            low = 0 if y_scale == "linear" else y_limits[0]
            ax.set(xscale=x_scale, yscale=y_scale, title=title, ylim=(low, y_limits[1]))
            plain_numbers(ax)
        first = figure.axes[0]
        first.set_ylabel(y_label)
        figure.axes[1].set_xlabel(x_label)
        for i, (line, name) in enumerate(zip(first.lines, laws, strict=False)):
            text = f"{'—' if i == 0 else '- -'} {name}"
            height = 0.95 - 0.1 * i
            color = ink(line.get_color())
            first.text(0.3, height, text, color=color, transform=first.transAxes)
    return figure


def prediction_figure(
    seen: tuple[np.ndarray, np.ndarray],
    check: tuple[np.ndarray, np.ndarray],
    target: float | int,
    laws: dict[str, Callable],
    intervals: dict[str, tuple[float, float, float]],
    title: str,
) -> "Figure":
    """Losses of the fitted models, each law beyond them, intervals, and what came out.

    `seen` and `check`: (parameters, loss) of the runs that were fitted and of the largest model
    (empty: it is not trained yet). `intervals`: (loss, low, high) of each law at size `target`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    x = np.geomspace(seen[0].min(), 1.3 * target, 200)
    with matplotlib.rc_context(course_style()):
        figure = Figure(figsize=(7.2, 4.0))
        ax = figure.subplots()
        ax.set(xscale="log", xlabel="parameters without embeddings", ylabel="loss (nats per byte)")
        for i, (name, law) in enumerate(laws.items()):
            color = list(PALETTE.values())[2 * i]
            ax.plot(x, law(x), STYLES[i], color=color, label=name)
            at, (middle, low, high) = target * 1.07 ** (i - 1), intervals[name]
            bars = [[middle - low], [high - middle]]
            ax.errorbar([at], [middle], yerr=bars, color=color, capsize=3, linewidth=1.5)
        ax.plot(*seen, "o", color=GRAY, markersize=4)
        for point in zip(*check, strict=True):
            ax.plot(*point, "*", color="black", markersize=11)
            ax.annotate(
                "trained after\nthe prediction",
                point,
                xytext=(-92, -42),
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": GRAY},
                fontsize=9,
            )
        ax.set_xlim(seen[0].min() * 0.8, target * 1.3)
        label_lines(ax)
        ax.set_title(title)
    return figure
