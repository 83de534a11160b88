"""A text in tokens: what each tokenizer makes of it, and byte-pair merges replayed one by one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import cycle
from typing import Any

from lib.display import (
    PALETTE,
    Drawing,
    Rectangle,
    Shape,
    Text,
    png_bundle,
    publish,
    text_color,
    text_width,
    visible,
)
from lib.settings import shortened
from lib.tokenization import BPETokenizer, UnigramTokenizer, WordPieceTokenizer
from lib.widgets.choices import Button, Dropdown, TextInput
from lib.widgets.controls import IntSlider
from lib.widgets.explorer import Explorer
from lib.widgets.pictures import DrawingPicture
from lib.widgets.touch import Revealed, Spot

Tokenizer = BPETokenizer | WordPieceTokenizer | UnigramTokenizer

WIDTH, MARGIN, GAP = 720, 10, 3  # CSS pixels
ROW, BOX = 62, 54
MOST_ROWS = 9
Number = float | int
EXAMPLES = (
    "The tokenizer tokenizes tokens.",
    "strawberry, 3.14159, 1234567",
    "naïve café, 東京, नमस्ते, 👩‍👩‍👧",
    "def area(r):\n    return 3.14 * r ** 2",
)
COLORS = ("sky", "orange", "green", "purple", "blue")


@dataclass(frozen=True)
class State:
    """What the widget shows. `progress` is the share of the merges that are done, in percent."""

    text: str = EXAMPLES[0]
    tokenizer: str = ""
    progress: int = 100


@dataclass(frozen=True)
class Token:
    """One token as it is shown."""

    id: int
    label: str
    data: bytes


def _check(tokenizer: Any) -> None:
    if not isinstance(tokenizer, Tokenizer):
        raise ValueError(f"{shortened(tokenizer)} is none of the tokenizers of lib.tokenization")


def bpe_tokens(tokenizer: BPETokenizer, ids: list[int]) -> list[Token]:
    """Tokens with their bytes; bytes that are no whole character show in hexadecimal."""
    data = {i: tokenizer.id_to_bytes(i) for i in set(ids)}
    tokens = {i: Token(i, label_of(data[i]), data[i]) for i in data}
    return [tokens[i] for i in ids]


def label_of(data: bytes) -> str:
    """The text of a token, blanks made visible; its bytes where they are no whole characters."""
    try:
        return visible(data.decode())
    except UnicodeDecodeError:
        return data.hex(" ").upper()


def other_tokens(tokenizer: WordPieceTokenizer | UnigramTokenizer, text: str) -> list[Token]:
    """Tokens of WordPiece or Unigram, in their own spelling."""
    names = tokenizer.tokens if isinstance(tokenizer, WordPieceTokenizer) else tokenizer.pieces
    return [Token(i, visible(names[i]), names[i].encode()) for i in tokenizer.encode(text)]


def tokens_of(tokenizer: Tokenizer, text: str) -> list[Token]:
    """The tokens of `text` as they are shown."""
    _check(tokenizer)
    if isinstance(tokenizer, BPETokenizer):
        return bpe_tokens(tokenizer, tokenizer.encode(text))
    return other_tokens(tokenizer, text)


def show_tokens(tokenizer: Tokenizer, text: str) -> None:
    """Show the tokens of `text` as a picture that stays: colored boxes with ids and bytes."""
    tokens = tokens_of(tokenizer, text)
    labels = ", ".join(token.label for token in tokens)
    alt = f"“{visible(text)}” in {len(tokens)} tokens: {labels}."
    publish(*png_bundle(token_drawing(tokens).png(), alt, WIDTH))


def replay(tokenizer: BPETokenizer, text: str) -> tuple[list[list[int]], list[int]]:
    """The ids of the whole text after 0, 1, 2, ... of the merges that it needs; their ranks.

    A merge happens wherever its pair stands, in all words at once, as in training.
    """
    words = [tokenizer.alphabet_ids(word) for word in tokenizer.words(text)]
    histories = [list(tokenizer.merge_table.steps(word)) for word in words]
    ranks = sorted({rank for history in histories for rank, _ in history})
    stages = [[i for word in words for i in word]]
    for last in ranks:
        for at, history in enumerate(histories):
            while history and history[0][0] <= last:
                words[at] = history.pop(0)[1]
        stages.append([i for word in words for i in word])
    return stages, ranks


def token_drawing(tokens: list[Token]) -> Drawing:
    """Boxes in rows: the text, its id below, its bytes below that."""
    shapes, x, row, colors, over = [], MARGIN, 0, cycle(COLORS), []
    for at, token in enumerate(tokens):
        label = token.label if len(token.label) <= 40 else token.label[:39] + "…"
        bytes_shown = token.data.hex(" ").upper()
        bytes_shown = bytes_shown if len(bytes_shown) <= 41 else bytes_shown[:38] + " …"
        below = max(text_width(str(token.id), 10), text_width(bytes_shown, 8, mono=True))
        width = max(text_width(label, 15, mono=True), below) + 10
        if x + width > WIDTH - MARGIN and x > MARGIN:
            x, row = MARGIN, row + 1
        if row == MOST_ROWS:
            more = f"and {len(tokens) - at} more tokens"
            shapes.append(Text(MARGIN, MARGIN + row * ROW + 10, more))
            break
        y, color = MARGIN + row * ROW, PALETTE[next(colors)]
        middle, ink = x + width / 2, text_color(color)
        tip = f"token {at + 1} of {len(tokens)}: id {token.id}, {len(token.data)} bytes"
        shapes += [
            Rectangle(x, y, width, BOX, fill=color, tip=tip),
            Text(middle, y + 14, label, 15, ink, "middle", mono=True),
            Text(middle, y + 32, str(token.id), 10, ink, "middle"),
            Text(middle, y + 45, bytes_shown, 8, ink, "middle", mono=True),
        ]
        over += _detail(at, len(tokens), token, x, y, width)
        x += width + GAP
    height = MARGIN + min(row + 1, MOST_ROWS) * ROW + 20 * (row == MOST_ROWS)
    return Drawing(WIDTH, height, shapes + over)


def _detail(at: int, n: int, token: Token, x: Number, y: Number, width: Number) -> list[Shape]:
    """What shows over a token that is touched: its id and its bytes in letters that can be read."""
    bytes_shown = token.data.hex(" ").upper()
    cut = bytes_shown if len(bytes_shown) <= 47 else bytes_shown[:44] + " …"
    texts = (f"token {at + 1} of {n}: id {token.id}", f"{len(token.data)} bytes: {cut}")
    wide = max(text_width(text, 12) for text in texts) + 12
    left = min(x, WIDTH - wide - 2)
    box = [Rectangle(left, y + 4, wide, BOX - 8, "#FFFFFF", edge="#222222")]
    box += [Text(left + 6, y + 16 + 20 * i, text, 12) for i, text in enumerate(texts)]
    name = f"{token.label}: {texts[0]}"
    return [Revealed(f"token {at}", box), Spot(x, y, width, BOX, name, reveals=f"token {at}")]


def token_explorer(tokenizers: Mapping[str, Tokenizer], text: str = EXAMPLES[0]) -> Explorer:
    """A text in colored tokens under a choice of tokenizers, with a replay of BPE's merges.

    Raises ValueError if there is no tokenizer to choose.
    """
    if not isinstance(tokenizers, Mapping) or not tokenizers:
        raise ValueError(
            "token_explorer needs at least one tokenizer in a dict of names, got "
            f"{shortened(tokenizers)}"
        )
    for tokenizer in tokenizers.values():
        _check(tokenizer)

    @lru_cache(maxsize=64)
    def stages(text: str, name: str) -> tuple[list[list[int]], list[int]]:
        return replay(tokenizers[name], text)

    def merges_done(state: State) -> int:
        """How many of the merges that the text needs are done; 0 for what is not BPE."""
        if not isinstance(tokenizers[state.tokenizer], BPETokenizer):
            return 0
        return round(state.progress / 100 * len(stages(state.text, state.tokenizer)[1]))

    @lru_cache(maxsize=64)
    def tokens(state: State) -> list[Token]:
        tokenizer = tokenizers[state.tokenizer]
        if isinstance(tokenizer, BPETokenizer):
            history, _ = stages(state.text, state.tokenizer)
            return bpe_tokens(tokenizer, history[merges_done(state)])
        return other_tokens(tokenizer, state.text)

    def describe(state: State) -> str:
        tokenizer, shown = tokenizers[state.tokenizer], tokens(state)
        n_bytes, done = len(state.text.encode()), merges_done(state)
        per_token = f", {n_bytes / len(shown):.2f} bytes a token" if shown else ""
        told = f"{n_bytes} bytes, {len(shown)} tokens{per_token}."
        if not done:
            return told
        _, ranks = stages(state.text, state.tokenizer)
        rank = ranks[done - 1]
        left, right = (label_of(tokenizer.id_to_bytes(i)) for i in tokenizer.merges[rank])
        return (
            f"{told} Merge {done} of the {len(ranks)} that this text needs: “{left}” with "
            f"“{right}”, number {rank + 1:,} of {len(tokenizer.merges):,} that were learned."
        )

    def next_example(state: State) -> State:
        at = EXAMPLES.index(state.text) if state.text in EXAMPLES else -1
        return replace(state, text=EXAMPLES[(at + 1) % len(EXAMPLES)])

    explain = "Share of the merges done, in the order learned; at 0 the bytes. For BPE only."
    return Explorer(
        State(text, next(iter(tokenizers))),
        [
            TextInput("text", "text", "Press Tab when done.", 200, rows=3, examples=EXAMPLES),
            Button("example", "Next example", "Another text.", next_example),
            Dropdown("tokenizer", "tokenizer", "Who cuts the text.", list(tokenizers)),
            IntSlider("progress", "merges done", explain, 0, 100, unit="%", play_ms=250),
        ],
        DrawingPicture(lambda state: token_drawing(tokens(state))),
        describe,
    )
