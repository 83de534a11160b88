"""What the sampling widget draws: tokens as bars, steps as a table, all ranks as a curve."""

import math
from collections.abc import Callable
from itertools import pairwise

from torch import Tensor

from lib.display import (
    GRAY,
    PALE,
    PALETTE,
    Drawing,
    Line,
    Rectangle,
    Shape,
    Text,
    text_width,
    visible,
)
from lib.generation.measures import Step
from lib.widgets.touch import Handle

WIDTH, ROWS, ROW = 720, 12, 20  # CSS pixels, tokens shown, their height
LEFT, BARS, TABLE = 118, 250, 432  # where bars begin, how long they get, where the table begins
TOP, CURVE_TOP, CURVE_HEIGHT = 66, 372, 130


def picture(
    steps: list[Step],
    drawn: Tensor | None,
    n_draws: int,
    prompt: str,
    added: str,
    name: Callable[[int], str],
    temperature: float | int,
    top_p: float | int,
) -> Drawing:
    """Bars of the likeliest tokens, a table of the steps, and the whole curve with every cut.

    `drawn` counts how often each token came in `n_draws` draws; `name(id)` is a token's label.
    """
    before = steps[0].logits.softmax(dim=-1)[0]
    after = steps[-1].logits.softmax(dim=-1)[0]
    order = before.argsort(descending=True)
    shapes = header(prompt, added)
    shapes += bars(before, after, drawn, n_draws, order[:ROWS].tolist(), name)
    shapes += [*table(steps), *curve(before[order], steps, order)]
    return Drawing(WIDTH, 530, [*shapes, *touch(before[order], steps, temperature, top_p)])


def touch(
    sorted_p: Tensor, steps: list[Step], temperature: float | int, top_p: float | int
) -> list[Shape]:
    """A thermometer below the bars, and a grip where top_p cuts the curve.

    What top_p cuts depends on the steps before it: at each value it is the rank where their
    probabilities, summed, first reach it.
    """
    track, y = (LEFT, LEFT + BARS), TOP + ROWS * ROW + 12
    share = math.log(temperature / 0.1) / math.log(30)
    x = track[0] + share * BARS
    shapes: list[Shape] = [
        Line([(track[0], y), (track[1], y)], GRAY, 2),
        Text(track[0] - 6, y, "temperature", 11, GRAY, "end"),
        Text(track[1] + 14, y, f"{temperature:.2f}", 11),
        Rectangle(x - 3, y - 8, 6, 16, PALETTE["red"]),
        Handle(x - 12, y - 12, 24, 24, "temperature", "temperature", temperature, (0.1, 3.0),
               track, log=True, step=0.05),
    ]  # fmt: skip
    names = [step.name for step in steps]
    entering = steps[names.index("top_p") - 1] if "top_p" in names else steps[-1]
    summed = entering.logits.softmax(dim=-1)[0].sort(descending=True).values.cumsum(0)
    values = [round(0.05 * i, 2) for i in range(1, 21)]
    scale = (WIDTH - LEFT - 20) / math.log(len(sorted_p))
    ranks = [int((summed < value - 1e-6).sum()) + 1 for value in values]
    at = [LEFT + scale * math.log(min(rank, len(sorted_p))) + 2 for rank in ranks]
    cut = at[min(max(round(top_p / 0.05), 1), 20) - 1]
    grip = (cut - 10, CURVE_TOP + CURVE_HEIGHT - 40, 20, 40)
    return [*shapes, Handle(*grip, "top_p", "top_p", top_p, values, at, step=0.05)]


def header(prompt: str, added: str) -> list[Shape]:
    """The end of the text, what was added to it in color, and the key to the bars."""
    start, added = visible(prompt)[-34:], visible(added)[-50:]
    x = 10 + text_width(start, 13, mono=True)
    return [
        Text(10, 16, start, 13, mono=True),
        Text(x, 16, added, 13, PALETTE["blue"], mono=True, bold=True),
        Text(LEFT, 46, "probability: ", 11, GRAY),
        Text(LEFT + 70, 46, "the model alone", 11, GRAY, bold=True),
        Text(LEFT + 180, 46, "after the settings", 11, PALETTE["blue"], bold=True),
        Text(LEFT + 302, 46, "drawn", 11, "#9A5B00", bold=True),
    ]


