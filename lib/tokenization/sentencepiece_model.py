"""SentencePiece .model files, read and written without the sentencepiece package.

The format is a protocol buffer: fields, each with a number, a wire type and a value. A few of them
matter here, so a reader of forty lines does it, and the course needs one dependency less.
Source: sentencepiece_model.proto and normalizer.cc of SentencePiece; Kudo and Richardson 2018.
"""

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lib.files import write_file

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # types of pieces
MODEL_TYPES = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}


@dataclass
class SentencePieceModel:
    """What a .model file says about its pieces and about the normalization before them."""

    pieces: list[str]
    scores: list[float]
    types: list[int]
    byte_fallback: bool = False
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    space_after_words: bool = False
    escape_whitespaces: bool = True
    character_map: bytes = b""


def read(path: str | os.PathLike, kind: str = "unigram") -> SentencePieceModel:
    """Read a .model file; ValueError if it is damaged or of another kind of model."""
    data = Path(path).read_bytes()
    try:
        return _parse(data, kind)
    except (IndexError, struct.error, UnicodeDecodeError, TypeError) as error:
        raise ValueError(f"{path}: not a SentencePiece model, or damaged ({error})") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _parse(data: bytes, wanted: str) -> SentencePieceModel:
    model = SentencePieceModel([], [], [])
    kind = "unigram"
    for number, value in _fields(data):
        if number == 1:  # a piece
            piece = dict(_fields(value))
            model.pieces.append(piece[1].decode() if 1 in piece else "")
            model.scores.append(struct.unpack("<f", piece.get(2, bytes(4)))[0])
            model.types.append(piece.get(3, NORMAL))
        elif number == 2:  # how it was trained
            trainer = dict(_fields(value))
            kind = MODEL_TYPES.get(trainer.get(3, 1), str(trainer.get(3)))
            model.byte_fallback = bool(trainer.get(35, 0))
            model.space_after_words = bool(trainer.get(24, 0))
        elif number == 3:  # how texts are normalized
            normalizer = dict(_fields(value))
            model.character_map = normalizer.get(2, b"")
            model.add_dummy_prefix = bool(normalizer.get(3, 1))
            model.remove_extra_whitespaces = bool(normalizer.get(4, 1))
            model.escape_whitespaces = bool(normalizer.get(5, 1))
    if not model.pieces:
        raise ValueError("not a SentencePiece model: it holds no pieces")
    if kind != wanted:
        reader = {
            "unigram": "; UnigramTokenizer.load reads it",
            "bpe": "; BPETokenizer.load reads it",
        }
        raise ValueError(f"a {kind!r} model, not {wanted!r}{reader.get(kind, '')}")
    if model.space_after_words or not model.escape_whitespaces:
        raise ValueError("treat_whitespace_as_suffix and escape_whitespaces=false: not supported")
    if kind == "unigram" and USER_DEFINED in model.types:
        piece = model.pieces[model.types.index(USER_DEFINED)]
        raise ValueError(f"user-defined symbols are not supported, found {piece!r}")
    if not all(map(math.isfinite, model.scores)):
        raise ValueError("damaged: a score is not a finite number")
    return model


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of each field: an int for varints, else bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire_type == 2:
            length, at = _varint(data, at)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"not a SentencePiece model, or damaged (wire type {wire_type})")
        if at + length > len(data):
            raise ValueError("not a SentencePiece model, or cut short")
        yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Seven bits a byte, low ones first; the top bit says that more follow."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        if shift > 70:
            raise ValueError("not a SentencePiece model, or damaged (a number of over ten bytes)")
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def write(model: SentencePieceModel, path: str | os.PathLike) -> None:
    """Write a .model file that SentencePiece can load; whole or not at all."""
    unknown = model.types.index(UNKNOWN)
    data = b"".join(
        _field(1, _field(1, piece.encode()) + _field(2, score) + _field(3, kind))
        for piece, score, kind in zip(model.pieces, model.scores, model.types, strict=True)
    )
    trainer = [
        (3, 1),
        (24, int(model.space_after_words)),
        (4, len(model.pieces)),
        (35, int(model.byte_fallback)),
        (40, unknown),
    ]
    trainer += [(41, -1), (42, -1), (43, -1)]  # no BOS, EOS, padding
    normalizer = _field(1, b"identity") + _field(3, int(model.add_dummy_prefix))
    normalizer += _field(4, int(model.remove_extra_whitespaces))
    normalizer += _field(5, int(model.escape_whitespaces))
    if model.character_map:
        normalizer += _field(2, model.character_map)
    data += _field(2, b"".join(_field(number, value) for number, value in trainer))
    data += _field(3, normalizer)
    write_file(path, data)


def _field(number: int, value: int | float | bytes) -> bytes:
    if isinstance(value, float):
        return _encode_varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):  # a negative number has all 64 bits
        return _encode_varint(number << 3) + _encode_varint(value % (1 << 64))
    return _encode_varint(number << 3 | 2) + _encode_varint(len(value)) + value


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


class CharacterMap:
    """The replacements that a model makes before all else, such as NFKC: a trie and its texts.

    The trie is a double array (Darts): 32-bit units, each with a label (the byte that leads to
    it), an offset to where its children are (shifted by 8 more if bit 9 is set), and a flag that a
    text ends here. The first unit of a
    complete key's children holds where the replacement starts.
    """

    def __init__(self, blob: bytes) -> None:
        try:
            (size,) = struct.unpack_from("<I", blob)
            self.units = struct.unpack_from(f"<{size // 4}I", blob, 4)
        except struct.error as error:
            raise ValueError(f"the map of characters is damaged ({error})") from error
        self.texts = blob[4 + size :]

    def longest_match(self, data: bytes, at: int) -> tuple[int, bytes]:
        """(length, replacement) of the longest key that `data` has at `at`; length 0 if none."""
        length, replacement = 0, b""
        node = self.units[0] >> 10 << ((self.units[0] & 0x200) >> 6)
        for end in range(at, len(data)):
            node ^= data[end]
            unit = self.units[node]
            if unit & 0x800000FF != data[end]:
                break
            node ^= unit >> 10 << ((unit & 0x200) >> 6)
            if unit >> 8 & 1:
                start = self.units[node] & 0x7FFFFFFF
                length = end + 1 - at
                replacement = self.texts[start : self.texts.index(b"\0", start)]
        return length, replacement

    def apply(self, text: str) -> str:
        """`text` with each key replaced, from the left, the longest first.

        Raises ValueError where the trie leads out of its data, or to what is no UTF-8.
        """
        try:
            return self._applied(text.encode())
        except (IndexError, ValueError) as error:
            raise ValueError(f"the map of characters is damaged ({error})") from error

    def _applied(self, data: bytes) -> str:
        at, parts = 0, []
        while at < len(data):
            length, replacement = self.longest_match(data, at)
            if not length:
                first = data[at]
                length = 1 + (first >= 0xC0) + (first >= 0xE0) + (first >= 0xF0)
                replacement = data[at : at + length]
            parts.append(replacement)
            at += length
        return b"".join(parts).decode()
