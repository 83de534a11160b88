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
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import ipywidgets
from IPython.display import display

from lib.display import png_bundle
from lib.display.frames import with_lines
from lib.settings import require, require_all, require_kind
from lib.widgets.ahead import Ahead, in_kernel
from lib.widgets.choices import Button
from lib.widgets.controls import Control, S, Slider
from lib.widgets.pictures import DrawingPicture, FigurePicture
from lib.widgets.tasks import Task, task_box

VIEW = "application/vnd.jupyter.widget-view+json"
IN_SIGHT = 4  # controls; the others are folded
# The picture and the controls stand side by side where there is room for both.
BOTH = {
    "flex_flow": "row wrap",
    "align_items": "flex-start",
    "width": "100%",
    "overflow": "visible",
}
PANEL = {"flex": "1 1 290px", "max_width": "480px", "margin": "0 0 0 8px", "overflow": "visible"}
NOTE = '<div style="line-height:1.25;color:#555;font-size:12px">{}</div>'
ALERT = '<div role="alert" style="color:#a00000;border:1px solid #a00000;padding:4px">{}</div>'
SAID = '<div role="status" aria-live="polite" style="line-height:1.4">{}</div>'


class Explorer(ipywidgets.VBox):
    """A widget: `state` is what it shows now; `set(state)` changes it.

    An error in a callback is shown in red under the control that was moved, and the picture, which
    is then of another state, turns gray; it is raised too if `raise_errors` is true, which under
    pytest it is. `ahead(state)` may yield between pieces of work that the next moves will need; in
    a kernel they are done after a move, while the reader looks (`lib.widgets.ahead`).
    """

    def __init__(
        self,
        state: S,
        controls: Sequence[Control],
        picture: FigurePicture | DrawingPicture,
        describe: Callable[[Any], str],
        tasks: Sequence[Task] = (),
        ahead: Callable[[Any], Iterable[object]] | None = None,
    ) -> None:
        _check(state, controls)
        for task in tasks:
            moved(state, task.moves)
        self.initial = self.state = state
        self.picture, self.describe, self.tasks = picture, describe, tasks
        self.raise_errors = "PYTEST_CURRENT_TEST" in os.environ
        self._writing, self._ahead = False, ahead
        self.worker = Ahead(modest=True) if ahead is not None and in_kernel() else None
        reset = Button("reset", "Reset", "Back to the start.", lambda _: self.initial)
        self.controls = [*controls, reset]
        self.handles = [
            control.make(state, partial(self._act, at=i)) for i, control in enumerate(self.controls)
        ]
        self._caption, self._error = ipywidgets.HTML(), ipywidgets.HTML()
        # A button says what it does when the pointer rests on it, and has no room for more.
        self.notes = [
            self._error if isinstance(control, Button) else ipywidgets.HTML()
            for control in self.controls
        ]
        self._write(state)
        self._draw(state)
        picture.widget.observe(self._touched, "touched")
        self.add_class("course-explorer")
        shown = {"flex": "1 1 560px", "max_width": f"{picture.width}px", "overflow": "visible"}
        stage = ipywidgets.VBox([picture.widget, self._caption], layout=shown)
        below = [task_box(tasks, self._show)] if tasks else []
        super().__init__([ipywidgets.HBox([stage, self._panel()], layout=BOTH), *below])

    def _panel(self) -> ipywidgets.VBox:
        """The controls: four in sight, buttons in a row, the rest folded."""
        buttons, rows = [], []
        for control, handle, note in zip(self.controls, self.handles, self.notes, strict=True):
            if isinstance(control, Button):
                buttons.append(handle)
            else:
                handle.layout.width = "calc(100% - 6px)"
                rows.append(ipywidgets.VBox([handle, note], layout={"overflow": "visible"}))
        first, rest = rows[:IN_SIGHT], ipywidgets.VBox(rows[IN_SIGHT:])
        row = ipywidgets.HBox(buttons, layout={"flex_flow": "row wrap", "overflow": "visible"})
        more = ipywidgets.ToggleButton(description=f"More ({len(rows) - IN_SIGHT})")
        more.tooltip, rest.layout.display = "Show all that can be moved.", "none"

        def fold(change: Any) -> None:
            rest.layout.display = None if change["new"] else "none"

        more.observe(fold, "value")
        folded = [more, rest] if rest.children else []
        return ipywidgets.VBox([*first, row, self._error, *folded], layout=PANEL)

    def set(self, state: S) -> None:
        """Show another state; numbers out of range are brought into it.

        Raises ValueError for a value that is none at all, such as NaN or half of a character.
        """
        self._act(lambda _: state)

    def frame(self, state: S | None = None) -> str:
        """Return the live picture of a state (default: the present one) without showing it."""
        return self.picture.content(self.state if state is None else self.constrain(state))

    def _show(self, moves: Mapping[str, Any]) -> str:
        """Go to a task's state; what the picture then says."""
        self.set(moved(self.initial, moves))
        return self.describe(self.state)

    def _touched(self, change: Any) -> None:
        """Do what the reader did in the picture: the fields that it names get its values."""
        wanted = change["new"].get("changes", {}) if isinstance(change["new"], dict) else {}
        wanted = wanted if isinstance(wanted, dict) else {}
        at = [i for i, control in enumerate(self.controls) if control.field in wanted]
        self._act(lambda state: moved(state, wanted), at[0] if at else -1)

    def _act(self, change: Callable[[S], S], at: int = -1) -> None:
        """Change the state as the reader wishes and draw once, whatever follows from it.

        `at` is the control that was moved.
        """
        if self._writing:  # controls brought in step by _write
            return
        if self.worker is not None:
            self.worker.stop()
        try:
            state = self.constrain(change(self.state))
            if state == self.state and not self.picture.widget.stale:
                self._write(state)  # a value out of range goes back into it
                return
            self.state = state
            self._write(state)
            self._draw(state)
            self.picture.widget.stale = False
            if self.worker is not None:
                self.worker.begin(self._ahead(state))
        except Exception as error:
            text = ALERT.format(html.escape(f"{type(error).__name__}: {error}"))
            self.notes[at].value = text
            self.picture.widget.stale = True
            if self.raise_errors:
                raise

    def constrain(self, state: S) -> S:
        """The state as the controls allow it: what does not fit goes to the nearest that does."""
        require_kind("the state", state, type(self.initial))
        require_all(state, {}, [c.field for c in self.controls if isinstance(c, Slider)])
        for control in self.controls:
            state = control.constrain(state)
        return state

    def _write(self, state: S) -> None:
        """Bring the controls and what is said below them in step with a state."""
        self._writing = True
        try:
            for control, handle, note in zip(self.controls, self.handles, self.notes, strict=True):
                control.write(handle, state)
                said = "" if note is self._error else NOTE.format(html.escape(control.note(state)))
                note.value = said
        finally:
            self._writing = False

    def _draw(self, state: S) -> None:
        content, caption = self.picture.content(state), self.describe(state)
        self.picture.show(content)
        self._caption.value = SAID.format(html.escape(caption))

    # What a reader without a kernel sees

    def still(self) -> bytes:
        """Return the present frame as PNG, with the controls' values below it."""
        values = [f"{c.label}: {c.shown(self.state)}" for c in self.controls if c.shown(self.state)]
        above = "This is a picture: run this cell to move it."
        return with_lines(
            self.picture.png(self.state), self.picture.width, above, "   ".join(values)
        )

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


def moved(state: S, changes: Mapping[str, Any]) -> S:
    """The state with other values of some fields, as they come from a browser: JSON's.

    Raises ValueError for a field that the state does not have.
    """
    fields = {item.name for item in dataclasses.fields(state)}
    if unknown := [name for name in changes if name not in fields]:
        raise ValueError(f"the state has no {unknown}, only {sorted(fields)}")
    return dataclasses.replace(
        state, **{name: _like(getattr(state, name), value) for name, value in changes.items()}
    )


def _like(present: Any, value: Any) -> Any:
    """JSON has lists for tuples and 1 for 1.0; whole numbers may be dragged to one between."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(present, float) and isinstance(value, int):
        require("a number", value, "(-inf, inf)")
        return float(value)
    whole = isinstance(present, int) and isinstance(value, float) and math.isfinite(value)
    return round(value) if whole else value


def _check(state: S, controls: Sequence[Control]) -> None:
    """Raise ValueError for a State and controls that do not fit together."""
    if not dataclasses.is_dataclass(state) or not type(state).__dataclass_params__.frozen:
        raise ValueError(f"state must be a frozen dataclass, got {type(state).__name__}")
    require_all(state, {}, [c.field for c in controls if isinstance(c, Slider)])
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
