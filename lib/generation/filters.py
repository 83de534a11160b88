"""Filters: keep some tokens as they are and send the logits of all others to -inf.

Each takes logits of shape (B, V), which may hold -inf already, and looks at the distribution they
stand for. Each but `xtc` keeps the most probable token, and all but `xtc` keep a set at the top.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.settings import require


def keep(logits: Float[Tensor, "B V"], kept: Bool[Tensor, "B V"]) -> Float[Tensor, "B V"]:
    """Send all logits that are not kept to -inf."""
    return logits.masked_fill(~kept, -math.inf)


def top_k(logits: Float[Tensor, "B V"], k: int) -> Float[Tensor, "B V"]:
    """Keep the k highest logits and ties with the k-th;
    all, if there are not more than k.

    Source: Fan, Lewis & Dauphin (2018), section 5.3. Raises ValueError unless k is at
    least 1.
    """
    require("top_k", k, "[1, inf)", whole=True)
    lowest_kept = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return keep(logits, logits >= lowest_kept)


def top_p(logits: Float[Tensor, "B V"], p: float) -> Float[Tensor, "B V"]:
    """Keep the smallest set of most probable tokens whose
    probability reaches p (the nucleus).

    Source: Holtzman et al. (2020), equation 2. Raises ValueError unless p is in (0, 1].
    """
    require("top_p", p, "(0, 1]")
    ascending, order = logits.sort(dim=-1)
    # mass of this token and all less probable
    below = ascending.softmax(dim=-1).cumsum(dim=-1)
    drop = below <= 1 - p
    drop[:, -1] = False  # the most probable token always stays
    return keep(logits, ~torch.zeros_like(drop).scatter(1, order, drop))


def min_p(logits: Float[Tensor, "B V"], p: float) -> Float[Tensor, "B V"]:
    """Keep tokens with p_i ≥ p · p_max: at most a factor
    of 1/p less probable than the first.

    Source: Nguyen et al. (2025), "Turning up the heat". Raises ValueError unless p is
    in [0, 1].
    """
    require("min_p", p, "[0, 1]")
    probability = logits.softmax(dim=-1)
    return keep(logits, probability >= p * probability.amax(dim=-1, keepdim=True))


def top_a(logits: Float[Tensor, "B V"], a: float) -> Float[Tensor, "B V"]:
    """Keep tokens with p_i ≥ a · p_max²: stricter than min_p where the model is sure.

    Source: BlinkDL (2021), in RWKV-LM. Raises ValueError unless a is in [0, 1].
    """
    require("top_a", a, "[0, 1]")
    probability = logits.softmax(dim=-1)
    return keep(logits, probability >= a * probability.amax(dim=-1, keepdim=True) ** 2)


def p_less(logits: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
    """Keep tokens with p_i ≥ Σ_j p_j², the chance that two
    draws agree: a cut without a setting.

    Source: Tan, Wu & Howard (2025), "p-less sampling", section 3.
    """
    probability = logits.softmax(dim=-1)
    # stays, whatever rounding does
    highest = logits == logits.amax(dim=-1, keepdim=True)
    agree = probability.square().sum(-1, keepdim=True)
    return keep(logits, (probability >= agree) | highest)


def epsilon_cutoff(logits: Float[Tensor, "B V"], epsilon: float) -> Float[Tensor, "B V"]:
    """Keep tokens with p_i ≥ epsilon, and the most probable (and ties with it) in any case.

    Source: Hewitt, Manning & Liang (2022). Raises ValueError unless epsilon is in
    (0, 1).
    """
    require("epsilon_cutoff", epsilon, "(0, 1)")
    highest = logits == logits.amax(dim=-1, keepdim=True)
    return keep(logits, (logits.softmax(dim=-1) >= epsilon) | highest)


def top_n_sigma(logits: Float[Tensor, "B V"], n: float) -> Float[Tensor, "B V"]:
    """Keep logits within n standard deviations of the highest.

    The deviation is that of all logits above -inf (dividing by their number). A temperature scales
    it and the distance alike, so that the set kept does not depend on temperature. Source: Tang et
    al. (2024), "Top-nσ: not all logits are you need". Raises ValueError unless n is positive.
    """
    require("top_n_sigma", n, "(0, inf)")
    finite = logits.isfinite()
    count = finite.sum(dim=-1, keepdim=True).clamp(min=1)
    mean = logits.masked_fill(~finite, 0).sum(dim=-1, keepdim=True) / count
    squares = (logits - mean).masked_fill(~finite, 0).square()
    sigma = (squares.sum(dim=-1, keepdim=True) / count).sqrt()
    return keep(logits, logits >= logits.amax(dim=-1, keepdim=True) - float(n) * sigma)


def tail_free(logits: Float[Tensor, "B V"], z: float) -> Float[Tensor, "B V"]:
    """Cut where the curve of sorted probabilities has become flat.

    The second differences of the probabilities in falling order, absolute and divided by their sum,
    are added up; the tokens up to the sum z stay, and one more, which centers the window of three
    on the cut. The last token has no second difference and goes. A distribution without curvature
    (uniform, or under three tokens) has no tail and stays whole. Source: Bricken (2019), "Tail free
    sampling". Raises ValueError unless z is in (0, 1].
    """
    require("tfs", z, "(0, 1]")
    if z == 1 or logits.shape[-1] < 3:
        return logits
    descending, order = logits.sort(dim=-1, descending=True)
    curvature = descending.softmax(dim=-1).diff(n=2).abs()
    total = curvature.sum(dim=-1, keepdim=True)
    n_kept = 1 + ((curvature / total).cumsum(dim=-1) <= z).sum(dim=-1, keepdim=True)
    rank = torch.arange(logits.shape[-1], device=logits.device)
    kept = (rank < n_kept) | (total == 0)
    return keep(logits, torch.zeros_like(kept).scatter(1, order, kept))


def xtc(
    logits: Float[Tensor, "B V"],
    threshold: float,
    probability: float = 1.0,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B V"]:
    """Exclude top choices: of the tokens with p_i ≥ threshold keep only the least probable.

    Each row is treated with the given probability and else left alone; ties with the least probable
    stay; with fewer than two such tokens nothing happens. Source: Weidmann (2024),
    text-generation-webui pull request 6335. Raises ValueError unless both are in [0, 1].
    """
    require("xtc_threshold", threshold, "[0, 1]")
    require("xtc_probability", probability, "[0, 1]")
    p = logits.softmax(dim=-1)
    choice = (p >= threshold) & (p > 0)
    least = p.masked_fill(~choice, math.inf).amin(dim=-1, keepdim=True)
    drop = choice & (p > least)
    if probability < 1:
        draws = torch.rand(len(logits), 1, generator=generator, device=logits.device)
        drop &= draws < probability
    return keep(logits, ~drop)
