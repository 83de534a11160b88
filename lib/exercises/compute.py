"""Exercises of chapter 12: FLOPs and utilization; others are in `hardware` and `rounding`."""

from collections.abc import Callable
from typing import Any

from lib.exercises.checking import Exercise
from lib.exercises.hardware import (
    cache_bytes,
    check_cache_bytes,
    check_decode_seconds,
    decode_seconds,
)
from lib.exercises.rounding import check_rounded, rounded

__all__ = [
    "cache_bytes",
    "check_cache_bytes",
    "check_decode_seconds",
    "check_rounded",
    "check_training_flops",
    "check_utilization",
    "decode_seconds",
    "rounded",
    "training_flops",
    "utilization",
]

# FLOPs


def training_flops(
    n_layers: int,
    d_model: int,
    n_heads: int,
    n_kv_heads: int,
    d_head: int,
    d_ff: int,
    vocab_size: int,
    positions: int,
    *,
    each: int = 6,
    projections: Callable = lambda d, h, k, w: d * w * (2 * h + 2 * k),
    gated: int = 3,
    head: Callable = lambda layers: 1,
    pairs: float | int = 2,
    width: Callable = lambda d, h, k, w: h * w,
    length: Callable = lambda t: t,
    blocks: Callable = lambda layers: layers,
    extra: Callable = lambda layers, d, t: 0,
    unit: Callable = lambda flops, t: flops,
) -> float | int:
    """FLOPs per token of training a model of Llama's kind, all matrix products counted."""
    sizes = (d_model, n_heads, n_kv_heads, d_head)
    matrices = projections(*sizes) + gated * d_model * d_ff
    products = pairs * length(positions) * width(*sizes)
    block = blocks(n_layers) * (matrices + products) + extra(n_layers, d_model, positions)
    return unit(each * (block + head(n_layers) * d_model * vocab_size), positions)


PAIRS = "Queries are multiplied with keys, and weights with values: "

check_training_flops = Exercise(
    title="FLOPs of training, per token",
    reference=training_flops,
    cases=lambda seed: [
        (2, 8, 2, 1, 4, 16, 11, 5),
        (3, 10, 3, 1, 5, 7, 11, 13),
        (30, 576, 9, 3, 64, 1536, 49_152, 1024 + seed),
        (28, 1024, 16, 8, 128, 3072, 151_936, 4096),
    ],
    switches={
        "each": {
            2: "This is the forward pass: each product has two more in the backward pass.",
            3: "A multiplication and an addition are two operations.",
            4: "This is the backward pass alone: add the forward pass, 2 for each weight.",
            8: "It counts the forward pass twice, as if it were recomputed.",
        },
        "projections": {
            lambda d, h, k, w: 4 * d * w * h: "Keys and values have n_kv_heads heads, not n_heads.",
            lambda d, h, k, w: 4 * d * d: "It takes 4 d_model²: heads and key heads have widths of "
            "their own, n_heads · d_head and n_kv_heads · d_head.",
            lambda d, h, k, w: 2 * d * d + 2 * d * w * k: "Queries and output are as wide as all "
            "heads together, n_heads · d_head, which need not be d_model.",
            lambda d, h, k, w: d * w * (h + 2 * k): "The output of attention is a product too.",
            lambda d, h, k, w: d * w * (2 * h + k): "Keys and values are two products.",
            lambda d, h, k, w: d * w * 2 * h: "Keys and values are products too.",
        },
        "gated": {
            2: "A gated feed-forward layer has three matrices: gate, up and down.",
            1: "A gated feed-forward layer has three matrices: gate, up and down.",
            0: "The feed-forward layers are missing.",
        },
        "head": {
            lambda layers: 0: "The head is a product too: d_model x vocab_size for each token.",
            lambda layers: 2: "The embedding is looked up, not multiplied: count the head alone.",
            lambda layers: layers: "The head is counted in every layer: there is one.",
        },
        "pairs": {
            0: f"{PAIRS}neither is a parameter, but both count.",
            1: f"{PAIRS}two products of every pair. (Or the half for a causal mask was taken: all "
            "pairs are to be counted.)",
            4: f"{PAIRS}two products, not four: 6 holds multiplications and additions already.",
            3: f"{PAIRS}two products, not three.",
            2 / 3: f"{PAIRS}in the backward pass too.",
            1 / 3: f"{PAIRS}in the backward pass too, and both products.",
        },
        "length": {
            lambda t: t * t: "For each token there are `positions` pairs, not their square.",
            lambda t: 1: "Each query meets `positions` keys, not one.",
        },
        "width": {
            lambda d, h, k, w: k * w: "Every query head scores, not only n_kv_heads.",
            lambda d, h, k, w: d: "The heads' joint width is n_heads · d_head, not d_model.",
            lambda d, h, k, w: w: "All heads score: multiply by n_heads.",
            lambda d, h, k, w: h: "The heads' width d_head is missing in attention's products.",
        },
        "blocks": {lambda layers: 1: "It counts one layer."},
        "extra": {
            lambda layers, d, t: (2 * layers + 1) * d: "Norms are no matrix products.",
            lambda layers, d, t: 2 * layers * d: "Norms are no matrix products.",
        },
        "unit": {lambda flops, t: flops * t: "This is for a text: per token is asked for."},
    },
    difficulty=2,
    minutes=15,
)

