"""What the beam tree widget draws: a column for each step, and the texts ranked below."""

import math
from collections.abc import Callable

from lib.display import (
    GRAY,
    PALETTE,
    Drawing,
    Line,
    Rectangle,
    Shape,
    Text,
    text_width,
    visible,
)
from lib.generation.beam import BeamStep, Candidate
from lib.widgets.touch import Spot

WIDTH, LEFT, COLUMN, ROW, TOP = 720, 26, 98, 30, 70
SHOWN = 8  # candidates in a column
COLORS = {"runs": PALETTE["blue"], "finished": "#9A5B00", "dropped": "#9A9A9A"}


def picture(
    steps: list[BeamStep],
    prompt: str,
    ranked: list[tuple[float, str, bool]],
    name: Callable[[int], str],
    most: int,
) -> Drawing:
    """The tree of candidates; `ranked` holds (score, text, finished) of all, best first.

    A click goes to one of `most` steps.
    """
    shapes: list[Shape] = [
        Text(10, 16, visible(prompt)[-70:], 13, mono=True),
        Text(LEFT, 42, "candidates: ", 11, GRAY),
        Text(LEFT + 76, 42, "run on", 11, COLORS["runs"], bold=True),
        Text(LEFT + 130, 42, "end here", 11, COLORS["finished"], bold=True),
        Text(LEFT + 200, 42, "dropped", 11, GRAY, bold=True),
        Text(WIDTH - 10, 42, "number: ln p of the whole continuation", 10, GRAY, "end"),
    ]
    rows = min(SHOWN, max(len(step.candidates[0]) for step in steps))
    beams = {0: (LEFT - 8.0, TOP + ROW * (rows - 1) / 2)}
    start = True
    for place, step in enumerate(steps):
        drawn, beams = column(step.candidates[0], LEFT + COLUMN * place, beams, start, name, rows)
        shapes, start = shapes + drawn, False
    for place in range(most):  # also where the search has not come yet
        box = (LEFT + COLUMN * place, TOP - 16, COLUMN - 4, ROW * rows)
        title = f"go to step {place + 1}"
        shapes.append(Spot(*box, title, {"step": place + 1}, place + 1 == len(steps)))
    return Drawing(WIDTH, TOP + ROW * rows + 130, shapes + ranking(ranked, TOP + ROW * rows + 4))


def column(
    candidates: list[Candidate],
    x: float | int,
    beams: dict[int, tuple[float | int, float | int]],
    start: bool,
    name: Callable[[int], str],
    rows: int,
) -> tuple[list[Shape], dict[int, tuple[float | int, float | int]]]:
    """The candidates of one step, joined to their parents; and where the running beams stand.

    `rows` is the height of the tallest column, at whose middle this one is centered.
    """
    kept = [c for c in candidates if c.fate != "dropped"]
    dropped = [c for c in candidates if c.fate == "dropped"]
    shown = sorted(
        [*kept, *dropped][:SHOWN], key=lambda c: (0 if start else beams[c.parent][1], -c.log_p)
    )
    offset = TOP + ROW * (rows - len(shown)) / 2
    lines: list[Shape] = []
    labels: list[Shape] = []
    after: dict[int, tuple[float | int, float | int]] = {}
    for row, c in enumerate(shown):
        y, color = offset + row * ROW, COLORS[c.fate]
        ink = GRAY if c.fate == "dropped" else color
        from_x, from_y = beams[0 if start else c.parent]
        wide = 2.5 if c.fate == "runs" else 1
        lines.append(Line([(from_x, from_y), (x + 4, y)], color, wide, dashed=c.fate == "finished"))
        tip = f"{name(c.token)}: ln p = {c.log_p:.3f}, {c.fate}"
        labels += [
            Rectangle(x + 4, y - 12, COLUMN - 20, 25, "#FFFFFF", tip=tip),
            Text(x + 6, y - 4, name(c.token), 12, ink, bold=c.fate != "dropped", mono=True),
            Text(x + 6, y + 9, f"{c.log_p:.2f}" if math.isfinite(c.log_p) else "-", 10, GRAY),
        ]
        if c.beam is not None:  # a line leads on from the end of the word
            after[c.beam] = (x + COLUMN - 16, y)
            word = x + 10 + text_width(name(c.token), 12, bold=True, mono=True)
            labels.append(Line([(word, y), (x + COLUMN - 16, y)], color, wide))
    return lines + labels, after or beams


def ranking(ranked: list[tuple[float, str, bool]], y: float | int) -> list[Shape]:
    """The best texts, from height `y` down, with their scores under the length penalty."""
    shapes: list[Shape] = [
        Text(LEFT, y, "Ranked by ln p / length ** length penalty", 12, bold=True)
    ]
    for row, (score, text, done) in enumerate(ranked[:5]):
        color = COLORS["finished" if done else "runs"]
        line = y + 22 * (row + 1)
        shapes += [
            Text(LEFT + 44, line, f"{score:.2f}", 12, color, "end"),
            Text(LEFT + 56, line, visible(text)[:62], 12, color, mono=True, bold=row == 0),
            Text(WIDTH - 10, line, "ended" if done else "runs", 11, GRAY, "end"),
        ]
    return shapes
