"""Exercises of chapter 5 on experts. N tokens, E experts, k choices."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Probe

CHOICES = {
    "largest": lambda by, k: by.topk(k, dim=-1).indices,
    "smallest": lambda by, k: (-by).topk(k, dim=-1).indices,
    "one": lambda by, k: by.topk(1, dim=-1).indices,
    "one more": lambda by, k: by.topk(min(k + 1, by.shape[-1]), dim=-1).indices,
    "one less": lambda by, k: by.topk(max(k - 1, 1), dim=-1).indices,
    "all": lambda by, k: by.topk(by.shape[-1], dim=-1).indices,
    "sizes": lambda by, k: by.abs().topk(k, dim=-1).indices,
    "first": lambda by, k: torch.arange(k).expand(len(by), k),
    "argsort": lambda by, k: (by.argsort(-1, descending=True) < k).nonzero()[:, 1].view(len(by), k),
    "first token": lambda by, k: by[:1].topk(k, dim=-1).indices.expand(len(by), k),
    "total": lambda by, k: by.sum(0).topk(k).indices.expand(len(by), k),
}
CHOICE_SENTENCES = {
    "smallest": "The smallest are chosen: take the k largest.",
    "one": "Only the largest is chosen, whatever k is.",
    "one more": "One expert too many is chosen.",
    "one less": "One expert too few is chosen.",
    "all": "All experts are chosen: take the k largest.",
    "sizes": "It goes by absolute values: a large negative number is a small one.",
    "first": "The first k experts are chosen: take the k largest.",
    "argsort": "`argsort` stands for ranks: it gives places, so that its own argsort is due.",
    "first token": "The first token's experts serve all tokens: each chooses for itself.",
    "total": "All tokens get the same experts: each chooses for itself.",
}
SHARES = {
    "softmax": lambda x: x.softmax(-1),
    "sum": lambda x: x / x.sum(-1, keepdim=True),
    "none": lambda x: x,
    "exp": torch.exp,
    "sigmoid": torch.sigmoid,
    "sigmoid_sum": lambda x: x.sigmoid() / x.sigmoid().sum(-1, keepdim=True),
    "equal": lambda x: torch.full_like(x, 1 / x.shape[-1]),
    "ones": torch.ones_like,
    "sorted": lambda x: x.softmax(-1).flip(-1),
    "log": lambda x: x.log_softmax(-1),
    "root": lambda x: x.sqrt() / x.sqrt().sum(-1, keepdim=True),
    "squares": lambda x: x.square() / x.square().sum(-1, keepdim=True),
    "norm": lambda x: x / x.norm(dim=-1, keepdim=True),
    "max": lambda x: x / x.amax(-1, keepdim=True),
    "k": lambda x: x / x.shape[-1],
    "tokens": lambda x: x.softmax(0),
    "sizes": lambda x: x.abs() / x.abs().sum(-1, keepdim=True),
    "columns": lambda x: x,
}


def _placed(by: Tensor, values: Tensor, k: int, chosen: str, share: str) -> Tensor:
    experts = CHOICES[chosen](by, k)
    weights = SHARES[share](values.gather(-1, experts))
    placed = torch.zeros_like(values).scatter(-1, experts, weights)
    return placed / placed.sum(0).clamp(min=1e-30) if share == "columns" else placed


FILLS = {"masked": 0, "masked, cut": 0, "minus 1": -1, "minus 10": -10, "tokens, cut": -math.inf}


def routing_weights(
    logits: Float[Tensor, "N E"],
    k: int,
    *,
    chosen: str = "largest",
    share: str = "softmax",
    of: str = "chosen",
) -> Float[Tensor, "N E"]:
    """The weight of each expert for each token: softmax over the k largest logits, 0 elsewhere."""
    if of == "tokens":
        return _placed(logits.softmax(0), logits.softmax(0), k, chosen, share)
    if of == "experts":
        return _placed(logits.T, logits.T, min(k, len(logits)), chosen, share).T
    values = logits if of == "chosen" else logits.softmax(-1)
    if of in FILLS:
        experts = CHOICES[chosen](logits, k)
        kept = torch.full_like(logits, FILLS[of]).scatter(-1, experts, logits.gather(-1, experts))
        weights = kept.softmax(-1) if of != "tokens, cut" else kept.softmax(0).nan_to_num()
        cut = torch.zeros_like(weights).scatter(-1, experts, weights.gather(-1, experts))
        return weights if of != "masked, cut" else cut
    return _placed(logits, values, k, chosen, "none" if of == "all" else share)


def _not_one(expected: Tensor, got: Tensor) -> bool:
    return not torch.allclose(got.sum(-1), torch.ones(len(got)), atol=1e-4)


def _too_many(expected: Tensor, got: Tensor) -> bool:
    return bool(((got > 1e-7).sum(-1) > (expected > 0).sum(-1)).any())


def _other_experts(expected: Tensor, got: Tensor) -> bool:
    return not torch.equal(expected > 0, got.abs() > 1e-7)


def _logit_cases(seed: int) -> list[tuple]:
    generator = torch.Generator().manual_seed(seed)
    small = torch.tensor([[2.0, 1.0, 0.0, -1.0], [-1.0, 3.0, 0.5, 1.0]])
    drawn = [(torch.randn(7, 5, generator=generator), 1),
             (torch.randn(6, 8, generator=generator) * 2, 3)]  # fmt: skip
    return [(small, 2), *drawn]


check_routing_weights = Exercise(
    title="The weights of a top-k router",
    reference=routing_weights,
    cases=_logit_cases,
    switches={
        "of": {
            "all": "The weights of a token do not sum to 1: divide by the sum over the chosen, or "
            "take the softmax over the chosen logits only.",
            "masked": "Experts that were not chosen have a weight: their logits were set to 0, and "
            "e^0 = 1. Set them to -inf.",
            "masked, cut": "The logits of others were set to 0 and count in the softmax, since "
            "e^0 = 1. Set them to -inf.",
            **{
                f"minus {number}": "Experts that were not chosen have a weight: their logits were "
                f"set to -{number}. Set them to -inf."
                for number in (1, 10)
            },
            "tokens, cut": "The softmax runs over tokens: a token's experts share a weight of 1.",
            "experts": "Each expert chooses k tokens: each token must choose k experts.",
            "probabilities": "The softmax is taken twice, of all logits and then of the chosen "
            "probabilities.",
            "tokens": "The softmax runs over tokens: each token's experts share a weight of 1.",
        },
        "share": {
            "sum": "The chosen logits are divided by their sum: take a softmax.",
            "none": "The chosen logits themselves are returned: take a softmax of them.",
            "exp": "The exponentials are not divided by their sum.",
            "sigmoid": "A sigmoid is taken in place of the softmax.",
            "sigmoid_sum": "Sigmoids are divided by their sum: take a softmax.",
            "equal": "All chosen experts get the same weight: take a softmax of their logits.",
            "ones": "Each chosen expert gets the weight 1: take a softmax of their logits.",
            "sorted": "The weights land at the wrong ones of the chosen experts.",
            "log": "The weights are logarithms: take `softmax`, not `log_softmax`.",
            "tokens": "The softmax runs over tokens: each token's experts share a weight of 1.",
            "sizes": "The sizes of the chosen logits are divided by their sum: take a softmax.",
        },
        "chosen": CHOICE_SENTENCES,
    },
    probes=[
        Probe(
            "The result must have the shape (N, E), with 0 for the experts that were not chosen.",
            (torch.tensor([[1.0, 3.0, 2.0]]), 2),
            lambda e, g: getattr(g, "shape", None) != e.shape,
        ),
        Probe("With k = 1 the best expert gets the weight 1, the others 0.",
              (torch.tensor([[-3.0, -1.0, -2.0]]), 1)),
        Probe(
            "The weights of a token must sum to 1.",
            (torch.tensor([[1.0, 3.0, 2.0]]), 2),
            _not_one,
        ),
        Probe(
            "Experts that were not chosen have a weight.",
            (torch.tensor([[1.0, 3.0, 2.0]]), 2),
            _too_many,
        ),
        Probe(
            "The experts with weight are not those of the k largest logits.",
            (torch.tensor([[1.0, 3.0, 2.0], [0.0, -1.0, 5.0]]), 2),
            _other_experts,
        ),
        Probe("The weights of the chosen are not the softmax of their logits.",
              (torch.tensor([[1.0, 3.0, 2.0]]), 2)),
        Probe("Others get a weight where all logits are very low: mask by -inf, not by a number "
              "such as -100.", (torch.tensor([[-90.0, -90.5, -91.0]]), 2)),
    ],
    difficulty=2,
    minutes=12,
)  # fmt: skip


def biased_weights(
    scores: Float[Tensor, "N E"],
    bias: Float[Tensor, "E"],
    k: int,
    *,
    chosen: str = "largest",
    by: str = "sum",
    of: str = "scores",
    share: str = "sum",
) -> Float[Tensor, "N E"]:
    """Choose by score plus bias; weigh by the scores alone, made to sum to 1."""
    kinds = {"sum": scores + bias, "scores": scores, "difference": scores - bias,
             "product": scores * bias, "bias": bias.expand_as(scores),
             "softmax": scores.softmax(-1), "softmax_sum": scores.softmax(-1) + bias,
             "log": scores.log() + bias}  # fmt: skip
    kinds["rows"] = scores + bias[:, None] if len(scores) == len(bias) else kinds["sum"]
    if share == "biased":
        total = kinds["sum"].gather(-1, CHOICES[chosen](kinds[by], k)).sum(-1, keepdim=True)
        return _placed(kinds[by], kinds[of], k, chosen, "none") / total
    if share in ("all", "all_softmax"):
        values = kinds[of]
        values = values / values.sum(-1, keepdim=True) if share == "all" else values.softmax(-1)
        return _placed(kinds[by], values, k, chosen, "none")
    return _placed(kinds[by], kinds[of], k, chosen, share)


def _score_cases(seed: int) -> list[tuple]:
    generator = torch.Generator().manual_seed(seed)
    small = torch.tensor([[0.9, 0.6, 0.5, 0.1], [0.2, 0.7, 0.6, 0.55]])
    cases = [(small, torch.tensor([-0.5, 0.0, 0.0, 0.2]), 2)]
    for n, e, k in ((5, 6, 2), (9, 8, 3), (7, 7, 3)):
        scores = torch.rand(n, e, generator=generator) + 0.01
        cases.append((scores, torch.randn(e, generator=generator) * 0.4, k))
    return cases


check_biased_weights = Exercise(
    title="Balancing by a bias",
    reference=biased_weights,
    cases=_score_cases,
    switches={
        "of": {
            "sum": "The bias changes the weights: it enters the choice only, so that the output is "
            "not distorted.",
            "difference": "The bias is subtracted from the weights: it enters the choice only.",
            "bias": "The weights are made from the bias: take the scores.",
            "softmax": "The weights come from a softmax: divide the scores by their sum.",
        },
        "by": {
            "scores": "The bias is not used in the choice.",
            "difference": "The bias is subtracted in the choice: add it.",
            "product": "The scores are multiplied by the bias in the choice: add it.",
            "bias": "The choice goes by the bias alone: add the scores.",
            "softmax": "The bias is not used in the choice.",
            "log": "The bias is added to the scores' logarithms in the choice: add it to the "
            "scores.",
            "rows": "Where there are as many tokens as experts, the bias is added by token: it "
            "belongs to the experts.",
            "softmax_sum": "The choice goes by a softmax of the scores plus the bias: add it to "
            "the scores.",
        },
        "share": {
            "none": "The weights of a token do not sum to 1: divide by the sum over the chosen.",
            "softmax": "A softmax is taken of the chosen scores: divide them by their sum.",
            "all": "The scores are divided by the sum of all, not of the chosen.",
            "all_softmax": "A softmax is taken of all scores: divide the chosen by their sum.",
            "equal": "All chosen experts get the same weight: take their scores.",
            "ones": "Each chosen expert gets the weight 1: take the scores, divided by their sum.",
            "squares": "The scores are squared: divide them by their sum as they are.",
            "root": "The scores' roots are taken: divide them by their sum as they are.",
            "norm": "The scores are divided by their length: divide by their sum.",
            "max": "The scores are divided by the largest: divide by their sum.",
            "k": "The scores are divided by k: divide by their sum.",
            "biased": "The scores are divided by the sum of scores with bias: divide by their own.",
            "sigmoid_sum": "A sigmoid is taken of the scores: divide them as they are.",
            "sorted": "The weights land at the wrong ones of the chosen experts.",
            "columns": "The weights of an expert sum to 1 over the tokens: those of a token must.",
        },
        "chosen": CHOICE_SENTENCES,
    },
    probes=[
        Probe(
            "The result must have the shape (N, E), with 0 for the experts that were not chosen.",
            (torch.tensor([[0.2, 0.5, 0.1]]), torch.zeros(3), 2),
            lambda e, g: getattr(g, "shape", None) != e.shape,
        ),
        Probe("With k = 1 and no bias the largest score gets the weight 1, the others 0.",
              (torch.tensor([[0.2, 0.5, 0.1]]), torch.zeros(3), 1)),
        Probe(
            "The weights of a token must sum to 1.",
            (torch.tensor([[0.2, 0.5, 0.1]]), torch.zeros(3), 2),
            _not_one,
        ),
        Probe(
            "Experts that were not chosen have a weight.",
            (torch.tensor([[0.2, 0.5, 0.1]]), torch.zeros(3), 2),
            _too_many,
        ),
        Probe(
            "The experts with weight are not those with the k largest sums of score and bias.",
            (torch.tensor([[0.2, 0.5, 0.1]]), torch.tensor([0.0, -1.0, 0.0]), 2),
            _other_experts,
        ),
        Probe("Without a bias each chosen score must be divided by the sum of the chosen ones.",
              (torch.tensor([[0.2, 0.6, 0.1]]), torch.zeros(3), 2)),
        Probe(
            "The weights change with the bias, though the same experts are chosen: it enters the "
            "choice only.",
            (torch.tensor([[0.2, 0.6, 0.1]]), torch.tensor([0.3, 0.0, -0.3]), 2),
        ),
        Probe(
            "All sums may be below 0: they are compared as they are, and 0 is no sign of what was "
            "left out.",
            (torch.tensor([[0.2, 0.6, 0.1]]), torch.tensor([-3.0, -2.0, -2.0]), 2),
        ),
    ],
    difficulty=2,
    minutes=12,
)  # fmt: skip
