"""What wrong answers return in place of the right value: its logarithm, its transpose, one less, …

Each edit turns the expected value into such a result; `lib.exercises.diagnosis` says its sentence
where the edit gives what an answer returns in every case. They hold for any exercise.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

Edit = tuple[str, Callable[[Any], Any]]


def _dim(dim: int, function: Callable[[Tensor, int], Tensor]) -> Callable[[Tensor], Tensor]:
    """`function` on one dimension of tensors that have it; others are left to fail."""
    return lambda x: function(x, dim) if dim < x.dim() else _never()


def _never() -> Any:
    raise ValueError("this edit does not apply")


def _where(test: Callable[[Tensor], Tensor], value: float | int) -> Callable[[Tensor], Tensor]:
    return lambda x: x.masked_fill(test(x), value) if test(x).any() else _never()


def _places(x: Tensor) -> Tensor:
    return _never() if x.dim() == 0 else x


NUMERIC: list[Edit] = [
    ("The result is always 0.", torch.zeros_like),
    ("The result is always 1.", torch.ones_like),
    ("The sign is turned.", torch.neg),
    ("The result is the natural logarithm of what is asked for.", torch.log),
    ("The result is the negative logarithm of what is asked for.", lambda x: -x.log()),
    ("The result is the logarithm to base 2 of what is asked for.", torch.log2),
    ("The result is the logarithm to base 10 of what is asked for.", torch.log10),
    ("The result is the exponential of what is asked for.", torch.exp),
    ("The result is the exponential of the negative of what is asked for.", lambda x: (-x).exp()),
    ("The result is 2 to the power of what is asked for: nats are not bits.", torch.exp2),
    (
        "The logarithm is natural, but the power is of base 2: use one base for both.",
        lambda x: torch.exp2(x.log()),
    ),
    (
        "The logarithm has base 2, but the power is of base e: use one base for both.",
        lambda x: x.log2().exp(),
    ),
    ("A root is missing: the result is the square of what is asked for.", torch.square),
    ("There is a root too much.", torch.sqrt),
    ("The fraction is upside down.", torch.reciprocal),
    ("The result is 1 minus what is asked for: the complement.", lambda x: 1 - x),
    ("The result is what is asked for minus 1.", lambda x: x - 1),
    ("The result is 1 too large.", lambda x: x + 1),
    ("The size is right, but the sign is lost.", torch.abs),
    ("Negative numbers are cut to 0.", lambda x: x.clamp(min=0)),
    ("The result is rounded to whole numbers.", torch.round),
    ("The result is rounded down to whole numbers.", torch.floor),
    ("The result is rounded up to whole numbers.", torch.ceil),
    ("The result is rounded to 1 digit.", lambda x: (x * 10).round() / 10),
    ("The result is rounded to 2 digits.", lambda x: (x * 100).round() / 100),
    ("The result is rounded to 3 digits.", lambda x: (x * 1000).round() / 1000),
    ("The result is rounded to 4 digits.", lambda x: (x * 1e4).round() / 1e4),
    ("The result is in percent; a share is asked for.", lambda x: x * 100),
    ("The result is in thousandths: the unit is not the one asked for.", lambda x: x * 1000),
    ("The result is in bits: use the natural logarithm.", lambda x: x / math.log(2)),
    ("The result is in GiB (2^30 bytes), not in bytes.", lambda x: x / 2**30),
    ("The result is in GB (10^9), not in single units.", lambda x: x / 1e9),
    ("The result is in MiB (2^20 bytes), not in bytes.", lambda x: x / 2**20),
    ("A sigmoid is applied to the result.", torch.sigmoid),
]
TENSOR: list[Edit] = [
    ("A softmax is applied to the result once more.", lambda x: _places(x).softmax(-1)),
    ("The result is the log-softmax of what is asked for.", lambda x: _places(x).log_softmax(-1)),
    ("The result is divided by its sum.", lambda x: _places(x) / x.sum(-1, keepdim=True)),
    ("The rows' mean is subtracted.", lambda x: _places(x) - x.mean(-1, keepdim=True)),
    ("Each row's largest number is subtracted.", lambda x: _places(x) - x.amax(-1, keepdim=True)),
    ("The result is summed up along the last dimension.", lambda x: _places(x).cumsum(-1)),
    ("The numbers are right, but sorted.", lambda x: _places(x).sort(-1).values),
    ("The numbers are sorted in falling order.", lambda x: _places(x).sort(-1).values.flip(-1)),
    ("-inf became 0: e^0 = 1, so nothing is hidden by it.", _where(torch.isneginf, 0.0)),
    ("-inf became -1e9: that is a number; write -math.inf.", _where(torch.isneginf, -1e9)),
    ("-inf became -1e4: that is a number; write -math.inf.", _where(torch.isneginf, -1e4)),
    (
        "-inf became the smallest number: write -math.inf.",
        _where(torch.isneginf, torch.finfo(torch.float32).min),
    ),
    ("-inf became NaN: inf - inf or 0 · inf is NaN.", _where(torch.isneginf, math.nan)),
    ("-inf became +inf.", _where(torch.isneginf, math.inf)),
    ("0 became -inf: weights are asked for, not logits.", _where(lambda x: x == 0, -math.inf)),
    ("0 became NaN: something is divided by 0, or 0 · inf.", _where(lambda x: x == 0, math.nan)),
    ("The first two dimensions are swapped.", lambda x: x.transpose(0, 1)),
    ("The last two dimensions are swapped.", lambda x: x.mT),
    ("`squeeze()` drops every dimension of size 1: keep them.", torch.squeeze),
    ("A first dimension of size 1 is dropped: keep it.", lambda x: x.squeeze(0)),
    ("A last dimension of size 1 is dropped: keep it.", lambda x: x.squeeze(-1)),
    ("The result has a dimension of size 1 too much, in front.", lambda x: x[None]),
    ("The result has a dimension of size 1 too much, at the end.", lambda x: x[..., None]),
    ("The result has one dimension only: it is flattened.", lambda x: _places(x).flatten()),
    ("Only the first row is returned.", lambda x: _places(x)[0]),
    ("Only the last row is returned.", lambda x: _places(x)[-1]),
    ("Only the first row is returned, as a matrix of one row.", lambda x: _places(x)[:1]),
    ("Only the last row is returned, as a matrix of one row.", lambda x: _places(x)[-1:]),
    (
        "The last row is left at 0.",
        lambda x: torch.cat([_places(x)[:-1], torch.zeros_like(x[-1:])]),
    ),
    ("Only the last column is returned.", lambda x: _places(x)[..., -1]),
    ("The numbers are summed to one.", torch.sum),
    ("The numbers are averaged to one.", torch.mean),
    ("Their largest only is returned.", torch.amax),
    ("The index of the largest is returned.", torch.argmax),
    ("The indices of what is not 0 are returned.", lambda x: x.nonzero().squeeze(-1)),
    (
        "Only the numbers that are not 0 are returned, close together: fill their places.",
        lambda x: x[x != 0].reshape(*x.shape[:-1], -1),
    ),
    (
        "Only the finite numbers are returned, close together: fill the places of the others.",
        lambda x: x[x.isfinite()].reshape(*x.shape[:-1], -1),
    ),
    (
        "The indices of the finite numbers are returned, not the numbers.",
        lambda x: _places(x).isfinite().nonzero().squeeze(-1),
    ),
    (
        "True and False are returned for what is kept, not the numbers.",
        lambda x: _places(x).isfinite(),
    ),
    ("Probabilities are returned, in place of logits.", lambda x: _places(x).softmax(-1)),
    ("The result is computed in bfloat16.", lambda x: x.bfloat16().to(x.dtype)),
]
for _i, _word in enumerate(("first", "second", "third")):
    TENSOR += [
        (f"The {_word} dimension runs backward.", _dim(_i, lambda x, d: x.flip(d))),
        (f"It is shifted by one along the {_word} dimension.", _dim(_i, lambda x, d: x.roll(1, d))),
        (
            f"It is shifted by minus one along the {_word} dimension.",
            _dim(_i, lambda x, d: x.roll(-1, d)),
        ),
        (f"The {_word} dimension is summed away.", _dim(_i, lambda x, d: x.sum(d))),
        (f"The {_word} dimension is averaged away.", _dim(_i, lambda x, d: x.mean(d))),
    ]
TRUTH: list[Edit] = [
    ("The answer is the wrong way round: True and False are swapped.", np.logical_not),
    ("The answer is True whatever the input is.", lambda x: np.ones_like(x, bool)),
    ("The answer is False whatever the input is.", lambda x: np.zeros_like(x, bool)),
]


def _each(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda items: [function(item) for item in items]


LISTS: list[Edit] = [
    ("The items come in reverse order: turn them at the end.", lambda x: x[::-1]),
    ("The items are right, but sorted.", sorted),
    ("The items are right, but each different one comes only once.", lambda x: [*dict.fromkeys(x)]),
    ("The items are joined to one text: return the list.", lambda x: "".join(x)),
    ("The items are joined by spaces: return the list.", lambda x: " ".join(x)),
    ("The first item is missing.", lambda x: x[1:]),
    ("The last item is missing.", lambda x: x[:-1]),
    ("Only the first item is returned.", lambda x: x[0]),
    ("Only the last item is returned.", lambda x: x[-1]),
    ("It returns how many items there are, not the items.", len),
    ("Each item stands in a list of its own.", _each(lambda x: [x])),
    ("The items' lengths are returned.", _each(len)),
    ("Each item is reversed.", _each(lambda x: x[::-1])),
    ("The items are cut into single characters.", lambda x: list("".join(x))),
    ("The text is returned in one piece.", lambda x: ["".join(x)]),
    ("Items that consist of spaces are left out.", lambda x: [i for i in x if i.strip()]),
    ("Spaces around the items are lost.", _each(lambda x: x.strip())),
    ("Its result is empty.", lambda x: []),
    ("An empty item stands at the end.", lambda x: [*x, ""]),
    ("An empty item stands at the beginning.", lambda x: ["", *x]),
    ("The items are numbered from 1, not from 0.", _each(lambda x: x + 1)),
]
MAPPINGS: list[Edit] = [
    ("The keys are texts joined by a space: keep the tuples.", lambda x: _keys(x, " ".join)),
    ("The keys are joined to texts: keep the tuples.", lambda x: _keys(x, "".join)),
    ("The parts of each key are swapped.", lambda x: _keys(x, lambda k: k[::-1])),
    ("Only the key of the largest value is returned.", lambda x: max(x, key=x.get)),
    ("Only the key of the smallest value is returned.", lambda x: min(x, key=x.get)),
    ("The values alone are returned: keep the keys.", lambda x: [*x.values()]),
    ("The keys alone are returned: the values are asked for too.", lambda x: [*x]),
    ("Keys and values are swapped.", lambda x: {v: k for k, v in x.items()}),
    ("Pairs are returned: make a dictionary of them.", lambda x: [*x.items()]),
    ("Its result is empty.", lambda x: {}),
]


def _keys(mapping: dict, function: Callable[[Any], Any]) -> dict:
    return {function(key): value for key, value in mapping.items()}


def output_edits(expected: Any) -> Iterator[Edit]:
    """Every edit for values of the kind of `expected`; a function raises where it does not fit."""
    if isinstance(expected, Tensor):
        if expected.dtype == torch.bool:
            yield from ((s, lambda x, f=f: torch.from_numpy(f(x.numpy()))) for s, f in TRUTH)
        yield from ((s, lambda x, f=f: f(_wide(x))) for s, f in [*NUMERIC, *TENSOR])
    elif isinstance(expected, bool | np.bool_):
        yield from ((s, lambda x, f=f: bool(f(x))) for s, f in TRUTH)
    elif isinstance(expected, int | float | np.number):
        yield from ((s, _on_number(f)) for s, f in NUMERIC)
    elif isinstance(expected, dict):
        yield from MAPPINGS
        yield from ((s, _on_values(_on_number(f))) for s, f in NUMERIC)
    elif isinstance(expected, list | tuple):
        yield from LISTS
        if expected and all(type(v) in (int, float) for v in expected):
            yield from ((s, _each(_on_number(f))) for s, f in NUMERIC)
        if isinstance(expected, tuple) or (expected and isinstance(expected[0], Tensor | bool)):
            for i, item in enumerate(expected[:4]):
                for sentence, function in output_edits(item):
                    yield f"In item {i}: {sentence}", _on_item(i, function)


def _wide(x: Tensor) -> Tensor:
    return x.detach().double() if not x.is_complex() else _never()


def _on_number(function: Callable[[Tensor], Tensor]) -> Callable[[Any], float]:
    return lambda x: function(torch.tensor(x, dtype=torch.float64)).item()


def _on_values(function: Callable[[Any], Any]) -> Callable[[dict], dict]:
    return lambda x: {key: function(value) for key, value in x.items()}


def _on_item(i: int, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: [function(item) if j == i else item for j, item in enumerate(x)]
