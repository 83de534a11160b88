"""Ways in which a softmax goes wrong, for the exercises that have one: a switch's settings.

`NORMALIZE[setting]` turns scores into weights over the last dimension, `SOFTMAX` has a sentence for
each setting but the right one, "keys".
"""

import math

import torch
from torch import Tensor

NORMALIZE = {
    "keys": lambda s: s.softmax(-1),
    "queries": lambda s: s.softmax(0),
    "all": lambda s: s.flatten().softmax(0).view_as(s),
    "none": lambda s: s,
    "exp": torch.exp,
    "shifted exp": lambda s: (s - s.amax(-1, keepdim=True)).exp(),
    "no exp": lambda s: s / s.sum(-1, keepdim=True),
    "sizes": lambda s: s.abs() / s.abs().sum(-1, keepdim=True),
    "log": lambda s: s.log_softmax(-1),
    "sigmoid": torch.sigmoid,
    "negative": lambda s: (-s).softmax(-1),
    "base 2": lambda s: (s * math.log(2)).softmax(-1),
    "best": lambda s: torch.nn.functional.one_hot(s.argmax(-1), s.shape[-1]).to(s),
    "twice": lambda s: s.softmax(-1).softmax(-1),
    "flipped": lambda s: s.softmax(-1).flip(-1),
}
SOFTMAX = {
    "queries": "The softmax runs over queries: each query's weights must sum to one, over keys.",
    "all": "One softmax runs over the whole matrix: each query needs weights that sum to one.",
    "none": "The softmax is missing: the weights must be positive and sum to one.",
    "exp": "The exponentials are not divided by their sum over the keys.",
    "shifted exp": "The exponentials, relative to the largest, are not divided by their sum.",
    "no exp": "The scores are divided by their sum, without exponentials: that is no softmax.",
    "sizes": "The scores' absolute values are divided by their sum: that is no softmax.",
    "log": "The weights are logarithms: take `softmax`, not `log_softmax`.",
    "sigmoid": "A sigmoid stands where the softmax belongs: the weights do not sum to one.",
    "negative": "The scores' sign is turned: the best key gets the smallest weight.",
    "base 2": "The power is of base 2: the softmax has base e.",
    "best": "Only the best key counts: the softmax gives every key a weight.",
    "twice": "The softmax is taken twice.",
    "flipped": "The weights belong to the keys in reverse order.",
}

SCALE = {
    "none": "The scores are not divided by √d.",
    "d": "The scores are divided by d, not by √d.",
    "keys": "The scores are divided by the root of the number of keys, not by √d.",
    "times": "The scores are multiplied by √d: divide.",
}


def divisor(scale: str, width: int, n_keys: int) -> float:
    """What scores are divided by; "sqrt_d" is right, and `SCALE` has a sentence for the others."""
    return {
        "sqrt_d": width**0.5, "none": 1.0, "d": float(width), "keys": n_keys**0.5,
        "times": width**-0.5,
    }[scale]  # fmt: skip


def random(seed: int, *shape: int) -> Tensor:
    """Normal numbers that depend on the seed and on the shape alone."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(100 * seed + sum(shape)))


def has_nan(expected: Tensor, got: Tensor) -> bool:
    """Whether a result is not finite where it should be."""
    return bool((~got.isfinite() & expected.isfinite()).any())
