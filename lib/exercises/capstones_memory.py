"""Capstone of chapter 3: the reader's own rotary positions and cache let SmolLM2 write."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from jaxtyping import Float
from torch import Tensor

from lib.display import claim
from lib.exercises.attention_in_use import check_rotate, rotate
from lib.exercises.capstones_parts import (
    PROMPT,
    SMOLLM2,
    causal_attention,
    check_my_attention,
    greedy,
)
from lib.exercises.checking import Exercise, Probe
from lib.exercises.softmaxes import random
from lib.exercises.watching import forbid
from lib.model.attention import Attention
from lib.pretrained import load_pretrained

Heads, KeyHeads = Float[Tensor, "H T D"], Float[Tensor, "K T D"]


def turned(x: Heads, start: int, base: float | int, **settings: str) -> Heads:
    """Heads whose first row stands at position `start`, turned by their positions."""
    rows = torch.cat([x.new_zeros(len(x), start, x.shape[-1]), x], dim=1)
    return torch.stack([rotate(head, base, **settings)[start:] for head in rows])


def cached_attention(
    query: Heads, key: KeyHeads, value: KeyHeads, base: float | int, cache: dict, *,
    start: str = "length", turns: str = "query and key", kept: str = "all",
    scale: str = "sqrt_d", mask: str = "right", groups: str = "neighbors",
    pairs: str = "halves", turn: str = "rotate", exponent: str = "2i/D", fixed: str = "",
) -> Heads:  # fmt: skip
    """A layer's attention on new tokens: turn, append to the cache, attend to all so far."""
    settings = {"pairs": pairs, "turn": turn, "exponent": exponent}
    past = cache["key"].shape[1] if "key" in cache else 0
    base = float(fixed or base)
    cache["calls"] = cache.get("calls", -1) + 1
    at = {"length": past, "zero": 0, "calls": cache["calls"], "one less": max(past - 1, 0)}[start]
    if turns in ("query and key", "query", "all"):
        query = turned(query, at, base, **settings)
    if turns in ("query and key", "key", "all"):
        key = turned(key, at, base, **settings)
    if turns == "all":
        value = turned(value, at, base, **settings)
    before = (cache["key"], cache["value"]) if past and kept != "none" else (key[:, :0],) * 2
    keys, values = torch.cat([before[0], key], 1), torch.cat([before[1], value], 1)
    if kept == "front":
        keys, values = torch.cat([key, before[0]], 1), torch.cat([value, before[1]], 1)
    cache["key"], cache["value"] = (key, value) if kept == "last" else (keys, values)
    if turns == "again":
        keys = turned(keys, 0, base, **settings)
        query = turned(query, at, base, **settings)
        cache["key"] = keys
    return causal_attention(query, keys, values, scale=scale, mask=mask, groups=groups)


def in_steps(
    answer: Callable, seed: int, sizes: tuple[int, ...], n_heads: tuple[int, int], width: int,
    **settings: Any,
) -> Heads:  # fmt: skip
    """A text's heads, given to `answer` in pieces of these sizes, with one cache."""
    heads = [random(seed + i, n, sum(sizes), width) for i, n in enumerate((*n_heads, n_heads[1]))]
    cache: dict = {}
    pieces = zip(*(x.split(sizes, dim=1) for x in heads), strict=True)
    return torch.cat([answer(*piece, 50.0, cache, **settings) for piece in pieces], dim=1)


@contextmanager
def remembered(answer: Callable, base: float | int) -> Iterator[list[int]]:
    """Within it models attend by `answer`, a cache for each layer; the list counts positions."""
    caches, computed = defaultdict(dict), []

    def forward(layer: Attention, x: Tensor, *_: Any) -> Tensor:
        if layer.layer == 0:
            computed.append(x.shape[1])
        heads = answer(*(y[0] for y in layer.project(x)), base, caches[layer.layer])
        return layer.output(heads.transpose(0, 1).flatten(1)[None])

    with patch.object(Attention, "forward", forward):
        yield computed


