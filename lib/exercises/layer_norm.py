"""An exercise of chapter 4: LayerNorm, and how an average over features goes wrong."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Probe
from lib.exercises.watching import forbid


def random(seed: int, *shape: int, shift: float | int = 0) -> Tensor:
    """Normal numbers around `shift`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator) + shift


OVER = {
    "features": lambda x: (-1,), "tokens": lambda x: tuple(range(x.dim() - 1)),
    "all": lambda x: tuple(range(x.dim())), "first": lambda x: (0,), "second": lambda x: (1,),
    "item": lambda x: tuple(range(1, x.dim())), "rows": lambda x: (-2,),
    "last two": lambda x: (-2, -1),
}  # fmt: skip
OVER_SENTENCES = {
    "tokens": "It averages over the tokens, as BatchNorm does: average over the features.",
    "all": "It averages over the whole tensor: each token needs its own.",
    "first": "It averages over the first dimension: average over the last one, the features.",
    "second": "It averages over dimension 1, which is not always the last: write -1.",
    "item": "It averages over all dimensions but the first: average over the last one alone.",
    "rows": "It averages over the tokens of a text: average over the features.",
    "last two": "It averages over the last two dimensions: average over the last one alone.",
}

# LayerNorm

SIZES = {
    "variance": lambda d, x, eps, over: (d.square().mean(over, True) + eps).sqrt(),
    "outside": lambda d, x, eps, over: d.square().mean(over, True).sqrt() + eps,
    "max": lambda d, x, eps, over: d.square().mean(over, True).sqrt().clamp(min=eps),
    "max root": lambda d, x, eps, over: d.square().mean(over, True).clamp(min=eps).sqrt(),
    "eps in sum": lambda d, x, eps, over: (
        (d.square().sum(over, True) + eps) / math.prod(x.shape[i] for i in over)
    ).sqrt(),
    "largest": lambda d, x, eps, over: d.abs().amax(over, True) + eps,
    "no root": lambda d, x, eps, over: d.square().mean(over, True) + eps,
    "sum": lambda d, x, eps, over: (d.square().sum(over, True) + eps).sqrt(),
    "rms": lambda d, x, eps, over: (x.square().mean(over, True) + eps).sqrt(),
    "sizes": lambda d, x, eps, over: d.abs().mean(over, True) + eps,
    "sizes_root": lambda d, x, eps, over: (d.abs().mean(over, True) + eps).sqrt(),
    "range": lambda d, x, eps, over: x.amax(over, True) - x.amin(over, True) + eps,
    "none": lambda d, x, eps, over: 1.0,
    "squared": lambda d, x, eps, over: (d.square().mean(over, True) + eps**2).sqrt(),
    "std": lambda d, x, eps, over: (x.var(over, correction=0, keepdim=True) + eps).sqrt(),
    "both": lambda d, x, eps, over: (d.square().mean(over, True) + eps).sqrt() + eps,
}
SIZES["C-1"] = lambda d, x, eps, over: (
    d.square().sum(over, True) / (math.prod(x.shape[i] for i in over) - 1) + eps
).sqrt()
SIZES["torch std"] = lambda d, x, eps, over: SIZES["C-1"](d, x, 0.0, over) + eps
AFFINE = {
    "usual": lambda x, w, b: x * w + b,
    "bias first": lambda x, w, b: (x + b) * w,
    "no weight": lambda x, w, b: x + b,
    "no bias": lambda x, w, b: x * w,
    "neither": lambda x, w, b: x,
    "1 + weight": lambda x, w, b: x * (1 + w) + b,
    "minus": lambda x, w, b: x * w - b,
    "divides": lambda x, w, b: x / w + b,
    "swapped": lambda x, w, b: x * b + w,
}


def layer_norm(
    x: Float[Tensor, "... C"],
    weight: Float[Tensor, "C"],
    bias: Float[Tensor, "C"],
    *,
    over: str = "features",
    eps: float | int = 1e-2,
    size: str = "variance",
    center: str = "mean",
    affine: str = "usual",
) -> Float[Tensor, "... C"]:
    """Over the features of each token, with eps = 1e-2 inside the root."""
    dims = OVER[over](x)
    deviation = x - x.mean(dims, keepdim=True)
    top = {"mean": deviation, "none": x, "plus": 2 * x - deviation,
           "median": x - x.median(-1, keepdim=True).values}[center]  # fmt: skip
    return AFFINE[affine](top / SIZES[size](deviation, x, eps, dims), weight, bias)


