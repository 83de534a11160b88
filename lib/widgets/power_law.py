"""The power-law widget: two laws that agree on two points, on three kinds of axes."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from lib.display import GRAY, PALETTE, ink
from lib.scaling.fitting import Exponential, Law, PowerLaw, gain_of_doubling
from lib.widgets.controls import FloatSlider, LogSlider
from lib.widgets.explorer import Explorer
from lib.widgets.pictures import FigurePicture, ends, place
from lib.widgets.tasks import Task
from lib.widgets.touch import Handle

START, END = 1.0, 1000.0  # x runs from one unit (of parameters, data or compute) to a thousand
LOSS = 4.0  # both laws at x = 1
LOWEST = 0.02  # y where logarithmic axes end
XS = np.geomspace(START, END, 300)
PANELS = (
    ("linear axes", "linear", "linear"),
    ("semi-log: y logarithmic", "linear", "log"),
    ("log-log", "log", "log"),
)
TASKS = (
    Task("The floor rises to 2. Which line on log-log axes stays straight?", {"floor": 2.0}),
    Task("The exponent falls to 0.1. What share does a doubling take?", {"exponent": 0.1}),
)
COLORS = {"power law": PALETTE["blue"], "exponential": PALETTE["red"]}


@dataclass(frozen=True)
class State:
    """The power law's exponent, the floor of both, their second common point, and where to look."""

    exponent: float = 0.3
    floor: float = 0.0
    common: float = 200.0
    at: float = 50.0

    def laws(self) -> dict[str, Law]:
        """The two laws: equal at x = 1 and at x = `common`."""
        power = PowerLaw(LOSS - self.floor, self.exponent, self.floor)
        first, second = (START, LOSS), (self.common, float(power(self.common)))
        return {
            "power law": power,
            "exponential": Exponential.through(first, second, self.floor),
        }


def power_law_explorer() -> Explorer:
    """The widget, with no floor and a second common point at 200."""
    controls = [
        FloatSlider("exponent", "exponent p", "The power law's: x^-p.", 0.02, 1.5, step=0.01),
        FloatSlider("floor", "floor", "What no x removes; of both laws.", 0.0, 3.0, step=0.05),
        LogSlider("common", "second common x", "Where the two laws meet again.", 2, 500),
        LogSlider("at", "look at x", "From here to 2x: the next doubling.", 1, 500),
    ]
    return Explorer(
        State(), controls, FigurePicture(_build, _draw, (7.2, 3.3), _touch), describe, TASKS
    )


def describe(state: State) -> str:
    """The numbers of the picture in words."""
    parts = []
    for name, law in state.laws().items():
        y, gain = float(law(state.at)), float(gain_of_doubling(law, state.at))
        parts.append(f"the {name} stands at {y:.3g} and the next doubling takes {gain:.2%} of it")
    share = 1 - 2**-state.exponent
    note = (
        f"Without a floor every doubling takes {share:.1%} from the power law."
        if state.floor == 0
        else f"A doubling takes {share:.1%} of what is above the floor, {state.floor:.2f}."
    )
    return f"At x = {state.at:.3g} {', '.join(parts)}. {note}"


def _build(figure: Figure) -> SimpleNamespace:
    axes = figure.subplots(1, 3)
    lines, dots, commons, slices = {}, {}, [], []
    for ax, (title, x_scale, y_scale) in zip(axes, PANELS, strict=True):
        ax.set(xscale=x_scale, yscale=y_scale, title=title, xlim=(START, END))
        ax.set(ylim=(0, 4.3) if y_scale == "linear" else (LOWEST, 5.5))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        if y_scale == "log":
            ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
            ax.yaxis.set_minor_formatter(NullFormatter())
        for name, color in COLORS.items():
            style = "-" if name == "power law" else "--"
            lines[title, name] = ax.plot(XS, XS, style, color=color)[0]
            dots[title, name] = ax.plot([1, 2], [1, 1], "o", color=color, markersize=6)[0]
        commons.append(ax.plot([1, 2], [1, 1], "x", color=PALETTE["black"], markersize=8)[0])
        slices.append(ax.axvspan(1, 2, color=GRAY, alpha=0.15, linewidth=0))
    axes[0].set_ylabel("y (loss, nats)")
    axes[1].set_xlabel("x (parameters, data or compute, in units of the smallest)")
    texts = [
        axes[0].text(0.3, 0.93 - 0.1 * i, "", color=ink(c), transform=axes[0].transAxes, fontsize=9)
        for i, c in enumerate(COLORS.values())
    ]
    for text, name in zip(texts, COLORS, strict=True):
        text.set_text("— power law" if name == "power law" else "- - exponential")
    return SimpleNamespace(lines=lines, dots=dots, commons=commons, slices=slices)


def _draw(artists: SimpleNamespace, state: State) -> None:
    laws = state.laws()
    look = np.array([state.at, 2 * state.at])
    curves = {name: law(XS) for name, law in laws.items()}
    for (_, name), line in artists.lines.items():
        line.set_ydata(np.maximum(curves[name], 1e-6))
    for (_, name), dots in artists.dots.items():
        dots.set_data(look, np.maximum(laws[name](look), 1e-6))
    for cross in artists.commons:
        cross.set_data([START, state.common], [LOSS, laws["power law"](state.common)])
    for patch in artists.slices:
        patch.set_x(state.at)
        patch.set_width(state.at)


def _touch(artists: SimpleNamespace, state: State) -> list[Handle]:
    """On log-log axes: where to look, the second common point, and the power law's exponent."""
    axes, law = artists.commons[-1].axes, state.laws()["power law"]
    across, handles = ends(axes, START, END), []
    for name, field in (("where to look", "at"), ("second common point", "common")):
        value = getattr(state, field)
        x, y = place(axes, value, float(law(value)))
        box = (x - 11, y - 11, 22, 22)
        handles.append(Handle(*box, name, field, value, (START, END), across, log=True))
    slopes = [round(0.05 * i, 2) for i in range(1, 31)]
    last = [float(replace(state, exponent=p).laws()["power law"](END)) for p in slopes]
    at = [place(axes, END, max(y, LOWEST))[1] for y in last]
    x, y = place(axes, END, max(float(law(END)), LOWEST))
    box = (x - 12, y - 12, 24, 24)
    name = "exponent of the power law"
    return [*handles, Handle(*box, name, "exponent", state.exponent, slopes, at, "y", step=0.01)]
