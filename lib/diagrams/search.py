"""Decoding in pictures: a chain of filters, the tree of a beam search, draft and verify."""

import math
from collections.abc import Callable, Sequence

from lib.diagrams.diagram import BLUE, TINTS, WIDTH, Diagram, Number, Shape, arrow, note
from lib.display import Line, Rectangle, Text, text_width, visible
from lib.generation.beam import BeamStep
from lib.generation.measures import Step
from lib.generation.speculative import Round

COLORS = {"runs": BLUE, "finished": "#9A5B00", "dropped": "#8A8A8A"}
ROW, TOP = 34, 62


def beam_tree(
    steps: Sequence[BeamStep], prompt: str, name: Callable[[int], str], shown: int = 6
) -> Diagram:
    """The candidates of each step, joined to the beam that they continue; one prompt.

    Thick blue lines run on, dashed ones end, thin gray ones are dropped. The number is ln p of the
    whole continuation. Of a step's candidates the first `shown` are drawn.
    """
    column = (WIDTH - 20) / len(steps)
    shapes: list[Shape] = [Text(12, 18, visible(prompt)[-60:], 14, mono=True)]
    x = 12
    for word, fate in (("runs on", "runs"), ("ends", "finished"), ("dropped", "dropped")):
        dashed, wide = fate == "finished", 3 if fate == "runs" else 1.2
        shapes.append(Line([(x, 42), (x + 26, 42)], COLORS[fate], wide, dashed))
        shapes.append(note(x + 32, 42, word))
        x += 60 + text_width(word, 12)
    lines: list[Shape] = []
    labels: list[Shape] = []
    rows = min(shown, max(len(step.candidates[0]) for step in steps))
    beams: dict[int, tuple[Number, Number]] = {}
    origin = (4.0, TOP + ROW * rows / 2)
    for place, step in enumerate(steps):
        ordered = sorted(step.candidates[0], key=lambda c: (c.fate == "dropped", -c.log_p))[:shown]
        ordered.sort(key=lambda c: (beams.get(c.parent, origin)[1], -c.log_p))
        first = TOP + ROW * (rows - len(ordered)) / 2
        left, after = 10 + column * place, {}
        for row, c in enumerate(ordered):
            y, text = first + ROW * (row + 0.5), name(c.token)
            x0, y0 = beams.get(c.parent, origin)
            wide = 2.8 if c.fate == "runs" else 1.2
            color = COLORS[c.fate]
            lines.append(Line([(x0, y0), (left + 16, y)], color, wide, c.fate == "finished"))
            size: Number = 13
            while size > 9 and text_width(text, size, bold=True, mono=True) > column - 34:
                size -= 1
            look = {"bold": c.fate != "dropped", "mono": True}
            wide = text_width(text, size, **look)
            labels.append(Rectangle(left + 16, y - 13, max(wide, 30) + 5, 29, "#FFFFFF"))
            labels.append(Text(left + 19, y - 5, text, size, color, **look))
            labels.append(note(left + 19, y + 9, f"{c.log_p:.2f}", 11))
            if c.beam is not None:
                after[c.beam] = (left + 22 + wide, y)
        beams = after or beams
    shapes += lines + labels
    best = steps[-1].best(0)
    bottom = TOP + ROW * rows + 14
    alt = f"Beam search after {prompt!r}, {len(steps)} steps."
    if best:
        text = "".join(map(name, best[0].ids))
        shapes.append(note(12, bottom, f"best by score: {text} ({best[0].score:.2f})", 13))
        alt += f" The best continuation is {text!r} with score {best[0].score:.2f}."
    return Diagram(WIDTH, round(bottom + 18), shapes, alt=alt)


