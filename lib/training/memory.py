"""Two ways to train in less memory: 16-bit activations, and activations computed twice."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils.checkpoint import checkpoint

from lib.model import LanguageModel


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Matrix products in bfloat16 inside a `with` block; weights and their updates stay float32.

    Source: Micikevicius et al. (2018); bfloat16 has float32's range, so the loss needs no scaling.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


@contextmanager
def recomputed_activations(model: LanguageModel, enabled: bool = True) -> Iterator[None]:
    """Keep only what enters each block for the backward pass, which computes the rest again.

    Costs one more forward pass of the blocks. Source: Chen et al. (2016).
    """
    for block in model.blocks if enabled else ():
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
    try:
        yield
    finally:
        for block in model.blocks if enabled else ():
            del block.forward  # the class's own is there again
