"""One look for every figure: readable at 600 px, in gray, and by color-blind readers.

`use_course_style()` sets it for a notebook; `lib.display` re-exports all names of this module.
Lines get labels at their ends (`label_line`, `label_lines`) rather than a legend; other text in a
color takes its `ink`.
"""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # matplotlib is imported by those who draw
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.text import Annotation

# M. Okabe and K. Ito, "Color Universal Design" (2008), without its yellow (too pale on white).
PALETTE = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "red": "#D55E00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "black": "#000000",
    "purple": "#CC79A7",
}
GRAY = "#6E6E6E"  # for what is not the point: axes, reference lines, notes
PALE = "#E4E4E4"
SEQUENTIAL = "Blues"  # from nothing (white) to much (dark): also right in gray
DIVERGING = "RdBu_r"  # both ends are dark in gray: write the sign or the value beside it


def course_style() -> dict[str, Any]:
    """Return the style as matplotlib rcParams.

    Lines change color, and every second line its dashes, so that two lines that look alike in gray
    differ in dashes.
    """
    from cycler import cycler

    cycle = cycler(color=list(PALETTE.values())) + cycler(
        linestyle=["-", "-", "--", "--", "-.", "-.", ":"]
    )
    return {
        "figure.figsize": (6.0, 3.4),
        "figure.dpi": 100,  # 600 px wide
        "savefig.dpi": 144,
        "figure.constrained_layout.use": True,
        "figure.facecolor": "white",
        "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.titlepad": 8,
        "axes.labelsize": 10,
        "axes.labelcolor": "#333333",
        "axes.edgecolor": GRAY,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycle,
        "axes.axisbelow": True,
        "axes.formatter.useoffset": False,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "xtick.color": GRAY,
        "ytick.color": GRAY,
        "xtick.labelcolor": "#333333",
        "ytick.labelcolor": "#333333",
        "grid.color": PALE,
        "lines.linewidth": 2.0,
        "lines.markersize": 5,
        "legend.frameon": False,
        "image.cmap": SEQUENTIAL,
        "image.interpolation": "nearest",
    }


def use_course_style() -> None:
    """Set the style for all figures made after this call."""
    import matplotlib

    matplotlib.rcParams.update(course_style())


def text_color(background: Any) -> str:
    """Return "black" or "white", whichever reads better on the color `background`."""
    return "black" if _luminance(background) > 0.179 else "white"  # equal contrast at 0.179


def ink(color: Any) -> tuple[float, float, float]:
    """Return a color for letters on white: darkened until it has WCAG's contrast of 4.5."""
    from matplotlib.colors import to_rgb

    rgb = to_rgb(color)
    while 1.05 / (_luminance(rgb) + 0.05) < 4.5:
        rgb = tuple(0.95 * c for c in rgb)
    return rgb


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


def visible(text: str) -> str:
    """Make blanks and control characters of a token visible: space ␣, newline ↵, tab ⇥."""
    table = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"}
    return "".join(
        table.get(
            c, c if c.isprintable() else f"\\u{ord(c):04x}" if ord(c) > 255 else f"\\x{ord(c):02x}"
        )
        for c in text
    )


def drawable(text: str, font: str = "DejaVuSans") -> str:
    """Put ▯ for each character that `font` lacks (Chinese, most emoji): matplotlib would warn.

    Browsers have the glyphs: SVG and tables need no such thing.
    """
    glyphs = _glyphs(font)
    return "".join(c if ord(c) in glyphs else "▯" for c in text)


@functools.cache
def _glyphs(font: str) -> frozenset[int]:
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(f"{get_data_path()}/fonts/ttf/{font}.ttf").get_charmap())


def _luminance(color: Any) -> float:
    """Relative luminance of a color, 0 to 1 (WCAG 2)."""
    from matplotlib.colors import to_rgb

    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
