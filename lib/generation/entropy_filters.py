"""Filters whose cut depends on the entropy: how uncertain the model is about the next token."""

import torch
from jaxtyping import Float
from torch import Tensor

from lib.generation.filters import keep
from lib.generation.reshaping import entropy
from lib.settings import require


def typical_p(logits: Float[Tensor, "B V"], p: float) -> Float[Tensor, "B V"]:
    """Keep the smallest set of tokens whose surprise is nearest to the entropy and that reaches p.

    Tokens are taken in the order of |-ln p_i - H|; ties with the last one stay. The most probable
    token may go: it can be too little surprising. Source: Meister et al. (2023), "Locally typical
    sampling". Raises ValueError unless p is in (0, 1].
    """
    require("typical_p", p, "(0, 1]")
    if p == 1:
        return logits
    log_p = logits.log_softmax(dim=-1)
    expected = -(log_p * log_p.exp()).nansum(dim=-1, keepdim=True)  # 0 · -inf counts nothing
    distance = (-log_p - expected).abs()
    nearest, order = distance.sort(dim=-1)
    mass = logits.gather(-1, order).softmax(dim=-1).cumsum(dim=-1)
    last = (mass < p).sum(dim=-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
    return keep(logits, distance <= nearest.gather(-1, last))


def eta_cutoff(logits: Float[Tensor, "B V"], epsilon: float) -> Float[Tensor, "B V"]:
    """Keep tokens with p_i ≥ eta = min(epsilon, √epsilon · exp(-H)), and the most probable.

    For a flat distribution exp(-H) is small, and so is the threshold. Source: Hewitt, Manning &
    Liang (2022). Raises ValueError unless epsilon is in (0, 1).
    """
    require("eta_cutoff", epsilon, "(0, 1)")
    epsilon = torch.tensor(epsilon, dtype=logits.dtype, device=logits.device)
    eta = torch.minimum(epsilon, epsilon.sqrt() * (-entropy(logits)).exp())
    highest = logits == logits.amax(dim=-1, keepdim=True)
    return keep(logits, (logits.softmax(dim=-1) >= eta[:, None]) | highest)


def top_h(
    logits: Float[Tensor, "B V"], h: float, *, n_most: int = 100, renormalize: bool = False
) -> Float[Tensor, "B V"]:
    """Keep the most probable tokens as long as their entropy is at most h times the whole one's.

    Both entropies are those of the `n_most` most probable tokens, which stand for the whole. As in
    transformers 5, the entropy of a set is the sum of its terms -p_i ln p_i; with `renormalize` it
    is the entropy of the set as a distribution of its own (p_i over the set's mass).
    Source: Potraghloo et al. (2025), "Top-H decoding". Raises ValueError unless h is in (0, 1].
    """
    require("top_h", h, "(0, 1]")
    values, order = logits.topk(min(n_most, logits.shape[-1]))
    p = (values - values.logsumexp(dim=-1, keepdim=True)).softmax(dim=-1)
    terms = (-p * p.log()).cumsum(dim=-1)
    if renormalize:  # -Σ (p/s) ln (p/s) over a set of mass s
        mass = p.cumsum(dim=-1)
        terms = terms / mass + mass.log()
    kept = terms <= h * entropy(values)[:, None]
    kept[:, 0] = True
    return keep(logits, torch.zeros_like(logits, dtype=torch.bool).scatter(1, order, kept))
