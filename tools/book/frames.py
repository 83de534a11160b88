"""Pictures of a widget at a grid of settings, for a page without a kernel.

`export` asks the widget itself for the picture and the caption of each State, so nothing of a
widget's logic is written twice. A grid of thousands of SVG pictures is large (370
MB for 5,832 of the query-key-value widget), but they share nearly all of their shapes: each
different shape is stored once, a picture is a list of numbers, and the whole is compressed: 0.9 MB.
"""

import base64
import dataclasses
import gzip
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lib.widgets import Dropdown, Explorer, TextInput, Toggle
from lib.widgets.controls import Control

# Where an SVG text is cut: before each shape.
SHAPE = re.compile(r"(?=<(?:rect|circle|polyline|path|text|use|g)\b)")
Axes = Mapping[str, Sequence[Any]]


def export(explorer: Explorer, axes: Axes) -> dict[str, Any]:
    """Everything that the player needs: controls, and the picture at every point of the grid.

    `axes` names fields of the widget's State and the values to compute, the widget's own first
    value among them. Raises ValueError for a field without a control and for values out of range.
    """
    controls = [_control(explorer, field, values) for field, values in axes.items()]
    shapes: dict[str, int] = {}
    pictures: dict[tuple[int, ...], int] = {}
    captions: dict[str, int] = {}
    frames = []
    for point in itertools.product(*axes.values()):
        chosen = dataclasses.replace(explorer.initial, **dict(zip(axes, point, strict=True)))
        state = explorer.constrain(chosen)
        parts = SHAPE.split(explorer.picture.svg(state))
        picture = tuple(shapes.setdefault(part, len(shapes)) for part in parts)
        frames.append(
            [
                pictures.setdefault(picture, len(pictures)),
                captions.setdefault(_caption(explorer, axes, chosen, state), len(captions)),
            ]
        )
    return {
        "width": explorer.picture.width,
        "controls": controls,
        "tasks": [
            {"question": task.question, "moves": dict(task.moves)}
            for task in explorer.tasks
            if all(value in axes.get(field, ()) for field, value in task.moves.items())
        ],
        "shapes": list(shapes),
        "pictures": list(pictures),
        "captions": list(captions),
        "frames": frames,
    }


def _caption(explorer: Explorer, axes: Axes, chosen: Any, state: Any) -> str:
    """What the picture shows, and which of the chosen values do not go together."""
    moved = []
    for control in (c for c in explorer.controls if c.field in axes):
        value = getattr(chosen, control.field)
        if getattr(state, control.field) != value:
            wish = control.shown(dataclasses.replace(explorer.initial, **{control.field: value}))
            moved.append(f"{control.label} is {control.shown(state)}: {wish} does not fit here.")
    return " ".join([explorer.describe(state), *moved])


def _control(explorer: Explorer, field: str, values: Sequence[Any]) -> dict[str, Any]:
    control = next((c for c in explorer.controls if c.field == field), None)
    if control is None:
        raise ValueError(f"the widget has no control of {field!r}")
    first = getattr(explorer.initial, field)
    if first not in values:
        raise ValueError(f"{control.label}: the widget begins at {first!r}, not among {values}")
    states = [dataclasses.replace(explorer.initial, **{field: value}) for value in values]
    for state, value in zip(states, values, strict=True):
        if control.constrain(state) != state:
            raise ValueError(f"{control.label}: {value!r} is out of range")
    return {
        "field": field,
        "raw": list(values),  # as the picture's parts to touch name them
        "label": control.label,
        # Nothing can be typed here: a text is one of those that were computed.
        "explain": "One of a few." if isinstance(control, TextInput) else control.explain,
        "kind": _kind(control),
        "values": [control.shown(state) for state in states],
        "start": list(values).index(first),
    }


def _kind(control: Control) -> str:
    """What the player makes of it: a slider where values are in order, else a list."""
    if isinstance(control, Toggle):
        return "toggle"
    sliding = hasattr(control, "limits") and not isinstance(control, Dropdown)
    return "slider" if sliding else "choice"


def script(name: str, data: dict[str, Any]) -> str:
    """The data as a script, since a page opened from a disk may load scripts but no other files."""
    packed = gzip.compress(json.dumps(data, separators=(",", ":")).encode(), 9, mtime=0)
    return f"coursePlayers.receive({json.dumps(name)}, '{base64.b64encode(packed).decode()}')\n"


def count(axes: Axes) -> int:
    """How many points the grid has."""
    return math.prod(len(values) for values in axes.values())
