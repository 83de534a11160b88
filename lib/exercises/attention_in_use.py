"""Exercises of chapter 3: rotary positions and a step with a cache (and `online_softmax`)."""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Probe
from lib.exercises.online_softmax import check_online_attention, online_attention
from lib.exercises.softmaxes import NORMALIZE, SCALE, SOFTMAX, divisor, has_nan, random

__all__ = [
    "cached_step", "check_cached_step", "check_online_attention", "check_rotate",
    "online_attention", "rotate",
]  # fmt: skip

# Rotary positions

TURNS = {
    "rotate": lambda a, b, c, s: (a * c - b * s, b * c + a * s),
    "back": lambda a, b, c, s: (a * c + b * s, b * c - a * s),
    "add": lambda a, b, c, s: (a * c + b * s, b * c + a * s),
    "subtract": lambda a, b, c, s: (a * c - b * s, b * c - a * s),
    "swapped": lambda a, b, c, s: (a * s - b * c, b * s + a * c),
    "exchanged": lambda a, b, c, s: (b * c + a * s, a * c - b * s),
    "new_first": lambda a, b, c, s: (a * c - b * s, b * c + (a * c - b * s) * s),
    "first_half": lambda a, b, c, s: (a * c - b * s, b),
    "cosines": lambda a, b, c, s: (a * c, b * c),
    "sinusoids": lambda a, b, c, s: (a + s, b + c),
}
EXPONENTS = {
    "2i/D": lambda i, d: 2 * i / d,
    "i/D": lambda i, d: i / d,
    "2i": lambda i, d: 2.0 * i,
    "from_1": lambda i, d: 2 * (i + 1) / d,
    "2i/(D/2)": lambda i, d: 4 * i / d,
    "reversed": lambda i, d: (2 * i / d).flip(0),
    "rises": lambda i, d: -2 * i / d,
    "none": lambda i, d: 0.0 * i,
    "last_is_base": lambda i, d: i / max(d // 2 - 1, 1),
}
POSITIONS = {
    "from_0": lambda n: torch.arange(n),
    "from_1": lambda n: torch.arange(n) + 1,
    "from_end": lambda n: torch.arange(n).flip(0),
    "degrees": lambda n: torch.arange(n) * math.pi / 180,
    "turns": lambda n: torch.arange(n) * 2 * math.pi,
    "one": lambda n: torch.ones(n),
}


def rotate(
    x: Float[Tensor, "T D"],
    base: float,
    *,
    pairs: str = "halves",
    turn: str = "rotate",
    exponent: str = "2i/D",
    position: str = "from_0",
) -> Float[Tensor, "T D"]:
    """RoPE on rows at positions 0, 1, 2, …, pairing feature i with feature i + D/2."""
    length, width = x.shape
    frequencies = base ** -EXPONENTS[exponent](torch.arange(width // 2), width)
    angles = POSITIONS[position](length)[:, None] * frequencies
    a, b = x.chunk(2, dim=-1) if pairs in ("halves", "woven") else (x[:, 0::2], x[:, 1::2])
    turned = TURNS[turn](a, b, angles.cos(), angles.sin())
    if pairs in ("neighbors", "woven"):
        return torch.stack(turned, dim=-1).flatten(1)
    return torch.cat(turned, dim=-1)


check_rotate = Exercise(
    title="Rotary positions",
    reference=rotate,
    cases=lambda seed: [
        (random(seed, 2, 4), 100.0),
        (random(seed, 5, 6), 10_000.0),
        (random(seed, 9, 16), 500.0),
    ],
    switches={
        "pairs": {
            "neighbors": "It pairs neighbors (2i, 2i + 1); here feature i goes with i + D/2.",
            "woven": "The halves of the result alternate: put them side by side, with `cat`.",
            "apart": "It turns neighbors (2i, 2i + 1) and puts the halves side by side; here "
            "feature i goes with feature i + D/2.",
        },
        "turn": {
            "back": "It turns the other way: the first of a pair becomes x₁ cos − x₂ sin.",
            "add": "Both halves get a plus: the first of a pair becomes x₁ cos − x₂ sin.",
            "subtract": "Both halves get a minus: the second of a pair becomes x₂ cos + x₁ sin.",
            "swapped": "Sine and cosine are swapped.",
            "exchanged": "The two halves of the result are swapped.",
            "new_first": "The second half is made from the new first half: keep the old one.",
            "first_half": "Only the first half is turned.",
            "cosines": "The sines are missing: each feature is only multiplied by a cosine.",
            "sinusoids": "Sines and cosines are added, as to an embedding: turn each pair by them.",
        },
        "exponent": {
            "i/D": "The frequencies fall half as fast as they should: the exponent is −2i / D.",
            "2i": "The exponent is not divided by D: it is −2i / D.",
            "from_1": "The pairs are counted from 1: pair 0 turns by 1 radian a position.",
            "2i/(D/2)": "The frequencies fall twice as fast as they should: −2i / D.",
            "reversed": "The frequencies come in reverse order: pair 0 turns fastest.",
            "rises": "The frequencies rise: the exponent is negative, −2i / D.",
            "none": "All pairs turn at one speed: pair i turns by base^(−2i / D).",
            "last_is_base": "The exponents run up to 1: that of pair i is −2i / D.",
        },
        "position": {
            "from_1": "The positions begin at 1: the first token has position 0.",
            "from_end": "The positions are counted from the end.",
            "degrees": "The angles are taken for degrees: `cos` and `sin` want radians.",
            "turns": "The positions are multiplied by 2π: position p turns pair 0 by p radians.",
            "one": "Every token has position 1: they are 0, 1, 2, …",
        },
    },
    probes=[
        Probe("The first token has position 0: it stays as it is.", (random(4, 1, 4), 100.0)),
        Probe(
            "The first token has position 0 and stays as it is, whatever comes after it.",
            (random(4, 3, 4), 100.0),
            lambda e, g: not torch.allclose(e[0], g[0], atol=1e-4),
        ),
        Probe(
            "A rotation keeps lengths: with D = 2 each row is as long after it as before.",
            (torch.tensor([[1.0, 2.0]]).expand(4, 2), 10.0),
            lambda e, g: not torch.allclose(g.norm(dim=-1), e.norm(dim=-1), atol=1e-3),
        ),
        Probe(
            "With D = 2 there is one pair, and (1, 0) at position p becomes (cos p, sin p).",
            (torch.tensor([[1.0, 0.0]]).expand(4, 2), 10.0),
        ),
        Probe(
            "With D = 2 there is one pair, and (0, 1) at position p becomes (−sin p, cos p).",
            (torch.tensor([[0.0, 1.0]]).expand(4, 2), 10.0),
        ),
        Probe(
            "Feature 0 of D = 4 is paired with feature 2, and with no other.",
            (torch.eye(1, 4).expand(3, 4), 100.0),
            lambda e, g: bool((g[:, [1, 3]].abs() > 1e-4).any()),
        ),
        Probe(
            "Of D = 4 features, pair 0 (features 0 and 2) turns by 1 radian a position.",
            (torch.eye(1, 4).expand(3, 4), 100.0),
        ),
        Probe(
            "Of D = 4 features with base 100, pair 1 (features 1 and 3) turns by 100^(−2/4) = 0.1 "
            "radian a position.",
            (torch.eye(4)[1:2].expand(3, 4), 100.0),
        ),
        Probe(
            "Of D = 6 features with base 1000, pairs turn by 1, 0.1 and 0.01 radian a position.",
            (torch.ones(3, 6), 1000.0),
        ),
    ],
    difficulty=2,
    minutes=20,
)


# One step of cached decoding

APPEND = {
    "end": lambda cache, row: torch.cat([cache, row[None]]),
    "front": lambda cache, row: torch.cat([row[None], cache]),
    "none": lambda cache, row: cache,
    "over_last": lambda cache, row: torch.cat([cache[:-1], row[None]]),
    "window": lambda cache, row: torch.cat([cache, row[None]])[1:] if len(cache) else row[None],
    "only": lambda cache, row: row[None],
    "twice": lambda cache, row: torch.cat([cache, row[None], row[None]]),
}


def cached_step(
    query: Float[Tensor, "D"],
    key: Float[Tensor, "D"],
    value: Float[Tensor, "D"],
    keys: Float[Tensor, "S D"],
    values: Float[Tensor, "S D"],
    *,
    scale: str = "sqrt_d",
    softmax: str = "keys",
    seen: str = "end",
    kept: tuple[str, str] = ("both", "end"),
    weighed: str = "values",
    order: str = "okv",
) -> tuple[Float[Tensor, "D"], Float[Tensor, "S1 D"], Float[Tensor, "S1 D"]] | Any:
    """The output for one new token, and the cache with this token's key and value at its end."""
    seen_keys, seen_values = APPEND[seen](keys, key), APPEND[seen](values, value)
    width = divisor(scale, len(query), len(seen_keys))
    output = NORMALIZE[softmax]((seen_keys @ query / width)[None])[0] @ (
        seen_values if weighed == "values" else seen_keys
    )
    modes = {"key": "end", "value": "end"} | {
        word: kept[1] for word in ("key", "value") if kept[0] in (word, "both")
    }
    parts = {"o": output, "k": APPEND[modes["key"]](keys, key),
             "v": APPEND[modes["value"]](values, value)}  # fmt: skip
    return tuple(parts[letter] for letter in order)


def _part(i: int) -> Callable[[tuple, tuple], bool]:
    return lambda e, g: e[i].shape != g[i].shape or not torch.allclose(e[i], g[i], atol=1e-4)


def _step(query: list, keys: list, values: list) -> tuple:
    query, keys, values = (torch.tensor(x, dtype=torch.float32) for x in (query, keys, values))
    return query, keys[-1], values[-1], keys[:-1], values[:-1]


check_cached_step = Exercise(
    title="One step with a cache",
    reference=cached_step,
    cases=lambda seed: [
        (*random(seed, 3, d), random(seed, s, d) + 0.3, random(seed, s, d) - 0.2)
        for s, d in [(1, 2), (0, 4), (5, 4), (9, 8)]
    ],
    switches={
        "scale": SCALE,
        "seen": {
            "none": "The new token does not see itself: append its key and value first.",
            "over_last": "The new token takes the place of the last one in what is attended to.",
            "window": "The oldest token is not attended to.",
            "only": "The new token sees only itself: all that is in the cache is seen too.",
            "twice": "The new token is attended to twice.",
        },
        "kept": {
            (which, mode): sentence.format("token" if which == "both" else which)
            for mode, sentence in {
                "none": "The cache comes back without the new {}: return the longer tensor.",
                "front": "The new {} stands at the front: it belongs at the end.",
                "over_last": "The new {} replaces the last one: append it.",
                "window": "The oldest {} is dropped: the cache only grows.",
                "twice": "The new {} is appended twice.",
            }.items()
            for which in ("both", "key", "value")
        },
        "weighed": {"keys": "The keys are weighed and added up: the values are asked for."},
        "order": {
            "ovk": "Values come back where the keys are asked for: the order is output, keys, "
            "values.",
            "kvo": "The order is output, keys, values: the output comes first.",
        },
        # With one query the whole matrix is its row.
        "softmax": {name: said for name, said in SOFTMAX.items() if name != "all"},
    },
    probes=[
        Probe(
            "With an empty cache the new token sees only itself: the output is its value.",
            _step([1, 2], [[3, 4]], [[5, 6]]),
            _part(0),
        ),
        Probe(
            "The keys come back as they were, with the new key as last row.",
            _step([1, 2], [[3, 4], [1, 0]], [[5, 6], [7, 8]]),
            _part(1),
        ),
        Probe(
            "The values come back as they were, with the new value as last row.",
            _step([1, 2], [[3, 4], [1, 0]], [[5, 6], [7, 8]]),
            _part(2),
        ),
        Probe(
            "A query of zeros finds all keys alike: the output is the mean of all values, the new "
            "one included.",
            _step([0, 0], [[3, 4], [1, 0], [2, 2]], [[6, 0], [0, 3], [0, 3]]),
            _part(0),
        ),
        Probe(
            "With D = 4 and products 4 and 0, the weights are a softmax over 2 and 0.",
            _step([2, 0, 0, 0], [[2, 0, 0, 0], [0, 0, 0, 0]], [[1, 0, 0, 0], [0, 1, 0, 0]]),
            _part(0),
        ),
        Probe(
            "Large scores overflow: subtract the largest first, as `softmax` does.",
            _step([900, 0], [[900, 0], [0, 1]], [[1, 0], [0, 1]]),
            lambda e, g: has_nan(e[0], g[0]),
        ),
    ],
    difficulty=2,
    minutes=15,
)
