"""The container format GGUF: metadata, then tensors, every length held against the file's.

Source: the specification in ggml's repository, docs/gguf.md (version 3; 2 reads alike).
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
SCALARS[12] = "d"
STRING, ARRAY = 8, 9


@dataclass(frozen=True)
class GGUFTensor:
    """A tensor as it lies in the file: `rows` of bytes, quantized as `kind` says."""

    name: str
    shape: tuple[int, ...]
    kind: int
    rows: np.ndarray

    def dequantized(self, dtype: torch.dtype) -> Tensor:
        """The values, a few thousand rows at a time: the parser needs room to work in.

        It takes 16 rows at once, so it gets 16 as one where that goes; a memmap is slower than an
        array, and not needed here.

        Raises ValueError for a kind of numbers that the parser knows no values of.
        """
        import gguf

        kind = gguf.GGMLQuantizationType(self.kind)
        values = torch.empty((len(self.rows), self.shape[-1]), dtype=dtype)
        rows, joined = self.rows.view(np.ndarray), 16 if len(self.rows) % 16 == 0 else 1
        for start in range(0, len(self.rows), 4096):
            block = rows[start : start + 4096]
            try:
                block = gguf.quants.dequantize(block.reshape(len(block) // joined, -1), kind)
            except NotImplementedError as error:
                raise ValueError(f"{self.name}: {kind.name} cannot be read as weights") from error
            block = block.reshape(-1, self.shape[-1])
            values[start : start + 4096] = torch.from_numpy(block.copy())
        return values.view(self.shape)


def read_gguf(path: Path) -> tuple[dict[str, Any], list[GGUFTensor]]:
    """The metadata and the tensors of a file; their data stay on disk until they are used.

    Raises ValueError if the file is not GGUF, is cut short, or says what cannot be.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            cursor = _Cursor(data)
            metadata, infos = _read_header(cursor)
        tensors = _tensors(path, metadata, infos, cursor.position)
    except FileNotFoundError:
        raise
    except (ValueError, OSError, struct.error) as error:
        raise ValueError(f"{path.name} is not a complete GGUF file ({error})") from error
    return metadata, tensors


class _Cursor:
    """A place in the file that moves on with each reading and never past the end."""

    def __init__(self, data: mmap.mmap):
        self.data, self.position = data, 0

    def take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.data):
            raise ValueError(f"{size} bytes expected at {self.position}, {len(self.data)} in all")
        self.position, start = end, self.position
        return self.data[start:end]

    def number(self, code: str) -> int | float | bool:
        return struct.unpack(f"<{code}", self.take(struct.calcsize(code)))[0]

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8")

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind in SCALARS:
            return self.number(SCALARS[kind])
        if kind == STRING:
            return self.text()
        if kind != ARRAY or depth > 2:
            raise ValueError(f"unknown type {kind} of a value at {self.position}")
        inner, count = self.number("I"), self.number("Q")
        if inner in SCALARS:
            content = self.take(count * struct.calcsize(SCALARS[inner]))
            return np.frombuffer(content, f"<{SCALARS[inner]}").tolist()
        self.room_for(count, 8)
        return [self.value(inner, depth + 1) for _ in range(count)]

    def room_for(self, count: int, least: int) -> None:
        """Raise ValueError if so many things of at least so many bytes cannot be in the file."""
        if count * least > len(self.data) - self.position:
            raise ValueError(f"{count} entries do not fit into {len(self.data)} bytes")


def _read_header(cursor: _Cursor) -> tuple[dict[str, Any], list[tuple]]:
    magic, version = cursor.take(4), cursor.number("I")
    if magic != b"GGUF":
        raise ValueError(f"it begins with {magic!r}, a GGUF file with b'GGUF'")
    if version not in (2, 3):
        raise ValueError(f"version {version}; 2 and 3 are known, in little-endian byte order")
    n_tensors, n_fields = cursor.number("Q"), cursor.number("Q")
    cursor.room_for(n_fields, 13)
    metadata = {}
    for _ in range(n_fields):
        key = cursor.text()
        metadata[key] = cursor.value(cursor.number("I"))
    cursor.room_for(n_tensors, 24)
    infos = []
    for _ in range(n_tensors):
        name, n_dims = cursor.text(), cursor.number("I")
        if not 1 <= n_dims <= 4:
            raise ValueError(f"tensor {name!r} has {n_dims} dimensions")
        shape = tuple(cursor.number("Q") for _ in range(n_dims))[::-1]
        infos.append((name, shape, cursor.number("I"), cursor.number("Q")))
    return metadata, infos


def _tensors(path: Path, metadata: dict, infos: list[tuple], end: int) -> list[GGUFTensor]:
    import gguf

    step = metadata.get("general.alignment", 32)
    if not isinstance(step, int) or isinstance(step, bool) or step < 1:
        raise ValueError(f"general.alignment must be an integer at least 1, got {step!r}")
    data, base, tensors = np.memmap(path, np.uint8, "r"), -(-end // step) * step, {}
    for name, shape, number, offset in infos:
        kind = gguf.GGMLQuantizationType(number)  # ValueError for a number that is none
        block, size = gguf.GGML_QUANT_SIZES[kind]
        n_rows, width = 1, shape[-1]
        for dimension in shape[:-1]:
            n_rows *= dimension
        n_bytes, start = n_rows * (width // block) * size, base + offset
        if name in tensors or not n_bytes or width % block or start + n_bytes > len(data):
            raise ValueError(f"tensor {name!r} of shape {shape} is a second one or does not fit")
        rows = data[start : start + n_bytes].reshape(n_rows, -1)
        tensors[name] = GGUFTensor(name, shape, number, rows)
    return list(tensors.values())
