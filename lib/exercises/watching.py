"""Watch which torch functions an answer calls, so that an exercise's rules are rules.

A rule gets the name of each function, e.g. "softmax", and what it returned, and returns a sentence
if that breaks it. `forbid` makes the usual rule. A rule that depends on the arguments of a case has
a method `begin(case)`, which is called before each; one that asks for what is read has a method
`reads(args, result)`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lib.exercises.comparing import near
from lib.exercises.running import Outcome

NARROW = (torch.float16, torch.bfloat16)
Rule = Callable[[str, Any], str | None]


class Watch(TorchFunctionMode):
    """A torch mode that keeps the first sentence of `rule` in `broken`.

    `narrow` is a dtype of few digits that an answer computed in, given none.
    """

    def __init__(self, rule: Rule | None) -> None:
        super().__init__()
        self.rule = rule
        self.broken: str | None = None
        self.narrow: torch.dtype | None = None
        self.given_narrow = False

    def begin(self, case: tuple) -> None:
        """Look at the arguments of the case that comes now, and tell a rule that asks for them."""
        self.given_narrow |= any(getattr(value, "dtype", None) in NARROW for value in case)
        if hasattr(self.rule, "begin"):
            self.rule.begin(case)

    def lost_digits(self, expected: Sequence[Outcome], got: Sequence[Outcome]) -> str | None:
        """Say that a narrow dtype was computed in, where nothing else can be wrong."""
        pairs = zip(expected, got, strict=True)
        if self.narrow is None or not all(near(e.value, g.value) for e, g in pairs):
            return None
        if all(getattr(g.value, "dtype", None) in NARROW for g in got):
            return None  # only its result may be cast
        dtype = str(self.narrow).removeprefix("torch.")
        return f"It computes in {dtype}, which loses digits: stay in float32."

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Call the function and look at its name and result."""
        result = function(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.dtype in NARROW and not self.given_narrow:
            self.narrow = result.dtype
        if self.rule is not None and self.broken is None:
            name = getattr(function, "__name__", "")
            self.broken = self.rule(name.strip("_"), result)
            if self.broken is None and hasattr(self.rule, "reads"):
                self.broken = self.rule.reads(args, result)
        return result


def forbid(sentence: str, *names: str) -> Rule:
    """A rule that forbids functions by name, e.g. `forbid("Write it by hand.", "softmax")`."""
    return lambda name, result: sentence if name in names else None
