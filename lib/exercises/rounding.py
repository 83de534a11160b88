"""Exercise of chapter 12: weights rounded in groups."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise

Weight = Float[Tensor, "out in"]


def rounded(
    weight: Weight,
    bits: int,
    group: int,
    *,
    most: Callable = lambda bits: 2 ** (bits - 1) - 1,
    largest: Callable = lambda g: g.abs().amax(dim=2, keepdim=True),
    step: Callable = torch.round,
    back: Callable = lambda integers, scale: integers * scale,
    lowest: Callable | None = None,
    neighbors: str = "row",
    shape: Callable = lambda result, groups: result,
) -> Weight | Any:
    """Round each group of neighbors in a row to multiples of its largest weight / most."""
    parts = {
        "row": lambda x: x.unflatten(1, (-1, group)),
        "strided": lambda x: x.unflatten(1, (group, -1)).transpose(1, 2),
        "as many": lambda x: x.unflatten(1, (group, -1)),
        "column": lambda x: x.T.unflatten(1, (-1, group)),
    }[neighbors](weight)
    low = lowest(parts) if lowest else 0.0
    scale = (largest(parts - low) / most(bits)).clamp(min=1e-30)
    result = back(step((parts - low) / scale), scale) + low
    if neighbors == "strided":
        return result.transpose(1, 2).flatten(1)
    return result.flatten(1).T if neighbors == "column" else shape(result.flatten(1), result)


def _random_weights(seed: int) -> list[tuple]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, 8, 4, 4), (3, 64, 4, 32), (4, 12, 3, 2), (5, 96, 8, 16)]
    return [(torch.randn(o, i, generator=generator), bits, group) for o, i, bits, group in shapes]


OWN = "Each group has a scale of its own, "

check_rounded = Exercise(
    title="Rounding in groups",
    reference=rounded,
    cases=_random_weights,
    switches={
        "most": {
            lambda bits: 2 ** (bits - 1): "The largest integer is 2^(bits - 1) - 1, not "
            "2^(bits - 1): zero takes one of the values.",
            lambda bits: 2**bits - 1: "One bit is the sign: the largest integer is "
            "2^(bits - 1) - 1, not 2^bits - 1.",
            lambda bits: 2**bits: "One bit is the sign: the largest integer is 2^(bits - 1) - 1.",
            lambda bits: bits: "The largest integer is 2^(bits - 1) - 1, not the number of bits.",
            lambda bits: 2 ** (bits - 2) - 1 or 1: "The largest integer is 2^(bits - 1) - 1.",
            lambda bits: 127: "The largest integer depends on `bits`: 127 is that of 8.",
            lambda bits: 7: "The largest integer depends on `bits`: 7 is that of 4.",
        },
        "largest": {
            lambda g: g.abs().amax(dim=(1, 2), keepdim=True): f"{OWN}not each row.",
            lambda g: g.abs().amax(): f"{OWN}not the whole tensor.",
            lambda g: g.abs().amax(0, keepdim=True): f"{OWN}not each column.",
            lambda g: g.abs().amax(1, keepdim=True): "The largest is taken over the groups, not "
            "within each: take dim=2.",
            lambda g: g.amax(2, keepdim=True): (
                "The largest weight by size: take the absolute value first."
            ),
            lambda g: g.amax(2, keepdim=True).abs(): (
                "The largest weight by size: take the absolute value first."
            ),
            lambda g: g.amax(2, keepdim=True) - g.amin(2, keepdim=True): (
                "It takes the range from least to largest: take the largest by size."
            ),
            lambda g: (g.amax(2, keepdim=True) - g.amin(2, keepdim=True)) / 2: (
                "It takes half the range from least to largest: take the largest by size."
            ),
            lambda g: g.abs().mean(2, keepdim=True): "It takes the mean size: take the largest.",
            lambda g: g.abs().amax(2, keepdim=True).round().clamp(min=1): (
                "The scale is rounded too: only the weights are."
            ),
        },
        "step": {
            torch.trunc: "Round to the nearest integer; this cuts off.",
            torch.floor: "It rounds down: round to the nearest integer.",
            torch.ceil: "It rounds up: round to the nearest integer.",
            lambda x: x: "Nothing is rounded.",
            lambda x: x.round().abs(): "The sign is lost.",
        },
        "back": {
            lambda i, s: i: "These are the integers: multiply them by their scale again.",
            lambda i, s: i / s: "It divides by the scale to go back: multiply.",
        },
        "lowest": {
            lambda g: g.amin(
                2, keepdim=True
            ): "There is a zero point: 0 must stay 0, and the scale comes from the largest size."
        },
        "neighbors": {
            "strided": "A group is of weights side by side: these stand apart.",
            "as many": "`group` is the number of weights in a group, not the number of groups.",
            "column": "A group is of neighbors in a row, not in a column.",
        },
        "shape": {lambda result, groups: groups: "The groups are not joined again: `flatten(1)`."},
    },
    difficulty=2,
    minutes=15,
)
