"""What a verdict is worth: rewards for reinforcement learning, filters for rejection sampling."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from lib.reasoning.task import Problem
from lib.reasoning.verifier import Verdict, verify
from lib.settings import require

Reward = Callable[[Any, list[str]], float]  # (problem, words of the response)
Filter = Callable[[Verdict], bool]


def weighted(**weights: float | int) -> Reward:
    """The sum of what a verdict has, each times its weight: weighted(answer=1, ended=0.1).

    Raises ValueError for a name that no verdict has, or a weight that is no finite number.
    """
    names = {field.name for field in fields(Verdict)} - {"steps"}
    if unknown := sorted(set(weights) - names):
        raise ValueError(f"no verdict has {unknown[0]!r}; there are: {', '.join(sorted(names))}")
    for name, weight in weights.items():
        require(f"the weight of {name}", weight, "(-inf, inf)")

    def reward(problem: Problem, words: list[str]) -> float:
        verdict = verify(problem, words)
        return float(sum(weight * getattr(verdict, name) for name, weight in weights.items()))

    return reward


ACCURACY = weighted(answer=1.0, ended=0.1)
ACCURACY_AND_FORMAT = weighted(answer=1.0, ended=0.1, clean=0.2)
ACCURACY_AND_LANGUAGE = weighted(answer=1.0, ended=0.1, english=0.3)


def right_answer(verdict: Verdict) -> bool:
    """What can be checked without reading the chain."""
    return verdict.answer and verdict.ended


def right_and_clean(verdict: Verdict) -> bool:
    """The paper's filter in small: a right answer in a response that one can read."""
    return verdict.answer and verdict.clean
