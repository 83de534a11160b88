"""Rejection sampling: a model writes its own training data, and the verifier chooses.

Draw many responses, verify, filter, remove duplicates, mix with other data. In DeepSeek-R1 this
step makes about 600,000 examples, which are mixed with about 200,000 that need no reasoning.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from lib.model import LanguageModel
from lib.reasoning.corpus import clean_response, fact_list
from lib.reasoning.measuring import Response, respond
from lib.reasoning.rewards import Filter, right_and_clean, right_answer
from lib.reasoning.sft import Example
from lib.reasoning.task import Problem, Words, encode
from lib.settings import require

__all__ = [
    "Kept",
    "clean_examples",
    "mix",
    "rejection_sample",
    "right_and_clean",
    "right_answer",
    "select",
    "to_example",
]


@dataclass(frozen=True)
class Kept:
    """What is left of the responses at each stage of the filter."""

    drawn: int
    right: int
    accepted: int
    responses: list[Response]  # accepted, without duplicates

    @property
    def wrong_chains(self) -> int:
        """How many kept responses have a wrong step: right by luck."""
        return sum(not response.verdict.chain for response in self.responses)


def select(responses: Sequence[Response], accept: Filter) -> Kept:
    """Verify, filter, and keep each pair of question and response once."""
    accepted = [response for response in responses if accept(response.verdict)]
    unique = {(*r.problem.prompt, *r.words): r for r in accepted}
    right = sum(response.verdict.answer for response in responses)
    return Kept(len(responses), right, len(accepted), list(unique.values()))


def rejection_sample(
    model: LanguageModel,
    problems: Sequence[Problem],
    accept: Filter = right_and_clean,
    draws: int = 4,
    seed: int = 0,
) -> Kept:
    """Draw `draws` responses to each problem at temperature 1 and select from them."""
    require("draws", draws, "[1, inf)", whole=True)
    return select(respond(model, [p for p in problems for _ in range(draws)], seed), accept)


def to_example(problem: Problem, words: Words) -> Example:
    """A question and a response as an example for `sft`."""
    prompt = encode(problem.prompt)
    return Example(prompt + encode(words), len(prompt))


def clean_examples(problems: Sequence[Problem]) -> list[Example]:
    """Examples by hand, so to speak: each problem with its response in the clean format."""
    return [to_example(problem, clean_response(problem)) for problem in problems]


def mix(examples: Sequence[Example], share: float | int, seed: int = 0) -> list[Example]:
    """Add lists of facts, `share` times as many as there are examples.

    They stand for the non-reasoning data of the paper: what the model should not forget.
    """
    require("share", share, "[0, 1000]")
    dice = random.Random(f"facts {seed}")
    facts = [Example(encode(fact_list(dice))) for _ in range(round(share * len(examples)))]
    return [*examples, *facts]
