"""One look for every figure: readable at 600 px, in gray, and by color-blind readers.

`use_course_style()` sets it for a notebook. Lines get labels at their ends (`label_line`,
`label_lines`) rather than a legend; other text in a color takes its `ink`.
"""

from typing import Any

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
    return "black" if luminance(background) > 0.179 else "white"  # equal contrast at 0.179


def ink(color: Any) -> tuple[float, float, float]:
    """Return a color for letters on white: darkened until it has WCAG's contrast of 4.5."""
    from matplotlib.colors import to_rgb

    rgb = to_rgb(color)
    while 1.05 / (luminance(rgb) + 0.05) < 4.5:
        rgb = tuple(0.95 * c for c in rgb)
    return rgb


def luminance(color: Any) -> float:
    """Relative luminance of a color, 0 to 1 (WCAG 2)."""
    from matplotlib.colors import to_rgb

    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
