"""An automaton, and the mask that it lays over the tokens at one step."""

from collections.abc import Sequence
from itertools import pairwise

from lib.diagrams.diagram import (
    BLUE,
    TINTS,
    WIDTH,
    Diagram,
    Number,
    Shape,
    arrow,
    box,
    note,
)
from lib.display import Disk, Line, Text, text_width, visible
from lib.generation.automaton import Automaton
from lib.generation.grammar import Grammar

RADIUS, MOST = 17, 16


def transitions(automaton: Automaton) -> dict[tuple[int, int], list[int]]:
    """The bytes that lead from one state to another."""
    found: dict[tuple[int, int], list[int]] = {}
    for state in range(automaton.n_states):
        for byte, target in enumerate(automaton.table[state].tolist()):
            if target >= 0:
                found.setdefault((state, target), []).append(byte)
    return found


def byte_class(data: Sequence[int]) -> str:
    """Bytes in short: a, [ab], [0-9]."""
    runs: list[list[int]] = [[data[0], data[0]]]
    for before, byte in pairwise(data):
        if byte == before + 1:
            runs[-1][1] = byte
        else:
            runs.append([byte, byte])
    parts = [_char(a) if a == b else f"{_char(a)}-{_char(b)}" for a, b in runs]
    text = "".join(parts)
    return text if len(data) == 1 else f"[{text}]"


def _char(byte: int) -> str:
    return visible(chr(byte)) if byte < 128 else f"\\x{byte:02x}"


def automaton_mask(
    grammar: Grammar,
    texts: Sequence[str],
    candidates: Sequence[int],
    ids: tuple[int, ...] = (),
) -> Diagram:
    """The states of a grammar, the one that stands after `ids`, and which candidates may follow.

    `texts` are the candidates' texts. Double circles may end the text. Raises ValueError for more
    states than a picture holds, or for a text that is outside the grammar.
    """
    automaton = grammar.automaton
    if automaton.n_states > MOST:
        raise ValueError(f"a picture holds {MOST} states, this automaton has {automaton.n_states}")
    now = grammar.state(ids)
    if now < 0:
        raise ValueError("the text so far is not the beginning of any valid text")
    moves = transitions(automaton)
    places = _places(automaton.n_states, moves)
    shapes: list[Shape] = []
    for (start, end), data in moves.items():
        shapes += _edge(places[start], places[end], byte_class(data))
    for state, (x, y) in enumerate(places):
        here = state == now
        shapes.append(Disk(x, y, RADIUS, "#222222", tip=f"state {state}"))
        shapes.append(Disk(x, y, RADIUS - (3.5 if here else 1.3), "#FFFFFF"))
        if automaton.accepts[state]:
            shapes.append(Disk(x, y, RADIUS - 4, "#222222"))
            shapes.append(Disk(x, y, RADIUS - 5.2, "#FFFFFF"))
        if here:
            shapes.append(Disk(x, y, RADIUS - 5.2, BLUE))
        color = "#FFFFFF" if here else "#222222"
        shapes.append(Text(x, y, str(state), 12, color, "middle", here))
    bottom = max(y for _, y in places) + 52
    words = f"state {now} (filled); a double circle may end. Tokens that may follow it:"
    shapes.append(note(12, bottom, words, 13))
    after = grammar.after(now)
    x, y = 12.0, bottom + 18
    allowed = []
    for token, text in zip(candidates, texts, strict=True):
        ok, label = int(after[token]) >= 0, visible(text)
        wide = max(text_width(label, 13, mono=True) + 14, 26)
        if x + wide > WIDTH - 8:
            x, y = 12.0, y + 34
        fill = TINTS["feedforward"] if ok else "#EEEEEE"
        shapes += box(x, y, wide, 26, label, fill, "#333333" if ok else "#AAAAAA")
        if ok:
            allowed.append(label)
        else:
            shapes.append(Line([(x + 3, y + 23), (x + wide - 3, y + 3)], "#777777", 1.4))
        x += wide + 7
    count = int((after >= 0).sum())
    last = f"{count:,} of {len(after):,} tokens are allowed; the others' logits become −∞"
    shapes.append(note(12, y + 44, last, 13))
    alt = (
        f"An automaton of {automaton.n_states} states, at state {now}. Of the tokens shown "
        f"{', '.join(allowed) or 'none'} may follow. {last}."
    )
    return Diagram(WIDTH, round(y + 60), shapes, alt=alt)


def _places(n: int, moves: dict[tuple[int, int], list[int]]) -> list[tuple[Number, Number]]:
    """Columns by the distance from the start, rows within a column."""
    depth, level = {0: 0}, [0]
    while level:
        level = sorted({t for s, t in moves if s in level and t not in depth})
        depth |= dict.fromkeys(level, max(depth.values()) + 1)
    columns = [
        [s for s in range(n) if depth.get(s, 0) == d] for d in range(max(depth.values()) + 1)
    ]
    step = min(92.0, (WIDTH - 70) / max(len(columns) - 1, 1))
    tallest = max(map(len, columns))
    places: list[tuple[Number, Number]] = [(0, 0)] * n
    for d, states in enumerate(columns):
        for i, state in enumerate(states):
            places[state] = (32 + step * d, 50 + 76 * (i + (tallest - len(states)) / 2))
    return places


def _edge(start: tuple[Number, Number], end: tuple[Number, Number], label: str) -> list[Shape]:
    (x0, y0), (x1, y1) = start, end
    if start == end:
        loop = [(x0 - 7, y0 - 15), (x0 - 10, y0 - 31), (x0 + 10, y0 - 31), (x0 + 7, y0 - 17)]
        return [*arrow(loop, width=1.3), note(x0, y0 - 40, label, 12, "middle")]
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    line = [(x0 + RADIUS * dx, y0 + RADIUS * dy), (x1 - RADIUS * dx, y1 - RADIUS * dy)]
    middle = ((x0 + x1) / 2 + 11 * dy, (y0 + y1) / 2 - 11 * abs(dx))
    return [*arrow(line, width=1.3), note(*middle, label, 12, "middle")]
