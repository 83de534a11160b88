"""Watch which torch functions an answer calls, so that an exercise's rules are rules.

A rule gets the name of each function, e.g. "softmax", and what it returned, and returns a sentence
if that breaks it. `forbid` makes the usual rule.
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

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Call the function and look at its name and result."""
        result = function(*args, **(kwargs or {}))
        if self.rule is not None and self.broken is None:
            name = getattr(function, "__name__", "")
            self.broken = self.rule(name.strip("_"), result)
        return result


def forbid(sentence: str, *names: str) -> Rule:
    """A rule that forbids functions by name, e.g. `forbid("Write it by hand.", "softmax")`."""
    return lambda name, result: sentence if name in names else None
