"""Say how an answer differs from what was expected, in one sentence."""

import dataclasses
import math
import numbers
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def difference(
    expected: Any, got: Any, rtol: float | int = 1e-4, atol: float | int = 1e-6
) -> str | None:
    """Return None if `got` equals `expected`, else a sentence that names the first difference.

    Floats are equal within `atol + rtol * |expected|`; NaN equals NaN. What is not the subject
    counts as the same: lists and tuples, float64 and float32, a list or an array for a tensor.
    """
    if expected is not None and got is None:
        return "It returns None."
    if isinstance(got, Tensor) and (got.layout != torch.strided or got.device.type == "meta"):
        word = "a meta tensor, which holds no numbers" if got.is_meta else "a sparse tensor"
        return f"It returns {word}: an ordinary tensor is asked for."
    if isinstance(got, Iterator) and not isinstance(expected, Iterator):
        return "It returns a generator or iterator: wrap it in `list(...)`."
    if isinstance(expected, Tensor):
        return _tensor_difference(expected, got, rtol, atol)
    if isinstance(expected, np.ndarray):
        if not isinstance(got, np.ndarray):
            return f"It returns {kind(got)}, expected a NumPy array."
        if expected.dtype.kind in "biuf" and got.dtype.kind in "biuf":
            return _tensor_difference(torch.from_numpy(expected), torch.from_numpy(got), rtol, atol)
        return None if np.array_equal(expected, got) else "The arrays differ."
    if isinstance(expected, bool | np.bool_):
        if not isinstance(got, bool | np.bool_):
            return f"It returns {kind(got)}, expected True or False."
        return None if expected == got else f"It returns {got}, expected {expected}."
    if isinstance(expected, numbers.Number):
        return _number_difference(expected, got, rtol, atol)
    if isinstance(expected, str | bytes):
        return _text_difference(expected, got)
    if isinstance(expected, Mapping):
        return _mapping_difference(expected, got, rtol, atol)
    if isinstance(expected, list | tuple):
        got = got.tolist() if isinstance(got, np.ndarray) else got
        return _sequence_difference(expected, got, rtol, atol)
    if type(expected) is not type(got):
        return f"It returns {kind(got)}, expected {kind(expected)}."
    if dataclasses.is_dataclass(expected):
        return _mapping_difference(vars(expected), vars(got), rtol, atol)
    return None if expected == got else f"It returns {brief(got)}, expected {brief(expected)}."


def same(expected: Any, got: Any) -> bool:
    """Whether two values are equal, but for dtypes and kinds of numbers and sequences."""
    if isinstance(expected, Tensor) and isinstance(got, Tensor):
        if expected.is_complex() or got.is_complex():
            return False
        expected, got = expected.detach().double(), got.detach().double()
    numeric = int | float | np.number
    if isinstance(expected, numeric) and isinstance(got, numeric):
        if isinstance(expected, bool) or isinstance(got, bool):
            return bool(expected == got)
        expected, got = float(expected), float(got)
    if isinstance(expected, Tensor) and not isinstance(got, Tensor | list | np.ndarray):
        expected = expected.item() if expected.numel() == 1 and expected.dim() == 0 else expected
        return not isinstance(expected, Tensor) and same(expected, got)
    if isinstance(expected, list | tuple) and isinstance(got, list | tuple):
        pairs = zip(expected, got, strict=False)
        return len(expected) == len(got) and all(same(e, g) for e, g in pairs)
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and all(same(v, got[k]) for k, v in expected.items())
    return difference(expected, got) is None


def near(expected: Any, got: Any, within: float = 0.02) -> bool:
    """Whether two values are equal but for lost digits: within a share of the largest number."""
    if isinstance(expected, list | tuple) and isinstance(got, list | tuple):
        pairs = zip(expected, got, strict=False)
        return len(expected) == len(got) and all(near(e, g, within) for e, g in pairs)
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and near(
            [*expected.values()], [*map(got.get, expected)], within
        )
    if isinstance(expected, Tensor) and isinstance(got, Tensor) and expected.numel():
        finite = expected[expected.isfinite()].abs()
        most = within * (float(finite.max()) if len(finite) else 0.0)
        return _tensor_difference(expected.double(), got.double(), within, most) is None
    return difference(expected, got, rtol=within) is None


