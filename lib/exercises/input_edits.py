"""What wrong answers do to an argument before they use it: one too many, its softmax, another's.

Each edit turns a case's arguments into others; `lib.exercises.diagnosis` says its sentence where
the reference gives for them what an answer returns for the true ones. They hold for any exercise.
"""

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor

NUMBERS: list[tuple[str, Callable[[Any], Any]]] = [
    ("It takes {} plus 1: one too many.", lambda x: x + 1),
    ("It takes {} minus 1: one too few.", lambda x: x - 1),
    ("It leaves {} out, as if it were 1.", lambda x: type(x)(1)),
    ("It leaves {} out, as if it were 0.", lambda x: type(x)(0)),
    ("It takes {} twice.", lambda x: 2 * x),
    ("It takes half of {}.", lambda x: x // 2 if isinstance(x, int) else x / 2),
    ("It takes the square of {}.", lambda x: x**2),
    ("It turns the sign of {}.", lambda x: -x),
    ("It takes 1 / {}.", lambda x: 1 / x),
    ("It takes 1 - {}.", lambda x: 1 - x),
    ("It takes the root of {}.", math.sqrt),
    ("It takes the logarithm of {}.", math.log),
    ("It takes the exponential of {}.", math.exp),
]
TRUTHS = [
    ("It does for True what is due for False, and the reverse, in {}.", lambda x: not x),
    ("It takes {} for True always.", lambda x: True),
    ("It takes {} for False always.", lambda x: False),
]
FLOATS = [
    ("It leaves {} out, as if it were 0.", torch.zeros_like),
    ("It leaves {} out, as if it were 1.", torch.ones_like),
    ("It turns the sign of {}.", torch.neg),
    ("It takes the exponential of {} first.", torch.exp),
    ("It takes the logarithm of {} first.", torch.log),
    ("It takes a softmax of {} over the last dimension first.", lambda x: x.softmax(-1)),
    ("It takes a softmax of {} over the first dimension first.", lambda x: x.softmax(0)),
    ("It takes the log-softmax of {} first.", lambda x: x.log_softmax(-1)),
    ("It takes a sigmoid of {} first.", torch.sigmoid),
    ("It takes the absolute value of {}.", torch.abs),
    ("It cuts negative numbers of {} to 0.", torch.relu),
    ("It cuts positive numbers of {} to 0.", lambda x: x.clamp(max=0)),
    ("It takes only the sign of {}.", torch.sign),
    ("It adds 1 to {}.", lambda x: x + 1),
    ("It subtracts 1 from {}.", lambda x: x - 1),
    ("It takes {} squared.", torch.square),
    ("It takes {} transposed.", lambda x: x.mT),
    ("It takes {} sorted.", lambda x: x.sort(-1).values),
    ("It takes {} sorted in falling order.", lambda x: x.sort(-1, descending=True).values),
    ("It takes {} backward, from its last row.", lambda x: x.flip(0)),
    ("It takes {} backward, from its last column.", lambda x: x.flip(-1)),
    ("It takes the first row of {} for all.", lambda x: x[:1].expand_as(x)),
    ("It takes {} without its first row.", lambda x: x[1:]),
    ("It takes {} without its last row.", lambda x: x[:-1]),
    ("It subtracts the mean of {} first.", lambda x: x - x.mean(-1, keepdim=True)),
]
IDS = [
    ("It takes {} plus 1: one too many.", lambda x: x + 1),
    ("It takes {} minus 1: one too few.", lambda x: x - 1),
    ("It takes {} backward.", lambda x: x.flip(-1)),
    ("It takes {} shifted to the right by one.", lambda x: x.roll(1, -1)),
    ("It takes {} shifted to the left by one.", lambda x: x.roll(-1, -1)),
    ("It takes {} without its first column.", lambda x: x[:, 1:]),
    ("It takes {} without its last column.", lambda x: x[:, :-1]),
    ("It takes only the first column of {}.", lambda x: x[:, :1]),
    ("It takes {} transposed.", lambda x: x.mT),
    ("It turns {} round: what is True becomes False.", lambda x: ~x),
]
LISTS = [
    ("It takes {} in reverse order.", lambda x: x[::-1]),
    ("It takes {} sorted.", sorted),
    ("It takes each different item of {} only once.", lambda x: list(dict.fromkeys(x))),
    ("It takes {} without its first item.", lambda x: x[1:]),
    ("It takes {} without its last item.", lambda x: x[:-1]),
    ("It takes the first item of {} only.", lambda x: x[:1]),
    ("It takes the last item of {} only.", lambda x: x[-1:]),
    ("It takes the first item of {} for all.", lambda x: x[:1] * len(x)),
    ("It leaves items of {} out that are 0, False, empty or None.", lambda x: [i for i in x if i]),
    ("It leaves None out of {}.", lambda x: [i for i in x if i is not None]),
    ("It takes the last item of {} for all.", lambda x: x[-1:] * len(x)),
    ("It takes the largest of {} for all.", lambda x: [max(x)] * len(x)),
    ("It takes the smallest of {} for all.", lambda x: [min(v for v in x if v)] * len(x)),
    ("It takes the mean of {} for all.", lambda x: [sum(x) / len(x)] * len(x)),
    ("It takes None for all of {}.", lambda x: [None] * len(x)),
    ("It turns the signs of {}.", lambda x: [-i for i in x]),
    ("It takes the exponentials of {}.", lambda x: [math.exp(i) for i in x]),
]
TEXTS = [
    ("It takes {} from its end.", lambda x: x[::-1]),
    ("It takes {} without spaces around it.", lambda x: x.strip()),
    ("It takes {} without any spaces.", lambda x: x.replace(" ", "")),
    ("It takes {} in lower case.", lambda x: x.lower()),
    ("It takes {} without its first character.", lambda x: x[1:]),
    ("It takes {} without its last character.", lambda x: x[:-1]),
]
MAPPINGS = [
    ("It leaves the values of {} out, as if each were 1.", lambda x: dict.fromkeys(x, 1)),
    ("It turns the signs of the values of {}.", lambda x: {k: -v for k, v in x.items()}),
    ("It takes the exponentials of the values of {}.", lambda x: _values(x, math.exp)),
    ("It takes the logarithms of the values of {}.", lambda x: _values(x, math.log)),
    ("It takes the first entry of {} only.", lambda x: dict([*x.items()][:1])),
    ("It leaves the first entry of {} out.", lambda x: dict([*x.items()][1:])),
    ("It leaves the last entry of {} out.", lambda x: dict([*x.items()][:-1])),
    (
        "It joins the parts of each key of {} and takes their characters.",
        lambda x: {tuple("".join(k)): v for k, v in x.items()},
    ),
]


def _values(mapping: dict, function: Callable[[Any], Any]) -> dict:
    return {key: function(value) for key, value in mapping.items()}


def _edits_of(value: Any) -> list[tuple[str, Callable[[Any], Any]]]:
    if isinstance(value, Tensor):
        return FLOATS if value.is_floating_point() else IDS
    kinds = [(bool, TRUTHS), (int | float, NUMBERS), (list | tuple, LISTS), (str, TEXTS)]
    return next(
        (edits for kind, edits in [*kinds, (dict, MAPPINGS)] if isinstance(value, kind)), []
    )


def input_edits(case: tuple, names: list[str]) -> Iterator[tuple[str, Callable[[tuple], tuple]]]:
    """Sentences, each with a function that changes a case's arguments (and may raise)."""
    for i, (value, name) in enumerate(zip(case, names, strict=True)):
        for sentence, edit in _edits_of(value):
            yield sentence.format(f"`{name}`"), _replaced(i, edit)
    for i in range(len(case)):
        for j in range(len(case)):
            if i == j or not _alike(case[i], case[j]):
                continue
            if i < j:
                yield f"It takes `{names[i]}` and `{names[j]}` for one another.", _swapped(i, j)
            yield f"It takes `{names[i]}` where `{names[j]}` is due.", _copied(i, j)


def _alike(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return first.dim() == second.dim() and first.dtype == second.dtype
    number = (int, float)
    return type(first) is type(second) or (type(first) in number and type(second) in number)


# Cached, so that an edit is the same object for each answer, and what it gives is kept.


@cache
def _replaced(i: int, edit: Callable[[Any], Any]) -> Callable[[tuple], tuple]:
    return lambda case: (*case[:i], edit(case[i]), *case[i + 1 :])


@cache
def _copied(i: int, j: int) -> Callable[[tuple], tuple]:
    return lambda case: (*case[:j], case[i], *case[j + 1 :])


@cache
def _swapped(i: int, j: int) -> Callable[[tuple], tuple]:
    return lambda case: tuple(case[j if k == i else i if k == j else k] for k in range(len(case)))
