"""Masks: which keys a query may look at, and by how much a score is lowered.

A boolean mask is True where a query may look. A float mask is added to the scores, with -inf where
a query may not look. `T` counts queries, `S` keys.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# For each row and head of the batch, or one for all.
Mask = (
    Bool[Tensor, "#B #H T S"]
    | Bool[Tensor, "T S"]
    | Float[Tensor, "#B #H T S"]
    | Float[Tensor, "T S"]
)


def causal_mask(
    n_query: int, n_key: int, device: torch.device | None = None
) -> Bool[Tensor, "T S"]:
    """True where a query may look: the last query sees every key, the one before it one less."""
    offset = n_key - n_query
    return torch.ones(n_query, n_key, dtype=torch.bool, device=device).tril(diagonal=offset)


def window_mask(
    query_positions: Int[Tensor, "T"],
    key_positions: Int[Tensor, "S"],
    window: int | None = None,
    n_sinks: int = 0,
) -> Bool[Tensor, "T S"]:
    """True for keys that are not later than the query and
    fewer than `window` positions back.

    A window of 3 shows a token itself and the two before it. The first `n_sinks` tokens
    of the text stay visible from everywhere. Sources: Beltagy, Peters & Cohan (2020),
    Longformer, section 3.1; Xiao et al. (2023), StreamingLLM, section 3.2, for the
    sinks.
    """
    distance = query_positions[:, None] - key_positions[None, :]
    visible = distance >= 0
    if window is not None:
        visible &= (distance < window) | (key_positions < n_sinks)
    return visible


def as_bias(mask: Mask) -> Float[Tensor, "..."]:
    """The mask as numbers to add to scores: 0 where a query may look, -inf where it may not."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, -math.inf)
