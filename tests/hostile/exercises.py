"""What no check of an exercise falls for: each of CASES must end in a report that says something.

An answer of these does not compute: it raises what is no Exception, never ends, returns what cannot
be looked at, or leaves the process changed. `report` must not raise, and speaks in sentences.
Not here: an endless loop within one call of compiled code (`sum(itertools.count())`), which no
signal interrupts, and what ends the process, such as `os._exit`.
"""

import contextlib
import dataclasses
import functools
import io
import itertools
import os
import random
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from lib.exercises.attention import check_scaled_attention
from lib.exercises.tokenization import check_merge_once

CHECKS = [
    dataclasses.replace(check, seconds=0.2) for check in (check_scaled_attention, check_merge_once)
]


def forever(*_, **__):
    while True:
        pass


def fails(*_, **__):
    raise BaseException("on purpose")


def kind_of(base: type, **methods: Callable) -> type:
    return type(f"Hostile{base.__name__.title()}", (base,), methods)


def raises(error: BaseException) -> Callable:
    def answer(*_):
        raise error

    return answer


def returns(value: object) -> Callable:
    return lambda *_: value


def does(*steps: Callable) -> Callable:
    """Do something to the process, then return a number."""

    def answer(*_):
        for step in steps:
            step()
        return 1.0

    return answer


def swallows_everything(*_):
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(0.01)


def swallows_while_busy(*_):
    while True:
        try:
            sum(range(100))
        except:  # noqa: E722
            continue


def in_finally(*_):
    try:
        forever()
    finally:
        time.sleep(0.01)


def prints(stream: str) -> Callable:
    def answer(*_):
        while True:
            getattr(sys, stream).write("x" * 5000)

    return answer


def recurses(*arguments):
    return recurses(*arguments)


def warns_forever(*_):
    while True:
        warnings.warn("again", stacklevel=1)


async def coroutine(*_):
    return 1


def generator(*_):
    while True:
        yield 1


def contains_itself(*_):
    value = []
    value.append(value)
    return value


def nested(*_):
    value = []
    for _ in range(50_000):
        value = [value]
    return value


def spoils_its_arguments(*arguments):
    for argument in arguments:
        if isinstance(argument, dict):
            argument.clear()
        elif isinstance(argument, torch.Tensor):
            argument.resize_(0)
    return arguments


class SaysItIsATensor:
    __class__ = torch.Tensor


class BadCode:
    @property
    def __code__(self):
        raise ValueError("no code")

    def __call__(self, *_):
        return 1


class BadSignature:
    @property
    def __signature__(self):
        raise OSError("no signature")

    def __call__(self, *_):
        return 1


class BadAttributes:
    def __getattribute__(self, name):
        raise SystemError(name)

    def __call__(self, *_):
        return 1


