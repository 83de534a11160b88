"""Rewards: functions of a problem and a response, made from the verifier's verdict."""

from dataclasses import fields

from lib.reasoning.grpo import Reward
from lib.reasoning.task import Problem
from lib.reasoning.verifier import Verdict, verify


def weighted(**weights: float | int) -> Reward:
    """The sum of what a verdict has, each times its weight: weighted(answer=1, ended=0.1).

    Raises ValueError for a name that no verdict has.
    """
    names = {field.name for field in fields(Verdict)} - {"steps"}
    if unknown := sorted(set(weights) - names):
        raise ValueError(f"no verdict has {unknown[0]!r}; there are: {', '.join(sorted(names))}")

    def reward(problem: Problem, words: list[str]) -> float:
        verdict = verify(problem, words)
        return float(sum(weight * getattr(verdict, name) for name, weight in weights.items()))

    return reward


ACCURACY = weighted(answer=1.0, ended=0.1)
ACCURACY_AND_FORMAT = weighted(answer=1.0, ended=0.1, clean=0.2)
ACCURACY_AND_LANGUAGE = weighted(answer=1.0, ended=0.1, english=0.3)