def first_row(expected: Tensor, got: Tensor) -> bool:
    """Whether a row that is right alone (an earlier probe) is wrong beside others."""
    return not torch.allclose(expected[0], torch.as_tensor(got)[0].float(), atol=1e-4)


def _pair(x: list, weight: list, bias: list) -> tuple:
    return torch.tensor(x), torch.tensor(weight), torch.tensor(bias)


check_layer_norm = Exercise(
    title="LayerNorm",
    reference=layer_norm,
    cases=lambda seed: [
        (
            random(seed, *shape, shift=2),
            random(seed + 1, shape[-1], shift=1),
            random(seed + 2, shape[-1]),
        )
        for shape in [(2, 3), (2, 4, 5), (3, 2, 8)]
    ],
    switches={
        "size": {
            "C-1": "The variance divides by C - 1: LayerNorm divides by C (`correction=0`).",
            "outside": "eps is added to the standard deviation: it belongs to the variance, inside "
            "the root.",
            "max": "eps is taken as a least deviation: add it to the variance, inside the root.",
            "max root": "eps is taken as a least variance: add it to the variance.",
            "eps in sum": "eps is added to the sum of squares: add it to the variance.",
            "largest": "It divides by the largest deviation: take the root of the variance.",
            "no root": "It divides by the variance: take the root.",
            "sum": "The squares are summed, not averaged: the variance divides by C.",
            "rms": "It divides by the root mean square of x: take that of x minus its mean.",
            "sizes": "It divides by the mean absolute deviation: take the root of the variance.",
            "sizes_root": "It takes absolute deviations: square them.",
            "range": "It divides by the range: take the root of the variance.",
            "none": "It does not divide by the standard deviation.",
            "squared": "eps is squared before it is added.",
            "both": "eps is added twice, inside the root and outside.",
            "torch std": "It divides by `std` plus eps: the variance divides by C, not by C - 1 "
            "as torch's does, and eps stands inside the root.",
        },
        "over": OVER_SENTENCES,
        "eps": {e: f"eps is {e:g}: here 0.01 is asked for." for e in
                (1e-1, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-12, 0.0)},
        "center": {
            "none": "The mean is not subtracted.",
            "plus": "The mean is added: subtract it.",
            "median": "The median is subtracted: subtract the mean.",
        },
        "affine": {
            "bias first": "The bias is added before the scaling: scale first, then shift.",
            "no weight": "The weight is missing.",
            "no bias": "The bias is missing.",
            "neither": "Weight and bias are missing.",
            "1 + weight": "The gain is the weight itself, not 1 + weight.",
            "minus": "The bias is subtracted: add it.",
            "divides": "It divides by the weight: multiply.",
            "swapped": "Weight and bias are swapped.",
        },
    },
    probes=[
        Probe("The features (1, -1) have mean 0 and variance 1, so each is divided by √1.01.",
              _pair([[1.0, -1.0]], [1.0, 1.0], [0.0, 0.0])),
        Probe("Features that are all equal become 0: the mean is to be subtracted.",
              _pair([[5.0, 5.0]], [1.0, 1.0], [0.0, 0.0])),
        Probe("The weight must multiply the normalized features, each its own.",
              _pair([[1.0, -1.0]], [2.0, 3.0], [0.0, 0.0])),
        Probe("The bias is added last: where the weight is 0 the result is the bias.",
              _pair([[1.0, -1.0]], [0.0, 0.0], [4.0, 7.0])),
        Probe(
            "A token's result depends on the other tokens: mean and variance are its own.",
            _pair([[1.0, -1.0], [1.0, -1.0], [9.0, 3.0]], [1.0, 1.0], [0.0, 0.0]),
            first_row,
        ),
        Probe("Adding one number to all features must change nothing: the mean goes first.",
              _pair([[1.0, 2.0, 4.0]], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0])),
        Probe("In a row of small numbers eps decides: 0.01, added to the variance inside the root.",
              _pair([[0.1, -0.1]], [1.0, 1.0], [0.0, 0.0])),
        Probe("One feature far from all others stays far: nothing is cut off or left out.",
              (torch.eye(1, 20), torch.ones(20), torch.zeros(20))),
        Probe("x may have three dimensions: average over the last one, whatever comes before it.",
              (torch.arange(12.0).view(2, 3, 2).square(), torch.ones(2), torch.zeros(2))),
    ],
    rule=forbid(
        "The result is right, but it comes from a norm of torch: write mean, variance and root.",
        "layer_norm", "native_layer_norm", "group_norm", "instance_norm", "batch_norm",
    ),
    difficulty=1,
    minutes=10,
)  # fmt: skip
