"""Checks of chapter 9, sampling. Answers take the logits of one position, of shape (V,)."""

import math
from collections.abc import Callable
from typing import Any

import torch

from lib.exercises.checking import Exercise, Probe
from lib.exercises.filters import NOTHING, OVERFLOW, Logits, check_min_p, check_top_p, min_p, top_p
from lib.exercises.penalties import check_penalize, penalize

__all__ = [
    "check_effective_vocabulary",
    "check_min_p",
    "check_penalize",
    "check_top_p",
    "check_vote",
    "effective_vocabulary",
    "min_p",
    "penalize",
    "top_p",
    "vote_within",
]


def effective_vocabulary(
    logits: Logits,
    *,
    shares: Callable = lambda z: z.softmax(-1),
    entropy: Callable = lambda p, z: torch.special.entr(p).sum(),
    power: Callable = math.exp,
) -> float:
    """exp of the entropy: how many tokens of equal probability are as uncertain."""
    p = shares(logits)
    return power(entropy(p, logits).item())


def _entropy_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    filtered = torch.tensor([2.0, 1.0, NOTHING, 0.0])
    return [(torch.tensor([1.0, 1.0, 0.0]),), (filtered,), (torch.randn(50) * 3,)]


UNDERFLOW = "Very negative logits all become 0 in exp: use softmax, which subtracts the largest."

check_effective_vocabulary = Exercise(
    title="Effective vocabulary",
    reference=effective_vocabulary,
    cases=_entropy_cases,
    switches={
        "power": {
            float: "This is the entropy; take exp of it.",
            lambda h: h / math.log(2): "This is the entropy in bits; take exp of it in nats.",
            lambda h: 2**h: "The entropy is in nats, but the power has base 2: use one base.",
            lambda h: math.exp(h / math.log(2)): (
                "The entropy is in bits (log2), but exp undoes nats (ln): use one base for both."
            ),
            lambda h: math.exp(-h): "The entropy's minus sign is missing: this is 1 over it.",
            lambda h: math.exp(-h / math.log(2)): (
                "The entropy is in bits, but exp undoes nats. And: its minus sign is missing."
            ),
        },
        "entropy": {
            lambda p, z: torch.special.entr(p).mean(): (
                "It takes the mean over the tokens: the entropy is the sum of -p ln p."
            ),
            lambda p, z: torch.special.entr(p[p > 0]).mean(): (
                "It takes the mean over the tokens: the entropy is the sum of -p ln p."
            ),
            lambda p, z: -p[p > 0].log().mean(): (
                "Each -ln p counts the same: weigh each with its probability p."
            ),
            lambda p, z: -p.log().clamp(min=-100).mean(): (
                "Each -ln p counts the same: weigh each with its probability p."
            ),
            lambda p, z: -p[p > 0].log().sum(): "-ln p is not weighed with p.",
            lambda p, z: -p.square().sum().log(): (
                "This is 1 / Σ p² (Simpson's number): the entropy is -Σ p ln p."
            ),
            lambda p, z: -p.max().log(): "This looks at the most probable token alone.",
            lambda p, z: torch.tensor(float(len(p))).log(): "This only counts the tokens.",
            lambda p, z: (p > 0).sum().log(): "This counts the possible tokens, as if all were "
            "equally probable.",
            lambda p, z: -(p * z)[p > 0].sum(): (
                "It takes logits for ln p: ln p = z - logsumexp(z)."
            ),
            **{
                lambda p, z, e=e: -(p * (p + e).log()).sum(): (
                    "The small number added within the logarithm changes the result: leave tokens "
                    "of p = 0 out instead."
                )
                for e in (1, 0.1, 0.01, 1e-3, 1e-4)
            },
        },
        "shares": {
            torch.sigmoid: "A sigmoid gives no probabilities that sum to 1: use softmax.",
            lambda z: z: "There is no softmax: logits are not probabilities.",
            torch.exp: "exp alone gives no probabilities: divide by the sum.",
            **{
                lambda z, e=e: z.softmax(-1).clamp(min=e): (
                    "Probabilities are raised to a smallest value, so that impossible tokens count "
                    "too: leave them out."
                )
                for e in (0.1, 0.01, 1e-3, 1e-4)
            },
        },
    },
    probes=[
        Probe(OVERFLOW, (torch.tensor([500.0, 500.0, 499.0]),), alone=True),
        Probe(UNDERFLOW, (torch.tensor([-300.0, -300.0, -301.0]),), alone=True),
    ],
    difficulty=1,
    minutes=8,
)


