"""Watch which torch functions an answer calls, so that an exercise's rules are rules.

A rule gets the name of each function, e.g. "softmax", and what it returned, and returns a sentence
if that breaks it. `forbid` makes the usual rule. A rule that depends on the arguments of a case has
a method `begin(case)`, which is called before each; one that asks for what is read has a method
`reads(args, result)`.
"""

from collections.abc import Callable
from typing import Any

from torch.overrides import TorchFunctionMode

Rule = Callable[[str, Any], str | None]


class Watch(TorchFunctionMode):
    """A torch mode that keeps the first sentence of `rule` in `broken`."""

    def __init__(self, rule: Rule | None) -> None:
        super().__init__()
        self.rule = rule
        self.broken: str | None = None

    def begin(self, case: tuple) -> None:
        """Tell a rule that asks for it which case comes now."""
        if hasattr(self.rule, "begin"):
            self.rule.begin(case)

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Call the function and look at its name and result."""
        result = function(*args, **(kwargs or {}))
        if self.rule is not None and self.broken is None:
            name = getattr(function, "__name__", "")
            self.broken = self.rule(name.strip("_"), result)
            if self.broken is None and hasattr(self.rule, "reads"):
                self.broken = self.rule.reads(args, result)
        return result


def forbid(sentence: str, *names: str) -> Rule:
    """A rule that forbids functions by name, e.g. `forbid("Write it by hand.", "softmax")`."""
    return lambda name, result: sentence if name in names else None
