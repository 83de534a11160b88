"""Exercises of chapter 2: the formula, its mask and its heads (more in `attention_in_use`)."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.exercises.checking import Exercise, Mistake
from lib.model.masks import causal_mask


def _random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(100 * seed + sum(shape)))


# Scaled attention


def scaled_attention(
    query: Float[Tensor, "T D"], key: Float[Tensor, "S D"], value: Float[Tensor, "S N"]
) -> Float[Tensor, "T N"]:
    """softmax(Q K^T / sqrt(D)) V, without a mask."""
    scores = query @ key.T / math.sqrt(query.shape[-1])
    return scores.softmax(dim=-1) @ value


def _attend(scores: Tensor, value: Tensor) -> Tensor:
    return scores.softmax(dim=-1) @ value


check_scaled_attention = Exercise(
    title="Scaled attention",
    reference=scaled_attention,
    cases=lambda seed: [
        (_random(seed, t, d), _random(seed, s, d) + 0.5, _random(seed, s, n))
        for t, s, d, n in [(2, 3, 4, 2), (3, 3, 5, 3), (5, 7, 16, 6)]
    ],
    mistakes=[
        Mistake(
            lambda query, key, value: _attend(query @ key.T, value),
            "The scores are not scaled: divide them by √d before the softmax.",
        ),
        Mistake(
            lambda query, key, value: _attend(query @ key.T / query.shape[-1], value),
            "The scores are divided by d, not by √d.",
        ),
        Mistake(
            lambda query, key, value: _attend(query @ key.T / key.shape[0] ** 0.5, value),
            "The scores are divided by the root of the number of keys: d is the head's width.",
        ),
        Mistake(
            lambda query, key, value: (query @ key.T / query.shape[-1] ** 0.5).softmax(0) @ value,
            "The softmax runs over queries: each query's weights must sum to one, over keys.",
        ),
        Mistake(
            lambda query, key, value: query @ key.T / query.shape[-1] ** 0.5 @ value,
            "The softmax is missing: the weights must be positive and sum to one.",
        ),
    ],
    difficulty=1,
    minutes=10,
)


# Causal mask


def causal_weights(scores: Float[Tensor, "T S"]) -> Float[Tensor, "T S"]:
    """Softmax over the keys that each query may see; the last query sees all keys."""
    return scores.masked_fill(~causal_mask(*scores.shape), -math.inf).softmax(dim=-1)


def _masked_softmax(scores: Tensor, mask: Bool[Tensor, "T S"]) -> Tensor:
    return scores.masked_fill(~mask, -math.inf).softmax(dim=-1)


def _aligned_left(scores: Tensor) -> Tensor:
    return _masked_softmax(scores, torch.ones_like(scores, dtype=torch.bool).tril())


check_causal_weights = Exercise(
    title="Causal weights",
    reference=causal_weights,
    cases=lambda seed: [(_random(seed, t, s),) for t, s in [(3, 3), (2, 4), (1, 5), (6, 6)]],
    mistakes=[
        Mistake(
            lambda scores: scores.softmax(-1).masked_fill(~causal_mask(*scores.shape), 0.0),
            "The mask comes after the softmax: the rows no longer sum to one. Mask the scores.",
        ),
        Mistake(
            lambda scores: scores.masked_fill(~causal_mask(*scores.shape), 0.0).softmax(-1),
            "A score of zero is not hidden, since exp(0) = 1: write minus infinity.",
        ),
        Mistake(
            _aligned_left,
            "With fewer queries than keys, the queries are the last ones: the last query sees "
            "every key. Move the diagonal by the difference.",
        ),
        Mistake(
            lambda scores: _masked_softmax(scores, causal_mask(*scores.shape[::-1]).T),
            "It hides the past and shows the future: turn the triangle over.",
        ),
        Mistake(lambda scores: scores.softmax(-1), "Nothing is masked."),
    ],
    difficulty=1,
    minutes=10,
)


# Split and merge


def split_heads(x: Float[Tensor, "B T C"], n_heads: int) -> Float[Tensor, "B H T D"]:
    """Cut the features of each token into heads, and bring the heads to the front."""
    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)


def merge_heads(heads: Float[Tensor, "B H T D"]) -> Float[Tensor, "B T C"]:
    """The inverse of `split_heads`."""
    return heads.transpose(1, 2).flatten(2)


check_split_heads = Exercise(
    title="Split into heads",
    reference=split_heads,
    cases=lambda seed: [
        (_random(seed, b, t, c), n) for b, t, c, n in [(1, 3, 4, 2), (2, 5, 6, 3), (2, 4, 4, 4)]
    ],
    mistakes=[
        Mistake(
            lambda x, n_heads: x.reshape(x.shape[0], n_heads, x.shape[1], -1),
            "One reshape to the final shape mixes tokens: first cut the features, then transpose.",
        ),
        Mistake(
            lambda x, n_heads: x.unflatten(-1, (n_heads, -1)),
            "The heads are cut, but come after the tokens: transpose those two dimensions.",
        ),
        Mistake(
            lambda x, n_heads: x.unflatten(-1, (-1, n_heads)).permute(0, 3, 1, 2),
            "Neighboring features went to different heads: head h owns features h·D to (h + 1)·D.",
        ),
    ],
    difficulty=1,
    minutes=10,
)

check_merge_heads = Exercise(
    title="Merge the heads",
    reference=merge_heads,
    cases=lambda seed: [
        (_random(seed, *shape),) for shape in [(1, 2, 3, 2), (2, 3, 5, 2), (2, 4, 4, 1)]
    ],
    mistakes=[
        Mistake(
            lambda heads: heads.reshape(heads.shape[0], heads.shape[2], -1),
            "It reshapes without transposing back, which mixes tokens.",
        ),
        Mistake(
            lambda heads: heads.transpose(1, 2),
            "The heads of a token are still apart: flatten the last two dimensions.",
        ),
        Mistake(
            lambda heads: heads.permute(0, 2, 3, 1).flatten(2),
            "The features of different heads alternate: a head's features must stay together.",
        ),
    ],
    difficulty=1,
    minutes=10,
)
