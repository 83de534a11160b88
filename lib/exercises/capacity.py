"""An exercise of chapter 5: which choices an expert's capacity drops."""

from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lib.exercises.checking import Exercise, Probe


def kept(
    experts: Int[Tensor, "N k"],
    n_experts: int,
    capacity: int,
    *,
    order: str = "choices",
    room: str = "capacity",
    shared: str = "expert",
    says: str = "kept",
) -> Bool[Tensor, "N k"] | Any:
    """True where an expert still had room; first choices of all tokens come first."""
    n_tokens, k = experts.shape
    most = {
        "capacity": capacity, "less": capacity - 1, "more": capacity + 1, "k": capacity * k,
        "all": capacity * n_experts, "share": capacity // k, "none": n_tokens * k,
    }[room]  # fmt: skip
    tokens, choices = range(n_tokens), range(k)
    pairs = {
        "choices": [(t, c) for c in choices for t in tokens],
        "tokens": [(t, c) for t in tokens for c in choices],
        "last_choice": [(t, c) for c in reversed(choices) for t in tokens],
        "last_token": [(t, c) for c in choices for t in reversed(tokens)],
        "backward": [(t, c) for t in reversed(tokens) for c in choices],
        "last": [(t, c) for c in reversed(choices) for t in reversed(tokens)],
        "short": [(t, c) for c in choices for t in tokens[:-1]],
    }[order]  # fmt: skip
    taken, result = {}, torch.zeros_like(experts, dtype=torch.bool)
    for t, c in pairs:
        expert = int(experts[t, c])
        place = {"expert": expert, "choice": (expert, c), "all": 0, "token": t, "column": c}[shared]
        stopped = {
            "stops": not result[t, :c].all(), "stops_first": c > 0 and not result[t, 0],
            "once": bool(result[t, :c].any()),
        }.get(says, False)  # fmt: skip
        result[t, c] = taken.get(place, 0) < most and not stopped
        if result[t, c] or says == "counts_dropped":
            taken[place] = taken.get(place, 0) + 1
    if says == "whole":
        return result.all(-1, keepdim=True).expand_as(result)
    if says == "some":
        return result.any(-1, keepdim=True).expand_as(result)
    if says == "first_only":
        return result & (torch.arange(k) == 0)
    if says == "first_always":
        return result | (torch.arange(k) == 0)
    return {
        "dropped": ~result, "experts": experts.where(result, -1),
        "turned": result.T.reshape(result.shape),
        "crowded": (experts.flatten().bincount(minlength=n_experts) <= most)[experts],
        "yes": torch.ones_like(result), "no": torch.zeros_like(result),
    }.get(says, result)  # fmt: skip


def _capacity_cases(seed: int) -> list[tuple]:
    generator = torch.Generator().manual_seed(seed)
    cases = [(torch.tensor([[0, 1], [1, 0], [1, 2], [1, 2]]), 3, 2)]
    for n, e, k, most in ((9, 4, 2, 3), (15, 5, 3, 6), (6, 3, 1, 1)):
        logits = torch.randn(n, e, generator=generator) + torch.linspace(1, 0, e)
        cases.append((logits.topk(k, dim=-1).indices, e, most))
    return cases


def _choices(*rows: tuple) -> Tensor:
    return torch.tensor(rows)


check_kept = Exercise(
    title="What a capacity drops",
    reference=kept,
    cases=_capacity_cases,
    switches={
        "order": {
            "tokens": "It goes token by token: the first choices of all tokens are served before "
            "any second choice.",
            "last_choice": "Last choices are served first: begin with the first ones.",
            "last_token": "The last tokens are served first: go in the order of the text.",
            "backward": "It goes token by token, and from the last: first choices of all tokens "
            "come first, in the order of the text.",
            "last": "Last choices and last tokens are served first: begin with the first ones.",
            "short": "The last token is left out.",
        },
        "room": {
            "less": "One place too few: an expert takes `capacity` tokens, the last one included.",
            "more": "One place too many: an expert takes `capacity` assignments.",
            "k": "An expert takes `capacity` assignments, not k times as many.",
            "all": "Each expert takes `capacity` assignments, not all of theirs together.",
            "share": "The capacity is divided by k: an expert takes `capacity` in all.",
            "none": "The capacity is not used.",
        },
        "shared": {
            "choice": "Each choice gets a capacity of its own: an expert's places are shared by "
            "first and further choices.",
            "all": "All experts share one counter: each has its own places.",
            "token": "It counts a token's choices: count the assignments of each expert.",
            "column": "It counts assignments of a choice, whatever the expert.",
        },
        "says": {
            "dropped": "True stands for what is dropped: it must stand for what is kept.",
            "experts": "It returns experts, not whether they had room.",
            "yes": "It says True always.",
            "no": "It says False always.",
            "whole": "A token is dropped as a whole if one of its choices finds no room: each "
            "assignment counts for itself.",
            "some": "A token is kept as a whole if one of its choices finds room: each assignment "
            "counts for itself.",
            "stops": "A token of which one choice was dropped is not served any more: its further "
            "choices count too.",
            "stops_first": "A token whose first choice was dropped is not served any more: its "
            "further choices count too.",
            "once": "A token that one expert has kept is not served any more: its further choices "
            "count too.",
            "first_always": "First choices are never dropped: they need room as all others do.",
            "crowded": "An expert with too many assignments keeps none: it keeps the first ones.",
            "turned": "The rows of the result are choices, cut to the shape (N, k): transpose.",
            "first_only": "Only first choices are kept: further ones take the room that is left.",
        },
    },
    probes=[
        Probe("One token, one expert with one place: it is kept.", (_choices((0,)), 1, 1)),
        Probe("Two tokens want an expert with one place: the first token gets it.",
              (_choices((0,), (0,)), 1, 1)),
        Probe("A capacity of 2 keeps two assignments of an expert, and drops the third.",
              (_choices((0,), (0,), (0,)), 1, 2)),
        Probe("Each expert has its own places.",
              (_choices((0,), (1,), (0,), (1,)), 2, 1)),
        Probe("More experts than tokens must work, and so must an expert that nobody chose.",
              (_choices((4,), (4,)), 6, 1)),
        Probe("First choices of all tokens come first: token 1's first choice takes the place that "
              "token 0 wants as its second.", (_choices((0, 1), (1, 0)), 2, 1)),
        Probe("Second choices use what first choices left of the same places.",
              (_choices((0, 1), (0, 1), (1, 0)), 2, 2)),
        Probe("What is dropped takes no place.",
              (_choices((0, 1), (0, 1), (2, 0)), 3, 1)),
        Probe("A capacity of 0 keeps nothing.", (_choices((0,), (1,)), 2, 0)),
    ],
    difficulty=3,
    minutes=20,
)  # fmt: skip
