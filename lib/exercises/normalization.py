"""Exercises of chapter 4: two norms, a folded mean, a bound. Two more: `norm_placement`."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Mistake, Probe
from lib.exercises.comparing import difference


def _random(seed: int, *shape: int, shift: float | int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator) + shift


# LayerNorm


def layer_norm(
    x: Float[Tensor, "... C"], weight: Float[Tensor, "C"], bias: Float[Tensor, "C"]
) -> Float[Tensor, "... C"]:
    """Over the features of each token, with eps = 1e-2 inside the root."""
    return _layer_norm(x, weight, bias)


def _layer_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    over: tuple[int, ...] = (-1,),
    correction: int = 0,
) -> Tensor:
    mean = x.mean(dim=over, keepdim=True)
    variance = x.var(dim=over, keepdim=True, correction=correction)
    return (x - mean) / torch.sqrt(variance + 1e-2) * weight + bias


def _eps_outside(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    mean, std = x.mean(-1, keepdim=True), x.std(-1, keepdim=True, correction=0)
    return (x - mean) / (std + 1e-2) * weight + bias


check_layer_norm = Exercise(
    title="LayerNorm",
    reference=layer_norm,
    cases=lambda seed: [
        (
            _random(seed, *shape, shift=2),
            _random(seed + 1, shape[-1], shift=1),
            _random(seed + 2, shape[-1]),
        )
        for shape in [(2, 3), (2, 4, 5), (3, 2, 8)]
    ],
    mistakes=[
        Mistake(
            lambda x, weight, bias: _layer_norm(x, weight, bias, correction=1),
            "The variance divides by C - 1: LayerNorm divides by C (`correction=0`).",
        ),
        Mistake(
            lambda x, weight, bias: _layer_norm(x, weight, bias, over=tuple(range(x.dim()))),
            "Mean and variance are over the whole tensor: each token needs its own.",
        ),
        Mistake(
            lambda x, weight, bias: _layer_norm(x, weight, bias, over=tuple(range(x.dim() - 1))),
            "This is BatchNorm: mean and variance are over the tokens, not over the features.",
        ),
        Mistake(
            _eps_outside,
            "eps is added to the standard deviation: it belongs to the variance, inside the root.",
        ),
        Mistake(
            lambda x, weight, bias: (
                x / torch.sqrt(x.square().mean(-1, keepdim=True) + 1e-2) * weight + bias
            ),
            "The mean is not subtracted: this is RMSNorm with a shift.",
        ),
        Mistake(
            lambda x, weight, bias: _layer_norm(x, torch.ones(()), bias),
            "The weight is missing.",
        ),
    ],
    difficulty=1,
    minutes=10,
)


# RMSNorm of Gemma


def gemma_norm(x: Float[Tensor, "... C"], weight: Float[Tensor, "C"]) -> Float[Tensor, "... C"]:
    """x / rms(x) * (1 + weight) in float32, then back to the dtype of x; eps = 1e-6."""
    wide = x.float()
    normalized = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6)
    return (normalized * (1 + weight.float())).to(x.dtype)


def _cast_first(x: Tensor, weight: Tensor) -> Tensor:
    wide = x.float()
    normalized = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6)
    return normalized.to(x.dtype) * (1 + weight.float()).to(x.dtype)


def _sum_of_squares(x: Tensor, weight: Tensor) -> Tensor:
    wide = x.float()
    normalized = wide * torch.rsqrt(wide.square().sum(-1, keepdim=True) + 1e-6)
    return (normalized * (1 + weight.float())).to(x.dtype)


def _all_in_low_precision(x: Tensor, weight: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * (1 + weight)


def _exact(expected: Tensor, got: Tensor) -> str | None:
    """As always, but bfloat16 to the last bit: the order of cast and scale shows only there."""
    problem = difference(expected, got)
    if problem is None and expected.dtype == torch.bfloat16 and not torch.equal(expected, got):
        share = (expected != got).float().mean().item()
        return f"In bfloat16 {share:.0%} of the numbers differ in the last bit."
    return problem


check_gemma_norm = Exercise(
    title="RMSNorm as in Gemma",
    reference=gemma_norm,
    cases=lambda seed: [
        (_random(seed, *shape, shift=0.5).to(dtype), _random(seed + 1, shape[-1]).to(dtype) / 4)
        for shape, dtype in [
            ((2, 4), torch.float32),
            ((3, 5, 16), torch.float32),
            ((8, 64), torch.bfloat16),
            ((4, 4, 96), torch.bfloat16),
        ]
    ],
    mistakes=[
        Mistake(
            lambda x, weight: gemma_norm(x, weight - 1),
            "The gain is 1 + weight: Gemma's weights start at 0.",
        ),
        Mistake(
            _cast_first,
            "Right in float32, but in bfloat16 it is cast before it is scaled, as in Llama: "
            "scale in float32, then cast.",
        ),
        Mistake(
            _all_in_low_precision,
            "Right in float32, but in bfloat16 everything is computed in bfloat16: start with "
            "x.float().",
        ),
        Mistake(
            _sum_of_squares,
            "It divides by the root of the sum of squares: take their mean.",
        ),
        Mistake(
            lambda x, weight: gemma_norm(x, weight).float() if x.dtype != torch.float32 else x,
            "The result must have the dtype of x.",
        ),
    ],
    compare=_exact,
    probes=[
        Probe(
            "In a row of very small numbers eps decides: it belongs to the mean of squares, inside "
            "the root, and is 1e-6.",
            (torch.tensor([[1e-4, -2e-4, 3e-4]]), torch.zeros(3)),
        ),
    ],
    difficulty=2,
    minutes=15,
)


# The mean, folded away


def centered(
    weight: Float[Tensor, "C F"], bias: Float[Tensor, "C"]
) -> tuple[Float[Tensor, "C F"], Float[Tensor, "C"]]:
    """weight and bias of a linear layer whose outputs have mean zero: their rows' mean subtracted.

    Output i is row i: the mean over outputs is the mean over rows. Source: Jiang et al. (2023).
    """
    return weight - weight.mean(dim=0), bias - bias.mean()


check_centered = Exercise(
    title="The mean, folded into the weights",
    reference=centered,
    cases=lambda seed: [
        (_random(seed, *shape), _random(seed + 1, shape[0])) for shape in [(2, 3), (4, 4), (6, 5)]
    ],
    mistakes=[
        Mistake(
            lambda weight, bias: (weight - weight.mean(dim=1, keepdim=True), bias - bias.mean()),
            "The mean is over the inputs: the outputs are the rows, so take the mean of the rows.",
        ),
        Mistake(
            lambda weight, bias: (weight - weight.mean(), bias - bias.mean()),
            "One mean of the whole matrix: each column needs its own.",
        ),
        Mistake(
            lambda weight, bias: (weight - weight.mean(dim=0), bias),
            "The bias adds to the mean of the outputs too.",
        ),
        Mistake(
            lambda weight, bias: (
                (weight - weight.mean(dim=0)) / weight.std(dim=0, correction=0),
                bias - bias.mean(),
            ),
            "Only the mean goes; the size stays for RMSNorm to divide by.",
        ),
    ],
    difficulty=2,
    minutes=15,
)


# A bound on the scores


def largest_score(d_head: int, query_gain: float, key_gain: float) -> float:
    """The largest q . k / sqrt(D) with QK-norm whose gains are the same for all features.

    RMSNorm gives both vectors the length gain * sqrt(D), and a product of vectors is at most the
    product of their lengths.
    """
    return query_gain * key_gain * math.sqrt(d_head)


check_largest_score = Exercise(
    title="The largest score with QK-norm",
    reference=largest_score,
    cases=lambda seed: [(4, 1.0, 1.0), (64, 1.5, 0.5 + seed), (128, 2.0, 3.0)],
    mistakes=[
        Mistake(
            lambda d_head, query_gain, key_gain: query_gain * key_gain * d_head,
            "The scores are divided by √D.",
        ),
        Mistake(
            lambda d_head, query_gain, key_gain: query_gain * key_gain / math.sqrt(d_head),
            "A vector with root mean square 1 has length √D, not 1.",
        ),
        Mistake(
            lambda d_head, query_gain, key_gain: math.sqrt(d_head),
            "The gains are missing: they stretch queries and keys after the norm.",
        ),
        Mistake(
            lambda d_head, query_gain, key_gain: (query_gain + key_gain) * math.sqrt(d_head),
            "The gains multiply.",
        ),
    ],
    difficulty=2,
    minutes=10,
)
