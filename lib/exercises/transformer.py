"""Exercises of chapter 6: parameters, tied weights, initialization; chapter 7's: `objectives`."""

import math
from collections.abc import Callable

from lib.exercises.checking import Exercise, Probe
from lib.exercises.objectives import check_language_model_loss, language_model_loss
from lib.exercises.rates import check_learning_rate, learning_rate
from lib.exercises.tying import check_tie, tie

__all__ = [
    "block_parameters", "check_block_parameters", "check_language_model_loss",
    "check_learning_rate", "check_residual_scale", "check_tie", "language_model_loss",
    "learning_rate", "residual_scale", "tie",
]  # fmt: skip

# Parameter count


def block_parameters(
    d_model: int,
    n_heads: int,
    n_kv_heads: int,
    d_head: int,
    d_ff: int,
    *,
    query: str = "heads",
    keys: str = "kv",
    output: str = "heads",
    gated: float | int = 3,
    norms: float | int = 2,
    head: str = "given",
    biases: str = "none",
    more: str = "none",
) -> int:
    """Parameters of one block of Llama: no biases, a gated feed-forward layer, two RMSNorms."""
    d_head = {
        "given": d_head, "model": d_model // n_heads, "model_kv": d_model // n_kv_heads,
    }[head]  # fmt: skip
    wide = {
        "heads": n_heads * d_head, "model": d_model, "kv": n_kv_heads * d_head, "none": 0,
        "narrow": d_head, "double": 2 * n_heads * d_head,
        "product": n_heads * n_kv_heads * d_head, "both": (n_heads + n_kv_heads) * d_head,
    }  # fmt: skip
    projected = 2 * wide[keys] if keys != "one" else wide["kv"]
    attention = d_model * (wide[query] + projected + wide[output])
    vectors = {"none": 0, "attention": wide[query] + projected + d_model,
               "qkv": wide[query] + projected, "feedforward": 2 * d_ff + d_model,
               "down": d_model}  # fmt: skip
    added = vectors["attention"] + vectors["feedforward"] if biases == "all" else vectors[biases]
    matrices = gated * d_model * d_ff if gated != "square" else 3 * d_ff**2
    extra = {"none": 0, "d_ff²": d_ff**2, "d_model²": d_model**2, "embedding": 49152 * d_model}[
        more
    ]
    gains = norms * d_model if norms < 100 else 2
    return int(attention + matrices + gains + added + extra)


# One digit place for each part: norms, queries and output, keys and values, feed-forward.
PLACES = (1, 100, 10_000, 1, 1_000_000)


def _digits(place: int) -> Callable[[int, int], bool]:
    return lambda e, g: e // place % 100 != g // place % 100


