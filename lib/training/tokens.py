"""Tokens on disk: a text of any length becomes one array, read from the disk as it is needed."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lib.files import atomic_write
from lib.tokenization import BPETokenizer

PART = 1 << 20  # characters encoded at a time


def byte_tokens(text: str) -> np.ndarray:
    """The UTF-8 bytes of a text: a vocabulary of 256 that needs no tokenizer."""
    return np.frombuffer(text.encode(), dtype=np.uint8)


def load_tokens(path: str | Path, tokenizer: BPETokenizer | None = None) -> np.ndarray:
    """Tokens of a file: `.npy` as they are (mapped, not read), anything else as UTF-8 text.

    Text is encoded by `tokenizer` (None: bytes) once and kept beside it as `NAME.XXXXXXXX.npy`,
    with a checksum of the text and the vocabulary in its name. Raises ValueError for an array that
    is not a list of whole numbers, FileNotFoundError for a missing file.
    """
    path = Path(path)
    if path.suffix != ".npy":
        if tokenizer is None:
            return byte_tokens(path.read_text(encoding="utf-8"))
        path = _encoded(path, tokenizer)
    tokens = np.load(path, mmap_mode="r", allow_pickle=False)
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise ValueError(
            f"{path.name} must hold whole numbers in one dimension, "
            f"got {tokens.dtype} of shape {tokens.shape}"
        )
    return tokens


def _encoded(path: Path, tokenizer: BPETokenizer) -> Path:
    """The file of tokens that belongs to a text and a tokenizer, written at first use."""
    digest = hashlib.sha256(repr((tokenizer.tokens, tokenizer.pattern)).encode())
    with path.open("rb") as file:
        while block := file.read(PART):
            digest.update(block)
    target = path.with_name(f"{path.name}.{digest.hexdigest()[:8]}.npy")
    if target.exists():
        return target
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    parts = [np.array(tokenizer.encode(part), dtype=dtype) for part in _parts(path)]
    with atomic_write(target) as unfinished:
        np.save(unfinished, np.concatenate(parts))
    return target


def _parts(path: Path) -> Iterator[str]:
    """A text in parts that end after a line, so that hardly any token is cut."""
    with path.open(encoding="utf-8", newline="") as file:
        while part := file.read(PART):
            yield part + file.readline()
