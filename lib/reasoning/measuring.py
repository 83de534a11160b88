"""What a model can do, measured on problems that it has never seen."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from lib.generation.voting import pass_at_n
from lib.model import LanguageModel
from lib.reasoning.rollouts import sample
from lib.reasoning.task import DIGITS, OPERATIONS, Problem, apply, decode, draw_problems, encode
from lib.reasoning.verifier import Verdict, verify

AT_ONCE = 500  # rows of one batch
MEASURES = ("answer", "chain", "clean", "mixed", "direct", "length")


@dataclass(frozen=True)
class Response:
    """What a model said to a problem, and the verifier's verdict."""

    problem: Problem
    words: list[str]
    verdict: Verdict


def respond(
    model: LanguageModel, problems: Sequence[Problem], seed: int = 0, temperature: float | int = 1.0
) -> list[Response]:
    """One response to each problem, drawn at `temperature` and verified."""
    generator = torch.Generator().manual_seed(seed)
    responses: list[Response] = []
    for begin in range(0, len(problems), AT_ONCE):
        part = problems[begin : begin + AT_ONCE]
        prompts = [encode(problem.prompt) for problem in part]
        drawn = sample(model, prompts, temperature=temperature, generator=generator).responses()
        responses += verified(part, [decode(ids) for ids in drawn])
    return responses


def verified(problems: Sequence[Problem], responses: Sequence[list[str]]) -> list[Response]:
    """Problems and responses with the verifier's verdicts."""
    return [
        Response(problem, words, verify(problem, words))
        for problem, words in zip(problems, responses, strict=True)
    ]


def shares(responses: Sequence[Response]) -> dict[str, float]:
    """The mean of each of `MEASURES` over the responses."""
    verdicts = [response.verdict for response in responses]
    return {m: sum(getattr(v, m) for v in verdicts) / len(verdicts) for m in MEASURES}


def by_answer(
    responses: Sequence[Response], of: Callable[[Response], float | int]
) -> tuple[float, float]:
    """The mean of `of` over the responses with a right answer, and over the others; nan of none."""
    numbers: dict[bool, list[float | int]] = {True: [], False: []}
    for response in responses:
        numbers[response.verdict.answer].append(of(response))
    right, wrong = (sum(n) / len(n) if n else math.nan for n in (numbers[True], numbers[False]))
    return right, wrong


def extra_words(response: Response) -> int:
    """Words beyond a chain of one step for each operation, without tags; negative if it is short.

    A problem's number of operations says how long its chain must be: only the rest is chosen.
    """
    return response.verdict.length - 5 * len(response.problem.operations) - 2


def measure(model: LanguageModel, n: int = 1000, seed: int = 0) -> dict[str, float]:
    """`shares` over `n` held-out problems, one draw each at temperature 1, and `facts`.

    The standard error of a share p is sqrt(p (1 - p) / n).
    """
    problems = draw_problems(n, 0, held_out=True)
    return shares(respond(model, problems, seed)) | {"facts": facts_accuracy(model)}


@torch.inference_mode()
def facts_accuracy(model: LanguageModel) -> float:
    """Share of the 120 facts `3 +8 is 1` that come out right when nothing is asked."""
    facts = [(int(digit), operation) for digit in DIGITS for operation in OPERATIONS]
    dice = random.Random(0)  # as in the web's lists of facts, another one stands before
    first = [(int(dice.choice(DIGITS)), dice.choice(OPERATIONS)) for _ in facts]
    texts = [
        encode([str(a), o, "is", str(apply(a, o)), "then", str(b), p, "is"])
        for (a, o), (b, p) in zip(first, facts, strict=True)
    ]
    said = model(torch.tensor(texts))[:, -1].argmax(dim=-1).tolist()
    right = [decode([i])[0] == str(apply(*fact)) for i, fact in zip(said, facts, strict=True)]
    return sum(right) / len(right)


def right_chains(model: LanguageModel, n: int = 100, draws: int = 32, seed: int = 0) -> list[int]:
    """For each of `n` held-out problems, how many of `draws` responses have every step right."""
    problems = draw_problems(n, 0, held_out=True)
    responses = respond(model, [p for p in problems for _ in range(draws)], seed)
    right = [response.verdict.chain for response in responses]
    return [sum(right[i : i + draws]) for i in range(0, len(right), draws)]


def pass_at(counts: Sequence[int], draws: int, k: int) -> float:
    """Probability that one of k draws is right, from how many of `draws` were, over problems."""
    return sum(pass_at_n(count, draws, k) for count in counts) / len(counts)