def _tensor_difference(
    expected: Tensor, got: Any, rtol: float | int, atol: float | int
) -> str | None:
    if isinstance(got, np.ndarray | list | tuple) and expected.dim() != 0:
        try:
            got = torch.as_tensor(np.array(got))
        except (TypeError, ValueError):
            return f"It returns {kind(got)} that is no tensor, expected a tensor."
    if not isinstance(got, Tensor):
        return f"It returns {kind(got)}, expected a tensor."
    if expected.shape != got.shape:
        hint = ""
        if sorted(expected.shape) == sorted(got.shape):
            hint = " Two dimensions seem to be swapped."
        elif expected.numel() == got.numel():
            hint = " The numbers are as many, but shaped otherwise."
        return f"Its shape is {shape(got)}, expected {shape(expected)}.{hint}"
    wide = (torch.float32, torch.float64)
    if expected.dtype in wide and got.dtype in wide:
        got = got.to(expected.dtype)
    integers = (torch.int32, torch.int64)
    if expected.dtype in integers and got.dtype in integers:
        got = got.to(expected.dtype)
    if expected.dtype != got.dtype:
        return f"Its dtype is {_dtype(got)}, expected {_dtype(expected)}."
    if got.device != expected.device:
        return f"It is on {got.device}, expected on {expected.device}."
    expected, got = expected.detach(), got.detach()
    if expected.is_complex():
        expected, got = torch.view_as_real(expected), torch.view_as_real(got)
    if not expected.is_floating_point():
        wrong = expected != got
        if not wrong.any():
            return None
    else:
        wrong = ~torch.isclose(got, expected, rtol=rtol, atol=atol, equal_nan=True)
        if not wrong.any():
            return None
        new_nan = got.isnan() & ~expected.isnan()
        if new_nan.any():
            return f"It holds NaN in {int(new_nan.sum())} of {got.numel()} places."
        factor = _factor(expected, got, rtol)
        if factor is not None:
            return f"Every number is {factor:.4g} times the expected one."
    where = [int(i) for i in wrong.nonzero()[0]]
    place = f"At {where} it is" if where else "It is"
    return (
        f"{place} {got[tuple(where)].item():.6g}, expected {expected[tuple(where)].item():.6g}"
        f" ({int(wrong.sum())} of {wrong.numel()} numbers differ)."
    )


def _factor(expected: Tensor, got: Tensor, rtol: float | int) -> float | None:
    """Return c if got = c * expected for more than one number, else None."""
    both = expected.isfinite() & (expected != 0)
    if int(both.sum()) < 2 or not torch.equal(both, got.isfinite() & (got != 0)):
        return None
    if not torch.equal(got[~both].nan_to_num(0.5), expected[~both].nan_to_num(0.5)):
        return None
    ratio = got[both].double() / expected[both].double()
    middle = ratio.median()
    if torch.isclose(middle, torch.ones_like(middle), rtol=10 * max(rtol, 1e-6)):
        return None
    return float(middle) if torch.allclose(ratio, middle.expand_as(ratio), rtol=rtol) else None


def _number_difference(expected: Any, got: Any, rtol: float | int, atol: float | int) -> str | None:
    if isinstance(got, np.ndarray) and got.ndim == 0:
        got = got.item()  # NumPy's functions return either
    if isinstance(got, Tensor):
        return "It returns a tensor, expected a plain number: use `.item()`."
    if isinstance(got, bool | np.bool_) or not isinstance(got, numbers.Number):
        return f"It returns {kind(got)}, expected a number."
    if isinstance(expected, numbers.Integral):
        return None if expected == got else f"It returns {brief(got)}, expected {expected}."
    if not math.isfinite(abs(expected)):  # a tolerance relative to infinity lets all through
        rtol = 0
    close = abs(got - expected) <= atol + rtol * abs(expected) or got == expected
    if close or (math.isnan(abs(expected)) and math.isnan(abs(got))):
        return None
    return f"It returns {brief(got)}, expected {brief(expected)}."


