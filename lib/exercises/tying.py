"""An exercise of chapter 6: one weight for the embedding and the head."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from lib.exercises.checking import Exercise, Probe


def _copied(embedding: nn.Embedding, head: nn.Linear) -> None:
    head.weight.data = embedding.weight.data.clone()


def _other_way(embedding: nn.Embedding, head: nn.Linear) -> None:
    embedding.weight = head.weight


def _with_bias(embedding: nn.Embedding, head: nn.Linear) -> None:
    head.weight, head.bias = embedding.weight, nn.Parameter(torch.zeros(head.out_features))


def _frozen(embedding: nn.Embedding, head: nn.Linear) -> None:
    head.weight = embedding.weight
    head.weight.requires_grad_(False)


TIES: dict[str, Callable] = {
    "one": lambda embedding, head: setattr(head, "weight", embedding.weight),
    "none": lambda embedding, head: None,
    "copied": _copied,
    "new": lambda embedding, head: setattr(
        head, "weight", nn.Parameter(embedding.weight.detach().clone())
    ),
    "data": lambda embedding, head: setattr(head.weight, "data", embedding.weight.data),
    "other_way": _other_way,
    "bias": _with_bias,
    "frozen": _frozen,
}


def tie(embedding: nn.Embedding, head: nn.Linear, *, how: str = "one") -> None:
    """Let the head use the embedding's weight: one tensor, not two equal ones."""
    TIES[how](embedding, head)


def _after_a_step(answer: Callable, vocab_size: int, width: int, **settings: str) -> list:
    """Whether one tensor serves both, and what both are after one step of training."""
    torch.manual_seed(vocab_size)
    embedding, head = nn.Embedding(vocab_size, width), nn.Linear(width, vocab_size, bias=False)
    before = embedding.weight.detach().clone()
    answer(embedding, head, **settings)
    kept = torch.equal(embedding.weight, before)
    trained = {id(w): w for w in (*embedding.parameters(), *head.parameters())}
    if not all(w.requires_grad for w in trained.values()):
        return ["frozen"]
    optimizer = torch.optim.SGD(trained.values(), lr=0.1)
    F.cross_entropy(head(embedding(torch.tensor([0, 1]))), torch.tensor([1, 2])).backward()
    optimizer.step()
    return [
        kept,
        f"{len(trained)} to train",
        torch.equal(embedding.weight, head.weight),
        embedding.weight is head.weight,
        embedding.weight.detach(),
    ]


check_tie = Exercise(
    title="Tied weights",
    reference=lambda vocab_size, width, **settings: _after_a_step(
        tie, vocab_size, width, **settings
    ),
    cases=lambda seed: [(5, 3), (11, 8 + seed)],
    call=_after_a_step,
    switches={
        "how": {
            "none": "Nothing is tied.",
            "copied": "The values are copied: after one step of training the two differ again.",
            "new": "The values are copied to a parameter of its own: after one step of training "
            "the two differ again.",
            "data": "The two parameters share their memory, but an optimizer sees two, and updates "
            "it twice. Assign the parameter itself.",
            "bias": "The head gets a bias: it is to have none.",
            "frozen": "The weight is frozen, so that nothing trains it: leave `requires_grad` as it"
            " is.",
            "other_way": "The embedding lost its values to the head's: keep the embedding's.",
        }
    },
    probes=[
        Probe("The embedding's values change: they are to be kept.", (4, 2),
              lambda e, g: g[0] is False),
        Probe("The two weights differ after a step of training: they must be one tensor.", (4, 2),
              lambda e, g: g[2] is False),
        Probe("An optimizer finds more than the one weight: there is to be no other parameter.",
              (4, 2), lambda e, g: g[1] != "1 to train"),
        Probe("The head has no parameter any more, so its gradient is lost: assign the embedding's "
              "parameter, not a tensor.", (4, 2), lambda e, g: g[3] is False),
    ],
    difficulty=2,
    minutes=10,
)  # fmt: skip
