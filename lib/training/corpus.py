"""From a text of one's own to tokens: a tokenizer, a part to learn from, a part to measure by."""

import itertools
import os
from pathlib import Path

import numpy as np

from lib.settings import require
from lib.tokenization import BPETokenizer
from lib.training.batches import split
from lib.training.tokens import CONTROL, byte_tokenizer, byte_tokens, lines_of, load_tokens

READ = 20_000_000  # characters that a tokenizer learns from at most
LARGE = 10_000_000  # tokens, from which a smaller share is held out


def make_tokenizer(name: str, data: str | os.PathLike) -> BPETokenizer:
    """The tokenizer that `name` asks for: "bytes", "bpe:2048", a tokenizer.json or its folder.

    "bpe:SIZE" learns merges from the text in the file `data`. Raises ValueError for another name
    and for a size that does not fit the text.
    """
    if name == "bytes":
        return byte_tokenizer()
    if not name.startswith("bpe:"):
        files = [Path(name), *(Path(name) / f"tokenizer.{end}" for end in ("json", "model"))]
        if not any(path.is_file() for path in files):
            raise ValueError(
                f"tokenizer {name!r} is neither 'bytes' nor like 'bpe:2048' nor a tokenizer.json "
                "or a folder with one"
            )
        return BPETokenizer.load(name)
    size = name.removeprefix("bpe:")
    number = int(size) if size.isdecimal() else size
    require("the size in bpe:SIZE", number, "[300, 1e6]", whole=True)
    lines, size = [], 0
    for line in lines_of(Path(data)):
        lines.append(line)
        if (size := size + len(line)) >= READ:
            break
    text = "".join(lines)[:READ]
    if not text.strip():
        raise ValueError(f"{Path(data).name} is empty; give a text of a few thousand characters")
    tokenizer = BPETokenizer.train(
        text, number, "gpt2", special_tokens=CONTROL, eos_token=CONTROL[0]
    )
    if tokenizer.vocab_size < number:
        fits = f"bpe:{tokenizer.vocab_size} or bytes" if tokenizer.vocab_size >= 300 else "bytes"
        raise ValueError(
            f"{Path(data).name} has too little text for {name}: it gives {tokenizer.vocab_size} "
            f"tokens. Give --tokenizer {fits}, or more text"
        )
    return tokenizer


def own_tokens(
    data: str | os.PathLike,
    tokenizer: BPETokenizer | None,
    context_length: int,
    document_end: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation tokens of a text, or of an array in a .npy file (no tokenizer).

    A tenth is held out, of a large text a two-hundredth, from ten places. Raises ValueError, with
    the least that is needed, if a part does not fill a sequence.
    """
    plain = tokenizer is None or (not tokenizer.merges and document_end is None)
    if plain and Path(data).suffix != ".npy":
        return parts(load_tokens(data), context_length)  # bytes are their own ids
    return parts(load_tokens(data, tokenizer, document_end), context_length)


def parts(tokens: np.ndarray, context_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation tokens; errors as `own_tokens`."""
    require("context_length", context_length, "[1, inf)", whole=True)
    share = 0.1 if len(tokens) < LARGE else 0.005
    window = context_length + 1
    if _held_out(len(tokens), share) < window:
        least = next(n for n in itertools.count(9 * window) if _held_out(n, share) >= window)
        raise ValueError(
            f"{len(tokens):,} tokens are too few: {share:.0%} are held out, and both parts must "
            f"fill a sequence of {window}. Give a text of at least {least:,} tokens, a shorter "
            "--context-length, or --tokenizer bytes, which makes more tokens of the same text"
        )
    return split(tokens, share)


def _held_out(n: int, share: float) -> int:
    """How many of `n` tokens are held out for validation, a share of each of ten parts."""
    return len(split(np.empty(n, np.uint8), share)[1]) if n else 0


def english_tokens(context_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation bytes of Python's documentation, where no text is given."""
    from lib.corpora import english

    return parts(byte_tokens(english()), context_length)
