"""What a reader can touch in a picture: spots to click, handles to drag, parts shown on hover.

They are shapes of a `Drawing` that lie on top of the others: seen by `front.js`, which sends what
the reader does to the widget's State, and not drawn in a static picture. `Front` is the picture in
the browser. It needs anywidget; where that is missing, it only shows the picture, and the controls
beside it do everything.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ipywidgets
import traitlets

from lib.display.drawing import Number, Shape, element, escape

SOURCE = Path(__file__).with_name("front.js")
STYLE = Path(__file__).with_name("front.css")

try:
    import anywidget
except ImportError:
    anywidget = None


@dataclass(frozen=True)
class Spot(Shape):
    """A rectangle to click: `set` holds the State's fields and the values that they get.

    `name` says what it does, `chosen` that these are the present values. `reveals` names a
    `Revealed` that shows while the pointer or the focus is here; `set` may then be empty.
    """

    x: Number
    y: Number
    width: Number
    height: Number
    name: str
    set: Mapping[str, Any] = field(default_factory=dict)
    chosen: bool = False
    reveals: str = ""

    def svg(self) -> str:
        """Return the SVG element."""
        more: dict[str, Any] = {"role": "button", "aria-label": escape(self.name)}
        if self.set:
            more["data-set"] = escape(json.dumps(self.set, ensure_ascii=False))
            more["aria-pressed"] = str(self.chosen).lower()
        if self.reveals:
            more["data-reveal"] = escape(self.reveals)
        return element("rect", _box(self) | {"fill": "none"} | more, self.name)


@dataclass(frozen=True)
class Handle(Shape):
    """A grip that moves `field` along an axis, on which `values[i]` lies at pixel `at[i]`.

    Between two of them the value, or with `log` its logarithm, changes evenly; it is rounded to a
    multiple of `step`, if there is one.
    """

    x: Number
    y: Number
    width: Number
    height: Number
    name: str
    field: str
    value: Number
    values: Sequence[Number]
    at: Sequence[Number]
    axis: str = "x"
    log: bool = False
    step: Number = 0

    def svg(self) -> str:
        """Return the SVG element."""
        names = ("field", "values", "at", "axis", "log", "step")
        more = {
            "fill": "none",
            "stroke": "#6E6E6E",
            "stroke-dasharray": "3 2",
            "rx": 4,
            "role": "slider",
            "aria-label": escape(self.name),
            "aria-valuemin": f"{min(self.values):.10g}",
            "aria-valuemax": f"{max(self.values):.10g}",
            "aria-valuenow": f"{self.value:.10g}",
            "data-drag": escape(
                json.dumps({name: getattr(self, name) for name in names}, default=list)
            ),
        }
        return element("rect", _box(self) | more, self.name)


@dataclass(frozen=True)
class Revealed(Shape):
    """Shapes that are hidden until a `Spot` that names them is touched."""

    name: str
    shapes: Sequence[Any]

    def svg(self) -> str:
        """Return the SVG group."""
        inside = "".join(shape.svg() for shape in self.shapes)
        name, style = escape(self.name), "display:none;pointer-events:none"
        return f'<g data-revealed="{name}" style="{style}">{inside}</g>'


def _box(shape: Spot | Handle) -> dict[str, Any]:
    box = {"x": shape.x, "y": shape.y, "width": shape.width, "height": shape.height}
    return box | {"pointer-events": "all"}


if anywidget:

    class Front(anywidget.AnyWidget):
        """A picture in the browser: `value` is its SVG, `touched` what the reader did last."""

        _esm, _css = SOURCE.read_text("utf-8"), STYLE.read_text("utf-8")
        value = traitlets.Unicode().tag(sync=True)
        touched = traitlets.Dict().tag(sync=True)
        stale = traitlets.Bool().tag(sync=True)

else:

    class Front(ipywidgets.HTML):
        """The picture alone."""

        touched = traitlets.Dict()
        stale = traitlets.Bool()
