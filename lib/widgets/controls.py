"""What a reader can move: each control sets one field of a widget's State. Here, the sliders.

Every control has a label, a range, a unit and a sentence of explanation, is made of core ipywidgets
(7.7 to 8) and works from the keyboard. `make` builds it, `write` brings it in step with a State,
`constrain` brings a State into the control's range; `values` lists what a test should try, and
`send` does to the widget what the browser would. Ranges and options may depend on the rest of the
State: give a function of it.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import ipywidgets

from lib.settings import require

S = Any  # a frozen dataclass
Act = Callable[[Callable[[S], S]], None]  # called with what the reader wants done to the state
LABEL = {"description_width": "112px"}
WIDE = "100%"


def number_text(value: float | int) -> str:
    """Return a number as it is read: 50,257, 0.015, 0.0001."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def of_state(thing: Any, state: S) -> Any:
    """Return `thing`, or `thing(state)` for what depends on the state."""
    return thing(state) if callable(thing) else thing


def within(
    interval: str,
    low: float | int | None = None,
    high: float | int | None = None,
    step: float | int = 0,
) -> tuple[float | int, float | int]:
    """A slider's limits in a setting's own range, e.g. "(0, 1]": its ends, or nearer ones.

    An open end is left by one `step`. Raises ValueError for a limit outside of the range, and for
    an end of it that is infinite and not replaced.
    """
    first, last = (float(part) for part in interval[1:-1].split(","))
    low = first + step * (interval[0] == "(") if low is None else low
    high = last - step * (interval[-1] == ")") if high is None else high
    require("a slider's minimum", low, interval)
    require("a slider's maximum", high, interval)
    return (int(low) if low == int(low) else low), (int(high) if high == int(high) else high)


def spaced(items: Sequence[Any], most: int) -> list[Any]:
    """Pick at most `most` items, evenly, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


@dataclass(frozen=True)
class Control:
    """Base: `field` of the State, `label` for the eye, `explain` says what it does."""

    field: str
    label: str
    explain: str

    def __post_init__(self) -> None:
        if not self.label.strip() or not self.explain.strip():
            raise ValueError(f"the control of {self.field!r} needs a label and an explanation")

    def make(self, state: S, act: Act) -> ipywidgets.Widget:
        """Return the ipywidget, which calls `act(state -> state)` when the reader moves it."""
        widget = self._widget(state)

        def moved(change: Any) -> None:
            value = self.read(change["new"])
            act(lambda state: dataclasses.replace(state, **{self.field: value}))

        widget.observe(moved, names="value")
        return widget

    def _widget(self, state: S) -> ipywidgets.Widget:
        raise NotImplementedError

    def read(self, raw: Any) -> Any:
        """Turn the widget's value into the field's."""
        return raw

    def write(self, widget: ipywidgets.Widget, state: S) -> None:
        """Show the state's value."""
        widget.value = getattr(state, self.field)

    def constrain(self, state: S) -> S:
        """Return the state with the field brought into the range; ValueError if that cannot be."""
        return state

    def values(self, state: S, most: int) -> list[Any]:
        """Return up to `most` things to `send`, over the whole range."""
        raise NotImplementedError

    def send(self, widget: ipywidgets.Widget, value: Any) -> None:
        """Do what the browser does when the reader moves the control."""
        widget.set_state({"value": value})

    def range(self, state: S) -> str:
        """Return the range and the unit in words."""
        return ""

    def note(self, state: S) -> str:
        """Return what stands under the control: what it does, and its range."""
        limits = self.range(state)
        return f"{self.explain} ({limits})" if limits else self.explain

    def shown(self, state: S) -> str:
        """Return the present value in words."""
        return str(getattr(state, self.field))


@dataclass(frozen=True)
class Slider(Control):
    """What the three sliders share. `minimum` and `maximum` may be functions of the State."""

    minimum: Any
    maximum: Any
    unit: str = ""
    whole: ClassVar[bool] = False

    def limits(self, state: S) -> tuple[Any, Any]:
        """Return (minimum, maximum) in this state."""
        low, high = of_state(self.minimum, state), of_state(self.maximum, state)
        if not low <= high:
            raise ValueError(f"{self.label}: the range {low} to {high} is empty")
        return low, high

    def constrain(self, state: S) -> S:
        """Clamp."""
        low, high = self.limits(state)
        value = getattr(state, self.field)
        require(self.label, value, "(-inf, inf)", whole=self.whole)
        inside = min(max(value, low), high)  # of the types that ipywidgets takes, not NumPy's
        return dataclasses.replace(state, **{self.field: (int if self.whole else float)(inside)})

    def write(self, widget: ipywidgets.Widget, state: S) -> None:
        """Set the range, then the value (ipywidgets refuses a minimum above the maximum)."""
        low, high = self.limits(state)
        widget.max = max(widget.max, high)
        widget.min, widget.max = low, high
        widget.value = getattr(state, self.field)

    def range(self, state: S) -> str:
        """Return e.g. "0 to 50 tokens"."""
        low, high = map(number_text, self.limits(state))
        return f"{low} to {high} {self.unit}".strip()

    def shown(self, state: S) -> str:
        """Return e.g. "0.7"."""
        return f"{number_text(getattr(state, self.field))} {self.unit}".strip()


