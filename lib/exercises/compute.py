"""Exercises of chapter 12: FLOPs, utilization, the cache, the roofline, rounding."""

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Mistake

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
) -> int:
    """FLOPs per token of training a model of Llama's kind, all matrix products counted."""
    attention = d_model * d_head * (2 * n_heads + 2 * n_kv_heads)
    matrices = n_layers * (attention + 3 * d_model * d_ff) + d_model * vocab_size
    products = n_layers * 2 * positions * n_heads * d_head
    return 6 * (matrices + products)


def _flops_without(part: str):
    def wrong(n_layers, d_model, n_heads, n_kv_heads, d_head, d_ff, vocab_size, positions):
        sizes = [n_layers, d_model, n_heads, n_kv_heads, d_head, d_ff, vocab_size, positions]
        right = training_flops(*sizes)
        attention = 12 * n_layers * positions * n_heads * d_head
        return {
            "backward": right // 3,
            "additions": right // 2,
            "head": right - 6 * d_model * vocab_size,
            "attention": right - attention,
            "half of attention": right - attention // 2,
        }[part]

    return wrong


check_training_flops = Exercise(
    title="FLOPs of training, per token",
    reference=training_flops,
    cases=lambda seed: [
        (2, 8, 2, 1, 4, 16, 11, 5),
        (30, 576, 9, 3, 64, 1536, 49_152, 1024 + seed),
        (28, 1024, 16, 8, 128, 3072, 151_936, 4096),
    ],
    mistakes=[
        Mistake(
            _flops_without("backward"),
            "This is the forward pass: each product has two more in the backward pass.",
        ),
        Mistake(
            _flops_without("additions"),
            "A multiplication and an addition are two operations.",
        ),
        Mistake(
            _flops_without("head"),
            "The head is a product too: d_model x vocab_size for each token.",
        ),
        Mistake(
            _flops_without("attention"),
            "Queries are multiplied with keys, and weights with values: neither is a parameter.",
        ),
        Mistake(
            _flops_without("half of attention"),
            "Attention has two products of every pair: with the keys and with the values.",
        ),
    ],
    difficulty=2,
    minutes=15,
)


# Utilization


def utilization(
    n_parameters: int, tokens_per_second: float | int, peak: float | int, recomputed: bool
) -> tuple[float, float]:
    """(MFU, HFU) by 6 N; with recomputation the hardware does one more forward pass, 2 N."""
    mfu = 6 * n_parameters * tokens_per_second / peak
    return mfu, mfu * 8 / 6 if recomputed else mfu


check_utilization = Exercise(
    title="MFU and HFU",
    reference=utilization,
    cases=lambda seed: [
        (125_000_000, 200_000 + seed, 312e12, False),
        (125_000_000, 150_000, 312e12, True),
        (8_000_000_000, 3_000, 989e12, True),
    ],
    mistakes=[
        Mistake(
            lambda *case: tuple(reversed(utilization(*case))),
            "The two are swapped: it is the hardware that recomputes.",
        ),
        Mistake(
            lambda n, speed, peak, recomputed: (utilization(n, speed, peak, recomputed)[1],) * 2,
            "MFU does not count what is computed a second time.",
        ),
        Mistake(
            lambda n, speed, peak, recomputed: (utilization(n, speed, peak, False)[0],) * 2,
            "HFU counts the recomputed forward pass: 8 N instead of 6 N.",
        ),
        Mistake(
            lambda n, speed, peak, recomputed: (
                2 * n * speed / peak,
                (4 if recomputed else 2) * n * speed / peak,
            ),
            "2 N is the forward pass: training takes 6 N.",
        ),
        Mistake(
            lambda n, speed, peak, recomputed: tuple(
                100 * u for u in utilization(n, speed, peak, recomputed)
            ),
            "Return shares, not percent.",
        ),
    ],
    difficulty=1,
    minutes=10,
)


# The cache


def cache_bytes(
    windows: list, n_kv_heads: int, d_head: int, positions: int, bytes_per_number: int
) -> int:
    """Bytes of one sequence's keys and values; `windows` has a width or None for each layer."""
    kept = sum(positions if window is None else min(window, positions) for window in windows)
    return 2 * kept * n_kv_heads * d_head * bytes_per_number


check_cache_bytes = Exercise(
    title="A cache with windows",
    reference=cache_bytes,
    cases=lambda seed: [
        ([None, None], 2, 4, 10, 2),
        ([None, 4, 4], 2, 4, 10 + seed, 2),
        ([1024, None] * 8, 8, 128, 8192, 2),
        ([512] * 4, 4, 64, 100, 4),
    ],
    mistakes=[
        Mistake(
            lambda windows, *rest: cache_bytes(windows, *rest) // 2,
            "Keys and values: both are kept.",
        ),
        Mistake(
            lambda windows, *rest: cache_bytes([None] * len(windows), *rest),
            "A layer with a window keeps no more than its window.",
        ),
        Mistake(
            lambda windows, n_kv_heads, d_head, positions, size: (
                2 * sum(positions if w is None else w for w in windows) * n_kv_heads * d_head * size
            ),
            "A text shorter than the window does not fill it.",
        ),
        Mistake(
            lambda windows, n_kv_heads, d_head, positions, size: cache_bytes(
                windows, n_kv_heads, d_head, positions, 1
            ),
            "This counts numbers: multiply by the bytes of each.",
        ),
    ],
    difficulty=1,
    minutes=10,
)


