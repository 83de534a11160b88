"""The shell of every widget: a frozen State, controls that move it, a picture drawn from it.

A widget is four things: a frozen dataclass `State`; controls, each tied to a field of it; a picture
(`lib.widgets.pictures`), drawn from a State alone; and `describe(state)`, one or two sentences with
the values that the picture shows, for readers who do not see it. A new one looks like this::

    @dataclass(frozen=True)
    class State:
        temperature: float = 1.0

    def temperature_explorer(logits: np.ndarray) -> Explorer:
        def probabilities(state):
            return softmax(logits / state.temperature).tolist()

        def draw(state):  # for DrawingPicture: State -> Drawing
            shapes = []
            for i, p in enumerate(probabilities(state)):
                shapes.append(Rectangle(40, 24 * i, 600 * p, 20, PALETTE["blue"]))
                shapes.append(Text(34, 24 * i + 10, f"{p:.2f}", anchor="end"))
            return Drawing(720, 24 * len(logits), shapes)

        return Explorer(
            State(),
            [FloatSlider("temperature", "temperature", "Divides the logits.", 0.1, 2.0)],
            DrawingPicture(draw),
            describe=lambda state: f"The likeliest has {max(probabilities(state)):.0%}.",
        )

With matplotlib: `FigurePicture(build, draw)`, where `build(figure)` makes the artists once and
returns them and `draw(artists, state)` sets their data. Compute what is slow before, not in `draw`.
"""

import dataclasses
import html
import os
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
from IPython.display import display

from lib.display import png_bundle
from lib.display.frames import below_picture
from lib.widgets.choices import Button
from lib.widgets.controls import Control, S
from lib.widgets.pictures import DrawingPicture, FigurePicture

VIEW = "application/vnd.jupyter.widget-view+json"
FULL = {"width": "100%", "flex": "0 0 auto"}
PANEL = {**FULL, "max_height": "50vh", "overflow": "auto", "border": "1px solid #cccccc"}


class Explorer(ipywidgets.VBox):
    """A widget: `state` is what it shows now; `set(state)` changes it.

    An error in a callback is shown in red in the widget; it is raised too if `raise_errors` is
    true, which under pytest it is.
    """

    def __init__(
        self,
        state: S,
        controls: Sequence[Control],
        picture: FigurePicture | DrawingPicture,
        describe: Callable[[Any], str],
    ) -> None:
        _check(state, controls)
        self.initial = self.state = state
        self.picture, self.describe = picture, describe
        self.raise_errors = "PYTEST_CURRENT_TEST" in os.environ
        self._writing = False
        reset = Button("reset", "Reset", "Back to the start.", lambda _: self.initial)
        self.controls = [*controls, reset]
        self.handles = [control.make(state, self._act) for control in self.controls]
        self._notes = [ipywidgets.HTML(layout={"flex": "1 1 200px"}) for _ in self.controls]
        self._caption, self._error = ipywidgets.HTML(), ipywidgets.HTML()
        self._write(state)
        self._draw(state)
        rows = [_row(*pair) for pair in zip(self.handles, self._notes, strict=True)]
        # Many controls scroll by themselves, so that the picture stays in sight.
        panel = ipywidgets.VBox(rows, layout=PANEL)
        width = f"{picture.width}px"  # a VBox would stretch the picture and blur it
        super().__init__(
            [panel, picture.widget, self._caption, self._error],
            layout={"width": width, "max_width": "100%", "align_items": "flex-start"},
        )

    def set(self, state: S) -> None:
        """Show another state; values out of range are brought into it."""
        self._act(lambda _: state)

    def frame(self, state: S | None = None) -> bytes | str:
        """Return the live picture of a state (default: the present one) without showing it."""
        return self.picture.content(self.state if state is None else state)

    def _act(self, change: Callable[[S], S]) -> None:
        """Change the state as the reader wishes and draw once, whatever follows from it."""
        if self._writing:  # controls brought in step by _write
            return
        try:
            state = self._constrain(change(self.state))
            if state == self.state and not self._error.value:
                self._write(state)  # a value out of range goes back into it
                return
            self.state = state
            self._write(state)
            self._draw(state)
            self._error.value = ""
        except Exception as error:
            text = html.escape(f"{type(error).__name__}: {error}")
            self._error.value = (
                '<div role="alert" style="color:#a00000;border:1px solid #a00000;padding:4px">'
                f"{text}</div>"
            )
            if self.raise_errors:
                raise

    def _constrain(self, state: S) -> S:
        for control in self.controls:
            state = control.constrain(state)
        return state

    def _write(self, state: S) -> None:
        self._writing = True
        try:
            for control, handle, note in zip(self.controls, self.handles, self._notes, strict=True):
                control.write(handle, state)
                limits = f" ({control.range(state)})" if control.range(state) else ""
                note.value = (
                    '<div style="line-height:1.3;color:#555;padding-left:8px">'
                    f"{html.escape(control.explain + limits)}</div>"
                )
        finally:
            self._writing = False

    def _draw(self, state: S) -> None:
        content, caption = self.picture.content(state), self.describe(state)
        self.picture.show(content)
        self._caption.value = (
            '<div role="status" aria-live="polite" style="line-height:1.4">'
            f"{html.escape(caption)}</div>"
        )

    # What a reader without a kernel sees

    def still(self) -> bytes:
        """Return the present frame as PNG, with the controls' values below it."""
        values = [f"{c.label}: {c.shown(self.state)}" for c in self.controls if c.shown(self.state)]
        line = "   ".join([*values, "(a picture: run the cell to move these)"])
        return below_picture(self.picture.png(self.state), self.picture.width, line)

    def _bundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return png_bundle(self.still(), self.describe(self.state), self.picture.width)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = self._bundle()
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {**data, VIEW: view}, metadata

    if not hasattr(ipywidgets.Widget, "_repr_mimebundle_"):  # ipywidgets 7 asks this one instead

        def _ipython_display_(self, **_: Any) -> None:
            data, metadata = self._repr_mimebundle_()
            display(data, metadata=metadata, raw=True)
            self._handle_displayed()


def _row(handle: ipywidgets.Widget, note: ipywidgets.Widget) -> ipywidgets.HBox:
    """A control and its note beside it; in a narrow window the note goes below."""
    handle.layout.flex, handle.layout.max_width = "0 0 auto", "100%"
    layout = {**FULL, "align_items": "center", "flex_flow": "row wrap", "overflow": "visible"}
    return ipywidgets.HBox([handle, note], layout=layout)


def _check(state: S, controls: Sequence[Control]) -> None:
    """Raise ValueError for a State and controls that do not fit together."""
    if not dataclasses.is_dataclass(state) or not type(state).__dataclass_params__.frozen:
        raise ValueError(f"state must be a frozen dataclass, got {type(state).__name__}")
    fields = {field.name for field in dataclasses.fields(state)}
    for control in controls:
        if not isinstance(control, Button) and control.field not in fields:
            raise ValueError(
                f"the control {control.label!r} moves {control.field!r}, but {type(state).__name__}"
                f" has only {sorted(fields)}"
            )
        inside = control.constrain(state)
        if inside != state:
            raise ValueError(
                f"{control.label}: the first value, {getattr(state, control.field)!r}, is outside "
                f"its range ({control.range(state) or getattr(inside, control.field)})"
            )
