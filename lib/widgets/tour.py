"""The tour's widget: a prompt, the rank of the final tokens after each layer, one head's weights.

After each layer the model is asked for its next token as if it were the last (the logit lens,
nostalgebraist, 2020). The tokens followed are the five that the whole model holds likeliest.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from lib.display import GRAY, PALE, PALETTE, Drawing, Line, Rectangle, Shape, Text, visible
from lib.model import LanguageModel
from lib.model.inspection import head_weights
from lib.settings import require_kind
from lib.tokenization import BPETokenizer
from lib.widgets.choices import TextInput
from lib.widgets.controls import IntSlider
from lib.widgets.explorer import Explorer
from lib.widgets.pictures import DrawingPicture
from lib.widgets.qkv_drawing import short
from lib.widgets.tasks import Task
from lib.widgets.touch import Handle, Spot

PROMPTS = (
    "The capital of France is",
    "My favorite food is",
    "2 + 2 =",
    "Once upon a time there was",
)
MOST_TOKENS, FOLLOWED = 12, 5
TASKS = (
    Task("After 15 of 30 layers: what rank does the final token have?", {"layers": 15}),
    Task("Another prompt, “2 + 2 =”: is the answer decided earlier?", {"prompt": "2 + 2 ="}),
)
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 720, 62, 470, 40, 246  # px, of the curves
BAR_TOP, ROW = 304, 22
COLORS = ("blue", "red", "green", "purple", "black")


@dataclass(frozen=True)
class State:
    """The prompt, how many layers have run, and the head of the layer after them."""

    prompt: str = PROMPTS[0]
    layers: int = 23
    head: int = 4


@dataclass(frozen=True)
class Run:
    """What the model does with a prompt; ranks begin at 1, layers run at 0."""

    tokens: tuple[str, ...]
    left_out: int
    followed: tuple[str, ...]
    ranks: tuple[tuple[int, ...], ...]  # for each followed token, after 0, 1, ... layers
    best: tuple[tuple[tuple[str, float], ...], ...]  # (token, probability) after 0, 1, ... layers
    weights: Float[Tensor, "L H T"]  # of the last token


@torch.inference_mode()
def run(model: LanguageModel, tokenizer: BPETokenizer, prompt: str) -> Run:
    """Run a prompt, cut to 12 tokens; an empty one begins after the end-of-text token."""
    ids = tokenizer.encode(prompt) or [tokenizer.eos_id or 0]
    shown = torch.tensor([ids[-MOST_TOKENS:]])
    lens = model.unembed(model.residual_stream(shown)[:, 0, -1]).float().softmax(dim=-1)
    name = lambda i: visible(tokenizer.decode([int(i)]))  # noqa: E731
    followed = lens[-1].topk(FOLLOWED).indices
    ranks = [((lens > lens[:, [i]]).sum(dim=-1) + 1).tolist() for i in followed.tolist()]
    top = lens.topk(FOLLOWED)
    best = [
        tuple((name(i), p) for i, p in zip(ids_, ps, strict=True))
        for ids_, ps in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]
    return Run(
        tuple(map(name, shown[0])),
        max(0, len(ids) - MOST_TOKENS),
        tuple(map(name, followed)),
        tuple(map(tuple, ranks)),
        tuple(best),
        head_weights(model, shown)[:, 0, :, -1].float(),
    )


def tour_explorer(
    model: LanguageModel, tokenizer: BPETokenizer, state: State | None = None
) -> Explorer:
    """The widget. It follows the five likeliest next tokens of a text that the reader types."""
    require_kind("model", model, LanguageModel)
    require_kind("tokenizer", tokenizer, BPETokenizer)
    n_layers, n_heads = model.config.n_layers, model.config.n_heads
    result = lru_cache(maxsize=16)(lambda prompt: run(model, tokenizer, prompt))

    def cut(state: State) -> str:
        left_out = result(state.prompt).left_out
        return f"Only the last {MOST_TOKENS} tokens are read." if left_out else ""

    controls = [
        TextInput("prompt", "text", "Press Enter when done.", 200, examples=PROMPTS, cut=cut),
        IntSlider("layers", "layers run", "Before the model is asked.", 0, n_layers, play_ms=300),
        IntSlider("head", "head", "Of the layer that runs next.", 0, n_heads - 1),
    ]
    usual = State(layers=min(23, n_layers - 1), head=min(4, n_heads - 1))
    start = usual if state is None else state
    require_kind("state", start, State)
    return Explorer(
        start,
        controls,
        DrawingPicture(lambda s: draw(result(s.prompt), s), WIDTH),
        lambda s: describe(result(s.prompt), s),
        TASKS if n_layers >= 15 else (),
    )


def next_layer(found: Run, state: State) -> int:
    """The layer that runs next, or the last one."""
    return min(state.layers, len(found.weights) - 1)


def describe(found: Run, state: State) -> str:
    """The numbers of the picture in words."""
    (name, p), rank = found.best[state.layers][0], found.ranks[0][state.layers]
    weights = found.weights[next_layer(found, state), state.head]
    most = int(weights.argmax())
    return (
        f"After {state.layers} layers the first choice is “{name}” with {p:.1%}; “"
        f"{found.followed[0]}”, the whole model's, has rank {rank:,}. Head {state.head} of layer "
        f"{next_layer(found, state)} gives {weights[most]:.0%} of the last token's weight to "
        f"“{found.tokens[most]}”."
    )


def draw(found: Run, state: State) -> Drawing:
    """Ranks by layer, the choices at the marked layer, and the weights of one head."""
    heads = found.weights.shape[1]
    height = BAR_TOP + ROW * len(found.tokens) + 12
    shapes = [*_curves(found, state), *_choices(found, state), *_weights(found, state)]
    return Drawing(WIDTH, max(height, BAR_TOP + 26 * ((heads + 8) // 9) + 40), shapes)


def _curves(found: Run, state: State) -> list[Shape]:
    last = len(found.ranks[0]) - 1
    lowest = max(1.0, math.log10(max(map(max, found.ranks))))
    x_of = lambda n: LEFT + (RIGHT - LEFT) * n / max(last, 1)  # noqa: E731
    y_of = lambda rank: TOP + (BOTTOM - TOP) * math.log10(rank) / lowest  # noqa: E731
    shapes: list[Shape] = [Text(8, 16, "Rank of the five likeliest, layer by layer", 14, bold=True)]
    for decade in range(int(lowest) + 1):
        y = y_of(10**decade)
        shapes += [
            Line([(LEFT, y), (RIGHT, y)], PALE),
            Text(LEFT - 6, y, f"{10**decade:,}", 11, GRAY, "end"),
        ]
    for n in range(0, last + 1, 5):
        shapes.append(Text(x_of(n), BOTTOM + 14, str(n), 11, GRAY, "middle"))
    shapes.append(Text(RIGHT, BOTTOM + 30, "layers run", 11, GRAY, "end"))
    for ranks, color in zip(reversed(found.ranks), reversed(COLORS), strict=True):
        points = [(x_of(n), y_of(rank)) for n, rank in enumerate(ranks)]
        shapes.append(Line(points, PALETTE[color], 2.5 if color == COLORS[0] else 1.2))
    x = x_of(state.layers)
    grip = (x - 12, TOP - 10, 24, BOTTOM - TOP + 16)
    across = (LEFT, RIGHT)
    return [
        *shapes,
        Line([(x, TOP - 8), (x, BOTTOM)], PALETTE["orange"], 2),
        Handle(*grip, "layers run", "layers", state.layers, (0, last), across, step=1),
    ]


def _choices(found: Run, state: State) -> list[Shape]:
    """The five followed tokens at the marked layer, and the first choices there."""
    x, n = RIGHT + 22, state.layers
    shapes: list[Shape] = [Text(x, 16, f"after {n} layers", 13, bold=True)]
    for row, (name, ranks) in enumerate(zip(found.followed, found.ranks, strict=True)):
        y, color = 40 + 20 * row, PALETTE[COLORS[row]]
        shapes += [
            Line([(x, y), (x + 16, y)], color, 2.5 if row == 0 else 1.2),
            Text(x + 22, y, short(name, 110, 12), 12, mono=True, bold=row == 0),
            Text(WIDTH - 8, y, f"rank {ranks[n]:,}", 12, anchor="end"),
        ]
    shapes.append(Text(x, 158, "its first choices", 13, bold=True))
    for row, (name, p) in enumerate(found.best[n]):
        y = 182 + 20 * row
        shapes += [
            Text(x, y, short(name, 110, 12), 12, mono=True),
            Rectangle(x + 122, y - 7, 60 * p, 14, PALETTE["blue"]),
            Text(WIDTH - 8, y, f"{p:.1%}", 12, anchor="end"),
        ]
    return shapes


def _weights(found: Run, state: State) -> list[Shape]:
    """Where the last token's heads look: a bar for each token, a button for each head."""
    layer = next_layer(found, state)
    weights = found.weights[layer, state.head].tolist()
    title = f"Layer {layer}, head {state.head}: where “{found.tokens[-1]}” looks"
    shapes: list[Shape] = [Text(8, BAR_TOP - 14, title, 14, bold=True)]
    for i, (token, weight) in enumerate(zip(found.tokens, weights, strict=True)):
        y = BAR_TOP + ROW * (i + 0.5)
        shapes += [
            Text(100, y, short(token, 90, 12), 12, anchor="end", mono=True),
            Rectangle(108, y - 7, max(300 * weight, 0.5), 14, PALETTE["orange"]),
            Text(416, y, f"{weight:.0%}", 12),
        ]
    for head in range(found.weights.shape[1]):
        box = (RIGHT + 22 + 25 * (head % 9), BAR_TOP + 26 * (head // 9), 22, 22)
        chosen = head == state.head
        edge = {"edge": PALETTE["red"] if chosen else GRAY, "edge_width": 2.5 if chosen else 1}
        shapes += [
            Rectangle(*box, fill="white", **edge),
            Text(box[0] + 11, box[1] + 11, str(head), 12, anchor="middle", bold=chosen),
            Spot(*box, f"show head {head}", {"head": head}, chosen),
        ]
    shapes.append(Text(RIGHT + 22, BAR_TOP - 14, "heads of this layer", 12))
    return shapes
