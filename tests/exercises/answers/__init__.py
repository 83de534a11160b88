"""Readers' answers to the exercises, right and wrong, each with a label that says what it does.

They were written from the text of the chapters alone, without a look at the checks that will
judge them, and they are not to be tuned to the checks. `verify` compares each with the chapter's
solution on inputs of the bank's own; `python -m tests.exercises.answers` prints the table.
"""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

ROOMS = (
    "tokenization",
    "segmentation",
    "attention",
    "attention_in_use",
    "normalization",
    "norm_placement",
    "feedforward",
    "routing",
    "transformer",
    "whole_model",
    "inside",
    "sampling",
    "decoding",
    "compute",
    "scaling",
    "reasoning",
    "second_reading",
    "third_tokenization",
    "third_attention",
    "third_generation",
    "third_scaling",
    "fourth_training",
    "fourth_layers",
    "fourth_experts",
    "fourth_transformer",
    "capstones",
)


class Answer(NamedTuple):
    check: str
    kind: str  # "right" or "wrong"
    label: str
    function: Callable[..., Any]


class Exercise(NamedTuple):
    module: str  # where the reader imports the check from
    solution: Callable[..., Any]
    cases: Callable[[], list[tuple]]  # legal inputs, those at the edges included


ANSWERS: list[Answer] = []
EXERCISES: dict[str, Exercise] = {}
# Wrong answers whose result is right but which do what the text forbids: (check, label)
BREAKS_A_RULE: set[tuple[str, str]] = set()


def exercise(module: str, check: str, solution: Callable, cases: Callable) -> tuple:
    """Begin an exercise; returns `wrong` and `right`, to be called or used as decorators."""
    EXERCISES[check] = Exercise(module, solution, cases)
    right = partial(_note, check, "right")
    right("the chapter's solution", solution)
    return partial(_note, check, "wrong"), right


def begin(check: str) -> tuple:
    """Go on with an exercise that another room began; returns `wrong` and `right`."""
    return partial(_note, check, "wrong"), partial(_note, check, "right")


def _note(check: str, kind: str, label: str, function: Callable | None = None, rule: bool = False):
    if function is None:
        return partial(_note, check, kind, label, rule=rule)
    function.__name__ = "my_" + check.removeprefix("check_")
    ANSWERS.append(Answer(check, kind, label, function))
    if rule:
        BREAKS_A_RULE.add((check, label))
    return function


def collect() -> list[Answer]:
    """All answers of all rooms."""
    for room in ROOMS:
        importlib.import_module(f"{__name__}.{room}")
    return ANSWERS


def find_check(check: str):
    """The check object that a reader imports in the notebook."""
    return getattr(importlib.import_module(EXERCISES[check].module), check)