@dataclass(frozen=True)
class IntSlider(Slider):
    """A whole number. With `play_ms`, a play button steps it every so many milliseconds."""

    play_ms: int = 0
    whole: ClassVar[bool] = True

    def make(self, state: S, act: Act) -> ipywidgets.Widget:
        """Return the slider, or a box of play button and slider joined in the browser."""
        slider = super().make(state, act)
        if not self.play_ms:
            return slider
        low, high = self.limits(state)
        play = ipywidgets.Play(min=low, max=high, value=slider.value, interval=self.play_ms)
        ipywidgets.jslink((play, "value"), (slider, "value"))
        for name in ("min", "max"):
            ipywidgets.dlink((slider, name), (play, name))
        slider.layout.flex = "1 1 auto"
        box = ipywidgets.HBox([slider, play])
        box.slider = slider
        return box

    def _widget(self, state: S) -> ipywidgets.Widget:
        low, high = self.limits(state)
        return ipywidgets.IntSlider(
            value=getattr(state, self.field),
            min=low,
            max=high,
            description=self.label,
            style=LABEL,
            layout={"width": WIDE},
        )

    def write(self, widget: ipywidgets.Widget, state: S) -> None:
        """Write to the slider."""
        super().write(getattr(widget, "slider", widget), state)

    def send(self, widget: ipywidgets.Widget, value: int) -> None:
        """Move the slider."""
        super().send(getattr(widget, "slider", widget), value)

    def values(self, state: S, most: int) -> list[int]:
        """Return whole numbers over the range."""
        low, high = self.limits(state)
        return spaced(range(low, high + 1), most)


@dataclass(frozen=True)
class FloatSlider(Slider):
    """A number on an even grid of `step`."""

    step: float | int = 0.1

    def _widget(self, state: S) -> ipywidgets.Widget:
        low, high = self.limits(state)
        digits = max(0, math.ceil(-math.log10(self.step) - 1e-9))
        return ipywidgets.FloatSlider(
            value=getattr(state, self.field),
            min=low,
            max=high,
            step=self.step,
            readout_format=f".{digits}f",
            description=self.label,
            style=LABEL,
            layout={"width": WIDE},
        )

    def read(self, raw: float | int) -> float:
        """Drop the grid's rounding noise (0.30000000000000004)."""
        return round(float(raw), 10)

    def values(self, state: S, most: int) -> list[float | int]:
        """Return numbers on the grid."""
        low, high = self.limits(state)
        count = math.floor((high - low) / self.step + 1e-9)
        grid = [min(round(low + i * self.step, 10), high) for i in range(count + 1)]
        return spaced(grid if grid[-1] == high else [*grid, high], most)


@dataclass(frozen=True)
class LogSlider(Slider):
    """A positive number on a logarithmic scale, `per_decade` stops to a factor of ten.

    The slider moves through a list of stops, to which a value between them is added. ipywidgets'
    own FloatLogSlider moves such a value to its nearest stop as soon as it is shown.
    """

    per_decade: int = 10

    def stops(self, state: S) -> list[float]:
        """Return the stops of this state, to six significant digits, and the present value."""
        low, high = self.limits(state)
        if low <= 0:
            raise ValueError(f"{self.label}: a log slider starts above 0, got {low}")
        count = math.floor(self.per_decade * math.log10(high / low) + 1e-9)
        grid = [float(f"{low * 10 ** (i / self.per_decade):.6g}") for i in range(count + 1)]
        value = float(getattr(state, self.field))
        return sorted({*grid, float(low), float(high), *([value] if low <= value <= high else [])})

    def _widget(self, state: S) -> ipywidgets.Widget:
        return ipywidgets.SelectionSlider(
            options=[(number_text(stop), stop) for stop in self.stops(state)],
            value=getattr(state, self.field),
            description=self.label,
            style=LABEL,
            layout={"width": WIDE},
        )

    def write(self, widget: ipywidgets.Widget, state: S) -> None:
        """Set the stops where these have other ends or lack the value, then the value."""
        there, stops = [stop for _, stop in widget.options], self.stops(state)
        value = getattr(state, self.field)
        if value not in there or (there[0], there[-1]) != (stops[0], stops[-1]):
            widget.options = [(number_text(stop), stop) for stop in stops]
        widget.value = value

    def values(self, state: S, most: int) -> list[float]:
        """Return numbers spread evenly in the logarithm."""
        return spaced(self.stops(state), most)

    def send(self, widget: ipywidgets.Widget, value: float | int) -> None:
        """Move to the stop nearest to the value."""
        there = [stop for _, stop in widget.options]
        nearest = min(range(len(there)), key=lambda i: abs(math.log(there[i] / value)))
        widget.set_state({"index": nearest})