# The roofline


def decode_seconds(
    n_parameters: int,
    bytes_per_weight: float | int,
    cache_bytes_each: int,
    batch: int,
    peak: float | int,
    bandwidth: float | int,
) -> float:
    """The least time of one decoding step of a batch: arithmetic or memory traffic."""
    arithmetic = 2 * n_parameters * batch / peak
    traffic = (n_parameters * bytes_per_weight + batch * cache_bytes_each) / bandwidth
    return max(arithmetic, traffic)


check_decode_seconds = Exercise(
    title="The least time of a decoding step",
    reference=decode_seconds,
    cases=lambda seed: [
        (10**9, 2, 10**8, 1 + seed, 312e12, 1.555e12),
        (10**9, 2, 10**6, 400, 312e12, 1.555e12),
        (8 * 10**9, 1, 10**9, 16, 989e12, 3.35e12),
        (8 * 10**9, 0.5, 10**7, 2048, 989e12, 3.35e12),
    ],
    mistakes=[
        Mistake(
            lambda n, width, cache, batch, peak, bandwidth: (
                2 * n * batch / peak + (n * width + batch * cache) / bandwidth
            ),
            "The two overlap: the step takes the longer time, not the sum.",
        ),
        Mistake(
            lambda n, width, cache, batch, peak, bandwidth: max(
                2 * n * batch / peak, batch * (n * width + cache) / bandwidth
            ),
            "The batch reads the weights once, together.",
        ),
        Mistake(
            lambda n, width, cache, batch, peak, bandwidth: max(
                2 * n * batch / peak, (n * width + cache) / bandwidth
            ),
            "Each sequence has a cache of its own.",
        ),
        Mistake(
            lambda n, width, cache, batch, peak, bandwidth: (n * width + batch * cache) / bandwidth,
            "A large batch is bound by arithmetic, 2 N for each sequence.",
        ),
        Mistake(
            lambda n, width, cache, batch, peak, bandwidth: min(
                2 * n * batch / peak, (n * width + batch * cache) / bandwidth
            ),
            "The slower of the two decides: the larger time.",
        ),
    ],
    difficulty=2,
    minutes=15,
)


# Rounding


def rounded(weight: Float[Tensor, "out in"], bits: int, group: int) -> Float[Tensor, "out in"]:
    """Round each group of neighbors in a row to multiples of its largest weight / most."""
    most = 2 ** (bits - 1) - 1
    grouped = weight.unflatten(1, (-1, group))
    scale = grouped.abs().amax(dim=2, keepdim=True) / most
    return ((grouped / scale).round() * scale).flatten(1)


def _rounded_wrongly(weight, bits, group, size=torch.abs, round_=torch.round):
    most = 2 ** (bits - 1) - 1
    grouped = weight.unflatten(1, (-1, group))
    scale = size(grouped).amax(dim=2, keepdim=True) / most
    return (round_(grouped / scale).clamp(-most, most) * scale).flatten(1)


def _random_weights(seed: int) -> list[tuple]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, 8, 4, 4), (3, 64, 4, 32), (5, 96, 8, 16)]
    return [(torch.randn(o, i, generator=generator), bits, group) for o, i, bits, group in shapes]


check_rounded = Exercise(
    title="Rounding in groups",
    reference=rounded,
    cases=_random_weights,
    mistakes=[
        Mistake(
            lambda weight, bits, group: rounded(weight, bits, weight.shape[1]),
            "Each group has a scale of its own, not each row.",
        ),
        Mistake(
            lambda *case: _rounded_wrongly(*case, round_=torch.trunc),
            "Round to the nearest integer; this cuts off.",
        ),
        Mistake(
            lambda *case: _rounded_wrongly(*case, size=torch.clone),
            "The largest weight by size: take the absolute value first.",
        ),
        Mistake(
            lambda weight, bits, group: rounded(weight, bits + 1, group),
            "One bit is the sign: the largest integer is 2^(bits - 1) - 1.",
        ),
        Mistake(
            lambda weight, bits, group: (
                rounded(weight, bits, group).unflatten(1, (-1, group))
                / (
                    weight.unflatten(1, (-1, group)).abs().amax(dim=2, keepdim=True)
                    / (2 ** (bits - 1) - 1)
                )
            ).flatten(1),
            "These are the integers: multiply them by their scale again.",
        ),
    ],
    difficulty=2,
    minutes=15,
)
