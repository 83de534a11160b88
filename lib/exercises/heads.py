"""Two exercises of chapter 2: cut features into heads, and put them together again."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Probe
from lib.exercises.softmaxes import random


def split_heads(
    x: Float[Tensor, "B T C"], n_heads: int, *, cut: str = "heads", order: str = "heads_first"
) -> Float[Tensor, "B H T D"] | Any:
    """Cut the features of each token into heads, and bring the heads to the front."""
    (batch, length, _), rest = x.shape, -1
    if order == "reshape":
        return x.reshape(batch, n_heads, length, rest)
    sizes = {"heads": (n_heads, rest), "width": (rest, n_heads), "alternate": (rest, n_heads)}[cut]
    x = x.unflatten(-1, sizes)
    x = x.transpose(2, 3) if cut == "alternate" else x
    moved = {"heads_first": (0, 2, 1, 3), "none": (0, 1, 2, 3), "tokens_last": (0, 2, 3, 1),
             "outside": (2, 0, 1, 3)}[order]  # fmt: skip
    return x.permute(moved)


def merge_heads(
    heads: Float[Tensor, "B H T D"], *, order: str = "back", heads_in: str = "order"
) -> Float[Tensor, "B T C"] | Any:
    """The inverse of `split_heads`."""
    heads = heads.flip(1) if heads_in == "reverse" else heads
    if order == "reshape":
        return heads.reshape(heads.shape[0], heads.shape[2], -1)
    if order in ("sum", "mean"):
        return heads.sum(1) if order == "sum" else heads.mean(1)
    if order == "first":
        return heads[:, 0]
    moved = {
        "back": (0, 2, 1, 3), "alternate": (0, 2, 3, 1), "positions": (0, 1, 2, 3),
        "apart": (0, 2, 1, 3),
    }[order]  # fmt: skip
    heads = heads.permute(moved)
    return heads if order == "apart" else heads.flatten(2) if order != "positions" else (
        heads.flatten(1, 2)
    )  # fmt: skip


def _places(*shape: int) -> Tensor:
    """Numbers that tell their place: 100 · batch + 10 · third index from the end + last, …"""
    weights = [1000, 100, 10, 1][-len(shape) :]
    grids = torch.meshgrid(*[torch.arange(n) for n in shape], indexing="ij")
    return sum(w * g for w, g in zip(weights, grids, strict=True)).float()


def _other_shape(expected: Tensor, got: Tensor) -> bool:
    return getattr(got, "shape", None) != expected.shape


def _elsewhere(digit: int) -> Callable[[Tensor, Tensor], bool]:
    """Whether numbers land at a place that belongs to another index; `digit` says which."""
    return lambda e, g: bool((e // digit % 10 != g // digit % 10).any())


check_split_heads = Exercise(
    title="Split into heads",
    reference=split_heads,
    cases=lambda seed: [
        (random(seed, b, t, c), n) for b, t, c, n in [(1, 3, 4, 2), (2, 5, 6, 3), (2, 4, 4, 4)]
    ],
    switches={
        "order": {
            "reshape": "One reshape to the final shape mixes tokens: first cut the features, then "
            "transpose.",
            "none": "The heads are cut, but come after the tokens: transpose those two dimensions.",
            "tokens_last": "Tokens and features of a head are swapped: (B, H, T, D) is asked for.",
            "outside": "The heads come before the batch: (B, H, T, D) is asked for.",
        },
        "cut": {
            "alternate": "Neighboring features went to different heads: head h owns features h·D to"
            " (h + 1)·D.",
            "width": "The features are cut into D parts of H, not into H parts of D.",
        },
    },
    probes=[
        Probe(
            "The shape must be (B, H, T, D): here (2, 3, 4, 5).",
            (_places(2, 4, 15), 3),
            _other_shape,
        ),
        Probe(
            "Features of one text land in another: the batch stays apart.",
            (_places(2, 3, 4), 2),
            _elsewhere(100),
        ),
        Probe(
            "Features land at another token: cut only the features, and then move whole "
            "dimensions.",
            (_places(1, 3, 8), 2),
            _elsewhere(10),
        ),
        Probe(
            "Features land in another head, or at another place in it: head 0 owns the first D "
            "features, in their order, head 1 the next D.",
            (_places(1, 3, 8), 2),
            _elsewhere(1),
        ),
    ],
    difficulty=1,
    minutes=10,
)

check_merge_heads = Exercise(
    title="Merge the heads",
    reference=merge_heads,
    cases=lambda seed: [
        (random(seed, *shape),) for shape in [(1, 2, 3, 2), (2, 3, 5, 2), (2, 4, 4, 1)]
    ],
    switches={
        "order": {
            "reshape": "It reshapes without transposing back, which mixes tokens.",
            "apart": "The heads of a token are still apart: flatten the last two dimensions.",
            "alternate": "The features of different heads alternate: a head's features must stay "
            "together.",
            "positions": "Heads and tokens are merged: merge heads with their features.",
            "sum": "The heads are added up: they stand side by side in (B, T, H · D).",
            "mean": "The heads are averaged: they stand side by side in (B, T, H · D).",
            "first": "Only the first head is returned: all stand side by side.",
        },
        "heads_in": {"reverse": "The heads stand in reverse order."},
    },
    probes=[
        Probe(
            "The result must be one tensor of shape (B, T, H · D): here (2, 2, 12).",
            (_places(2, 3, 2, 4),),
            _other_shape,
        ),
        Probe(
            "Features of one text land in another: the batch stays apart.",
            (_places(2, 3, 2, 4),),
            _elsewhere(1000),
        ),
        Probe(
            "Features land at another token: bring the tokens in front of the heads first.",
            (_places(1, 3, 2, 4),),
            _elsewhere(10),
        ),
        Probe(
            "The heads do not follow one another: a token's row holds all of head 0, then all of "
            "head 1.",
            (_places(1, 3, 2, 4),),
            _elsewhere(100),
        ),
        Probe(
            "The features within a head are out of order.", (_places(1, 3, 2, 4),), _elsewhere(1)
        ),
    ],
    difficulty=1,
    minutes=10,
)
