"""Attention in pictures: its four steps on the toy, heads split and merged, groups of queries."""

import torch

from lib.diagrams.diagram import (
    GREEN,
    TINTS,
    WIDTH,
    Diagram,
    Number,
    Shape,
    arrow,
    box,
    cells,
    note,
    shade,
    thousands,
)
from lib.display import Line, Text
from lib.model import ModelConfig
from lib.model.attention import attention_steps
from lib.model.cache import kv_elements_per_token
from lib.model.toy import Toy, color_toy

HEAD_TINTS = ("#CFE3F2", "#FBE3B8", "#CFEADF", "#F0D9E6", "#E4E4E4", "#FFFFFF")


def four_steps(toy: Toy | None = None, head: int = 0) -> Diagram:
    """Scores, scaled, masked, softmax; then the weights times the values: one head of the toy.

    Every number is one that `attention_steps` gives for the toy's words.
    """
    toy = toy or color_toy()
    steps = attention_steps(*toy.project())
    weights = steps.weights[0, head]
    width = steps.query.shape[-1] ** 0.5
    grids = [
        ("1  scores: Q Kᵀ", steps.scores, None),
        (f"2  divided by √D = {width:g}", steps.scaled, None),
        ("3  masked", steps.masked, None),
        ("4  softmax: weights", steps.weights, weights),
        ("times the values V", steps.value, None),
        ("the head's output", steps.head_output, None),
    ]
    shapes: list[Shape] = []
    for place, (title, tensor, filled) in enumerate(grids):
        x, y = 52 + 186 * (place % 3), 34 + 190 * (place // 3)
        shapes.append(Text(x, y - 14, title, 13, bold=True))
        shapes += _grid(tensor[0, head], x, y, 36, 30, filled)
        if place % 3 == 0:
            for row, word in enumerate(toy.words):
                shapes.append(Text(x - 6, y + 15 + 30 * row, word, 13, anchor="end"))
        if place < 4:
            for column, word in enumerate(toy.words):
                shapes.append(note(x + 18 + 36 * column, y + 129, word, 11, "middle"))
        if place % 3:
            sign = "=" if place == 5 else "×" if place == 4 else ""
            at = (x - 21, y + 60)
            if sign:
                shapes.append(Text(*at, sign, 18, anchor="middle", bold=True))
            else:
                shapes += arrow([(x - 34, at[1]), (x - 6, at[1])])
    best = ", ".join(
        f"{word} puts {float(row.max()):.2f} on {toy.words[int(row.argmax())]}"
        for word, row in zip(toy.words, weights, strict=True)
    )
    alt = f"The four steps of attention for {len(toy.words)} words as tables of numbers: {best}."
    return Diagram(WIDTH, 374, shapes, alt=alt)


def _grid(
    tensor: torch.Tensor,
    x: Number,
    y: Number,
    width: Number,
    height: Number,
    filled: torch.Tensor | None,
) -> list[Shape]:
    texts = [["−∞" if v == -torch.inf else f"{v:.3g}" for v in row] for row in tensor.tolist()]
    texts = [[t[1:] if t.startswith("0.") else t for t in row] for row in texts]
    if filled is not None:
        texts = [[f"{v:.2f}".replace("0.", ".") for v in row] for row in tensor.tolist()]
        fills = [[shade(0.75 * v) for v in row] for row in filled.tolist()]
        return cells(x, y, texts, width, height, fills)
    gray = [["#D0D0D0" if text == "−∞" else "#FFFFFF" for text in row] for row in texts]
    return cells(x, y, texts, width, height, gray)


def split_heads(n_tokens: int = 3, n_heads: int = 3, d_head: int = 4) -> Diagram:
    """What splitting into heads does to memory: nothing is moved, only the strides change.

    Each cell shows its address. The views are made by the calls of `lib.model.attention`.
    """
    merged = torch.arange(n_tokens * n_heads * d_head).view(n_tokens, n_heads * d_head)
    heads = merged.unflatten(-1, (-1, d_head)).transpose(0, 1)
    # What the attention kernel gives is new memory, one head after another.
    written = torch.arange(n_tokens * n_heads * d_head).view(n_heads, n_tokens, d_head)
    back = written.transpose(0, 1).flatten(1)
    shapes: list[Shape] = []
    size = min(36, (WIDTH - 70) // (n_heads * d_head))

    def rows(tensor: torch.Tensor, y: Number, title: str) -> None:
        shapes.append(Text(40, y - 16, title, 13, bold=True))
        fills = [[HEAD_TINTS[(j // d_head) % 6] for j in range(n_heads * d_head)]] * n_tokens
        shapes.extend(
            cells(40, y, [[str(v) for v in row] for row in tensor.tolist()], size, 26, fills)
        )
        for i in range(n_tokens):
            shapes.append(note(34, y + 13 + 26 * i, f"t{i}", 12, "end"))

    rows(merged, 36, f"W x: {shape_of(merged)}, strides {merged.stride()}")
    middle = 36 + 26 * n_tokens + 62
    text = f"heads: {shape_of(heads)}, strides {heads.stride()}: the same memory"
    assert heads.data_ptr() == merged.data_ptr()
    shapes.append(Text(40, middle - 36, text, 13, bold=True))
    step = (WIDTH - 50) / n_heads
    for h in range(n_heads):
        x = 40 + step * h
        shapes.append(note(x, middle - 14, f"head {h}"))
        fills = [[HEAD_TINTS[h % 6]] * d_head] * n_tokens
        texts = [[str(v) for v in row] for row in heads[h].tolist()]
        shapes += cells(x, middle, texts, min(size, step / (d_head + 0.6)), 26, fills)
    last = middle + 26 * n_tokens + 50
    same = back.data_ptr() == written.data_ptr()
    copied = "the same memory" if same else "copied from these places"
    before = f"{shape_of(written)} to {shape_of(back)}"
    rows(back, last, f"outputs merged for W_o: {before}, {copied}")
    alt = (
        f"Splitting {n_tokens} tokens of {n_heads * d_head} features into {n_heads} heads of "
        f"{d_head}: the addresses in memory stay, strides change from {merged.stride()} to "
        f"{heads.stride()}; merging copies the heads side by side."
    )
    return Diagram(WIDTH, last + 26 * n_tokens + 14, shapes, alt=alt)


def shape_of(tensor: torch.Tensor) -> str:
    """(3, 12) as 3 × 12."""
    return " × ".join(map(str, tensor.shape))


def grouped_queries(config: ModelConfig) -> Diagram:
    """Which key head serves which query heads: as many, the model's number, and one.

    The grouping is that of `attention_steps` (query head h reads key head h // (H / K)); the cache
    is counted by `kv_elements_per_token`.
    """
    heads, shapes = config.n_heads, []
    step = (WIDTH - 30) / heads
    size = min(30, step - 4)
    counts = sorted({heads, config.n_kv_heads, 1}, reverse=True)
    for row, n_kv in enumerate(counts):
        each = config.replace(n_kv_heads=n_kv)
        kind = "multi-query" if n_kv == 1 else "multi-head" if n_kv == heads else "grouped-query"
        y = 20 + 150 * row
        cached = f"{thousands(2 * kv_elements_per_token(each))} bytes a token in the cache"
        shapes.append(Text(12, y, f"{kind}: {heads} query heads, {n_kv} key heads", 13, bold=True))
        shapes.append(note(WIDTH - 12, y, cached, 12, "end"))
        serves = torch.arange(n_kv).repeat_interleave(heads // n_kv).tolist()
        places = [15 + step * (i + 0.5) for i in range(heads)]
        centers = [
            sum(p for p, s in zip(places, serves, strict=True) if s == k) / serves.count(k)
            for k in range(n_kv)
        ]
        for h, k in enumerate(serves):
            shapes.append(Line([(places[h], y + 48), (centers[k], y + 92)], "#555555", 1.4))
        for h in range(heads):
            label = f"q{h}" if size > 21 else ""
            tip = f"query head {h} reads key head {serves[h]}"
            left = places[h] - size / 2
            shapes += box(left, y + 20, size, 28, label, TINTS["embedding"], size=11, tip=tip)
        for k in range(n_kv):
            wide = size if n_kv == heads else max(size, 26)
            label = f"k{k}" if step > 24 or heads / n_kv >= 2 else ""
            left = centers[k] - wide / 2
            shapes += box(left, y + 92, wide, 28, label, TINTS["attention"], GREEN, 11)
    alt = f"{heads} query heads share " + ", ".join(
        f"{n} key head{'s' * (n > 1)} "
        f"({2 * kv_elements_per_token(config.replace(n_kv_heads=n)):,} bytes a token)"
        for n in counts
    )
    return Diagram(WIDTH, 150 * len(counts), shapes, alt=alt + ".")