def write(answer: Callable, n_tokens: int = 8) -> None:
    """Let SmolLM2 write with `answer` in every layer: its logits and text, and what was computed.

    The prompt is read at once; then each new token goes through the model alone.
    """
    model, tokenizer = load_pretrained(SMOLLM2)
    ids = tokenizer.encode(PROMPT)
    with torch.inference_mode():
        expected = model(torch.tensor([ids]))
        without = greedy(model, ids, n_tokens)
        with remembered(answer, model.config.rope_base) as computed:
            logits = model(torch.tensor([ids]))
            same = torch.allclose(logits, expected, rtol=1e-3, atol=1e-2)
            text = [*ids, int(logits[0, -1].argmax())]
            while len(text) < len(without):
                text.append(int(model(torch.tensor([text[-1:]]))[0, -1].argmax()))
    print(tokenizer.decode(text))
    all_again = sum(range(len(ids), len(text)))
    print(f"positions computed: {sum(computed)} with your cache, {all_again} without one")
    claim("with your rotation and your cache SmolLM2's logits stay the same", same)
    claim("token by token it writes the same text as without a cache", text == without)


def _steps(seed: int, *sizes: int, heads: tuple[int, int] = (2, 1), width: int = 4) -> tuple:
    return seed, sizes, heads, width


check_my_cached_attention = Exercise(
    title="Your positions and your cache in SmolLM2",
    reference=lambda *case, **settings: in_steps(cached_attention, *case, **settings),
    cases=lambda seed: [
        _steps(seed, 3), _steps(seed, 2, 1, 1), _steps(seed + 5, 1, 1, 1, 1, heads=(4, 2)),
        _steps(seed + 9, 3, 2, 4, 9, heads=(6, 3), width=6),
    ],
    call=in_steps,
    switches={
        "start": {
            "zero": "The positions begin at 0 in every step: begin at the number of positions in "
            "the cache.",
            "calls": "The position counts the calls: a call may bring several tokens.",
            "one less": "The positions of later steps are one too small.",
        },
        "turns": {
            "query": "Keys are not turned.",
            "key": "Queries are not turned.",
            "none": "Nothing is turned: queries and keys need their positions.",
            "all": "Values are turned too: only queries and keys are.",
            "again": "Keys that were turned are turned again in each later step: keep them either "
            "turned or unturned.",
        },
        "kept": {
            "none": "Earlier keys and values are not used: append the new ones to the cache.",
            "last": "The cache holds the last step alone: append to what it has.",
            "front": "New keys are put before the old ones, where the mask takes them for early.",
        },
        **{name: check_my_attention.switches[name] for name in ("scale", "mask", "groups")},
        "pairs": {"neighbors": check_rotate.switches["pairs"]["neighbors"]},
        "turn": {  # but for those that a score of two turned vectors does not show
            name: check_rotate.switches["turn"][name]
            for name in ("back", "add", "subtract", "first_half", "cosines")
        },
        "exponent": check_rotate.switches["exponent"],
        "fixed": {"1e4": "The base is 10,000, whatever `base` is."},
    },
    probes=[
        Probe("One token alone: whatever it is turned by, its output is its value.",
              _steps(1, 1, heads=(1, 1), width=2)),
        Probe("Two tokens at once: the second is one position after the first, and the first does "
              "not see it.", _steps(2, 2, heads=(1, 1), width=2)),
        Probe("Two tokens, one after the other: the second finds the first in the cache, and "
              "stands at position 1.", _steps(2, 1, 1, heads=(1, 1), width=2)),
        Probe("A later call brings two tokens: the first of them does not see the second.",
              _steps(3, 1, 2, heads=(1, 1), width=2)),
    ],
    rule=forbid("Write the formula: no attention function of torch.",
                "scaled_dot_product_attention", "multi_head_attention_forward"),
    result=write,
    difficulty=3,
    minutes=30,
)  # fmt: skip