# Utilization


def utilization(
    n_parameters: int,
    tokens_per_second: float | int,
    peak: float | int,
    recomputed: bool,
    *,
    model: int = 6,
    again: float | int = 2,
    counted: Callable = lambda again: (0, again),
    result: Callable = lambda mfu, hfu: (mfu, hfu),
) -> tuple[float, float] | Any:
    """(MFU, HFU) by 6 N; with recomputation the hardware does one more forward pass, 2 N."""
    speed = n_parameters * tokens_per_second
    mfu, hfu = ((model + more) * speed / peak for more in counted(again * recomputed))
    return result(mfu, hfu)


EXTRA = "What is computed again is the forward pass, 2N: HFU counts 8N"

check_utilization = Exercise(
    title="MFU and HFU",
    reference=utilization,
    cases=lambda seed: [
        (125_000_000, 200_000 + seed, 312e12, False),
        (125_000_000, 150_000, 312e12, True),
        (8_000_000_000, 3_000, 989e12, True),
        (7, 2, 96.0, True),
    ],
    switches={
        "model": {
            2: "2 N is the forward pass: training takes 6 N.",
            3: "A multiplication and an addition are two operations: 6 N, not 3 N.",
        },
        "again": {
            0: "HFU counts the recomputed forward pass: 8 N instead of 6 N.",
            1: f"{EXTRA}, not 7N.",
            3: f"{EXTRA}, not 9N.",
            4: f"{EXTRA}, not 10N: the backward pass is not run again.",
            6: f"{EXTRA}, not 12N: the backward pass is not run again.",
            -2: f"{EXTRA}: more than MFU, not less.",
            -1.5: f"{EXTRA}: more than MFU, not less.",
        },
        "counted": {
            lambda again: (again, 0): "The two are swapped: it is the hardware that recomputes.",
            lambda again: (again, again): "MFU does not count what is computed a second time.",
            lambda again: (0, 2): "HFU counts a recomputed pass even where nothing is recomputed.",
            lambda again: (2, 2): "Both count a recomputed pass, always.",
            lambda again: (-again, 0): "MFU is lowered: it counts 6N whatever is recomputed.",
            lambda again: (
                -0.75 * again,
                0,
            ): "MFU is lowered: it counts 6N whatever is recomputed.",
            lambda again: (-again, again): "MFU is lowered: it counts 6N whatever is recomputed.",
            lambda again: (0, 2 - again): "It counts the second pass where nothing is recomputed.",
        },
        "result": {
            lambda m, h: (h, m): "The two are swapped: return MFU first.",
            lambda m, h: (100 * m, 100 * h): "Return shares, not percent.",
            lambda m, h: (1 / m, 1 / h): "The fractions are upside down: divide by the peak.",
            lambda m, h: (m / h, 1.0): "These are shares of one another: divide both by the peak.",
            lambda m, h: (m, h - m): "The second is what is computed again: HFU is the whole.",
            lambda m, h: (m, h / m): "The second is a share of the first: divide by the peak.",
            lambda m, h: (min(m, 0.4), min(h, 0.4)): "The shares are cut off at 0.4.",
            lambda m, h: (min(m, 1.0), min(h, 1.0)): "The shares are cut off at 1.",
        },
    },
    difficulty=1,
    minutes=10,
)
