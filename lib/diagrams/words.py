"""How tokenizers cut a word: the tree of BPE's merges, and the lattice of a unigram model."""

import math
from collections.abc import Mapping

from lib.diagrams.diagram import BLUE, TINTS, WIDTH, Diagram, Number, Shape, box, note
from lib.display import Line, Rectangle, Text, text_width, visible
from lib.tokenization import BPETokenizer
from lib.tokenization.unigram_segmentation import edges, viterbi

ROW = 58


def merge_tree(tokenizer: BPETokenizer, word: str) -> Diagram:
    """The merges that make a word's tokens, in the order in which encoding applies them.

    Each box above two others is a merge and holds its rank (the lowest goes first).
    Raises ValueError for a text that is not one word.
    """
    words = tokenizer.words(word)
    if len(words) != 1:
        raise ValueError(f"word must be one word of the tokenizer, got {len(words)}: {word!r}")
    ids = tokenizer.alphabet_ids(words[0])
    steps = list(tokenizer.merge_table.steps(ids))
    step = min(64, (WIDTH - 30) / len(ids))
    nodes = [(15 + step * (i + 0.5), 0) for i in range(len(ids))]  # (middle, height)
    names = [_name(tokenizer, i) for i in ids]
    levels: list[tuple[Number, int, str, str]] = [
        (x, 0, name, "") for (x, _), name in zip(nodes, names, strict=True)
    ]
    lines: list[tuple[Number, int, Number, int]] = []
    for number, (rank, after) in enumerate(steps, 1):
        at = next((i for i, new in enumerate(after) if i >= len(ids) or new != ids[i]), 0)
        (left, low), (right, high) = nodes[at : at + 2]
        top = max(low, high) + 1
        middle = (left + right) / 2
        lines += [(left, low, middle, top), (right, high, middle, top)]
        nodes[at : at + 2] = [(middle, top)]
        ids = after
        levels.append((middle, top, _name(tokenizer, ids[at]), f"{number}. rank {rank:,}"))
    most = max(top for _, top, *_ in levels)
    base = 44 + ROW * most
    shapes: list[Shape] = [
        Line([(x0, base - ROW * y0), (x1, base - ROW * y1)], "#555555", 1.5)
        for x0, y0, x1, y1 in lines
    ]
    final, small = {(x, y) for x, y in nodes}, min(11, 0.22 * step)
    for x, y, name, rank in levels:
        wide = max(text_width(name, 13, mono=True) + 12, text_width(rank, small) + 8, 24)
        high = 38 if rank else 24
        fill = TINTS["attention"] if (x, y) in final else TINTS["embedding"]
        top = base - ROW * y - high / 2
        shapes += box(x - wide / 2, top, wide, high, "", fill)
        shapes.append(Text(x, top + 12, name, 13, anchor="middle"))
        shapes += [note(x, top + 27, rank, small, "middle")] if rank else []
    tokens = [_name(tokenizer, i) for i in ids]
    many = f"{len(tokens)} token{'s' * (len(tokens) > 1)}"
    shapes.append(note(15, base + 28, f"{len(steps)} merges, {many}: {' | '.join(tokens)}", 13))
    alt = f"Tree of merges of {word!r}: {len(steps)} merges make {' and '.join(tokens)}."
    return Diagram(WIDTH, base + 44, shapes, alt=alt)


def _name(tokenizer: BPETokenizer, token: int) -> str:
    if not tokenizer.byte_level:
        return visible(tokenizer.tokens[token])
    data = tokenizer.id_to_bytes(token)
    try:
        return visible(data.decode())
    except UnicodeDecodeError:  # a part of a character
        return data.hex(" ")


def unigram_lattice(
    word: str, scores: Mapping[str, float], unknown_score: float = -math.inf
) -> Diagram:
    """All pieces that fit in a word, each over its letters; the best way through is filled.

    The numbers are ln p. Pieces come from `edges`, the way from `viterbi`. Raises ValueError if no
    way leads to the end of the word.
    """
    longest = max(map(len, scores), default=1)
    best, total = viterbi(word, scores, longest, unknown_score)
    if total == -math.inf:
        raise ValueError(f"the pieces cannot make {word!r}")
    places, at = set(), 0
    for piece in best:
        places.add((at, at + len(piece)))
        at += len(piece)
    found = [e for e in edges(word, scores, longest, unknown_score) if e[2] > -math.inf]
    found.sort(key=lambda edge: (edge[1] - edge[0], edge[0]))
    step: Number = min(90, (WIDTH - 40) / len(word))
    rows: list[list[tuple[int, int, float]]] = []
    for start, end, score in found:
        row = next((r for r in rows if all(end <= s or start >= e for s, e, _ in r)), None)
        if row is None or any(e - s != end - start for s, e, _ in row):
            row = []
            rows.append(row)
        row.append((start, end, score))
    shapes: list[Shape] = []
    for i, letter in enumerate(word):
        middle = 20 + step * (i + 0.5)
        shapes.append(Text(middle, 20, visible(letter), 18, anchor="middle", bold=True, mono=True))
    for i in range(len(word) + 1):
        x = 20 + step * i
        shapes.append(Line([(x, 36), (x, 42 + 36 * len(rows))], "#BBBBBB", 1, dashed=True))
    for r, row in enumerate(rows):
        for start, end, score in row:
            chosen = (start, end) in places
            left, wide, y = 20 + step * start + 3, step * (end - start) - 6, 42 + 36 * r
            fill, color = (BLUE, "#FFFFFF") if chosen else (TINTS["plain"], "#222222")
            tip = f"{word[start:end]}: ln p = {score:.3f}"
            shapes.append(Rectangle(left, y, wide, 30, fill, "#555555", 1.2, tip=tip, radius=5))
            words = f"{word[start:end]} {score:.1f}"
            size: Number = min(13, 13 * (wide - 4) / text_width(words, 13))
            shapes.append(Text(left + wide / 2, y + 15, words, size, color, "middle", chosen))
    y = 42 + 36 * len(rows) + 18
    sum_of = " + ".join(f"{piece}" for piece in best)
    shapes.append(note(20, y, f"best: {sum_of}, ln p = {total:.2f}", 13))
    alt = (
        f"Lattice of {word!r}: {len(found)} pieces fit; the best way is {' | '.join(best)} "
        f"with ln p = {total:.2f}."
    )
    return Diagram(WIDTH, y + 16, shapes, alt=alt)
