"""The normalization widget: one vector, moved and stretched, and what each norm makes of it."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lib.display import GRAY, PALE, PALETTE, Drawing, Line, Rectangle, Shape, Text
from lib.model.normalization import BatchNorm, DynamicTanh, LayerNorm, RMSNorm
from lib.widgets.choices import Dropdown
from lib.widgets.controls import FloatSlider
from lib.widgets.explorer import Explorer
from lib.widgets.pictures import DrawingPicture
from lib.widgets.tasks import Task
from lib.widgets.touch import Handle, Spot

WIDTH, ROW, TOP = 720, 74, 42  # CSS pixels
LEFT, BAR, REACH = 160, 38, 30  # where bars begin, from bar to bar, height of the largest
FEATURES = 8
TASKS = (
    Task("The shift grows to 5. Which norm's bars stay as they are?", {"shift": 5.0}),
    Task("One feature gets 40 more. What happens to the other seven?", {"outlier": 40.0}),
)
# The vector, and the three other tokens of BatchNorm's batch: standard deviation near 1.
VECTOR = (1.2, -0.4, 0.7, -1.5, 0.3, -0.9, 1.6, -0.6)
OTHERS = (
    (0.9, -1.1, 0.2, 0.8, -1.3, 0.5, -0.2, 1.4),
    (-0.7, 0.6, -1.6, 0.4, 1.1, -0.3, 0.9, -1.0),
    (-1.2, 1.0, 0.5, -0.8, -0.4, 1.5, -1.1, 0.6),
)


@dataclass(frozen=True)
class State:
    """scale * vector + shift, with `outlier` added to the third feature; alpha of Dynamic Tanh."""

    shift: float = 1.5
    scale: float = 1.0
    outlier: float = 0.0
    alpha: float = 0.5
    batch: str = "still"


def vector(state: State) -> Float[Tensor, "C"]:
    """The vector that the norms receive."""
    x = state.scale * torch.tensor(VECTOR) + state.shift
    x[2] += state.outlier
    return x


@torch.no_grad()
def normalized(state: State) -> dict[str, Float[Tensor, "C"]]:
    """What each norm makes of it, with gain 1 and no shift of its own.

    BatchNorm, in training, sees three more tokens: as they are, or moved like the vector.
    """
    x, others = vector(state), torch.tensor(OTHERS)
    if state.batch == "moved":
        others = state.scale * others + state.shift
    return {
        "LayerNorm": LayerNorm(FEATURES)(x),
        "RMSNorm": RMSNorm(FEATURES)(x),
        "BatchNorm": BatchNorm(FEATURES).train()(torch.cat([x[None], others]))[0],
        "Dynamic Tanh": DynamicTanh(FEATURES, state.alpha)(x),
    }


def normalization_explorer() -> Explorer:
    """Sliders for shift, scale and an outlier; bars before and after each of four norms."""
    controls = [
        FloatSlider("shift", "shift", "Added to every feature.", -5.0, 5.0, step=0.1),
        FloatSlider("scale", "scale", "Multiplies every feature.", 0.1, 5.0, step=0.1),
        FloatSlider("outlier", "outlier", "Added to the third feature alone.", -40.0, 40.0, step=1),
        FloatSlider("alpha", "alpha", "The slope of Dynamic Tanh.", 0.1, 2.0, step=0.1),
        Dropdown(
            "batch",
            "other tokens",
            "What BatchNorm's other three tokens do.",
            (("stay as they are", "still"), ("are moved alike", "moved")),
        ),
    ]
    return Explorer(State(), controls, DrawingPicture(draw, WIDTH), describe, TASKS)


def draw(state: State) -> Drawing:
    """One row of bars for the vector, and one for each norm."""
    rows = {"the vector": vector(state)} | normalized(state)
    unmoved = normalized(State(shift=0.0, alpha=state.alpha))
    shapes = [
        Text(LEFT + FEATURES * BAR + 22, 18, "mean", 11, GRAY),
        Text(LEFT + FEATURES * BAR + 96, 18, "root mean square", 11, GRAY),
        Text(LEFT, 18, "outlines: shift 0, scale 1, no outlier", 11, GRAY),
    ]
    for i, (name, values) in enumerate(rows.items()):
        before = torch.tensor(VECTOR) if i == 0 else unmoved[name]
        shapes += row(TOP + i * ROW, name, values, before)
    return Drawing(WIDTH, TOP + len(rows) * ROW, shapes + touch(state))


def touch(state: State) -> list[Shape]:
    """The third bar can be pulled up and down; a click on BatchNorm moves its other tokens too."""
    middle, x = TOP + ROW / 2 - 4, LEFT + 2 * BAR
    at, y = (middle + REACH, middle - REACH), middle - REACH * state.outlier / 40
    grip = (x - 7, y - 10, BAR, 20)
    batch = (4, TOP + 3 * ROW, LEFT - 14, ROW - 8)
    other, name = ("still", "leave") if state.batch == "moved" else ("moved", "move")
    return [
        Handle(*grip, "outlier", "outlier", state.outlier, (-40, 40), at, "y", step=1),
        Spot(*batch, f"{name} BatchNorm's other tokens", {"batch": other}),
    ]


def row(top: int, name: str, values: Float[Tensor, "C"], before: Float[Tensor, "C"]) -> list[Shape]:
    """A row of bars around a zero line; the largest number fills its height."""
    middle = top + ROW / 2 - 4
    largest = max(values.abs().max().item(), before.abs().max().item(), 1e-9)
    rms, mean = values.square().mean().sqrt().item(), round(values.mean().item(), 2)
    same = torch.allclose(values, before, atol=0.02)
    color = PALETTE["black"] if name == "the vector" else PALETTE["blue"]
    shapes: list[Shape] = [
        Text(10, middle - 8, name, 14, bold=True),
        Text(10, middle + 10, f"bars up to ±{largest:.2f}", 11, GRAY),
        Line([(LEFT - 6, middle), (LEFT + FEATURES * BAR, middle)], GRAY),
    ]
    for i, (value, old) in enumerate(zip(values.tolist(), before.tolist(), strict=True)):
        x = LEFT + i * BAR
        height, outline = REACH * value / largest, REACH * old / largest
        tip = f"feature {i + 1}: {value:.3f}, unmoved {old:.3f}"
        shapes.append(Rectangle(x, middle - max(height, 0), BAR - 14, abs(height), color, tip=tip))
        box = (x - 3, middle - max(outline, 0), BAR - 8, abs(outline))
        shapes.append(Rectangle(*box, edge=PALETTE["orange"], edge_width=1.5, tip=tip))
    x = LEFT + FEATURES * BAR
    shapes += [
        Text(x + 22, middle, f"{mean + 0.0:.2f}", 13),
        Text(x + 96, middle, f"{rms:.2f}", 13),
    ]
    if name != "the vector":
        word = "as before" if same else "changed"
        shapes.append(Text(x + 168, middle, word, 11, GRAY, bold=not same))
        shapes.append(Line([(10, top - 4), (WIDTH - 10, top - 4)], PALE))
    return shapes


def describe(state: State) -> str:
    """The numbers of the picture in two sentences."""
    x = vector(state)
    sizes = {name: v.square().mean().sqrt().item() for name, v in normalized(state).items()}
    mean, rms = x.mean().item(), x.square().mean().sqrt().item()
    share = mean**2 / max(rms**2, 1e-12)
    after = ", ".join(f"{name} {size:.2f}" for name, size in sizes.items())
    spread = math.sqrt(max(rms**2 - mean**2, 0.0))
    return (
        f"The vector has mean {mean:.2f}, standard deviation {spread:.2f} and root mean square "
        f"{rms:.2f}; its mean is {share:.0%} of its square. Root mean square after: {after}."
    )
