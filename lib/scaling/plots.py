"""The same curves on three kinds of axes: straight lines tell a power law from an exponential."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from lib.display import PALETTE, course_style, ink, plain_numbers

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