check_block_parameters = Exercise(
    title="Parameters of a block",
    reference=block_parameters,
    cases=lambda seed: [
        (4, 2, 1, 2, 8), (576, 9, 3, 64, 1536), (1024, 16, 8, 128, 3072 + seed), (5, 3, 2, 7, 11),
    ],
    switches={
        "query": {
            "model": "Queries and output have matrices of d_model x n_heads · d_head: one of them "
            "is taken as d_model².",
            "none": "Queries and output have a matrix each: one of them is missing.",
            "kv": "Queries and output have n_heads heads: one of them is taken with n_kv_heads.",
        },
        "keys": {
            "heads": "Keys and values have n_kv_heads heads, fewer than the queries.",
            "model": "Keys and values are n_kv_heads · d_head wide, not d_model.",
            "one": "Keys and values have a matrix each: one of them is missing.",
            "none": "The matrices of keys and values are missing.",
            "narrow": "Keys and values have n_kv_heads heads, not one.",
            "product": "Keys and values have n_kv_heads heads in all, not for each query head.",
            "double": "Keys and values have a matrix each, with n_kv_heads heads.",
        },
        "output": {
            "model": "The other one is taken as d_model² too.",
            "none": "The other one is missing too.",
            "kv": "The other one is taken with n_kv_heads too.",
        },
        "gated": {
            2: "A gated feed-forward layer has three matrices: gate, up and down.",
            1: "A gated feed-forward layer has three matrices: gate, up and down.",
            4: "A gated feed-forward layer has three matrices, not four.",
            0: "The feed-forward layer is missing.",
            6: "The feed-forward layer is counted twice.",
        },
        "norms": {
            0: "The two norms are missing: each has a gain for every feature.",
            1: "There are two norms, before attention and before feed-forward.",
            3: "There are two norms: the last norm belongs to the model.",
            4: "An RMSNorm has a gain for each feature, and no bias.",
            100: "A norm has a gain for every feature, not one number.",
        },
        "head": {
            "model": "d_head is given: it need not be d_model / n_heads.",
            "model_kv": "d_head is given: it is not d_model / n_kv_heads.",
        },
        "biases": {
            "attention": "Attention has no biases.",
            "qkv": "Attention has no biases.",
            "feedforward": "The feed-forward layer has no biases.",
            "down": "There are no biases.",
            "all": "There are no biases.",
        },
        "more": {"embedding": "The embedding does not belong to the block."},
    },
    probes=[
        Probe("With all sizes 1 there are 4 + 3 matrices and 2 gains: 9 numbers.", (1, 1, 1, 1, 1)),
        Probe("The feed-forward layer must have 3 · d_model · d_ff parameters.", PLACES,
              lambda e, g: e // 10**6 != g // 10**6),
        Probe("Keys and values must have 2 · d_model · n_kv_heads · d_head parameters.", PLACES,
              _digits(10_000)),
        Probe("Queries and output must have 2 · d_model · n_heads · d_head parameters.", PLACES,
              _digits(100)),
        Probe("The two norms must have 2 · d_model parameters, and nothing else is in a block.",
              PLACES, _digits(1)),
        Probe("All parts grow with d_model: each matrix has one side of d_model, each norm too.",
              (10, 1, 1, 1, 1)),
        Probe("Each of attention's four matrices grows with d_head.", (1, 1, 1, 10, 1)),
    ],
    difficulty=1,
    minutes=10,
)  # fmt: skip


# Initialization

# What a slip computes, and what to say of it
SCALES: dict[str, tuple[Callable[[int], float], str]] = {
    "2n": (lambda n: 0.02 / math.sqrt(2 * n), ""),
    "no root": (lambda n: 0.02 / (2 * n), "It is the variances that add up: divide by the root."),
    "n": (lambda n: 0.02 / math.sqrt(n), "Each layer writes twice: attention and feed-forward."),
    "times": (lambda n: 0.02 * math.sqrt(2 * n),
        "More layers need smaller weights, not larger ones."),
    "n no root": (lambda n: 0.02 / n,
        "It is the variances that add up, and each layer writes twice."),
    "2 root": (lambda n: 0.02 / (2 * math.sqrt(n)),
        "Both factors belong under the root: √(2 L), not 2 √L."),
    "2n + 1": (lambda n: 0.02 / math.sqrt(2 * n + 1),
        "One write too many: the embedding is not scaled."),
    "2n - 1": (lambda n: 0.02 / math.sqrt(2 * n - 1),
        "One write too few: each layer writes twice, the first and the last too."),
    "3n": (lambda n: 0.02 / math.sqrt(3 * n),
        "Each layer writes twice, not three times: attention and feed-forward."),
    "whole": (lambda n: 0.02 / math.isqrt(2 * n),
        "The root is cut to a whole number: use `math.sqrt` or `** 0.5`."),
    "one": (lambda n: 1 / math.sqrt(2 * n),
        "The 0.02 is missing: that is what one write has without scaling."),
    "variance": (lambda n: 0.02**2 / (2 * n), "This is the variance: take its root."),
    "root all": (lambda n: math.sqrt(0.02 / (2 * n)),
        "0.02 is a standard deviation: it stands outside the root."),
    "same": (lambda n: 0.02, "The number of layers is not used."),
    "half": (lambda n: 0.02 / math.sqrt(n / 2), "Each layer writes twice: 2 L, not L / 2."),
}  # fmt: skip


def residual_scale(n_layers: int, *, scale: str = "2n") -> float:
    """Standard deviation for weights that write to the residual stream, with 0.02 for the others.

    2 L independent writes add up in variance: each must be smaller by sqrt(2 L).
    """
    return SCALES[scale][0](n_layers)


check_residual_scale = Exercise(
    title="Initialization of what writes to the residual stream",
    reference=residual_scale,
    cases=lambda seed: [(n + seed,) for n in (1, 12, 30)],
    switches={"scale": {name: sentence for name, (_, sentence) in SCALES.items() if sentence}},
    probes=[
        Probe("With 2 layers there are 4 writes, and each must vary half as much: 0.01.", (2,)),
        Probe("With 8 layers there are 16 writes: 0.02 / 4 = 0.005.", (8,)),
        Probe("With 1 layer there are 2 writes: 0.02 / √2.", (1,)),
    ],
    difficulty=1,
    minutes=5,
)
