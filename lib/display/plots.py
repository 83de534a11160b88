"""What several plots draw alike: labels at the lines' ends, seeds and their spread, plain ticks."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lib.display.claims import mean_and_error
from lib.display.style import PALETTE, course_style, ink

if TYPE_CHECKING:  # matplotlib is imported by those who draw
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Annotation
    from numpy.typing import NDArray

THREE_AXES = (
    ("linear axes", "linear", "linear"),
    ("semi-log", "linear", "log"),
    ("log-log", "log", "log"),
)
LINE_STYLES = ("-", "--", "-.", ":")


def label_line(
    ax: "Axes",
    line: "Line2D",
    text: str | None = None,
    *,
    dx: float | int = 5,
    dy: float | int = 0,
) -> "Annotation":
    """Write `text` (default: the line's label) right of the line's last point, in its color's ink.

    `dx` and `dy` move the text right and up, in points.
    """
    x, y = line.get_xydata()[-1]
    return ax.annotate(
        (text if text is not None else str(line.get_label())).replace("$", r"\$"),
        (x, y),
        xytext=(dx, dy),
        textcoords="offset points",
        va="center",
        color=ink(line.get_color()),
        fontsize=9,
        annotation_clip=False,
    )


def label_lines(
    ax: "Axes",
    lines: "Sequence[Line2D] | None" = None,
    gap: float | int = 11,
    dx: float | int = 5,
) -> None:
    """Label several lines at their ends, pushed apart where labels would overlap.

    `lines`: default, all lines of `ax` that have a label. `gap`: least distance in points. `dx`:
    how far right of the ends, in points. Call it when nothing changes the axes' limits any more.
    """
    if lines is None:
        lines = [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
    ax.autoscale_view()
    scale = 72 / ax.figure.dpi
    ends = [ax.transData.transform(line.get_xydata()[-1])[1] * scale for line in lines]
    order = sorted(range(len(lines)), key=ends.__getitem__)
    for i, y in zip(order, _spread([ends[i] for i in order], gap), strict=True):
        label_line(ax, lines[i], dx=dx, dy=y - ends[i])


def seed_dots(
    ax: "Axes",
    places: Sequence[float | int],
    groups: Sequence[Sequence[float | int]],
    color: Any,
    *,
    horizontal: bool = False,
    spread: bool = True,
    label: str | None = None,
) -> None:
    """Draw each seed as a dot and, in black, the groups' means with their standard errors.

    `groups` holds the seeds' numbers for each place. `horizontal`: numbers along x, places along
    y. Without `spread` only dots are drawn; a group of one seed has no standard error.
    """
    for i, (place, seeds) in enumerate(zip(places, groups, strict=True)):
        dots = ([place] * len(seeds), seeds)
        name = label if i == 0 else None
        ax.plot(*(dots[::-1] if horizontal else dots), "o", color=color, alpha=0.6, label=name)
        if spread and len(seeds) > 1:
            mean, error = mean_and_error(seeds)
            where = (mean, place) if horizontal else (place, mean)
            bar = {"xerr" if horizontal else "yerr": error, "fmt": "|" if horizontal else "_"}
            ax.errorbar(*where, **bar, color="black", capsize=4, markersize=12)


def band(ax: "Axes", x: Any, low: Any, middle: Any, high: Any, color: Any, **line: Any) -> None:
    """Draw a line over a pale band from `low` to `high`, such as the span of the seeds."""
    ax.fill_between(x, low, high, color=color, alpha=0.25, linewidth=0)
    ax.plot(x, middle, color=color, **line)


def plain_numbers(ax: "Axes") -> None:
    """1, 10, 100 at the ticks of logarithmic axes rather than powers; none at minor ticks."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for axis in (ax.xaxis, ax.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            axis.set_minor_formatter(NullFormatter())


def _spread(heights: list[float], gap: float | int) -> list[float]:
    """Move sorted heights as little as needed (least squares) to be `gap` apart.

    Neighbors that collide are joined into a block, centered on the mean of what its members wanted.
    """
    blocks: list[tuple[float, int]] = []  # (height of the first member, number of members)
    for height in heights:
        bottom, count = height, 1
        while blocks and bottom < blocks[-1][0] + gap * blocks[-1][1]:
            below, members = blocks.pop()
            bottom = (members * below + count * (bottom - gap * members)) / (members + count)
            count += members
        blocks.append((bottom, count))
    return [bottom + gap * k for bottom, count in blocks for k in range(count)]


def three_axes(
    laws: dict[str, Callable],
    x: "NDArray",
    x_label: str,
    y_label: str,
    y_limits: tuple[float | int, float | int],
    points: list[tuple[float | int, float | int]] = (),
) -> "Figure":
    """Each law over `x` on linear, semi-log (y) and log-log axes; `points` are marked.

    Straight lines tell a power law (log-log) from an exponential (semi-log).
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(course_style()):
        figure = Figure(figsize=(7.2, 2.9))
        for ax, (title, x_scale, y_scale) in zip(figure.subplots(1, 3), THREE_AXES, strict=True):
            for law, style in zip(laws.values(), LINE_STYLES, strict=False):
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