def draft_rounds(rounds: Sequence[Round], name: Callable[[int], str], shown: int = 6) -> Diagram:
    """Draft and verify: in each row the guesses that held, the first that did not, one more token.

    Raises ValueError without rounds.
    """
    if not rounds:
        raise ValueError("there are no rounds to draw")
    shapes: list[Shape] = [
        Text(12, 16, "one row is one pass of the model", 13, bold=True),
    ]
    most = max(one.n_guessed + 1 for one in rounds[:shown])
    wide = min(92.0, (WIDTH - 150) / most)
    for i, one in enumerate(rounds[:shown]):
        y = 56 + 36 * i
        shapes.append(note(12, y + 14, f"round {i + 1}", 13))
        cells = [(name(t), "held") for t in one.tokens[: one.n_accepted]]
        own = one.tokens[one.n_accepted :]
        missed = one.n_guessed - one.n_accepted
        cells += [(name(t), "own") for t in own]
        for k, (text, kind) in enumerate(cells):
            shapes += _cell(76 + wide * k, y, wide - 5, text, kind)
        for k in range(missed - len(own) if missed > len(own) else 0):
            shapes += _cell(76 + wide * (len(cells) + k), y, wide - 5, "", "lost")
        shapes.append(note(WIDTH - 8, y + 14, f"+{len(one.tokens)}", 13, "end"))
    x = 76
    for kind, words in (("held", "guess held"), ("own", "model's own"), ("lost", "guess in vain")):
        shapes += _cell(x, 32, 22, "", kind, 16)
        shapes.append(note(x + 28, 40, words))
        x += 52 + text_width(words, 12)
    tokens, guessed = sum(len(r.tokens) for r in rounds), sum(r.n_guessed for r in rounds)
    held = sum(r.n_accepted for r in rounds)
    summary = f"{tokens} tokens in {len(rounds)} passes; {held} of {guessed} guesses held"
    bottom = 56 + 36 * min(len(rounds), shown) + 12
    shapes.append(note(12, bottom, summary, 13))
    return Diagram(WIDTH, bottom + 16, shapes, alt=f"Draft and verify: {summary}.")


def _cell(
    x: Number, y: Number, width: Number, text: str, kind: str, height: Number = 28
) -> list[Shape]:
    fill = {"held": TINTS["feedforward"], "own": BLUE, "lost": "#FFFFFF"}[kind]
    shapes: list[Shape] = [
        Rectangle(x, y, width, height, fill, "#555555", 1.2, radius=4, dashed=kind == "lost")
    ]
    if kind == "lost":
        shapes.append(Line([(x + 4, y + 4), (x + width - 4, y + height - 4)], "#8A8A8A"))
    size: Number = 13
    while size > 8 and text_width(text, size, mono=True) > width - 4:
        size -= 1
    color = "#FFFFFF" if kind == "own" else "#222222"
    shapes.append(Text(x + width / 2, y + height / 2, text, size, color, "middle", mono=True))
    return shapes


def filter_chain(steps: Sequence[Step]) -> Diagram:
    """What each processor of logits leaves: how many tokens, with what entropy, step by step.

    `steps` are those of `lib.generation.measures.follow`, whose first is the model's distribution.
    The bars are on a logarithmic scale.
    """
    total = steps[0].logits.shape[-1]
    shapes: list[Shape] = [
        Text(12, 16, "processor, in the order of application", 13, bold=True),
        note(WIDTH - 12, 16, "tokens left, and their entropy", 12, "end"),
    ]
    left, right, row = 190, WIDTH - 150, 38
    for i, step in enumerate(steps):
        tokens, y = step.tokens, 36 + row * i
        wide = max((right - left) * math.log(max(tokens, 1)) / math.log(total), 3)
        shapes.append(Text(left - 12, y + 13, step.name, 13, anchor="end", bold=i > 0))
        shapes.append(
            Rectangle(left, y, wide, 26, BLUE if i else "#CCCCCC", tip=f"{step.name}: {tokens}")
        )
        after = f"{tokens:,}, {step.entropy:.2f} nats"
        shapes.append(Text(left + wide + 8, y + 13, after, 12))
        if i:
            shapes += arrow([(left - 60, y - 12), (left - 60, y)], width=1.2, head=6)
    words = "; ".join(f"{s.name}: {s.tokens:,}" for s in steps)
    alt = f"Of {total:,} tokens are left after each processor: {words}."
    return Diagram(WIDTH, 36 + row * len(steps) + 6, shapes, alt=alt)