def bars(
    before: Tensor,
    after: Tensor,
    drawn: Tensor | None,
    n: int,
    shown: list[int],
    name: Callable[[int], str],
) -> list[Shape]:
    """For each token: the model's probability, that after the settings, the frequency drawn."""
    longest = max(before[shown].max().item(), after[shown].max().item())
    shapes: list[Shape] = []
    for row, i in enumerate(shown):
        y, p, q = TOP + row * ROW, before[i].item(), after[i].item()
        kept = q > 0
        tip = f"{name(i)}: {p:.4f} before, {q:.4f} after"
        shapes += [
            Text(LEFT - 6, y + 8, name(i), 12, "#222222" if kept else GRAY, "end", mono=True),
            Rectangle(LEFT, y, BARS * p / longest, 16, PALE, edge=GRAY, tip=tip),
            Rectangle(LEFT, y + 4, BARS * q / longest, 8, PALETTE["blue"], tip=tip),
            Text(LEFT + BARS + 6, y + 8, f"{q:.3f}" if kept else "cut", 11, GRAY),
        ]
        if drawn is not None:
            x = LEFT + min(BARS * drawn[i].item() / n / longest, BARS + 4)
            shapes.append(Line([(x, y - 1), (x, y + 17)], PALETTE["orange"], 3))
    return shapes


def table(steps: list[Step]) -> list[Shape]:
    """A line for each step: tokens left, mass kept, entropy, effective vocabulary."""
    right = (TABLE + 134, TABLE + 180, TABLE + 227, TABLE + 274)
    shapes = [
        Text(x, 46, word, 10, GRAY, "end")
        for x, word in zip(right, ("tokens", "keeps", "entropy", "exp H"), strict=True)
    ]
    for row, step in enumerate(steps):
        y = TOP + 8 + 22 * row
        cells = (f"{step.tokens:,}", f"{step.mass:.1%}", f"{step.entropy:.2f}")
        effective = math.exp(step.entropy)
        cells += (f"{effective:,.1f}" if effective < 1000 else f"{effective:,.0f}",)
        shapes.append(Text(TABLE, y, step.name, 11, bold=step is steps[-1]))
        shapes += [Text(x, y, cell, 11, anchor="end") for x, cell in zip(right, cells, strict=True)]
    return shapes


def curve(sorted_p: Tensor, steps: list[Step], order: Tensor) -> list[Shape]:
    """All probabilities by rank, both logarithmic, with a line where each filter cuts."""
    n, x_of = len(sorted_p), lambda r: LEFT + (WIDTH - LEFT - 20) * math.log(r) / math.log(n)
    lowest = -7.0  # decades shown

    def y_of(p: float | int) -> float:
        return CURVE_TOP + CURVE_HEIGHT * max(min(math.log10(max(p, 1e-30)), 0), lowest) / lowest

    ranks = sorted({round(n ** (i / 60)) for i in range(61)})
    points = [(x_of(r), y_of(sorted_p[r - 1].item())) for r in ranks]
    base = CURVE_TOP + CURVE_HEIGHT
    shapes: list[Shape] = [
        Text(
            LEFT, CURVE_TOP - 34, "Probability by rank, and where each filter cuts", 12, bold=True
        ),
        Line([(LEFT, CURVE_TOP), (LEFT, base), (WIDTH - 20, base)], GRAY),
        Text(
            WIDTH - 20, base + 22, "rank of the token in the model (logarithmic)", 10, GRAY, "end"
        ),
    ]
    for decade in (0, -2, -4, -6):
        y = y_of(10**decade)
        shapes.append(Text(LEFT - 6, y, f"{10**decade:.{-decade}f}", 10, GRAY, "end"))
    for decade in range(int(math.log10(n)) + 1):
        shapes.append(Text(x_of(10**decade), base + 9, f"{10**decade:,}", 10, GRAY, "middle"))
    shapes.append(Line(points, PALETTE["black"], 2))
    slot = 0
    for entering, step in pairwise(steps):
        if step.tokens == entering.tokens:
            continue
        kept = (step.logits[0, order] > -math.inf).nonzero()[:, 0]
        edges = [int(kept[-1]) + 1] + ([int(kept[0])] if kept[0] > 0 else [])
        for rank in edges:  # a typical set has an upper edge too
            x = x_of(max(rank, 1)) + 2
            y, slot = CURVE_TOP - 16 + 13 * (slot % 4), slot + 1
            shapes.append(Line([(x, y + 6), (x, base)], PALETTE["red"], 1.5, dashed=True))
            end = "end" if x > WIDTH - 110 else "start"
            shapes.append(Text(x + (-3 if end == "end" else 3), y, step.name, 11, "#A03000", end))
    return shapes
