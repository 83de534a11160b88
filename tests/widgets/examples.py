"""Two widgets that use every kind of control and both kinds of picture; the bench times them."""

from dataclasses import dataclass, replace

import numpy as np

from lib.display import PALETTE, visible
from lib.widgets import (
    Button,
    Drawing,
    DrawingPicture,
    Dropdown,
    Explorer,
    FigurePicture,
    FloatSlider,
    IntSlider,
    LogSlider,
    Rectangle,
    Reorder,
    Text,
    TextInput,
    Toggle,
)


@dataclass(frozen=True)
class Panels:
    """State of the three panels."""

    temperature: float = 1.0
    row: int = 0
    rate: float = 0.01
    causal: bool = True


def three_panels() -> Explorer:
    """50 bars, a heatmap of 16 by 16 and a line of 200 points."""
    random = np.random.default_rng(0)
    logits, scores = random.normal(size=50) * 2, random.normal(size=(16, 16))
    steps = np.arange(200)

    def softmax(x):
        weights = np.exp(x - x.max(-1, keepdims=True))
        return weights / weights.sum(-1, keepdims=True)

    def attention(state):
        mask = np.tril(np.ones((16, 16))) if state.causal else np.ones((16, 16))
        return softmax(np.where(mask > 0, scores / state.temperature, -np.inf))

    def build(figure):
        left, middle, right = figure.subplots(1, 3)
        bars = left.bar(range(50), np.zeros(50), color=PALETTE["blue"])
        left.set(ylim=(0, 1), xlabel="token id", ylabel="probability", title="Next token")
        image = middle.imshow(np.zeros((16, 16)), vmin=0, vmax=1)
        middle.set(xlabel="key", ylabel="query", title="Weights")
        frame = middle.axhspan(-0.5, 0.5, fill=False, edgecolor=PALETTE["red"])
        (line,) = right.plot(steps, steps * 0.0)
        right.set(ylim=(0, 1), xlabel="step", ylabel="loss (nats)", title="Loss")
        return {"bars": list(bars), "image": image, "frame": frame, "line": line}

    def draw(artists, state):
        for bar, height in zip(artists["bars"], softmax(logits / state.temperature), strict=True):
            bar.set_height(height)
        artists["image"].set_data(attention(state))
        artists["frame"].set_y(state.row - 0.5)
        artists["line"].set_ydata(np.exp(-state.rate * steps))

    def describe(state):
        row = attention(state)[state.row]
        return f"Query {state.row} attends most to key {row.argmax()}, with weight {row.max():.2f}."

    return Explorer(
        Panels(),
        [
            FloatSlider("temperature", "temperature", "Divides the logits.", 0.1, 2.0, step=0.05),
            IntSlider("row", "query", "The query that is marked.", 0, 15, play_ms=300),
            LogSlider("rate", "learning rate", "Scales each step.", 1e-4, 1.0, unit="per step"),
            Toggle("causal", "causal mask", "Hides keys to the right of the query."),
            Button(
                "next", "Next query", "Marks the next query.", lambda s: replace(s, row=s.row + 1)
            ),
        ],
        FigurePicture(build, draw, size=(10, 3)),
        describe,
    )


@dataclass(frozen=True)
class Tokens:
    """State of the row of tokens."""

    text: str = "The capital of France"
    position: int = 0
    unit: str = "character"
    order: tuple[str, ...] = ("temperature", "top-k", "top-p")


UNITS = {"character": list, "word": str.split, "byte": lambda text: [str(b) for b in text.encode()]}


def tokens() -> Explorer:
    """A text cut into units, one of them marked."""

    def cut(state):
        return UNITS[state.unit](state.text) or ["(nothing)"]

    def draw(state):
        shapes, x, y = [], 4, 20
        for i, piece in enumerate(cut(state)):
            shown = visible(piece)
            width = 12 + 9 * len(shown)
            if x + width > 716:
                x, y = 4, y + 30
            fill = PALETTE["orange"] if i == state.position else "#EEEEEE"
            shapes.append(Rectangle(x, y - 12, width, 24, fill, tip=f"{i}: {shown}"))
            shapes.append(Text(x + width / 2, y, shown, anchor="middle", mono=True))
            x += width + 4
        shapes.append(Text(4, y + 40, " → ".join(state.order), bold=True))
        return Drawing(720, y + 60, shapes)

    return Explorer(
        Tokens(),
        [
            TextInput("text", "text", "Cut into units.", max_length=60),
            Dropdown("unit", "unit", "What the text is cut into.", list(UNITS)),
            IntSlider(
                "position", "position", "The unit that is marked.", 0, lambda s: len(cut(s)) - 1
            ),
            Reorder("order", "order of filters", "Filters run from top to bottom."),
        ],
        DrawingPicture(draw),
        lambda state: f"{len(cut(state))} units; unit {state.position} is marked.",
    )
