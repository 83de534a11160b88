"""Reshaping: change all probabilities at once and remove no token; the order of tokens stays."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lib.settings import require


def temperature(logits: Float[Tensor, "B V"], value: float) -> Float[Tensor, "B V"]:
    """Divide logits by `value`: below 1 sharpens the distribution, above 1 flattens it.

    p_i ∝ exp(z_i / T). Source: Ackley, Hinton & Sejnowski (1985). Raises ValueError
    unless value is positive.
    """
    require("temperature", value, "(0, inf)")
    return logits / float(value)


def entropy(logits: Float[Tensor, "B V"]) -> Float[Tensor, "B"]:
    """Entropy in nats: the mean of -ln p, that is, of the surprise at the next token.

    exp(entropy) is the effective vocabulary: how many tokens of equal probability would be as
    uncertain. Tokens at -inf count nothing. Source: Shannon (1948).
    """
    log_p = logits - logits.logsumexp(dim=-1, keepdim=True)
    p = log_p.softmax(dim=-1)
    terms = log_p.clamp(min=torch.finfo(p.dtype).min) * p  # 0 · -inf counts nothing
    return -terms.sum(dim=-1) + 0.0  # no -0


def dynamic_temperature(
    logits: Float[Tensor, "B V"], low: float, high: float, exponent: float = 1.0
) -> Float[Tensor, "B V"]:
    """Divide by T = low + (high - low) (H / ln
    n)^exponent: cool where the model is sure.

    H is the entropy and n the number of tokens that are not at -inf, so that H / ln n
    is 1 for a uniform distribution. Source: kalomaze (2023), as in llama.cpp's
    temp-ext. Raises ValueError unless 0 ≤ low ≤ high, high is positive and exponent is
    positive.
    """
    require("dynamic temperature's low", low, "[0, inf)")
    require("dynamic temperature's high", high, "(0, inf)")
    require("dynatemp_exponent", exponent, "(0, inf)")
    if low > high:
        raise ValueError(f"low must be at most its high, got {low} > {high}")
    n_allowed = logits.isfinite().sum(dim=-1)
    # one token alone: H = 0, any scale
    largest = n_allowed.clamp(min=2).to(logits.dtype).log()
    share = (entropy(logits) / largest).clamp(0, 1)
    value = low + (high - low) * share**exponent
    # T = 0 means: all on the most probable token
    tiny = torch.finfo(logits.dtype).tiny ** 0.5
    shifted = logits - logits.amax(dim=-1, keepdim=True)
    return shifted / value.clamp(min=tiny)[:, None]


def quadratic_smoothing(
    logits: Float[Tensor, "B V"], factor: float, curve: float = 1.0
) -> Float[Tensor, "B V"]:
    """Replace each logit's distance d ≤ 0 from the highest
    by a parabola: near ones come nearer.

    z' = z_max - factor (k d² - s d³) with k = (3 - curve) / 2 and s = (curve - 1) / 2.
    Distances below 1 / factor shrink (for curve = 1) and larger ones grow. Source:
    kalomaze (2024), as in text-generation-webui's QuadraticSamplingLogitsWarper. Raises
    ValueError unless factor is above 0 and curve is in [1, 3], outside of which the
    order of tokens would change.
    """
    require("smoothing_factor", factor, "(0, inf)")
    require("smoothing_curve", curve, "[1, 3]")
    highest = logits.amax(dim=-1, keepdim=True)
    distance = logits - highest
    k, s = (3 - curve) / 2, (curve - 1) / 2
    bent = highest - float(factor) * (k * distance**2 - s * distance**3)
    return torch.where(logits == -math.inf, logits, bent)
