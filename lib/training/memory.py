"""Two ways to train in less memory: 16-bit activations, and activations computed twice."""

import functools
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lib.model import LanguageModel
from lib.settings import require, require_choice

PRECISIONS = ("float32", "bfloat16")


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Matrix products in bfloat16 inside a `with` block; weights and their updates stay float32.

    Source: Micikevicius et al. (2018); bfloat16 has float32's range, so the loss needs no scaling.
    """
    require_choice("precision", precision, PRECISIONS)
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


@contextmanager
def recomputed_activations(
    model: LanguageModel, enabled: bool = True, segments: int | None = None
) -> Iterator[None]:
    """Keep only what enters each segment of blocks; the
    backward pass computes the rest again.

    `segments` groups of neighboring blocks, as equal as can be; None: each block is
    one. Costs one more forward pass of the blocks. Sharded models need None: their
    blocks fetch their own weights. Raises ValueError for segments out of 1 .. L.
    Source: Chen et al. (2016), section 3.
    """
    count = len(model.blocks)
    segments = count if segments is None else segments
    require(f"segments (of {count} layers)", segments, f"[1, {count}]", whole=True)
    bounds = [i * count // segments for i in range(segments + 1)]
    for start, stop in itertools.pairwise(bounds) if enabled else ():
        first, *others = model.blocks[start:stop]
        group = [block.forward for block in (first, *others)]
        first.forward = functools.partial(checkpoint, _run, group, use_reentrant=False)
        for block in others:
            # its work is done by the first of its group
            block.forward = lambda x, *_: x
    try:
        yield
    finally:
        for block in model.blocks if enabled else ():
            del block.forward  # the class's own is there again


def _run(forwards: list[Callable[..., Tensor]], x: Tensor, *rest: Any) -> Tensor:
    for forward in forwards:
        x = forward(x, *rest)
    return x
