"""The picture of the query-key-value widget: a table of six steps, and all heads below it.

Columns are lined up so that the picture explains itself: the query stands above the keys that it is
multiplied with, the output below the values that it is a mixture of.
"""

from functools import lru_cache
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from lib.display import GRAY, PALE, PALETTE, Drawing, Line, Rectangle, Text, text_width
from lib.widgets.qkv_steps import Layer, Row, State, attend
from lib.widgets.touch import Handle, Revealed, Spot

Array = np.ndarray
WIDTH, ROW = 800, 25  # CSS pixels
TOP, BOTTOM = 104, 58  # above the first key, below the last one
VECTOR = 158  # width of a vector
TOKEN_END, KEY, SCORE, SCALED, MASKED, BAR, WEIGHT, VALUE = 100, 108, 322, 386, 446, 460, 626, 636
BAR_WIDTH = 116
FAINT = "#707070"
MOST_NUMBERS = 8  # a vector of more components is drawn as bars
SMALL = 0.01  # a weight below it leaves its cell white


def qkv_drawing(layer: Layer, state: State) -> Drawing:
    """The whole picture of one state."""
    row, weights = attend(layer, state)
    n = len(layer.tokens)
    table_end = TOP + n * ROW + BOTTOM
    shapes = [*_head(layer, state, row), *_keys(layer, state, row)]
    if state.step >= 2:
        shapes += _numbers(state, row, layer)
    if state.step >= 5:
        shapes += _weights(row, layer)
    if state.step >= 6:
        shapes += _values(layer, state, row)
    strip, height = _all_heads(weights, layer, state, table_end)
    shapes += strip + _touch(layer, state, row)
    return Drawing(WIDTH, round(table_end + height), shapes)


def _touch(layer: Layer, state: State, row: Row) -> list:
    """Tokens to make the query, steps to unfold to, keys that show their product, a component."""
    shapes: list = []
    ends = (KEY, SCORE - 50, SCALED - 58, MASKED - 50, BAR, WEIGHT + 4, WIDTH - 4)
    for step, (left, right) in enumerate(pairwise(ends), start=1):
        name, chosen = f"unfold to step {step}", step == state.step
        shapes.append(Spot(left, 34, right - left, 34, name, {"step": step}, chosen))
    size = _size(layer.key[state.head].numpy() * row.query)
    for i, token in enumerate(layer.tokens):
        top, chosen = _middle(i) - ROW / 2, i == state.query
        name = f"make “{token}”, token {i}, the query"
        shapes.append(Spot(4, top, KEY - 8, ROW, name, {"query": i}, chosen))
        name = f"the query times the key of “{token}”"
        shapes.append(Spot(KEY - 2, top, VECTOR + 4, ROW, name, reveals=f"key {i}"))
    for i in range(len(layer.tokens)):
        shapes.append(Revealed(f"key {i}", _product(layer, state, row, i, size)))
    width = VECTOR / len(row.query)
    first, last = KEY + width / 2, KEY + VECTOR - width / 2
    middle = KEY + (state.component + 0.5) * width
    values = (0, len(row.query) - 1)
    name = "component of the query"
    grip = (middle - 10, 70, 20, ROW + 2)
    return [
        *shapes,
        Handle(*grip, name, "component", state.component, values, (first, last), step=1),
    ]


def _product(layer: Layer, state: State, row: Row, key: int, size: float) -> list:
    """The products of the query's and one key's components, in a box beside the key."""
    x, y = KEY + VECTOR + 8, _middle(key) - ROW - 2
    product = row.query * layer.key[state.head, key].numpy()
    name = short(layer.tokens[key], 70, 11)
    text = f"q × k of “{name}”: they sum to {_signed(float(product.sum()))}"
    return [
        Rectangle(x - 4, y - 14, 268, 62, "#FFFFFF", edge=PALETTE["orange"]),
        Text(x + 2, y, text, size=11, bold=True),
        *_vector(product, x + 44, y + 26, size, PALETTE["purple"]),
    ]


def _middle(key: int) -> float:
    return TOP + (key + 0.5) * ROW


