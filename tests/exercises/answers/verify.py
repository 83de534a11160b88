"""Are the wrong answers wrong and the right ones right? Asks the chapters' solutions, no check.

Run it as `python -m tests.exercises.answers.verify`.
"""

import contextlib
import copy
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tests.exercises.answers import BREAKS_A_RULE, EXERCISES, Answer, collect


def plain(value: Any) -> Any:
    """Tensors, arrays, lists and numbers of equal content made equal in kind."""
    if isinstance(value, torch.nn.Module):
        return [plain(p) for p in value.parameters()]
    if isinstance(value, torch.Tensor):
        return ("array", value.detach().double().numpy())
    if isinstance(value, np.ndarray):
        return ("array", value.astype(float)) if value.dtype != object else plain(value.tolist())
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | float | np.number):
        return ("array", np.asarray(float(value)))
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def same(a: Any, b: Any) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return a[1].shape == b[1].shape and np.allclose(
            a[1], b[1], rtol=2e-5, atol=1e-7, equal_nan=True
        )
    if isinstance(a, dict) and isinstance(b, dict):
        return list(sorted(a, key=repr)) == list(sorted(b, key=repr)) and all(
            same(a[k], b[k]) for k in a
        )
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def outcome(function: Callable, arguments: tuple) -> Any:
    """What an answer returns, what it does to its arguments, and the type of its result."""
    arguments = copy.deepcopy(arguments)
    own = getattr(arguments[0], "weight", None)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            result = function(*arguments)
    except Exception as error:
        return ["raised", type(error).__name__]
    tied = []
    if len(arguments) == 2 and all(isinstance(a, torch.nn.Module) for a in arguments):
        tied = [arguments[0].weight is arguments[1].weight, arguments[0].weight is own]
    kind = str(result.dtype) if isinstance(result, torch.Tensor) else ""
    kind = kind if kind == "torch.bfloat16" else ""
    return [
        plain(result),
        [plain(a) for a in arguments if isinstance(a, torch.nn.Module) or not callable(a)],
        tied,
        kind,
    ]


def differs(answer: Answer) -> bool:
    exercise = EXERCISES[answer.check]
    torch.manual_seed(0)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return any(
            not same(outcome(answer.function, case), outcome(exercise.solution, case))
            for case in exercise.cases()
        )


def is_as_labelled(answer: Answer) -> bool:
    if answer.kind == "right" or (answer.check, answer.label) in BREAKS_A_RULE:
        return not differs(answer)
    return differs(answer)


if __name__ == "__main__":
    answers = collect()
    for answer in answers:
        if not is_as_labelled(answer):
            print(f"{answer.check}: {answer.kind}, but: {answer.label}")
    for check in EXERCISES:
        mine = [a for a in answers if a.check == check]
        wrong, pairs = [a for a in mine if a.kind == "wrong"], "both: "
        print(
            f"{check:28}{len(wrong):3} wrong, {len(mine) - len(wrong):2} right,"
            f"{sum(a.label.startswith(pairs) for a in wrong):3} with two slips"
        )
    print(len(answers), "answers")
