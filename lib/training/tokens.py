"""Tokens on disk: a text of any length becomes one array, read from the disk as it is needed."""

import dataclasses
import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from lib.files import atomic_write
from lib.settings import shortened
from lib.tokenization import BPETokenizer
from lib.tokenization.pretokenization import BYTE_TO_CHAR

PART = 1 << 20  # characters encoded at a time
# Control tokens of a tokenizer for an own model: the end of a text, and of the turns of a chat.
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
FORMAT = 3  # of the files of tokens: another number, and all texts are encoded anew


def byte_tokens(text: str) -> np.ndarray:
    """The UTF-8 bytes of a text: a vocabulary of 256 that needs no tokenizer."""
    if not isinstance(text, str):
        raise TypeError(f"byte_tokens needs a text, got {shortened(text)}")
    return np.frombuffer(text.encode(), dtype=np.uint8)


def byte_tokenizer(control: tuple[str, ...] = CONTROL) -> BPETokenizer:
    """A tokenizer without merges: a byte's id is the byte; the control tokens follow, from 256 on.

    It is a file like any other tokenizer's, so that a model of bytes opens where others do.
    """
    tokens = [*BYTE_TO_CHAR, *control]
    ids = {token: 256 + i for i, token in enumerate(control)}
    return BPETokenizer(tokens, [], None, ids, eos_token=control[0] if control else None)


def load_tokens(
    path: str | Path, tokenizer: BPETokenizer | None = None, document_end: str | None = None
) -> np.ndarray:
    """Tokens of a file: `.npy` as they are (mapped, not read), anything else as UTF-8 text.

    Line ends become "\\n" and a byte-order mark at the start is left out. `document_end`, such as
    "<|endoftext|>", is a special token of the tokenizer that this text uses between documents;
    without it, control tokens in the text are read as plain text. Text is encoded by `tokenizer`
    (None: bytes) once and kept beside it as `NAME.XXXXXXXX.npy`, with a checksum in its name of the
    text and all that encoding depends on. Raises ValueError for a file that is empty, no UTF-8, or
    an array that is no list of whole numbers, FileNotFoundError for a missing file.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path.name} is a folder; give a text or an array of tokens in a file")
    if path.suffix == ".npy":
        return _load_array(path)
    known = list(getattr(tokenizer, "special_tokens", ()))  # a list: no hash of what is given
    if document_end is not None and document_end not in known:
        raise ValueError(
            f"document_end {document_end!r} is no special token of "
            + ("this tokenizer" if tokenizer else "bytes: give a tokenizer that has it")
        )
    if not path.stat().st_size:
        raise ValueError(f"{path.name} is empty; give a text of a few thousand characters or more")
    if tokenizer is None:
        return byte_tokens("".join(lines_of(path)))
    return _load_array(_encoded(path, tokenizer, document_end))


def _load_array(path: Path) -> np.ndarray:
    try:
        tokens = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path.name} holds no array that NumPy can read: {error}") from error
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise ValueError(
            f"{path.name} must hold whole numbers in one dimension, "
            f"got {tokens.dtype} of shape {tokens.shape}"
        )
    return tokens


def _encoded(path: Path, tokenizer: BPETokenizer, document_end: str | None) -> Path:
    """The file of tokens that belongs to a text and a tokenizer, written at first use."""
    fields = {f.name: getattr(tokenizer, f.name) for f in dataclasses.fields(tokenizer)}
    fields.pop("chat_template", None)  # the only one that no text depends on
    digest = hashlib.sha256(repr((FORMAT, document_end, sorted(fields.items()))).encode())
    with path.open("rb") as file:
        while block := file.read(PART):
            digest.update(block)
    target = path.with_name(f"{path.name}.{digest.hexdigest()[:8]}.npy")
    if target.exists():
        return target
    special = () if document_end is None else (document_end,)
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    parts = [
        np.array(tokenizer.encode(part, allowed_special=special), dtype=dtype)
        for part in _parts(path, tokenizer, special)
    ]
    with atomic_write(target) as unfinished, unfinished.open("wb") as file:
        np.save(file, np.concatenate(parts))
    return target


def _parts(path: Path, tokenizer: BPETokenizer, special: tuple[str, ...]) -> Iterator[str]:
    """A text in parts, cut between two lines where encoding them together changes nothing."""
    encode = partial(tokenizer.encode, allowed_special=special)
    lines: list[str] = []
    size, tail = 0, ""  # the last line that is not blank, and the blank ones after it
    for line in lines_of(path):
        blank = not line.strip()
        if size >= PART and not blank and encode(tail + line) == encode(tail) + encode(line):
            yield "".join(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line)
        tail = tail + line if blank else line
    yield "".join(lines)


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a text file; ValueError says where it is no UTF-8."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from file
    except UnicodeDecodeError:
        try:
            path.read_bytes().decode()
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path.name} is not UTF-8: byte 0x{error.object[error.start]:02x} at position "
                f"{error.start}. Save it as UTF-8 first, for instance with "
                f"iconv -f latin1 -t utf-8 (or -f utf-16, if it is that)"
            ) from error
