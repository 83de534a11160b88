"""The compute-optimal widget: a budget of FLOP, and the model and text it should buy."""

import math
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

from lib.display import GRAY, PALETTE, ink
from lib.scaling import kaplan
from lib.scaling.allocation import Allocation, isoflop, optimal, tokens_for
from lib.scaling.chinchilla import BESIROGLU, HOFFMANN
from lib.scaling.fitting import Number, Quantity
from lib.widgets.choices import Button
from lib.widgets.controls import FloatSlider, LogSlider
from lib.widgets.explorer import Explorer
from lib.widgets.model_shape import size_text
from lib.widgets.pictures import FigurePicture, ends, place
from lib.widgets.touch import Handle

LEAST, MOST = 1e17, 1e26  # FLOP
LAWS = {"Hoffmann": HOFFMANN, "Besiroglu": BESIROGLU}
COLORS = {
    "Hoffmann": PALETTE["orange"],
    "Besiroglu": PALETTE["blue"],
    "Kaplan": PALETTE["red"],
}
STYLES = {"Hoffmann": "-.", "Besiroglu": "-", "Kaplan": "--"}
SAMPLES = {"-.": "– ·", "-": "—", "--": "– –"}  # of the styles, for the names
BUDGETS = np.geomspace(LEAST, MOST, 60)
AROUND = np.geomspace(1 / 30, 30, 200)  # sizes, in units of the best
PRESETS = {  # 6 N D of published models
    "GPT-3": (175e9, 300e9),
    "Gopher": (280e9, 300e9),
    "Chinchilla": (70e9, 1.4e12),
    "Llama 3 8B": (8.03e9, 15e12),
}


@dataclass(frozen=True)
class State:
    """The budget, 10^exponent, and the reader's model as a multiple of the best size.

    The best is that of Besiroglu's law.
    """

    exponent: float = 21.0
    times: float = 1.0

    @property
    def flop(self) -> float:
        """The budget in FLOP."""
        return 10.0**self.exponent

    def mine(self) -> Allocation:
        """The reader's model: its size, the tokens that are left for it, its loss."""
        n = self.times * optimal(BESIROGLU, self.flop).parameters
        d = tokens_for(self.flop, n)
        return Allocation(n, d, BESIROGLU(n, d))


def plan(name: str, flop: Quantity) -> Allocation:
    """What a paper would have bought for this budget.

    Kaplan's N has no embeddings; his loss is that of his text and tokens, so it compares with no
    other.
    """
    if name in LAWS:
        return optimal(LAWS[name], flop)
    n = kaplan.optimal_parameters(flop)
    return Allocation(n, tokens_for(flop, n), kaplan.loss_of_compute(flop))


def compute_optimal_explorer() -> Explorer:
    """The widget, at a budget of 1e21 FLOP."""
    controls = [
        Button(name, name, f"{name}'s budget and size.", lambda _, at=at: of_model(*at))
        for name, at in PRESETS.items()
    ]
    controls += [
        FloatSlider(
            "exponent", "budget, 10^", "All the training may cost.", 17, 26, "FLOP", step=0.01
        ),
        LogSlider("times", "your model", "Its size, in units of the best one.", 0.05, 20, "times"),
    ]
    return Explorer(State(), controls, FigurePicture(_build, _draw, (7.2, 3.5), _touch), describe)


def of_model(parameters: Number, tokens: Number) -> State:
    """The state of a model that was trained on so many tokens, within the sliders' ranges."""
    state = State(exponent=round(math.log10(6 * parameters * tokens), 2))
    times = float(parameters / optimal(BESIROGLU, state.flop).parameters)
    return replace(state, times=min(max(times, 0.05), 20.0))


