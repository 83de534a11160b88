"""From tokens back to a text: the steps of a tokenizer.json's decoder, and what SentencePiece does.

A step turns the spellings of tokens into others; in the end they are joined. Without any step there
is a space between them. Source: the `decoders` of Hugging Face tokenizers.
"""

import codecs
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import regex

from lib.settings import require
from lib.tokenization.pipeline import Step, named_step, replacement
from lib.tokenization.pretokenization import BYTE_PIECES, CHAR_TO_BYTE, SPACE

Tokens = list[str]
BYTE = regex.compile("<0x([0-9a-fA-F]{2})>")

# Of bytes that are no UTF-8 each is shown, as SentencePiece does; Python shows some together.
codecs.register_error("replace each", lambda e: ("\ufffd" * (e.end - e.start), e.end))


def decoder_of(steps: Sequence[Step]) -> Callable[[Tokens], str]:
    """One function that applies each step and joins; ValueError names a step that is not known."""
    changes = [named_step("decoder", _decode, step) for step in steps]

    def apply(tokens: Tokens) -> str:
        for change in changes:
            tokens = change(tokens)
        return ("" if changes else " ").join(tokens)

    return apply


def usual_decoder(byte_level: bool, end_of_word: str) -> list[Step]:
    """The steps for bytes, for words with a mark at their end, or for bare characters."""
    if byte_level:
        return [{"type": "ByteLevel"}]
    return [{"type": "BPEDecoder", "suffix": end_of_word} if end_of_word else {"type": "Fuse"}]


def space_of(steps: Sequence[Step]) -> str:
    """What stands for a space in the tokens, if the steps say it with a character."""
    for step in steps:
        if step["type"] in ("Metaspace", "SentencePiece"):
            return step.get("replacement", SPACE)
        if step["type"] == "Replace" and step["content"] == " ":
            return step["pattern"].get("String", "")
    return ""


def _decode(kind: str, step: Step) -> Callable[[Tokens], Tokens] | None:
    if kind == "Fuse":
        return lambda tokens: ["".join(tokens)]
    if kind == "ByteLevel":
        return _byte_level
    if kind == "ByteFallback":
        return _byte_fallback
    if kind == "Replace":
        return _each(replacement(step))
    if kind == "Strip":
        for side in ("start", "stop"):
            require(side, step[side], "[0, inf)", whole=True)
        return _each(partial(_stripped, _text(step, "content"), step["start"], step["stop"]))
    if kind == "Metaspace":
        space, keeps = (
            _text({"replacement": SPACE, **step}, "replacement"),
            step.get("prepend_scheme") == "never",
        )
        return lambda tokens: [
            token.replace(space, "" if n == 0 and not keeps else " ")
            for n, token in enumerate(tokens)
        ]
    if kind == "BPEDecoder":
        mark = _text(step, "suffix")
        return lambda tokens: [
            token.replace(mark, "" if n == len(tokens) else " ")
            for n, token in enumerate(tokens, start=1)
        ]
    if kind == "SentencePiece":
        pieces = BYTE_PIECES | {step["unknown"]: " ⁇ "}
        return lambda tokens: [
            pieces_to_text(
                (bytes([p]) if isinstance(p := pieces.get(t, t), int) else p for t in tokens),
                step["add_dummy_prefix"],
                step["remove_extra_whitespaces"],
            )
        ]
    return None


def _text(step: Step, key: str) -> str:
    if not isinstance(step[key], str):
        raise TypeError(f"{key} is no text")
    return step[key]


def _each(change: Callable[[str], str]) -> Callable[[Tokens], Tokens]:
    return lambda tokens: [change(token) for token in tokens]


def _byte_level(tokens: Tokens) -> Tokens:
    data = bytearray()
    for token in tokens:
        spelled = all(char in CHAR_TO_BYTE for char in token)
        data += bytes(map(CHAR_TO_BYTE.__getitem__, token)) if spelled else token.encode()
    return [data.decode("utf-8", "replace")]


def _byte_fallback(tokens: Tokens) -> Tokens:
    """Each run of byte tokens as a text; of a run that is no UTF-8 each byte is U+FFFD."""
    made, run = [], bytearray()
    for token in [*tokens, None]:
        if token is not None and (byte := BYTE.fullmatch(token)):
            run.append(int(byte[1], 16))
            continue
        if run:
            try:
                made.append(run.decode())
            except UnicodeDecodeError:
                made += ["\ufffd"] * len(run)
            run = bytearray()
        made.append(token)
    return made[:-1]


def _stripped(content: str, start: int, stop: int, token: str) -> str:
    left = len(token) - len(token.lstrip(content))
    token = token[min(left, start) :]
    right = len(token) - len(token.rstrip(content))
    return token[: len(token) - min(right, stop)]


def pieces_to_text(pieces: Iterable[str | bytes], prefix: bool, strips: bool) -> str:
    """The text of SentencePiece's pieces, or bytes, of a model with add_dummy_prefix (`prefix`) or
    remove_extra_whitespaces (`strips`).

    Spaces at the start are left out: one with `prefix`, one of each piece with `strips`, until a
    character is there.
    """
    parts, at_start = [], prefix or strips
    for piece in pieces:
        if isinstance(piece, bytes):
            parts.append(piece)
            continue
        shown = piece.removeprefix(SPACE) if at_start and not parts else piece
        at_start = at_start and (strips or shown == piece)
        parts += [shown.replace(SPACE, " ").encode()] if shown else []
    return b"".join(parts).decode("utf-8", "replace each")