def _head(layer: Layer, state: State, row: Row) -> list:
    """Title, column heads, and the query above the keys."""
    where = "the toy" if state.source == "toy" else f"layer {state.layer}"
    best = int(row.weights.argmax())
    title = f"Head {state.head} of {where}: “{short(layer.tokens[state.query], 120, 15)}”"
    if state.step >= 5:
        title += f" takes {row.weights[best]:.0%} from “{short(layer.tokens[best], 120, 15)}”"
    d_head = layer.query.shape[-1]
    scale = "" if state.scale == 1 else f"{state.scale:g} "
    columns = [
        (KEY, "start", "1 query and keys", "q over every k"),
        (SCORE, "end", "2 score", "q · k"),
        (SCALED, "end", "3 scaled", f"× {scale}/√{d_head}" if scale else f"/ √{d_head}"),
        (MASKED, "end", "4 mask", _mask_name(state)),
        (BAR, "start", "5 weight", "softmax: sums to 100%"),
        (VALUE, "start", "6 values", "mixed by weight"),
    ]
    shapes = [Text(10, 16, title, size=15, bold=True)]
    for step, (x, anchor, name, formula) in enumerate(columns, start=1):
        color = "#222222" if step <= state.step else FAINT
        shapes.append(Text(x, 44, name, size=12, color=color, anchor=anchor, bold=True))
        shapes.append(Text(x, 60, formula, size=11, color=color, anchor=anchor))
    shapes.append(Rectangle(KEY - 2, 70, VECTOR + 4, ROW + 2, fill="#FFF4DC"))
    shapes.append(Text(TOKEN_END, 83, "query q", size=12, anchor="end", bold=True))
    shapes += _vector(row.query, KEY, 83, _size(row.query), PALETTE["red"])
    shapes.append(Line([(10, TOP - 4), (WIDTH - 6, TOP - 4)], color=PALE))
    return shapes


def _mask_name(state: State) -> str:
    if state.window:
        return f"last {state.window}" if state.causal else f"±{state.window - 1}"
    return "causal" if state.causal else "none"


def _keys(layer: Layer, state: State, row: Row) -> list:
    """Token names and keys; a line through the chosen component."""
    keys, n = layer.key[state.head].numpy(), len(layer.tokens)
    size, shapes = _size(keys), []
    shapes.append(Rectangle(4, _middle(state.query) - ROW / 2, WIDTH - 10, ROW, fill="#FFF4DC"))
    width = VECTOR / keys.shape[1]
    x = KEY + (state.component + 0.5) * width
    if keys.shape[1] > MOST_NUMBERS:
        shapes.append(Line([(x, 70), (x, TOP + n * ROW)], color=PALETTE["orange"], width=2))
    for i, token in enumerate(layer.tokens):
        hidden = state.step >= 4 and np.isinf(row.masked[i])
        color = FAINT if hidden else "#222222"
        name = short(token, TOKEN_END - 10, 12)
        shapes.append(
            Text(TOKEN_END, _middle(i), name, size=12, anchor="end", color=color, mono=True)
        )
        shapes += _vector(keys[i], KEY, _middle(i), size, FAINT if hidden else PALETTE["blue"])
    if keys.shape[1] <= MOST_NUMBERS:
        left = x - width / 2
        shapes.append(
            Rectangle(left, 71, width, TOP + n * ROW - 72, edge=PALETTE["orange"], edge_width=2)
        )
    at, best = state.component, int(row.weights.argmax())
    moved = f" ({_signed(state.shift)} is yours)" if state.shift else ""
    adds = _signed(float(row.query[at] * keys[best, at]))
    name = short(layer.tokens[best], 70, 11)
    note = f"component {at} of q: {_signed(float(row.query[at]))}{moved}; adds {adds} to “{name}”"
    shapes.append(Text(KEY, TOP + n * ROW + 14, note, size=11, color="#8A5A00"))
    return shapes


def _numbers(state: State, row: Row, layer: Layer) -> list:
    """Scores, scaled scores and masked scores, as far as the step goes."""
    shapes = []
    columns = [(SCORE, row.scores), (SCALED, row.scaled), (MASKED, row.masked)]
    for x, values in columns[: state.step - 1]:
        for i, value in enumerate(values.tolist()):
            hidden = state.step >= 4 and np.isinf(row.masked[i])
            text = "−∞" if np.isinf(value) else _signed(value)
            color = FAINT if hidden else "#222222"
            shapes.append(Text(x, _middle(i), text, size=12, anchor="end", color=color))
    return shapes


def _weights(row: Row, layer: Layer) -> list:
    """Bars and percentages."""
    shapes = [Line([(BAR, TOP), (BAR, TOP + len(layer.tokens) * ROW)], color=GRAY)]
    for i, weight in enumerate(row.weights.tolist()):
        if weight == 0:
            continue
        y, width = _middle(i), BAR_WIDTH * float(weight)
        shapes.append(Rectangle(BAR, y - 8, max(width, 0.5), 16, fill=PALETTE["blue"]))
        shapes.append(Text(WEIGHT, y, f"{weight:.1%}", size=12, anchor="end"))
    return shapes


