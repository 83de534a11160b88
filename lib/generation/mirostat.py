"""Mirostat: steer the surprise of the text toward a target by moving the cut after each token.

A fixed top_k gives dull text in one place and wild text in another. Mirostat is a feedback loop,
like a thermostat: it keeps a limit mu, cuts the distribution by it, draws, looks how surprising the
drawn token was, and moves mu against the error. Surprise is -log2 p, in bits.
Source: Basu et al. (2021), "Mirostat: a neural text decoding algorithm that directly controls
perplexity" (version 1, algorithm 1); version 2 is the one of the authors' later code and llama.cpp.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.generation.filters import keep
from lib.settings import require


def zipf_exponent(logits: Float[Tensor, "B V"], n_most: int = 100) -> Float[Tensor, "B"]:
    """Estimate s of p_rank ∝ rank^-s from the most probable tokens, as in the paper.

    The least-squares slope of ln(p_i / p_{i+1}) over ln((i+1) / i), through the origin.
    """
    log_p = logits.topk(min(n_most, logits.shape[-1])).values
    fall = -log_p.diff(dim=-1)
    rank = torch.arange(1, log_p.shape[-1] + 1, dtype=logits.dtype, device=logits.device)
    step = rank.log().diff().expand_as(fall)
    known = fall.isfinite()  # a token at -inf is no point of the curve
    step, fall = step.masked_fill(~known, 0), fall.masked_fill(~known, 0)
    return (step * fall).sum(dim=-1) / step.square().sum(dim=-1).clamp(min=1e-12)


def mirostat_k(s: Float[Tensor, "B"], mu: Float[Tensor, "B"], n_vocab: int) -> Int[Tensor, "B"]:
    """The k at which top-k sampling from Zipf's law with exponent s has surprise mu on average.

    k = (e 2^mu / (1 - N^-e))^(1/s) with e = s - 1, rounded, between 1 and N.
    """
    s = s.clamp(min=1e-3)
    e = s - 1
    near_one = e.abs() < 1e-4  # there, e / (1 - N^-e) tends to 1 / ln N
    e = e.masked_fill(near_one, 1.0)
    factor = torch.where(near_one, 1 / math.log(max(n_vocab, 2)), e / (1 - n_vocab**-e))
    log_k = (factor.log() + mu * math.log(2)) / s
    return log_k.clamp(0, math.log(n_vocab)).exp().round().long()


def mirostat_1(logits: Float[Tensor, "B V"], mu: Float[Tensor, "B"]) -> Float[Tensor, "B V"]:
    """Version 1: keep the top k tokens, with k from Zipf's law fitted to this distribution."""
    k = mirostat_k(zipf_exponent(logits), mu, logits.shape[-1])
    descending = logits.sort(dim=-1, descending=True).values
    return keep(logits, logits >= descending.gather(1, k[:, None] - 1))


def mirostat_2(
    logits: Float[Tensor, "B V"],
    mu: Float[Tensor, "B"],
) -> Float[Tensor, "B V"]:
    """Version 2: keep tokens of at most mu bits of surprise, and the most probable."""
    surprise = -logits.log_softmax(dim=-1) / math.log(2)
    highest = logits == logits.amax(dim=-1, keepdim=True)
    return keep(logits, (surprise <= mu[:, None]) | highest)


def mirostat_step(
    logits: Float[Tensor, "B V"],
    token: Int[Tensor, "B"],
    mu: Float[Tensor, "B"],
    tau: float,
    eta: float,
) -> Float[Tensor, "B"]:
    """The limit after `token` was drawn: mu - eta · (surprise - tau), in bits.

    The surprise is that under `logits`, before the cut, as in the paper's code;
    llama.cpp takes it after the cut, where it is smaller. Raises ValueError unless tau
    and eta are positive.
    """
    require("mirostat_tau", tau, "(0, inf)")
    require("mirostat_eta", eta, "(0, inf)")
    surprise = -logits.log_softmax(dim=-1).gather(1, token[:, None])[:, 0] / math.log(2)
    return mu - eta * (surprise - tau)