def describe(state: State) -> str:
    """The numbers of the picture in words."""
    parts = []
    for name in COLORS:
        best = plan(name, state.flop)
        parts.append(
            f"{name}: {size_text(float(best.parameters))} parameters, "
            f"{size_text(float(best.tokens))} tokens ({best.tokens / best.parameters:.3g} each), "
            f"loss {best.loss:.3f}"
        )
    mine, best = state.mine(), plan("Besiroglu", state.flop)
    return (
        f"{state.flop:.2e} FLOP. {'; '.join(parts)}. Your model, "
        f"{size_text(float(mine.parameters))} on {size_text(float(mine.tokens))} tokens: "
        f"{mine.loss - best.loss:.4f} nats above the best by Besiroglu's law."
    )


def _build(figure: Figure) -> SimpleNamespace:
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
    left.set(xscale="log", xlabel="parameters N", ylabel="loss above the best (nats)")
    left.set(xlim=(1e7, 1e13), ylim=(-0.03, 0.3), title="Too small loses, too large loses")
    right.set(xscale="log", yscale="log", xlabel="budget (FLOP)", ylabel="parameters N")
    right.set(xlim=(LEAST, MOST), ylim=(1e7, 1e13), title="Kaplan's best size grows fastest")
    curves = {n: left.plot(AROUND, AROUND, STYLES[n], color=COLORS[n])[0] for n in LAWS}
    marks = {n: left.plot([1], [0], "o", color=COLORS[n])[0] for n in LAWS}
    dots = {n: right.plot([1], [1], "o", color=COLORS[n])[0] for n in COLORS}
    for row, name in enumerate(COLORS):
        sizes = plan(name, BUDGETS).parameters
        right.plot(BUDGETS, sizes, STYLES[name], color=COLORS[name])
        at = (0.03, 0.93 - 0.08 * row)
        text = f"{SAMPLES[STYLES[name]]} {name}"
        right.text(*at, text, color=ink(COLORS[name]), transform=right.transAxes, fontsize=9)
    mine = left.plot([1], [0], "D", color=PALETTE["black"], markersize=7)[0]
    note = left.text(1, 0, "you", fontsize=9, va="top")
    line = right.axvline(1e21, color=GRAY, linewidth=1)
    return SimpleNamespace(curves=curves, marks=marks, dots=dots, mine=mine, note=note, line=line)


def _draw(artists: SimpleNamespace, state: State) -> None:
    for name, law in LAWS.items():
        best = optimal(law, state.flop)
        sizes = AROUND * best.parameters
        above = isoflop(law, state.flop, sizes) - best.loss
        artists.curves[name].set_data(sizes, above)
        artists.marks[name].set_data([best.parameters], [0])
    for name, dot in artists.dots.items():
        dot.set_data([state.flop], [plan(name, state.flop).parameters])
    mine, best = state.mine(), optimal(BESIROGLU, state.flop)
    height = float(min(mine.loss - best.loss, 0.29))
    artists.mine.set_data([mine.parameters], [height])
    side = "center" if 0.7 < state.times < 1.4 else "left" if state.times > 1 else "right"
    artists.note.set(x=mine.parameters, y=height - 0.009, ha=side)  # outside the valley
    artists.line.set_xdata([state.flop, state.flop])


def _touch(artists: SimpleNamespace, state: State) -> list[Handle]:
    """The reader's model along its curve, and the budget."""
    left, right = artists.mine.axes, artists.line.axes
    (x,), (y,) = artists.mine.get_data()
    x, y = place(left, float(x), float(y))
    best = float(optimal(BESIROGLU, state.flop).parameters)
    sizes = ends(left, 0.05 * best, 20 * best)
    mine = (x - 12, y - 12, 24, 24)
    budget = ends(right, LEAST, MOST)
    exponents = (math.log10(LEAST), math.log10(MOST))
    top, x = place(right, state.flop, right.get_ylim()[1])[1], place(right, state.flop, 1e10)[0]
    name = "your model's size, in units of the best"
    line = (x - 10, top, 20, 40)
    return [
        Handle(*mine, name, "times", state.times, (0.05, 20), sizes, log=True),
        Handle(*line, "budget, 10^", "exponent", state.exponent, exponents, budget, step=0.01),
    ]
