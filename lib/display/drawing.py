"""A picture made of few shapes, drawn twice: as SVG for the live widget, as PNG for a static page.

Rectangles, disks, lines, polygons and text suffice for bars, heatmaps, rows of tokens and diagrams.
An SVG string is the fastest picture a widget can send; but GitHub and nbviewer do not show SVG
inside an output reliably, so the same list of shapes is also drawn by matplotlib. Coordinates are
CSS pixels from the top left corner. Both use DejaVu Sans, or Verdana, which has nearly its widths.
"""

import html
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lib.display.figures import small_png
from lib.display.letters import drawable, font_name

SANS = "'DejaVu Sans',Verdana,Geneva,sans-serif"
MONO = "'DejaVu Sans Mono',Menlo,Consolas,monospace"
INK = "#222222"
Number = float | int
POINTS = 0.72  # in a CSS pixel, at 100 pixels to the inch
BASELINE = 0.36  # how far the baseline lies below the middle of a line of text, in font sizes


class Shape:
    """What a drawing is made of."""

    def svg(self) -> str:
        """Return the SVG element."""
        raise NotImplementedError

    def artist(self) -> Any:
        """Return the matplotlib artist; here one of nothing to see."""
        from matplotlib.patches import Rectangle as Patch

        return Patch((0, 0), 0, 0, visible=False)


@dataclass(frozen=True)
class Rectangle(Shape):
    """A rectangle by its top left corner. `tip` shows when the mouse rests on it.

    `radius` rounds the corners, and `dashed` is about the edge.
    """

    x: Number
    y: Number
    width: Number
    height: Number
    fill: str = "none"
    edge: str = "none"
    edge_width: Number = 1.0
    tip: str = ""
    radius: Number = 0
    dashed: bool = False

    def svg(self) -> str:
        """Return the SVG element."""
        border = (
            {} if self.edge == "none" else {"stroke": self.edge, "stroke-width": self.edge_width}
        )
        box = {"x": self.x, "y": self.y, "width": self.width, "height": self.height}
        box |= {"rx": self.radius} if self.radius else {}
        box |= {"stroke-dasharray": "4 3"} if self.dashed else {}
        return element("rect", box | {"fill": self.fill} | border, self.tip)

    def artist(self) -> Any:
        """Return the matplotlib artist."""
        from matplotlib.patches import FancyBboxPatch
        from matplotlib.patches import Rectangle as Patch

        width = 0 if self.edge == "none" else POINTS * self.edge_width
        look = {"facecolor": self.fill, "edgecolor": self.edge, "linewidth": width}
        look |= {"linestyle": "--"} if self.dashed else {}
        if self.radius:
            style = f"round,pad=0,rounding_size={self.radius}"
            return FancyBboxPatch((self.x, self.y), self.width, self.height, style, **look)
        return Patch((self.x, self.y), self.width, self.height, **look)


@dataclass(frozen=True)
class Disk(Shape):
    """A filled circle by its center."""

    x: Number
    y: Number
    radius: Number
    fill: str
    tip: str = ""

    def svg(self) -> str:
        """Return the SVG element."""
        where = {"cx": self.x, "cy": self.y, "r": self.radius, "fill": self.fill}
        return element("circle", where, self.tip)

    def artist(self) -> Any:
        """Return the matplotlib artist."""
        from matplotlib.patches import Circle

        return Circle((self.x, self.y), self.radius, facecolor=self.fill, linewidth=0)


@dataclass(frozen=True)
class Line(Shape):
    """A line through two or more points (x, y)."""

    points: Sequence[tuple[Number, Number]]
    color: str = INK
    width: Number = 1.0
    dashed: bool = False

    def svg(self) -> str:
        """Return the SVG element."""
        path = " ".join(f"{_number(x)},{_number(y)}" for x, y in self.points)
        stroke = {"fill": "none", "stroke": self.color, "stroke-width": self.width}
        dashes = {"stroke-dasharray": "4 3"} if self.dashed else {}
        return element("polyline", {"points": path} | stroke | dashes)

    def artist(self) -> Any:
        """Return the matplotlib artist."""
        from matplotlib.lines import Line2D

        xs, ys = zip(*self.points, strict=True)
        style = "--" if self.dashed else "-"
        return Line2D(xs, ys, color=self.color, linewidth=POINTS * self.width, linestyle=style)


