"""A diagram: a drawing with alt text that shows itself, and the few pieces that all are made of.

In a notebook a diagram is an output with SVG, PNG and text, so that each reader of notebooks finds
a form that it can show. Colors are the course's palette; what a color says is also said by a word,
a line or a filling, since a page may be printed in gray.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lib.display import (
    GRAY,
    PALETTE,
    Disk,
    Drawing,
    Line,
    Polygon,
    Rectangle,
    Text,
    arrow,
    ink,
    png_bundle,
    text_width,
)

Shape = Rectangle | Disk | Line | Polygon | Text
Number = float | int

WIDTH = 600  # px: the column of a notebook or of the book
# Pale fillings, a step apart in gray too.
TINTS = {
    "embedding": "#DCE9F5",
    "norm": "#F3F3F3",
    "attention": "#FBE3B8",
    "feedforward": "#CFEADF",
    "head": "#F0D9E6",
    "block": "#FAFAFA",
    "plain": "#FFFFFF",
}
BLUE, ORANGE, GREEN = PALETTE["blue"], PALETTE["red"], PALETTE["green"]


@dataclass
class Diagram(Drawing):
    """A drawing with alt text. `show()` publishes it; the last line of a cell shows itself.

    `boxes` says where named parts of what is drawn stand, for what wants to point at them.
    """

    alt: str = ""
    boxes: Mapping[str, Rectangle] = field(default_factory=dict)

    def __post_init__(self):
        if not self.alt.strip():
            raise ValueError("a diagram needs alt text that says what it shows, got none")
        self.width, self.height = round(self.width), round(self.height)

    def texts(self) -> list[str]:
        """All that is written in the picture, in the order of drawing."""
        return [shape.text for shape in self.shapes if isinstance(shape, Text)]

    def tips(self) -> list[str]:
        """What shows when the mouse rests on a shape."""
        return [tip for shape in self.shapes if (tip := getattr(shape, "tip", ""))]

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = png_bundle(self.png(), self.alt, self.width)
        return {"image/svg+xml": self.svg(self.alt), **data}, metadata

    def __repr__(self) -> str:
        return self.alt


def thousands(number: int) -> str:
    """12,345."""
    return f"{number:,}"


def short(number: Number) -> str:
    """Three digits and a letter: 124 M, 8.03 B, 36.9 k."""
    for size, letter in ((1e15, " P"), (1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= 0.9995 * size:  # 999.9 M is 1 B
            return f"{number / size:.3g}{letter}"
    return f"{number:g}"


def colored(color: str) -> str:
    """The color as letters on white: dark enough to read."""
    red, green, blue = (round(255 * part) for part in ink(color))
    return f"#{red:02X}{green:02X}{blue:02X}"


def wrap(text: str, width: Number, size: Number = 12, bold: bool = False) -> list[str]:
    """Cut at spaces into lines no wider than `width`."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", size, bold=bold) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def box(
    x: Number,
    y: Number,
    width: Number,
    height: Number,
    text: str | Sequence[str],
    fill: str = TINTS["plain"],
    edge: str = "#555555",
    size: Number = 13,
    bold: bool = False,
    tip: str = "",
) -> list[Shape]:
    """A box with lines of text in its middle."""
    lines = [text] if isinstance(text, str) else list(text)
    step = 1.25 * size
    top = y + height / 2 - step * (len(lines) - 1) / 2
    return [
        Rectangle(x, y, width, height, fill, edge, 1.2, tip=tip, radius=5),
        *(
            Text(x + width / 2, top + i * step, line, size, anchor="middle", bold=bold and i == 0)
            for i, line in enumerate(lines)
        ),
    ]


def plus(x: Number, y: Number, radius: Number = 9, sign: str = "+") -> list[Shape]:
    """Where two streams meet: a circle with + (or ×) in it."""
    return [
        Disk(x, y, radius, "#333333"),
        Disk(x, y, radius - 1.5, "#FFFFFF"),
        Text(x, y, sign, 14, anchor="middle", bold=True),
    ]


def cells(
    x: Number,
    y: Number,
    values: Sequence[Sequence[str]],
    width: Number,
    height: Number,
    fills: Sequence[Sequence[str]] | None = None,
    size: Number = 12,
    mono: bool = True,
) -> list[Shape]:
    """A grid of cells with a text in each; `fills` gives each its color."""
    shapes: list[Shape] = []
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            fill = fills[i][j] if fills else TINTS["plain"]
            left, top = x + j * width, y + i * height
            shapes.append(Rectangle(left, top, width, height, fill, "#888888", 0.8))
            if value:
                color = "#FFFFFF" if _dark(fill) else "#222222"
                middle = (left + width / 2, top + height / 2)
                shapes.append(Text(*middle, value, size, color, "middle", mono=mono))
    return shapes


def shade(weight: Number) -> str:
    """White to blue for 0 to 1: a number as a color."""
    weight = min(max(float(weight), 0.0), 1.0)
    mixed = [round(255 + weight * (int(BLUE[i : i + 2], 16) - 255)) for i in (1, 3, 5)]
    return "#{:02X}{:02X}{:02X}".format(*mixed)


def note(x: Number, y: Number, text: str, size: Number = 12, anchor: str = "start") -> Text:
    """A line of gray text."""
    return Text(x, y, text, size, "#555555", anchor)


def _dark(fill: str) -> bool:
    if not fill.startswith("#"):
        return False
    red, green, blue = (int(fill[i : i + 2], 16) for i in (1, 3, 5))
    return 0.3 * red + 0.59 * green + 0.11 * blue < 140


__all__ = [
    "BLUE",
    "GRAY",
    "GREEN",
    "ORANGE",
    "TINTS",
    "WIDTH",
    "Diagram",
    "Number",
    "Shape",
    "arrow",
    "box",
    "cells",
    "colored",
    "note",
    "plus",
    "shade",
    "short",
    "thousands",
    "wrap",
]
