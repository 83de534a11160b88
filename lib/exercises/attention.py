"""Exercises of chapter 2: the formula, its mask and its heads (more in `attention_in_use`)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Probe
from lib.exercises.heads import check_merge_heads, check_split_heads, merge_heads, split_heads
from lib.exercises.softmaxes import NORMALIZE, SCALE, SOFTMAX, divisor, has_nan, random
from lib.exercises.watching import forbid

__all__ = [
    "causal_weights",
    "check_causal_weights",
    "check_merge_heads",
    "check_scaled_attention",
    "check_split_heads",
    "merge_heads",
    "scaled_attention",
    "split_heads",
]  # fmt: skip


# Scaled attention


def scaled_attention(
    query: Float[Tensor, "T D"],
    key: Float[Tensor, "S D"],
    value: Float[Tensor, "S N"],
    *,
    scale: str = "sqrt_d",
    softmax: str = "keys",
    mask: str = "none",
    product: str = "dot",
    after: str = "none",
) -> Float[Tensor, "T N"]:
    """softmax(Q K^T / sqrt(D)) V, without a mask."""
    (n_query, width), n_key = query.shape, len(key)
    others = {"queries": n_query**0.5, "values": value.shape[-1] ** 0.5, "8": 8.0}
    if product == "cosine":
        query, key = (x / x.norm(dim=-1, keepdim=True) for x in (query, key))
    scores = query @ key.T / (others.get(scale) or divisor(scale, width, n_key))
    ones = torch.ones(n_query, n_key, dtype=torch.bool)
    hidden = {
        "none": ~ones, "causal": ~ones.tril(), "causal_right": ~ones.tril(n_key - n_query),
    }[mask]  # fmt: skip
    weights = NORMALIZE[softmax](
        scores.masked_fill(hidden, -math.inf) if mask != "none" else scores
    )
    output = weights @ value
    return output / {"none": 1, "sqrt_d": width**0.5}[after]


def _weights_differ(expected: Tensor, got: Tensor) -> bool:
    """Whether the weights of two keys are positive and sum to one, but have another ratio."""
    return bool((got > 0).all()) and abs(got.sum().item() - len(got)) < 1e-4


check_scaled_attention = Exercise(
    title="Scaled attention",
    reference=scaled_attention,
    cases=lambda seed: [
        (random(seed, t, d), random(seed, s, d) + 0.5, random(seed, s, n))
        for t, s, d, n in [(2, 3, 4, 2), (3, 3, 5, 3), (5, 7, 16, 6)]
    ],
    switches={
        "scale": {
            **SCALE,
            "queries": "The scores are divided by the root of the number of queries, not by √d.",
            "values": "The scores are divided by the root of the values' width: d is the keys'.",
            "8": "The scores are divided by 8, whatever the width: d differs from head to head.",
        },
        "softmax": SOFTMAX,
        "mask": {
            "causal": "It hides later keys: no mask is asked for.",
            "causal_right": "It hides later keys: no mask is asked for.",
        },
        "product": {
            "cosine": "Queries and keys are brought to length 1: the product itself is the score.",
        },
        "after": {
            "sqrt_d": "It divides the output by √d.",
        },
    },
    probes=[
        Probe(
            "With a single key its weight is 1, whatever the score: the output is its value.",
            (torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 1.0]]), torch.tensor([[5.0, 7.0]])),
        ),
        Probe(
            "A query of zeros finds all keys alike: its output is the mean of all values.",
            (torch.zeros(2, 4), random(0, 3, 4), torch.tensor([[0.0], [3.0], [6.0]])),
        ),
        Probe(
            "Where all values are 1 the output is 1, since a query's weights sum to one.",
            (random(1, 3, 4), random(2, 4, 4), torch.ones(4, 2)),
        ),
        Probe(
            "Two equal queries must get equal outputs: each query attends by itself.",
            (random(1, 1, 4).expand(3, 4), random(2, 5, 4), random(3, 5, 2)),
            lambda e, g: not torch.allclose(g, g[:1].expand_as(g), atol=1e-4),
        ),
        Probe(
            "The weights do not come from the products divided by √D: with D = 16 and the products "
            "8 and 0, the softmax is over 2 and 0.",
            (torch.eye(1, 16) * 4, torch.eye(1, 16) * torch.tensor([[2.0], [0]]), torch.eye(2)),
            _weights_differ,
        ),
        Probe(
            "Numbers lose digits on the way: compute in float32 throughout.",
            (random(5, 2, 8) * 3, random(6, 6, 8) * 3, random(7, 6, 2) * 10),
            lambda e, g: torch.allclose(e, g, atol=0.2, rtol=0.02),
        ),
        Probe(  # the exponentials of the second row are infinite, or those of the first vanish
            "Large scores overflow, and only differences within a row count: 300 and 301 give the "
            "weights of 0 and 1. Subtract each row's own largest first, as `softmax` does.",
            (torch.tensor([[0.0], [1]]), torch.tensor([[300.0], [301]]), torch.eye(2)),
        ),
    ],
    rule=forbid(
        "The result is right, but it comes from an attention function of torch: write the formula.",
        "scaled_dot_product_attention", "multi_head_attention_forward",
        "native_multi_head_attention",
    ),
    difficulty=1,
    minutes=10,
)  # fmt: skip


# Causal mask


def causal_weights(
    scores: Float[Tensor, "T S"],
    *,
    mask: str = "right",
    fill: float | int = -math.inf,
    softmax: str = "keys",
    masked: str = "before",
    scale: str = "none",
) -> Float[Tensor, "T S"]:
    """Softmax over the keys that each query may see; the last query sees all keys."""
    n_query, n_key = scores.shape
    scores = scores / n_key**0.5 if scale == "again" else scores
    ones, more = torch.ones_like(scores, dtype=torch.bool), n_key - n_query
    visible = {
        "right": ones.tril(more), "left": ones.tril(), "none": ones, "future": ones.triu(more),
        "future_left": ones.triu(), "strict": ones.tril(more - 1), "more": ones.tril(more + 1),
        "negative": ones.tril(-more), "turned": ~ones.tril(more),
        "new": ones.tril(more) & (torch.arange(n_key) >= more),
    }[mask]  # fmt: skip
    if masked == "after":
        return NORMALIZE[softmax](scores).masked_fill(~visible, 0.0)
    if masked == "times":
        return NORMALIZE[softmax](scores * visible)
    return NORMALIZE[softmax](scores.masked_fill(~visible, fill))


def _sees_later(expected: Tensor, got: Tensor) -> bool:
    return bool((got[expected == 0] > 1e-6).any())


check_causal_weights = Exercise(
    title="Causal weights",
    reference=causal_weights,
    cases=lambda seed: [(random(seed, t, s),) for t, s in [(3, 3), (2, 4), (1, 5), (6, 6), (3, 8)]],
    switches={
        "masked": {
            "after": "The mask comes after the softmax: the rows no longer sum to one. Mask the "
            "scores.",
            "times": "The scores are multiplied by the mask: a score of zero is not hidden, since "
            "exp(0) = 1.",
        },
        "fill": {
            -1.0: "A score of -1 is not hidden: write minus infinity.",
            -10.0: "A score of -10 is not hidden: write minus infinity.",
        },
        "mask": {
            "left": "With fewer queries than keys, the queries are the last ones: the last query "
            "sees every key. Move the diagonal by the difference.",
            "future": "It hides the past and shows the future: turn the triangle over.",
            "future_left": "It hides the past and shows the future: turn the triangle over.",
            "turned": "It hides what is to be seen: `masked_fill` fills where the mask is True.",
            "new": "The keys before the first query are hidden: all that came before is seen.",
            "none": "Nothing is masked.",
            "strict": "A query does not see its own key: the diagonal belongs to what is seen.",
            "more": "Each query sees one key too many, the next one.",
            "negative": "The diagonal moves to the wrong side: add S - T, do not subtract it.",
        },
        "softmax": SOFTMAX,
        "scale": {"again": "The scores are divided by the root of S: they are scaled already."},
    },
    probes=[
        Probe(
            "The weights have the shape of the scores: one for each key, 0 where it is hidden.",
            (torch.zeros(2, 4),),
            lambda e, g: e.shape != g.shape,
        ),
        Probe(
            "A single query is the last position: it sees all keys.",
            (torch.zeros(1, 4),),
            lambda e, g: bool((g < 1e-6).any()),
        ),
        Probe(
            "A query gives weight to a key that comes later.",
            (torch.zeros(3, 3),),
            _sees_later,
        ),
        Probe("One query with one key: its weight is 1.", (torch.tensor([[-2.0]]),)),
        Probe(
            "With fewer queries than keys a query gives weight to a key that comes later.",
            (torch.zeros(2, 5),),
            _sees_later,
        ),
        Probe(
            "A query does not see a key that is its own or comes before.",
            (torch.zeros(2, 5),),
            lambda e, g: bool((g[e > 0].abs() < 1e-6).any()),
        ),
        Probe(
            "With equal scores the keys that a query sees get equal weights, which sum to one.",
            (torch.zeros(3, 4),),
        ),
        Probe(
            "Each query's weights must sum to one over the keys that it sees.",
            (torch.tensor([[1.0, 2.0, 0.5], [0.0, 3.0, 1.0], [2.0, 1.0, -1.0]]),),
            lambda e, g: not torch.allclose(g.sum(-1), torch.ones(3), atol=1e-4),
        ),
        Probe(
            "Large scores overflow: subtract each row's largest first, as `softmax` does.",
            (torch.tensor([[3000.0, 2000.0], [1000.0, 3000.0]]),),
            has_nan,
        ),
        Probe(
            "A hidden score of 0 counts beside visible ones of -20,000: put minus infinity in its "
            "place before the softmax, not a number such as -100, nor zeros into the weights.",
            (torch.tensor([[-20_000.0, 0.0], [-20_000.0, -20_001.0]]),),
            lambda e, g: has_nan(e, g) or _sees_later(e, g),
        ),
    ],
    difficulty=1,
    minutes=10,
)  # fmt: skip