def _values(layer: Layer, state: State, row: Row) -> list:
    """Values, darker the more weight they have, and the output below them."""
    values, n = layer.value[state.head].numpy(), len(layer.tokens)
    size, shapes = _size(values), []
    for i, value in enumerate(values):
        shapes += _vector(
            value, VALUE, _middle(i), size, _shade(0.25 + 0.75 * float(row.weights[i]))
        )
    y = TOP + n * ROW + 24
    shapes.append(Line([(VALUE, y - 18), (VALUE + VECTOR, y - 18)], color=GRAY))
    shapes.append(Rectangle(VALUE - 2, y - ROW / 2 - 1, VECTOR + 4, ROW + 2, fill="#FFF4DC"))
    shapes.append(
        Text(VALUE - 10, y, "output = Σ weight × value", size=12, anchor="end", bold=True)
    )
    shapes += _vector(row.output, VALUE, y, size, PALETTE["red"])
    return shapes


def _vector(
    vector: Float[Array, "D"], x: float | int, y: float | int, size: float, color: str
) -> list[Line | Text | Rectangle]:
    """A few components as numbers, many as bars up and down from a line; clipped at `size`."""
    width = VECTOR / len(vector)
    if len(vector) <= MOST_NUMBERS:
        return [
            Text(x + (i + 0.5) * width, y, _signed(v), size=12, anchor="middle", color=color)
            for i, v in enumerate(vector.tolist())
        ]
    heights = np.clip(vector / size, -1, 1) * (ROW / 2 - 2)
    points = []
    for i, height in enumerate(heights):
        at = x + (i + 0.5) * width
        points += [(at, y), (at, y - float(height)), (at, y)]
    base = Line([(x, y), (x + VECTOR, y)], color=PALE)
    return [base, Line(points, color=color, width=max(1.0, 0.55 * width))]


def _size(vectors: Array) -> float:
    """What counts as large: nearly the largest, so that one outlier does not flatten all."""
    return float(np.quantile(np.abs(vectors), 0.98)) or 1.0


def _all_heads(
    weights: Float[Array, "H T T"], layer: Layer, state: State, top: float | int
) -> tuple[list, float | int]:
    """Small multiples: the weights of every head; the chosen query's row framed."""
    n_heads, n, _ = weights.shape
    step = min(108.0, (WIDTH - 10) / n_heads)
    side = min(78.0, step - 8)
    cell, y = side / n, top + 44
    shapes = [
        Line([(10, top), (WIDTH - 6, top)], color=PALE),
        Text(10, top + 14, "All heads of this layer", size=12, bold=True),
        Text(
            164,
            top + 14,
            "one row a query, one column a key; below, where the framed query looks most",
            size=11,
            color=GRAY,
        ),
    ]
    for head in range(n_heads):
        x, chosen = 10 + head * step, head == state.head
        edge = PALETTE["red"] if chosen else "#BBBBBB"
        shapes.append(Text(x, y - 10, f"head {head}", size=11, bold=chosen))
        shapes.append(Rectangle(x, y, side, side, fill="white"))
        for i, j in np.argwhere(weights[head] > SMALL):
            shade = _shade(float(weights[head, i, j]))
            shapes.append(Rectangle(x + j * cell, y + i * cell, cell, cell, fill=shade))
        shapes.append(Rectangle(x, y, side, side, edge=edge, edge_width=2.5 if chosen else 1))
        frame = y + state.query * cell
        shapes.append(Rectangle(x, frame, side, cell, edge=PALETTE["orange"], edge_width=1.5))
        best = int(weights[head, state.query].argmax())
        name = short(layer.tokens[best], side - 34, 10)
        share = f"{weights[head, state.query, best]:.0%}"
        shapes.append(Text(x, y + side + 11, name, size=10, mono=True))
        shapes.append(Text(x + side, y + side + 11, share, size=10, anchor="end"))
        box = (x - 2, y - 18, side + 4, side + 36)
        shapes.append(Spot(*box, f"show head {head}", {"head": head}, chosen))
    return shapes, 44 + side + 26


@lru_cache(maxsize=1)
def _shades() -> list[str]:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["Blues"](0.08 + 0.92 * i / 63)) for i in range(64)]


def _shade(weight: float) -> str:
    return _shades()[round(63 * min(max(weight, 0.0), 1.0))]


def _signed(value: float) -> str:
    text = f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
    return text.replace("-", "−")


@lru_cache(maxsize=1024)
def short(text: str, width: float | int, size: float | int) -> str:
    """The text, cut with an ellipsis where it would be wider than `width` pixels."""
    if text_width(text, size, mono=True) <= width:
        return text
    while text and text_width(text + "…", size, mono=True) > width:
        text = text[:-1]
    return text + "…"