def vote_within(
    answers: list[int | None],
    log_p: list[float],
    *,
    given: Callable = lambda answer: answer is not None,
    key: Callable = lambda p, place, answer: (len(p), max(p)),
    result: Callable | None = None,
) -> int | Any:
    """The answer of the most continuations; between equally many, the one that is likelier."""
    groups: dict[int | None, list[int]] = {}
    for place, answer in enumerate(answers):
        if given(answer):
            groups.setdefault(answer, []).append(place)
    best = max(groups, key=lambda a: key([log_p[i] for i in groups[a]], groups[a], a))
    return best if result is None else result(best, answers, log_p)


def _vote_cases(seed: int) -> list[tuple]:
    generator = torch.Generator().manual_seed(seed)
    answers = torch.randint(5, (25,), generator=generator).tolist()
    twice = torch.randperm(12, generator=generator).tolist()
    return [
        ([11, 12, 11], [-2.0, -0.1, -3.0]),
        ([7, 9, 9, 7], [-1.0, -0.5, -9.0, -1.5]),
        ([3, 9, 9, 3, 1], [-4.0, -3.0, -8.0, -2.5, -0.1]),
        ([6, 8, 6, 8], [-3.0, -0.5, -3.1, -4.0]),
        ([None, None, 4], [-0.1, -0.2, -5.0]),
        (answers, (-5 * torch.rand(25, generator=generator)).tolist()),
        ([i // 2 + 20 for i in twice], (-5 * torch.rand(12, generator=generator)).tolist()),
        ([40 - i // 3 for i in twice], (-5 * torch.rand(12, generator=generator)).tolist()),
    ]


check_vote = Exercise(
    title="Vote, and break ties by likelihood",
    reference=vote_within,
    cases=_vote_cases,
    switches={
        "key": {
            lambda p, at, a: len(p): (
                "Between answers with equally many votes the likelier must win, not the first."
            ),
            lambda p, at, a: (len(p), at[-1]): "Ties go to the last: the likelier must win.",
            lambda p, at, a: (len(p), a): "Ties go to the larger answer: the likelier must win.",
            lambda p, at, a: (len(p), -a): "Ties go to the smaller answer: the likelier must win.",
            lambda p, at, a: (len(p), -max(p)): "Ties go to the less likely one.",
            lambda p, at, a: (len(p), -min(p)): "Ties go to the answer with the least likely "
            "continuation: the likeliest decides.",
            lambda p, at, a: (len(p), sum(p)): "Ties go to the largest sum or mean of log p: an "
            "answer's best continuation counts.",
            lambda p, at, a: (len(p), min(p)): "Ties go to the best of the worst continuations: "
            "an answer's best continuation counts.",
            lambda p, at, a: (len(p), p[0]): "Ties go by an answer's first continuation: its best "
            "one counts.",
            lambda p, at, a: (len(p), p[-1]): "Ties go by an answer's last continuation: its best "
            "one counts.",
            lambda p, at, a: at[-1]: "It returns the last answer: count the votes.",
            lambda p, at, a: max(p): "This is best-of-n by likelihood: the votes come first.",
            lambda p, at, a: sum(map(math.exp, p)): "It adds up probabilities: count the votes.",
            lambda p, at, a: sum(p) / len(p): "It takes the best mean: count the votes.",
            lambda p, at, a: (-len(p), max(p)): "The answer with the fewest votes wins.",
        },
        "given": {
            lambda answer: True: "None is no answer and has no vote.",
            bool: "Answer 0 is an answer too: ask `is not None`, since 0 counts as False.",
        },
        "result": {
            lambda a, answers, p: answers.index(a): "It returns the place: return the answer.",
            lambda a, answers, p: max(q for x, q in zip(answers, p, strict=True) if x == a): (
                "It returns the log-probability: return the answer."
            ),
            lambda a, answers, p: str(a): "It returns a text: return the answer as it is.",
            lambda a, answers, p: answers.count(a): "It returns how many votes there are: return "
            "the answer.",
            lambda a, answers, p: (a, answers.count(a)): "It returns the votes too: return the "
            "answer alone.",
        },
    },
    probes=[
        Probe(
            "Answer 0 is an answer too: ask `is not None`, since 0 counts as False.",
            ([0, 0, 5], [-2.0, -3.0, -1.0]),
            alone=True,
        ),
        Probe(
            "None has no vote, even if it is the most frequent and the likeliest.",
            ([None, 3, None, None], [-0.1, -9.0, -0.2, -0.3]),
        ),
        Probe(
            "If None is left out of `answers`, it must be left out of `log_p` too.",
            ([None, 5, 6], [-0.1, -3.0, -2.0]),
            alone=True,
        ),
        Probe(
            "Of two answers with one vote each the likelier must win, though it is the larger.",
            ([3, 2], [-1.0, -2.0]),
        ),
        Probe(
            "An answer's likelihood is that of its best continuation, not of its first or its sum.",
            ([1, 2, 1, 2], [-4.0, -1.0, -0.5, -1.1]),
        ),
    ],
    difficulty=2,
    minutes=12,
)