class TensorThatFails(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        raise RuntimeError("no function")


LOOPS = ("__repr__", "__eq__", "__len__", "__iter__", "__bool__", "__hash__", "__float__")
HOSTILE = {
    # What is raised
    "KeyboardInterrupt": raises(KeyboardInterrupt()),
    "SystemExit": raises(SystemExit(3)),
    "GeneratorExit": raises(GeneratorExit()),
    "BaseException": fails,
    "StopIteration": raises(StopIteration()),
    "MemoryError": raises(MemoryError()),
    "a long message": raises(ValueError("x" * 10**6)),
    "an empty message": raises(ValueError()),
    "Markdown": raises(ValueError("```\n# <script>*")),
    "an error without a text": raises(kind_of(Exception, __str__=fails)()),
    "an error that never has a text": raises(kind_of(Exception, __str__=forever)()),
    "an error that cannot be shown": raises(kind_of(ValueError, __repr__=fails)()),
    "recursion": recurses,
    # What never ends
    "a loop": forever,
    "a loop that catches everything": swallows_everything,
    "a busy loop that catches everything": swallows_while_busy,
    "a loop before a finally": in_finally,
    "prints": prints("stdout"),
    "prints errors": prints("stderr"),
    "warns": warns_forever,
    "sleeps": lambda *_: time.sleep(3600),
    "waits for itself": lambda *_: threading.Lock().__enter__() and threading.Event().wait(),
    # What is returned
    **{
        f"an object whose {n} never ends": returns(kind_of(object, **{n: forever})()) for n in LOOPS
    },
    **{f"an object whose {n} fails": returns(kind_of(object, **{n: fails})()) for n in LOOPS},
    "a list that has no length": returns(kind_of(list, __len__=forever)([1])),
    "a dictionary without an end": returns(kind_of(dict, __iter__=itertools.count)({1: 1})),
    "a dictionary that fails": returns(kind_of(dict, __getitem__=fails, keys=fails)({1: 1})),
    "a number that is never equal": returns(kind_of(float, __eq__=forever, __sub__=forever)(1.0)),
    "a text that fails": returns(kind_of(str, __eq__=fails, __len__=fails)("abc")),
    "a false tensor": returns(SaysItIsATensor()),
    "a tensor that fails": returns(torch.ones(2, 2).as_subclass(TensorThatFails)),
    "a meta tensor": returns(torch.ones(2, 2, device="meta")),
    "a sparse tensor": returns(torch.eye(2).to_sparse()),
    "a quantized tensor": returns(torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)),
    "a complex tensor": returns(torch.ones(2, 2, dtype=torch.complex64)),
    "a tensor of a trillion": returns(torch.ones(1).expand(10**13)),
    "NaN": returns(float("nan")),
    "a number of a million digits": returns(10**1_000_000),
    "a fraction": returns(Fraction(1, 3)),
    "an array of objects": returns(np.array([None, "a"], dtype=object)),
    "a structured array": returns(np.zeros(2, dtype=[("a", int)])),
    "a list in itself": contains_itself,
    "lists in lists": nested,
    "a range without an end": returns(range(10**15)),
    "a counter": returns(itertools.count()),
    "100,000 items": returns([0] * 10**5),
    "not implemented": returns(NotImplemented),
    "a module": returns(types),
    "its arguments, emptied": spoils_its_arguments,
    "a generator": generator,
    "a coroutine": coroutine,
    # What stays behind
    "another dtype": does(lambda: torch.set_default_dtype(torch.float64)),
    "another device": does(lambda: torch.set_default_device("meta")),
    "no gradients": does(lambda: torch.set_grad_enabled(False)),
    "no standard output": does(lambda: setattr(sys, "stdout", None)),
    "a closed standard output": does(lambda: sys.stdout.close()),
    "another folder": does(lambda: os.chdir("/")),
    "warnings are errors": does(lambda: warnings.simplefilter("error")),
    "other random numbers": does(lambda: random.seed(5), lambda: torch.manual_seed(5)),
    # What is no function
    "code that fails": BadCode(),
    "a signature that fails": BadSignature(),
    "attributes that fail": BadAttributes(),
    "a class": type("Empty", (), {}),
    "a partial function": functools.partial(max, key=fails),
    "a built-in function": print,
    "a text": "an answer",
    "a tensor": torch.ones(3),
    "an open file": io.StringIO("x"),
}


def told(check: object, answer: object) -> None:
    """Report on the answer: a ValueError of the frame's kind where the report says nothing."""
    state = torch.get_default_dtype(), torch.is_grad_enabled(), sys.stdout, Path.cwd()
    try:
        report = check.report(answer)
        text = str(report)
        after = torch.get_default_dtype(), torch.is_grad_enabled(), sys.stdout, Path.cwd()
    finally:
        sys.stdout = state[2]
        torch.set_default_dtype(state[0])
        torch.set_grad_enabled(state[1])
        torch.set_default_device(None)
        os.chdir(state[3])
    if report.passed or not report.message.strip() or not 10 < len(text) < 10_000:
        raise AssertionError(f"no sentence: {text[:200]}")
    if state != after:
        raise AssertionError("the process is changed")


CASES = [
    (f"{check.title}: {name}", functools.partial(told, check, answer))
    for name, answer in HOSTILE.items()
    for check in CHECKS
]
