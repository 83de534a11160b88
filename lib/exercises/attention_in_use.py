"""Exercises of chapter 3: rotary positions, a step with a cache, the online softmax."""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Mistake
from lib.model.online_softmax import tiled_attention
from lib.model.positions import apply_rope, rope_frequencies


def _random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(100 * seed + sum(shape)))


# Rotary positions


def rotate(x: Float[Tensor, "T D"], base: float) -> Float[Tensor, "T D"]:
    """RoPE on rows at positions 0, 1, 2, …, pairing feature i with feature i + D/2."""
    angles = torch.arange(x.shape[0])[:, None] * rope_frequencies(x.shape[1], base)
    return apply_rope(x[None, None], angles.cos()[None, None], angles.sin()[None, None])[0, 0]


def _rotate(x: Tensor, angles: Tensor, interleaved: bool = False) -> Tensor:
    first, second = (x[:, 0::2], x[:, 1::2]) if interleaved else x.chunk(2, dim=-1)
    turned = [
        first * angles.cos() - second * angles.sin(),
        second * angles.cos() + first * angles.sin(),
    ]
    return torch.stack(turned, -1).flatten(1) if interleaved else torch.cat(turned, -1)


def _angles(x: Tensor, base: float, step: int = 2) -> Tensor:
    exponents = torch.arange(x.shape[1] // 2) * step / x.shape[1]
    return torch.arange(x.shape[0])[:, None] * base**-exponents


check_rotate = Exercise(
    title="Rotary positions",
    reference=rotate,
    cases=lambda seed: [
        (_random(seed, 2, 4), 100.0),
        (_random(seed, 5, 6), 10_000.0),
        (_random(seed, 9, 16), 500.0),
    ],
    mistakes=[
        Mistake(
            lambda x, base: _rotate(x, _angles(x, base), interleaved=True),
            "It pairs neighbors (2i, 2i + 1); here feature i goes with feature i + D/2.",
        ),
        Mistake(
            lambda x, base: _rotate(x, -_angles(x, base)),
            "It turns the other way: the first of a pair becomes x₁ cos − x₂ sin.",
        ),
        Mistake(
            lambda x, base: _rotate(x, _angles(x, base, step=1)),
            "The frequencies fall half as fast as they should: the exponent of pair i is −2i / D.",
        ),
        Mistake(
            lambda x, base: _rotate(x, _angles(x, base) + base ** -(_pairs(x) * 2 / x.shape[1])),
            "The positions begin at 1: the first token has position 0 and stays as it is.",
        ),
    ],
    difficulty=2,
    minutes=20,
)


def _pairs(x: Tensor) -> Tensor:
    return torch.arange(x.shape[1] // 2)


# One step of cached decoding


def cached_step(
    query: Float[Tensor, "D"],
    key: Float[Tensor, "D"],
    value: Float[Tensor, "D"],
    keys: Float[Tensor, "S D"],
    values: Float[Tensor, "S D"],
) -> tuple[Float[Tensor, "D"], Float[Tensor, "S1 D"], Float[Tensor, "S1 D"]]:
    """The output for one new token, and the cache with this token's key and value at its end."""
    keys, values = torch.cat([keys, key[None]]), torch.cat([values, value[None]])
    weights = (keys @ query / math.sqrt(len(query))).softmax(dim=0)
    return weights @ values, keys, values


def _step_on(keys: Tensor, values: Tensor, query: Tensor) -> Tensor:
    return (keys @ query / math.sqrt(len(query))).softmax(dim=0) @ values


def _blind_to_itself(query, key, value, keys, values):
    _, new_keys, new_values = cached_step(query, key, value, keys, values)
    output = _step_on(keys, values, query) if len(keys) else torch.zeros_like(query)
    return output, new_keys, new_values


def _forgets(query, key, value, keys, values):
    return cached_step(query, key, value, keys, values)[0], keys, values


def _in_front(query, key, value, keys, values):
    output, _, _ = cached_step(query, key, value, keys, values)
    return output, torch.cat([key[None], keys]), torch.cat([value[None], values])


def _stores_the_query(query, key, value, keys, values):
    keys, values = torch.cat([keys, query[None]]), torch.cat([values, value[None]])
    return _step_on(keys, values, query), keys, values


check_cached_step = Exercise(
    title="One step with a cache",
    reference=cached_step,
    cases=lambda seed: [
        (*_random(seed, 3, d), _random(seed, s, d) + 0.3, _random(seed, s, d) - 0.2)
        for s, d in [(1, 2), (0, 4), (5, 4), (9, 8)]
    ],
    mistakes=[
        Mistake(
            _blind_to_itself,
            "The new token does not see itself: append its key and value before attending.",
        ),
        Mistake(_forgets, "The cache comes back without the new token: return the longer tensors."),
        Mistake(
            _in_front,
            "The new token stands at the front of the cache: it belongs at the end.",
        ),
        Mistake(_stores_the_query, "The query went into the cache in place of the key."),
    ],
    difficulty=2,
    minutes=15,
)


# Online softmax


def online_attention(
    query: Float[Tensor, "T D"],
    key: Float[Tensor, "S D"],
    value: Float[Tensor, "S D"],
    tile: int,
) -> Float[Tensor, "T D"]:
    """Attention without a mask, `tile` keys at a time, with a running maximum and sum."""
    rows = (query[None, None], key[None, None], value[None, None])
    return tiled_attention(*rows, len(query), tile, causal=False)[0][0, 0]


def _tiles(query: Tensor, key: Tensor, value: Tensor, tile: int) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(key), tile):
        end = start + tile
        yield query @ key[start:end].T / math.sqrt(query.shape[-1]), value[start:end]


def _never_rescales(query, key, value, tile):
    total, output = torch.zeros(len(query), 1), torch.zeros_like(query)
    for scores, part in _tiles(query, key, value, tile):
        exponentials = (scores - scores.amax(-1, keepdim=True)).exp()
        total, output = total + exponentials.sum(-1, keepdim=True), output + exponentials @ part
    return output / total


def _rescales_sum_only(query, key, value, tile):
    maximum = torch.full((len(query), 1), -math.inf)
    total, output = torch.zeros(len(query), 1), torch.zeros_like(query)
    for scores, part in _tiles(query, key, value, tile):
        new = torch.maximum(maximum, scores.amax(-1, keepdim=True))
        exponentials = (scores - new).exp()
        total = total * (maximum - new).exp() + exponentials.sum(-1, keepdim=True)
        output, maximum = output + exponentials @ part, new
    return output / total


def _averages_tiles(query, key, value, tile):
    outputs = [scores.softmax(-1) @ part for scores, part in _tiles(query, key, value, tile)]
    return torch.stack(outputs).mean(0)


def _no_maximum(query, key, value, tile):
    total, output = torch.zeros(len(query), 1), torch.zeros_like(query)
    for scores, part in _tiles(query, key, value, tile):
        total, output = total + scores.exp().sum(-1, keepdim=True), output + scores.exp() @ part
    return output / total


def _last_tile_dropped(query, key, value, tile):
    whole = max(1, len(key) // tile) * tile
    return online_attention(query, key[:whole], value[:whole], tile)


def _attention_cases(seed: int) -> list[tuple]:
    sizes = [(1, 4, 2, 2), (3, 7, 4, 3), (4, 12, 8, 5), (2, 6, 4, 6)]
    cases = [(_random(seed, t, d), _random(seed, s, d), _random(seed, s, d), tile)
             for t, s, d, tile in sizes]  # fmt: skip
    cases.append((60 * _random(seed, 2, 4), 60 * _random(seed, 9, 4), _random(seed, 9, 4), 4))
    return cases


check_online_attention = Exercise(
    title="Online softmax",
    reference=online_attention,
    cases=_attention_cases,
    mistakes=[
        Mistake(
            _never_rescales,
            "Each tile uses its own maximum and nothing is rescaled: sums of different tiles are "
            "then in different units.",
        ),
        Mistake(
            _rescales_sum_only,
            "The sum shrinks with a new maximum, but the output does not: both are relative to it.",
        ),
        Mistake(
            _averages_tiles,
            "The tiles' outputs are averaged as equals: a tile with larger scores must count more.",
        ),
        Mistake(
            _no_maximum,
            "Right for small scores, but exp overflows for large ones: subtract the maximum.",
        ),
        Mistake(_last_tile_dropped, "The last tile, when it is not full, is left out."),
    ],
    difficulty=3,
    minutes=30,
)