def _text_difference(expected: str | bytes, got: Any) -> str | None:
    if type(expected) is not type(got):
        return f"It returns {kind(got)}, expected {kind(expected)}."
    if expected == got:
        return None
    same = 0
    while same < min(len(expected), len(got)) and expected[same] == got[same]:
        same += 1
    return f"It differs from position {same} on: {got[same:][:20]!r}, not {expected[same:][:20]!r}."


def _mapping_difference(
    expected: Mapping, got: Any, rtol: float | int, atol: float | int
) -> str | None:
    if not isinstance(got, Mapping):
        return f"It returns {kind(got)}, expected a dictionary."
    for key in expected:
        if key not in got:
            return f"The key {brief(key)} is missing."
    for key in got:
        if key not in expected:
            return f"The key {brief(key)} should not be there."
    for key in expected:
        inner = difference(expected[key], got[key], rtol, atol)
        if inner:
            return f"Under the key {brief(key)}: {inner}"
    return None


def _sequence_difference(
    expected: Sequence, got: Any, rtol: float | int, atol: float | int
) -> str | None:
    if not isinstance(got, list | tuple):
        return f"It returns {kind(got)}, expected {kind(expected)}."
    if len(expected) != len(got):
        return f"It has {len(got)} items, expected {len(expected)}."
    for i, (e, g) in enumerate(zip(expected, got, strict=True)):
        inner = difference(e, g, rtol, atol)
        if inner:
            nested = inner.startswith("In item ")
            return f"In item {i}, {inner[3:]}" if nested else f"In item {i}: {inner}"
    return None


def kind(value: Any) -> str:
    """Return the type in words: "a list", "an int", "a tensor"."""
    if isinstance(value, Tensor):
        return "a tensor"
    if isinstance(value, np.ndarray):
        return "a NumPy array"
    name = type(value).__name__
    return "None" if value is None else f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def shape(value: Tensor) -> str:
    """Return e.g. "(2, 3)"."""
    return str(tuple(value.shape))


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def size(value: Any) -> int:
    """Return how many numbers, characters or items a value holds, roughly."""
    if isinstance(value, Tensor | np.ndarray):
        return math.prod(value.shape)
    if isinstance(value, Mapping):
        return sum(map(size, value.values()))
    if isinstance(value, list | tuple | set):
        return sum(map(size, value))
    return len(value) if isinstance(value, str | bytes) else 1


def brief(value: Any, most: int = 160) -> str:
    """Return a short text for a value: small tensors with their numbers, large ones without."""
    if isinstance(value, Tensor | np.ndarray):
        tensor = value.detach() if isinstance(value, Tensor) else value
        size = math.prod(tensor.shape)
        name = "tensor" if isinstance(value, Tensor) else "array"
        if size > 24:
            dtype = str(value.dtype).removeprefix("torch.")
            return f"{name} of shape {tuple(tensor.shape)}, {dtype}"
        return f"{name}({_nested(tensor.tolist())})" + (
            f" of shape {tuple(tensor.shape)}" if size == 0 else ""
        )
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple) and any(isinstance(v, Tensor | np.ndarray) for v in value):
        inside = ", ".join(brief(v, most) for v in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(value))  # an address differs from run to run
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _nested(numbers_: Any) -> str:
    if isinstance(numbers_, list):
        return "[" + ", ".join(map(_nested, numbers_)) + "]"
    return f"{numbers_:.4g}" if isinstance(numbers_, float) else str(numbers_)
