"""Capstones of chapters 2, 4 and 5: the reader's own attention, norm and layer in SmolLM2.

A part is put into the model by a context manager, `swapped`: the same logits, then text.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from jaxtyping import Float
from torch import Tensor

from lib.display import claim
from lib.exercises.checking import Exercise, Probe
from lib.exercises.feedforward import check_swiglu
from lib.exercises.layer_norm import AFFINE, OVER, OVER_SENTENCES, SIZES, random
from lib.exercises.normalization import RMS_SENTENCES
from lib.exercises.softmaxes import SCALE, divisor
from lib.exercises.watching import forbid
from lib.model import attention as attention_room
from lib.model.feedforward import FeedForward
from lib.model.normalization import RMSNorm
from lib.pretrained import load_pretrained

SMOLLM2 = "smollm2-135m-instruct"
PROMPT = "The capital of France is"


@contextmanager
def swapped(part: str, answer: Callable) -> Iterator[None]:
    """Within it every model computes its "attention", "norm" or "feed_forward" by `answer`."""
    places = {
        "attention": (
            attention_room, "fused_attention",
            lambda query, key, value, *rest: torch.stack(
                [answer(*text) for text in zip(query, key, value, strict=True)]
            ),
        ),
        "norm": (RMSNorm, "forward", lambda self, x: answer(x, self.weight, self.eps)),
        "feed_forward": (
            FeedForward, "forward",
            lambda self, x: torch.stack(
                [answer(t, self.gate.weight, self.up.weight, self.down.weight) for t in x]
            ),
        ),
    }  # fmt: skip
    with patch.object(*places[part]):
        yield


def greedy(logits: Callable[[Tensor], Tensor], ids: list[int], n_tokens: int) -> list[int]:
    """`ids` with the likeliest next token appended, again and again."""
    for _ in range(n_tokens):
        ids = [*ids, int(logits(torch.tensor([ids]))[0, -1].argmax())]
    return ids


def in_smollm2(part: str, answer: Callable, n_tokens: int = 8) -> None:
    """Put `answer` into SmolLM2: compare the logits, and show what the model writes with it."""
    model, tokenizer = load_pretrained(SMOLLM2)
    ids = tokenizer.encode(PROMPT)
    with torch.inference_mode():
        expected = model(torch.tensor([ids]))
        with swapped(part, answer):
            got = model(torch.tensor([ids]))
            print(tokenizer.decode(greedy(model, ids, n_tokens)))
    same = torch.allclose(got, expected, rtol=1e-3, atol=1e-2)
    claim(f"with your {part.replace('_', '-')} in every layer SmolLM2's logits stay the same", same)


# Chapter 2


def causal_attention(
    query: Float[Tensor, "H T D"],
    key: Float[Tensor, "K S D"],
    value: Float[Tensor, "K S D"],
    *,
    scale: str = "sqrt_d",
    mask: str = "right",
    groups: str = "neighbors",
    softmax: int = -1,
    fill: float | int = -math.inf,
) -> Float[Tensor, "H T D"]:
    """Causal attention of H query heads on K key heads, each shared by H / K neighbors."""
    times = len(query) // len(key)
    if groups == "neighbors":
        key, value = key.repeat_interleave(times, 0), value.repeat_interleave(times, 0)
    elif groups == "rounds":
        key, value = key.repeat(times, 1, 1), value.repeat(times, 1, 1)
    else:
        key, value = key[:1], value[:1]
    width = divisor(scale, query.shape[-1], key.shape[-2])
    scores = query @ key.mT / width
    n_query, n_key = scores.shape[-2:]
    ones = torch.ones(n_query, n_key, dtype=torch.bool)
    move = {"right": n_key - n_query, "left": 0, "none": n_key, "strict": n_key - n_query - 1}[mask]
    return scores.masked_fill(~ones.tril(move), fill).softmax(softmax) @ value


check_my_attention = Exercise(
    title="Your attention in SmolLM2",
    reference=causal_attention,
    cases=lambda seed: [
        (random(seed, h, t, d), random(seed + 1, k, s, d), random(seed + 2, k, s, d))
        for h, k, t, s, d in [(2, 1, 2, 2, 3), (4, 2, 3, 5, 4), (6, 3, 1, 4, 2), (3, 3, 4, 4, 5)]
    ],
    switches={
        "scale": SCALE,
        "mask": {
            "left": "With fewer queries than keys, the queries are the last ones: move the diagonal"
            " by the difference.",
            "none": "Nothing is masked: a query must not see later keys.",
            "strict": "A query does not see its own key.",
        },
        "groups": {
            "rounds": "Key heads are dealt out in rounds: query heads 0 to H / K - 1 share key head"
            " 0, the next ones key head 1.",
            "first": "All query heads use the first key head.",
        },
        "softmax": {-2: "The softmax runs over queries.", 0: "The softmax runs over heads."},
        "fill": {0.0: "A score of zero is not hidden, since exp(0) = 1: write minus infinity."},
    },
    probes=[
        Probe(
            "One query with one key: the output is its value.",
            (torch.ones(1, 1, 2), torch.ones(1, 1, 2), torch.tensor([[[3.0, 4.0]]])),
        ),
        Probe(
            "The first query of a text sees only itself: its output is the first value.",
            (torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), torch.tensor([[[1.0, 1.0], [3.0, 3.0]]])),
        ),
        Probe(
            "Query heads 0 and 1 of four share key head 0 of two, 2 and 3 share key head 1.",
            (torch.zeros(4, 1, 1), torch.zeros(2, 1, 1), torch.tensor([[[1.0]], [[2.0]]])),
        ),
    ],
    rule=forbid("Write the formula: no attention function of torch.",
                "scaled_dot_product_attention", "multi_head_attention_forward"),
    result=lambda answer: in_smollm2("attention", answer),
    difficulty=2,
    minutes=20,
)  # fmt: skip


# Chapter 4


def norm(
    x: Float[Tensor, "... C"], weight: Float[Tensor, "C"], eps: float | int,
    *, size: str = "variance", over: str = "features", center: bool = False,
    affine: str = "usual", added: float | int | None = None, order: str = "norm first",
) -> Float[Tensor, "... C"]:  # fmt: skip
    """RMSNorm as in Llama."""
    dims = OVER[over](x)
    x = x - x.mean(dims, keepdim=True) if center else x
    x = x if order == "norm first" else x * weight
    normalized = x / SIZES[size](x, x, eps if added is None else added, dims)
    return AFFINE[affine](normalized, weight, 0) if order == "norm first" else normalized


check_my_norm = Exercise(
    title="Your norm in SmolLM2",
    reference=norm,
    cases=lambda seed: [
        (random(seed, *shape, shift=0.5), random(seed + 1, shape[-1]), 0.01)
        for shape in [(2, 3), (2, 4, 5)]
    ],
    switches={
        "size": RMS_SENTENCES,
        "over": OVER_SENTENCES,
        "center": {True: "The mean is subtracted: RMSNorm leaves it."},
        "affine": {
            "1 + weight": "The gain is the weight itself: 1 + weight is Gemma's.",
            "no weight": "The weight is not used.",
            "divides": "It divides by the weight: multiply.",
        },
        "added": {0.0: "eps is not used: add it to the mean of squares."}
        | dict.fromkeys((1e-5, 1e-6, 1e-8), "eps is a number of its own: take the argument."),
        "order": {"scale first": "The weight is multiplied in before the norm: it comes after it."},
    },
    probes=[
        Probe(
            "Features of 1 and -1 with eps 0 stay as they are under a weight of 1.",
            (torch.tensor([[1.0, -1.0]]), torch.ones(2), 0.0),
        ),
        Probe("A row of zeros stays zero.", (torch.zeros(1, 2), torch.ones(2), 0.01)),
        Probe(
            "eps is added to the mean of squares, inside the root: here 1 + 3.",
            (torch.tensor([[1.0, -1.0]]), torch.ones(2), 3.0),
        ),
    ],
    rule=forbid("Write the formula: no norm of torch.", "rms_norm", "layer_norm"),
    result=lambda answer: in_smollm2("norm", answer),
    difficulty=1,
    minutes=10,
)


# Chapter 5

check_my_feed_forward = Exercise(
    title="Your feed-forward layer in SmolLM2",
    reference=check_swiglu.reference,
    cases=check_swiglu.cases,
    switches=check_swiglu.switches,
    probes=check_swiglu.probes,
    result=lambda answer: in_smollm2("feed_forward", answer),
    difficulty=1,
    minutes=10,
)
