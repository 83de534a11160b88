"""Filters: pure functions from logits to logits, applied before a token is drawn."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def temperature(logits: Float[Tensor, "B V"], value: float) -> Float[Tensor, "B V"]:
    """Divide logits by `value`: below 1 sharpens the distribution, above 1 flattens it.

    Source: Ackley, Hinton & Sejnowski (1985). Raises ValueError unless value is positive.
    """
    if not value > 0:
        raise ValueError(
            f"temperature must be above 0, got {value}; for greedy decoding do not sample"
        )
    return logits / value


def top_k(logits: Float[Tensor, "B V"], k: int) -> Float[Tensor, "B V"]:
    """Keep the k highest logits (and ties with the k-th); the others become -inf.

    Source: Fan, Lewis & Dauphin (2018), section 5.3. Raises ValueError unless k is at least 1.
    """
    if k < 1:
        raise ValueError(f"top_k must be at least 1, got {k}")
    lowest_kept = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits < lowest_kept, -math.inf)


def top_p(logits: Float[Tensor, "B V"], p: float) -> Float[Tensor, "B V"]:
    """Keep the smallest set of most probable tokens whose probability reaches p (the nucleus).

    Source: Holtzman et al. (2020), equation 2. Raises ValueError unless p is in (0, 1].
    """
    if not 0 < p <= 1:
        raise ValueError(f"top_p must be in (0, 1], got {p}")
    ascending, order = logits.sort(dim=-1)
    cumulative = ascending.softmax(dim=-1).cumsum(dim=-1)
    drop = cumulative <= 1 - p
    drop[:, -1] = False  # the most probable token always stays
    return logits.masked_fill(torch.zeros_like(drop).scatter(1, order, drop), -math.inf)
