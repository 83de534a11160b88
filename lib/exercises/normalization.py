"""Exercises of chapter 4: RMSNorm as in Gemma, and by name those of the rooms beside this one."""

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Probe
from lib.exercises.comparing import difference
from lib.exercises.folded_mean import centered, check_centered, check_largest_score, largest_score
from lib.exercises.layer_norm import (
    OVER,
    OVER_SENTENCES,
    SIZES,
    check_layer_norm,
    first_row,
    layer_norm,
    random,
)

__all__ = [
    "centered", "check_centered", "check_gemma_norm", "check_largest_score", "check_layer_norm",
    "gemma_norm", "largest_score", "layer_norm",
]  # fmt: skip


RMS_SENTENCES = {
    "sum": "It divides by the root of the sum of squares: take their mean.",
    "outside": "eps is added after the root: it belongs to the mean of squares.",
    "no root": "It divides by the mean of squares: take its root.",
    "sizes": "It divides by the mean of absolute values: take the root of the mean square.",
    "C-1": "It divides the sum of squares by C - 1: take the mean, over C.",
    "none": "It does not divide by the root mean square.",
    "std": "It divides by the standard deviation: RMSNorm does not subtract the mean.",
    "max": "eps is taken as a least root mean square: add it to the mean of squares.",
    "max root": "eps is taken as a least mean of squares: add it to it.",
    "eps in sum": "eps is added to the sum of squares: add it to their mean.",
    "largest": "It divides by the largest size: take the root of the mean square.",
}


def gemma_norm(
    x: Float[Tensor, "... C"],
    weight: Float[Tensor, "C"],
    *,
    gain: str = "1 + weight",
    eps: float | int = 1e-6,
    size: str = "variance",
    over: str = "features",
    center: bool = False,
    precision: str = "float32",
) -> Float[Tensor, "... C"]:
    """x / rms(x) * (1 + weight) in float32, then back to the dtype of x; eps = 1e-6."""
    wide = x if precision == "low" else x.float()
    dims = OVER[over](x)
    wide = wide - wide.mean(dims, keepdim=True) if center else wide
    if size == "variance":
        normalized = wide * torch.rsqrt(wide.square().mean(dims, True) + eps)
    else:
        normalized = wide / SIZES[size](wide, wide, eps, dims)
    weight = weight if precision in ("low", "gain") else weight.float()
    factor = {
        "1 + weight": 1 + weight, "weight": weight, "none": torch.ones_like(weight),
        "1 - weight": 1 - weight, "exp": weight.exp(),
    }[gain] if gain != "added" else 1  # fmt: skip
    if precision == "cast":
        return normalized.to(x.dtype) * factor.to(x.dtype)
    if precision == "cast_wide":
        return (normalized.to(x.dtype) * factor).to(x.dtype)
    result = normalized * factor if gain != "added" else normalized + weight
    return result if precision == "no cast" else result.to(x.dtype)


def _exact(expected: Tensor, got: Tensor) -> str | None:
    """As always, but bfloat16 to the last bit: the order of cast and scale shows only there."""
    problem = difference(expected, got)
    if problem is None and expected.dtype == torch.bfloat16 and not torch.equal(expected, got):
        share = (expected != got).float().mean().item()
        return f"In bfloat16 {share:.0%} of the numbers differ in the last bit."
    return problem


def _close(expected: Tensor, got: Tensor) -> bool:
    return got.dtype == expected.dtype and torch.allclose(expected.float(), got.float(), rtol=2e-2)


check_gemma_norm = Exercise(
    title="RMSNorm as in Gemma",
    reference=gemma_norm,
    cases=lambda seed: [
        (random(seed, *shape, shift=0.5).to(dtype), random(seed + 1, shape[-1]).to(dtype) / 4)
        for shape, dtype in [
            ((2, 4), torch.float32),
            ((3, 5, 16), torch.float32),
            ((8, 64), torch.bfloat16),
            ((4, 4, 96), torch.bfloat16),
        ]
    ],
    switches={
        "gain": {
            "weight": "The gain is 1 + weight: Gemma's weights start at 0.",
            "none": "The weight is not used: the gain is 1 + weight.",
            "1 - weight": "The gain is 1 + weight, not 1 - weight.",
            "exp": "The gain is 1 + weight, not its exponential.",
            "added": "The weight is added to the normalized features: multiply by 1 + weight.",
        },
        "precision": {
            "cast": "Right in float32, but in bfloat16 it is cast before it is scaled, as in "
            "Llama: scale in float32, then cast.",
            "cast_wide": "The normalized features are cast before they are scaled: scale in "
            "float32, then cast.",
            "low": "Right in float32, but in bfloat16 everything is computed in bfloat16: start "
            "with x.float().",
            "gain": "1 is added to the weight in the weight's own dtype: bfloat16 rounds 1 + weight"
            " to 8 bits. Take weight.float() first.",
            "no cast": "The result must have the dtype of x.",
        },
        "eps": {e: f"eps is {e:g}: here 1e-6 is asked for." for e in
                (1e-2, 1e-3, 1e-4, 1e-5, 1e-8, 1e-12, 0.0)},
        "size": RMS_SENTENCES,
        "over": OVER_SENTENCES,
        "center": {True: "The mean is subtracted: RMSNorm leaves it."},
    },
    compare=_exact,
    probes=[
        Probe("A row of zeros gives zeros: eps, inside the root, keeps 0 / 0 away.",
              (torch.zeros(1, 3), torch.zeros(3))),
        Probe(
            "Features of size 1 have the root mean square 1: with weight 0 they stay as they are.",
            (torch.tensor([[1.0, -1.0, 1.0]]), torch.zeros(3)),
        ),
        Probe("The gain must be 1 + weight, for each feature its own.",
              (torch.tensor([[1.0, -1.0, 1.0]]), torch.tensor([0.0, 1.0, -3.0]))),
        Probe(
            "A token's result depends on the other tokens: the root mean square is its own.",
            (torch.tensor([[1.0, -1.0], [7.0, 7.0]]), torch.zeros(2)),
            first_row,
        ),
        Probe("The mean of the features is not subtracted, only their size is divided by.",
              (torch.tensor([[3.0, 4.0]]), torch.zeros(2))),
        Probe("In a row of very small numbers eps decides: it belongs to the mean of squares, "
              "inside the root, and is 1e-6.",
              (torch.tensor([[1e-4, -2e-4, 3e-4]]), torch.zeros(3))),
        Probe(
            "In bfloat16 the numbers are not those of a computation in float32: x.float() first, "
            "the weight too, and cast only the result.",
            (random(3, 8, 64, shift=0.5).bfloat16(), random(4, 64).bfloat16() / 4),
            _close,
        ),
        Probe(
            "The result must have the dtype of x, here bfloat16.",
            (torch.ones(1, 2).bfloat16(), torch.zeros(2).bfloat16()),
            lambda e, g: g.dtype != e.dtype,
        ),
    ],
    difficulty=2,
    minutes=15,
)  # fmt: skip