@dataclass(frozen=True)
class Polygon(Shape):
    """A filled area with corners (x, y), such as the head of an arrow."""

    points: Sequence[tuple[Number, Number]]
    fill: str = INK
    tip: str = ""

    def svg(self) -> str:
        """Return the SVG element."""
        path = " ".join(f"{_number(x)},{_number(y)}" for x, y in self.points)
        return element("polygon", {"points": path, "fill": self.fill}, self.tip)

    def artist(self) -> Any:
        """Return the matplotlib artist."""
        from matplotlib.patches import Polygon as Patch

        return Patch(list(self.points), facecolor=self.fill, linewidth=0)


def arrow(
    points: Sequence[tuple[Number, Number]],
    color: str = INK,
    width: Number = 1.5,
    dashed: bool = False,
    head: Number = 7,
) -> list[Line | Polygon]:
    """A line through the points and a head of `head` pixels at the last one."""
    (x0, y0), (x1, y1) = points[-2:]
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    base = (x1 - head * dx, y1 - head * dy)
    side = 0.45 * head
    corners = [(x1, y1), (base[0] - side * dy, base[1] + side * dx)]
    corners.append((base[0] + side * dy, base[1] - side * dx))
    return [Line([*points[:-1], base], color, width, dashed), Polygon(corners, color)]


@dataclass(frozen=True)
class Text(Shape):
    """One line of text, its middle at height `y`; `anchor`: "start", "middle" or "end" at `x`."""

    x: Number
    y: Number
    text: str
    size: Number = 13
    color: str = INK
    anchor: str = "start"
    bold: bool = False
    mono: bool = False

    def svg(self) -> str:
        """Return the SVG element."""
        where = {"x": self.x, "y": self.y + BASELINE * self.size, "text-anchor": self.anchor}
        look = {"font-size": self.size, "fill": self.color, "xml:space": "preserve"}
        font = {"font-family": MONO} if self.mono else {}
        weight = {"font-weight": "bold"} if self.bold else {}
        return element("text", where | look | font | weight, text=self.text)

    def artist(self) -> Any:
        """Return the matplotlib artist."""
        from matplotlib.text import Text as Label

        return Label(
            self.x,
            self.y + BASELINE * self.size,
            drawable(self.text, font_name(self.bold, self.mono)),
            fontsize=POINTS * self.size,
            color=self.color,
            horizontalalignment={"start": "left", "middle": "center", "end": "right"}[self.anchor],
            verticalalignment="baseline",
            fontweight="bold" if self.bold else "normal",
            fontfamily="DejaVu Sans Mono" if self.mono else "DejaVu Sans",
            parse_math=False,
        )


@dataclass
class Drawing:
    """Shapes in order: later ones lie on top of earlier ones."""

    width: int
    height: int
    shapes: list[Shape] = field(default_factory=list)

    def svg(self, alt: str = "") -> str:
        """Return the drawing as one SVG element that a screen reader reads as `alt`."""
        label = f' role="img" aria-label="{escape(alt)}"' if alt else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}"'
            f' viewBox="0 0 {self.width} {self.height}" font-family="{SANS}"{label}'
            ' style="max-width:100%;height:auto">'
            '<rect width="100%" height="100%" fill="white"/>'
            + "".join(shape.svg() for shape in self.shapes)
            + "</svg>"
        )

    def png(self, scale: Number = 1.44) -> bytes:
        """Return the drawing as a PNG of `scale` pixels for each CSS pixel."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        fig = Figure((self.width / 100, self.height / 100), dpi=100 * scale, layout="none")
        canvas = FigureCanvasAgg(fig)
        ax = fig.add_axes((0, 0, 1, 1), xlim=(0, self.width), ylim=(self.height, 0))
        ax.set_axis_off()
        for order, shape in enumerate(self.shapes):
            artist = shape.artist()
            artist.set_zorder(order)
            ax.add_artist(artist)
        canvas.draw()
        return small_png(canvas.buffer_rgba())


NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def escape(text: str) -> str:
    """Escape markup; put � for what XML may not hold (control characters, lone surrogates)."""
    return html.escape(NOT_IN_XML.sub("\ufffd", text))


def _number(value: Number) -> str:
    return str(value) if type(value) is int else f"{round(float(value), 2):.10g}"


def element(name: str, attributes: dict[str, Any], tip: str = "", text: str = "") -> str:
    """Return an SVG element; `tip` becomes its title. Texts among the attributes are escaped."""
    pairs = "".join(  # of a list: a widget draws hundreds of these at each move
        [
            f' {key}="{value if isinstance(value, str) else _number(value)}"'
            for key, value in attributes.items()
        ]
    )
    inside = f"<title>{escape(tip)}</title>" if tip else ""
    inside += escape(text) if text else ""
    return f"<{name}{pairs}>{inside}</{name}>" if inside else f"<{name}{pairs}/>"
