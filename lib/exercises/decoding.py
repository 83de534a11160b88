"""Checks of chapters 10 and 11: contrastive search here, others in `beams` and `drafting`."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.beams import beam_step, check_beam_step, check_winner, winner
from lib.exercises.checking import Exercise, Probe
from lib.exercises.drafting import allowed, check_allowed, check_rejection, rejection

__all__ = [
    "allowed",
    "beam_step",
    "check_allowed",
    "check_beam_step",
    "check_contrastive",
    "check_rejection",
    "check_winner",
    "contrastive",
    "rejection",
    "winner",
]


def contrastive(
    p: Float[Tensor, "k"],
    candidates: Float[Tensor, "k C"],
    states: Float[Tensor, "T C"],
    alpha: float,
    *,
    score: Callable = lambda p, c, a: (1 - a) * p - a * c,
    reduced: Callable = lambda m: m.amax(dim=1),
    unit: Sequence[bool] = (True, True),
    norm: int = -1,
    likeness: Callable = lambda h, s: h @ s.T,
    result: Callable = lambda scores: int(scores.argmax()),
) -> int | Any:
    """The candidate with the highest (1 - alpha) p - alpha max cosine."""
    h, s = (
        x / x.norm(dim=norm, keepdim=True) if one else x
        for x, one in zip((candidates, states), unit, strict=True)
    )
    return result(score(p, reduced(likeness(h, s)), alpha))


def _contrastive_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    first = (
        torch.tensor([0.6, 0.3]),
        torch.tensor([[2.0, 0.0], [0.0, 1.0]]),
        torch.tensor([[1.0, 0.1], [3.0, 0.0]]),
        0.6,
    )
    cases: list[tuple[Any, ...]] = [first]
    for i in range(14):
        k, length, alpha = 6 + i % 5, 3 + i % 6, (0.3, 0.6, 0.1, 0.8, 0.5, 0.2, 0.7)[i % 7]
        vectors = torch.randn(k + length, 4) * (0.2 + 3 * torch.rand(k + length, 1))
        p = (1.5 * torch.randn(k)).softmax(-1)
        cases.append((p, vectors[:k], vectors[k:], alpha))
    return cases


COSINE = "a cosine divides by both lengths."

check_contrastive = Exercise(
    title="Contrastive choice",
    reference=contrastive,
    cases=_contrastive_cases,
    switches={
        "reduced": {
            lambda m: m.mean(1): (
                "It takes the mean over the text: one state that is alike suffices, so the maximum."
            ),
            lambda m: m.amin(1): "It takes the smallest cosine: the largest counts.",
            lambda m: m.sum(1): "It sums over the text: take the maximum.",
            lambda m: m[:, -1]: "It compares with the last state alone.",
            lambda m: m[:, 0]: "It compares with the first state alone.",
            lambda m: m.abs().amax(1): "The sign of the cosine is lost: an opposite state is "
            "not alike.",
            lambda m: m.amax(1) / m.shape[1]: "It divides by the length of the text.",
        },
        "unit": {
            (False, False): f"It takes the product of the vectors: {COSINE}",
            (False, True): f"The candidates are not divided by their lengths: {COSINE}",
            (True, False): f"The states are not divided by their lengths: {COSINE}",
        },
        "norm": {0: "The lengths are taken over the wrong dimension: each row is a vector."},
        "likeness": {
            lambda h, s: -torch.cdist(h, s): "It takes a distance: a cosine is asked for.",
            lambda h, s: torch.cdist(h, s): "It takes a distance: a cosine is asked for.",
            lambda h, s: (h @ h.T).fill_diagonal_(-2): "It compares the candidates with one "
            "another: compare them with the text.",
            lambda h, s: h @ h.T: "The likeness to the text is not used: p alone decides. (Is a "
            "candidate compared with itself? That cosine is always 1.)",
        },
        "result": {
            lambda scores: int(scores.argmin()): "It takes the lowest score.",
            lambda scores: scores.max().item(): "The score is returned: give its index.",
            lambda scores: scores: "All scores are returned: give the index of the largest.",
            lambda scores: int(scores.argmax()) + 1: "It counts from 1: the first index is 0.",
        },
        "score": {
            lambda p, c, a: a * p - (1 - a) * c: "The weights are exchanged: p has 1 - alpha, "
            "the penalty alpha.",
            lambda p, c, a: (1 - a) * p + a * c: (
                "The sign is turned: likeness is a penalty, to be subtracted."
            ),
            lambda p, c, a: p - a * c: "p is not weighed: multiply it with 1 - alpha.",
            lambda p, c, a: (1 - a) * p - c: "The penalty is not weighed: multiply with alpha.",
            lambda p, c, a: (1 - a) * p.log() - a * c: "It takes ln p: the formula has p.",
            lambda p, c, a: -c: "It takes the candidate most unlike the text, whatever its p.",
            lambda p, c, a: (1 - a) * p * (1 - c): "It multiplies: subtract the penalty.",
            **{
                lambda p, c, a, b=b: (1 - b) * p - b * c: "`alpha` is not used: it is fixed."
                for b in (0.6, 0.5, 0.4, 0.1)
            },
        },
    },
    probes=[
        Probe(
            "With alpha = 0 the most probable candidate wins.",
            (torch.tensor([0.3, 0.7]), torch.eye(2), torch.tensor([[0.0, 1.0]]), 0.0),
        ),
        Probe(
            "A negative cosine raises the score: an opposite state is most unlike the text.",
            (
                torch.tensor([0.45, 0.55]),
                torch.tensor([[-1.0, 0.0], [0.0, 1.0]]),
                torch.tensor([[1.0, 0.0]]),
                0.6,
            ),
        ),
        Probe(
            "With alpha = 1 the candidate most unlike the text wins, whatever its probability.",
            (torch.tensor([0.9, 0.1]), torch.eye(2), torch.tensor([[1.0, 0.0]]), 1.0),
        ),
    ],
    difficulty=2,
    minutes=15,
)
