"""Answers to the exercises of the chapter on compute."""

import math
from fractions import Fraction

import numpy as np
import torch

from tests.exercises.answers import exercise

CHECKS = "lib.exercises.compute"

# --- 1. FLOPs of training


def training_flops(n_layers, d_model, n_heads, n_kv_heads, d_head, d_ff, vocab_size, positions):
    attention = d_model * d_head * (2 * n_heads + 2 * n_kv_heads)
    block = attention + 3 * d_model * d_ff + 2 * positions * n_heads * d_head
    return 6 * (n_layers * block + d_model * vocab_size)


def flops_cases():
    return [
        (2, 64, 4, 2, 16, 128, 1000, 32),
        (30, 576, 9, 3, 64, 1536, 49152, 2048),
        (32, 4096, 32, 8, 128, 14336, 128256, 8192),
        (3, 10, 3, 1, 5, 7, 11, 13),
        (1, 8, 2, 2, 4, 32, 50, 1),
        (28, 1024, 16, 8, 128, 3072, 151936, 4096),
    ]


def flops(L, d, h, k, w, f, v, t, attention=None, matrices=3, pairs=2, head=1, each=6, layers=True):
    attention = d * w * (2 * h + 2 * k) if attention is None else attention
    return each * (L * (attention + matrices * d * f + pairs * t * h * w) + head * d * v)


wrong, right = exercise(CHECKS, "check_training_flops", training_flops, flops_cases)
wrong(
    "queries and output d_model times d_model",
    lambda L, d, h, k, w, f, v, t: (
        6 * (L * (2 * d * d + 2 * d * k * w + 3 * d * f + 2 * h * w * t) + d * v)
    ),
)
wrong(
    "both: two feed-forward matrices, and no head",
    lambda L, d, h, k, w, f, v, t: (
        6 * L * (2 * d * h * w + 2 * d * k * w + 2 * d * f + 2 * h * w * t)
    ),
)


@right("2 for the forward pass, three passes")
def _(n_layers, d_model, n_heads, n_kv_heads, d_head, d_ff, vocab_size, positions):
    forward = 2 * d_model * vocab_size
    for _ in range(n_layers):
        forward += 2 * d_model * d_head * (n_heads + 2 * n_kv_heads)
        forward += 2 * positions * d_head * n_heads * 2
        forward += 2 * n_heads * d_head * d_model + 3 * 2 * d_model * d_ff
    return 3 * forward


@right("6 for each weight, 12 for each pair's feature")
def _(n_layers, d_model, n_heads, n_kv_heads, d_head, d_ff, vocab_size, positions):
    weights = n_layers * (2 * d_model * d_head * (n_heads + n_kv_heads) + 3 * d_model * d_ff)
    return 6 * (weights + vocab_size * d_model) + 12 * n_layers * n_heads * d_head * positions


right(
    "a list of shapes of products, floats",
    lambda L, d, h, k, w, f, v, t: (
        6.0
        * (
            L
            * sum(
                a * b
                for a, b in [
                    (d, h * w),
                    (d, k * w),
                    (d, k * w),
                    (h * w, d),
                    (d, f),
                    (d, f),
                    (f, d),
                    (h * w, t),
                    (t, h * w),
                ]
            )
            + d * v
        )
    ),
)

wrong("an ungated feed-forward layer", lambda *a: flops(*a, matrices=2))
wrong("no head", lambda *a: flops(*a, head=0))
wrong("the embedding too", lambda *a: flops(*a, head=2))
wrong("no pairs: 6N", lambda *a: flops(*a, pairs=0))
wrong("half of the pairs, as if causal", lambda *a: flops(*a, pairs=1))
wrong("pairs counted as parameters with multiply and add", lambda *a: flops(*a, pairs=4))
wrong("the forward pass only", lambda *a: flops(*a, each=2))
wrong("the backward pass only", lambda *a: flops(*a, each=4))
wrong("multiply-adds: 3 for 6", lambda *a: flops(*a, each=3))
wrong("recomputed: 8", lambda *a: flops(*a, each=8))
wrong(
    "keys and values with all heads", lambda L, d, h, k, w, f, v, t: flops(L, d, h, h, w, f, v, t)
)
wrong(
    "pairs with the heads of the keys",
    lambda L, d, h, k, w, f, v, t: flops(L, d, h, k, w, f, v, t, pairs=0) + 12 * L * t * k * w,
)
wrong("4 d_model squared", lambda L, d, h, k, w, f, v, t: flops(L, d, h, k, w, f, v, t, 4 * d * d))
wrong(
    "no output projection",
    lambda L, d, h, k, w, f, v, t: flops(L, d, h, k, w, f, v, t, d * w * (h + 2 * k)),
)
wrong(
    "keys without values",
    lambda L, d, h, k, w, f, v, t: flops(L, d, h, k, w, f, v, t, d * w * (2 * h + k)),
)
wrong("for a text, not a token", lambda *a: flops(*a) * a[-1])
wrong(
    "positions squared",
    lambda L, d, h, k, w, f, v, t: flops(L, d, h, k, w, f, v, t, pairs=0) + 12 * L * t * t * h * w,
)
wrong(
    "d_model for the heads' width in the pairs",
    lambda L, d, h, k, w, f, v, t: flops(L, d, h, k, w, f, v, t, pairs=0) + 12 * L * t * d,
)
wrong("one layer", lambda L, *a: flops(1, *a))
wrong(
    "the head once a layer",
    lambda L, d, h, k, w, f, v, t: flops(L, d, h, k, w, f, v, t, head=L) if L > 1 else 0,
)
wrong(
    "norms too", lambda L, d, h, k, w, f, v, t: flops(L, d, h, k, w, f, v, t) + 6 * (2 * L + 1) * d
)
wrong("one head", lambda L, d, h, k, w, f, v, t: flops(L, d, 1, 1, w, f, v, t))
wrong(
    "pairs forward only",
    lambda L, d, h, k, w, f, v, t: flops(L, d, h, k, w, f, v, t, pairs=0) + 4 * L * t * h * w,
)
wrong("both: no head and no pairs", lambda *a: flops(*a, head=0, pairs=0))
wrong("both: ungated, and half of the pairs", lambda *a: flops(*a, matrices=2, pairs=1))
wrong(
    "both: the embedding too, keys and values with all heads",
    lambda L, d, h, k, w, f, v, t: flops(L, d, h, h, w, f, v, t, head=2),
)
wrong(
    "both: no output projection, and no head",
    lambda L, d, h, k, w, f, v, t: flops(L, d, h, k, w, f, v, t, d * w * (h + 2 * k), head=0),
)

# --- 2. Two utilizations


def utilization(n_parameters, tokens_per_second, peak, recomputed):
    hardware = 8 if recomputed else 6
    speed = n_parameters * tokens_per_second / peak
    return 6 * speed, hardware * speed


def utilization_cases():
    return [
        (n, s, p, r)
        for r in (True, False)
        for n, s, p in [
            (7_000_000_000, 3000, 312e12),
            (1000, 50.0, 1e6),
            (135_000_000, 1e5, 9.89e14),
            (10, 3, 1000),
            (7, 2, 96.0),
        ]
    ]


def use(n, s, peak, again, m=6, h=(6, 8)):
    return m * n * s / peak, h[bool(again)] * n * s / peak


wrong, right = exercise(CHECKS, "check_utilization", utilization, utilization_cases)
right(
    "HFU from MFU",
    lambda n, s, peak, again: (6 * n * s / peak, 6 * n * s / peak * (4 / 3 if again else 1)),
)


@right("passes counted")
def _(n_parameters, tokens_per_second, peak, recomputed):
    forward = 2 * n_parameters
    backward = 2 * forward
    useful = (forward + backward) * tokens_per_second
    done = useful + (forward * tokens_per_second if recomputed else 0)
    return useful / peak, done / peak


right(
    "numpy",
    lambda n, s, peak, again: tuple((np.array([6.0, 6.0 + 2 * again]) * n * s / peak).tolist()),
)
right(
    "seconds a token",
    lambda n, s, peak, again: (6 * n / peak / (1 / s), (6 + 2 * int(again)) * n / peak / (1 / s)),
)

wrong("HFU 9N", lambda *a: use(*a, h=(6, 9)))
wrong("HFU 10N", lambda *a: use(*a, h=(6, 10)))
wrong("HFU 12N", lambda *a: use(*a, h=(6, 12)))
wrong("HFU 7N", lambda *a: use(*a, h=(6, 7)))
wrong("HFU 8N always", lambda *a: use(*a, h=(8, 8)))
wrong("HFU as MFU", lambda *a: use(*a, h=(6, 6)))
wrong("MFU counts the recomputation, HFU does not", lambda *a: use(*a)[::-1])
wrong("both shares count the recomputation", lambda n, s, p, r: use(n, s, p, r, 8 if r else 6))
wrong("recomputed asked the wrong way", lambda n, s, p, r: use(n, s, p, not r))
wrong("HFU smaller: 4N", lambda *a: use(*a, h=(6, 4)))
wrong("2N: the forward pass", lambda *a: use(*a, 2, (2, 4)))
wrong("percent", lambda *a: tuple(100 * x for x in use(*a)))
wrong("upside down", lambda *a: tuple(1 / x for x in use(*a)))
wrong("does not divide by the peak", lambda n, s, p, r: (6 * n * s, (8 if r else 6) * n * s))
wrong("tokens per second forgotten", lambda n, s, p, r: use(n, 1, p, r))
wrong("divides by tokens per second", lambda n, s, p, r: use(n, 1 / s, p, r))
wrong("MFU only", lambda *a: use(*a)[0])
wrong("FLOP/s, then shares of one another", lambda *a: (use(*a)[0] / use(*a)[1], 1.0))
wrong("integer division", lambda n, s, p, r: (6 * n * s // p, (8 if r else 6) * n * s // p))
wrong("capped at 0.4", lambda *a: tuple(min(x, 0.4) for x in use(*a)))
wrong("HFU adds 2 outside: 6N + 2", lambda n, s, p, r: (6 * n * s / p, (6 * n + 2 * r) * s / p))
wrong("both: HFU 9N, in percent", lambda *a: tuple(100 * x for x in use(*a, h=(6, 9))))
wrong("both: the order exchanged, and HFU 12N", lambda *a: use(*a, h=(6, 12))[::-1])
wrong(
    "both: 2N, and recomputed asked the wrong way",
    lambda n, s, p, r: use(n, s, p, not r, 2, (2, 4)),
)

# --- 3. A cache with windows


def cache_bytes(windows, n_kv_heads, d_head, positions, bytes_per_number):
    kept = sum(positions if window is None else min(window, positions) for window in windows)
    return 2 * kept * n_kv_heads * d_head * bytes_per_number


def cache_cases():
    return [
        ([None, 4, None], 2, 8, 10, 2), ([None] * 4, 1, 4, 5, 2), ([3, 3, 3], 2, 4, 100, 4), ([128, None], 8, 64, 50, 2), ([16], 3, 5, 16, 1),
        ([None, 1], 4, 16, 7, 2), ([], 2, 4, 8, 2), ([5, None, 20, 7, None], 3, 6, 12, 4), ([512] * 5 + [None], 1, 256, 4096, 2), ([3, None], 2, 4, 0, 2),
    ]  # fmt: skip


def cache(w, k, d, t, b, full=lambda t: t, kept=min, both=2):
    return both * sum(full(t) if x is None else kept(x, t) for x in w) * k * d * b


wrong, right = exercise(CHECKS, "check_cache_bytes", cache_bytes, cache_cases)


@right("adds up layer by layer")
def _(windows, n_kv_heads, d_head, positions, bytes_per_number):
    total = 0
    for window in windows:
        length = positions
        if window is not None and window < positions:
            length = window
        total += length * n_kv_heads * d_head * bytes_per_number * 2
    return total


right(
    "infinite windows",
    lambda w, k, d, t, b: int(2 * k * d * b * sum(min(t, math.inf if x is None else x) for x in w)),
)
right(
    "numpy",
    lambda w, k, d, t, b: int(
        np.minimum([t if x is None else x for x in w], t).sum() * 2 * k * d * b
    ),
)

wrong("keys only", lambda *a: cache(*a, both=1))
wrong("the window even if the text is shorter", lambda *a: cache(*a, kept=lambda x, t: x))
wrong("ignores the windows", lambda *a: cache(*a, kept=lambda x, t: t))
wrong("the longer of window and text", lambda *a: cache(*a, kept=max))
wrong("None keeps nothing", lambda *a: cache(*a, full=lambda t: 0))
wrong("None keeps one position", lambda *a: cache(*a, full=lambda t: 1))
wrong("a window keeps one position more", lambda *a: cache(*a, kept=lambda x, t: min(x + 1, t)))
wrong(
    "a window keeps one position less",
    lambda *a: cache(*a, kept=lambda x, t: min(max(x - 1, 0), t)),
)
wrong("2 bytes always", lambda w, k, d, t, b: cache(w, k, d, t, 2))
wrong("numbers, not bytes", lambda w, k, d, t, b: cache(w, k, d, t, 1))
wrong("bits", lambda *a: cache(*a) * 8)
wrong("one head", lambda w, k, d, t, b: cache(w, 1, d, t, b))
wrong("forgets d_head", lambda w, k, d, t, b: cache(w, k, 1, t, b))
wrong("one layer", lambda w, k, d, t, b: cache(w[:1], k, d, t, b))
wrong(
    "the smallest window for all layers",
    lambda w, k, d, t, b: cache(
        [min((x for x in w if x is not None), default=t)] * len(w), k, d, t, b
    ),
)
wrong("the first layer's window for all", lambda w, k, d, t, b: cache(w[:1] * len(w), k, d, t, b))
wrong(
    "min for all layers with None as an error",
    lambda w, k, d, t, b: 2 * k * d * b * sum(min(x, t) for x in w),
)
wrong("windows are subtracted", lambda *a: cache(*a, kept=lambda x, t: max(t - x, 0)))
wrong("positions multiplied with windows", lambda *a: cache(*a, kept=lambda x, t: x * t))
wrong("kibibytes", lambda *a: cache(*a) / 1024)
wrong(
    "cuts the whole at the sum of the windows",
    lambda w, k, d, t, b: 2 * k * d * b * min(sum(t if x is None else x for x in w), t * len(w)),
)
wrong("both: keys only, and ignores the windows", lambda *a: cache(*a, both=1, kept=lambda x, t: t))
wrong(
    "both: the window even if the text is shorter, None keeps nothing",
    lambda *a: cache(*a, kept=lambda x, t: x, full=lambda t: 0),
)
wrong("both: keys only, numbers not bytes", lambda w, k, d, t, b: cache(w, k, d, t, 1, both=1))

# --- 4. The least time of a decoding step


def decode_seconds(n_parameters, bytes_per_weight, cache_bytes_each, batch, peak, bandwidth):
    arithmetic = 2 * n_parameters * batch / peak
    traffic = (n_parameters * bytes_per_weight + batch * cache_bytes_each) / bandwidth
    return max(arithmetic, traffic)


def decode_cases():
    return [
        (8e9, 2, 1e9, 1, 989e12, 3.35e12),
        (8e9, 2, 1e8, 512, 989e12, 3.35e12),
        (8e9, 2, 0, 1000, 989e12, 3.35e12),
        (1000, 1, 50, 4, 1e6, 1e3),
        (1000, 0.5, 0, 64, 1e4, 1e5),
        (1000, 2, 900, 16, 1e6, 1e4),
        (135e6, 2, 2e6, 300, 1e12, 1e12),
        (10, 1, 1, 1, 20, 11.0),
        (8e9, 0.5, 3e8, 256, 989e12, 3.35e12),
    ]


def decode(
    n,
    w,
    c,
    b,
    peak,
    band,
    flop=2,
    join=max,
    weights=lambda n, w, b: n * w,
    caches=lambda c, b: c * b,
    times=lambda b: b,
):
    return join(flop * n * times(b) / peak, (weights(n, w, b) + caches(c, b)) / band)


wrong, right = exercise(CHECKS, "check_decode_seconds", decode_seconds, decode_cases)


@right("an if")
def _(n_parameters, bytes_per_weight, cache_bytes_each, batch, peak, bandwidth):
    compute = batch * 2 * n_parameters / peak
    memory = n_parameters * bytes_per_weight / bandwidth + cache_bytes_each * batch / bandwidth
    if compute > memory:
        return compute
    return memory


right(
    "numpy",
    lambda n, w, c, b, peak, band: float(
        np.max(np.array([2.0 * n * b, n * w + b * c]) / np.array([peak, band]))
    ),
)
right(
    "the roofline: FLOPs over the attainable rate",
    lambda n, w, c, b, peak, band: 2 * n * b / min(peak, band * 2 * n * b / (n * w + b * c)),
)
right(
    "fractions",
    lambda n, w, c, b, peak, band: float(
        max(
            2 * Fraction(n) * b / Fraction(peak),
            (Fraction(n) * Fraction(w) + b * Fraction(c)) / Fraction(band),
        )
    ),
)

wrong("adds the two times", lambda *a: decode(*a, join=lambda x, y: x + y))
wrong("the shorter time", lambda *a: decode(*a, join=min))
wrong("the mean", lambda *a: decode(*a, join=lambda x, y: (x + y) / 2))
wrong("arithmetic only", lambda *a: decode(*a, join=lambda x, y: x))
wrong("traffic only", lambda *a: decode(*a, join=lambda x, y: y))
wrong("N for 2N", lambda *a: decode(*a, flop=1))
wrong("6N", lambda *a: decode(*a, flop=6))
wrong("no cache", lambda *a: decode(*a, caches=lambda c, b: 0))
wrong("one cache for the batch", lambda *a: decode(*a, caches=lambda c, b: c))
wrong("weights read for each text", lambda *a: decode(*a, weights=lambda n, w, b: n * w * b))
wrong("arithmetic of one text", lambda *a: decode(*a, times=lambda b: 1))
wrong("bytes per weight forgotten", lambda *a: decode(*a, weights=lambda n, w, b: n))
wrong("2 bytes a weight always", lambda *a: decode(*a, weights=lambda n, w, b: 2 * n))
wrong("no weights in the traffic", lambda *a: decode(*a, weights=lambda n, w, b: 0))
wrong(
    "time for a token: divided by the batch",
    lambda *a: decode(*a) / a[3],
)
wrong("peak and bandwidth exchanged", lambda n, w, c, b, peak, band: decode(n, w, c, b, band, peak))
wrong("tokens per second", lambda n, w, c, b, peak, band: b / decode(n, w, c, b, peak, band))
wrong(
    "divides by the sum of peak and bandwidth",
    lambda n, w, c, b, peak, band: (2 * n * b + n * w + b * c) / (peak + band),
)
wrong("the cache is read and written", lambda *a: decode(*a, caches=lambda c, b: 2 * c * b))
wrong(
    "attention's FLOPs of the cache too",
    lambda n, w, c, b, peak, band: max((2 * n + 2 * c) * b / peak, (n * w + b * c) / band),
)
wrong("milliseconds", lambda *a: 1000 * decode(*a))
wrong(
    "the cache multiplied into the arithmetic",
    lambda n, w, c, b, peak, band: max(2 * n * b * max(c, 1) / peak, n * w / band),
)
wrong(
    "three times, cache alone",
    lambda n, w, c, b, peak, band: max(2 * n * b / peak, n * w / band, b * c / band),
)
wrong(
    "both: adds the times, one cache for the batch",
    lambda *a: decode(*a, join=lambda x, y: x + y, caches=lambda c, b: c),
)
wrong(
    "both: N for 2N, weights read for each text",
    lambda *a: decode(*a, flop=1, weights=lambda n, w, b: n * w * b),
)
wrong(
    "both: the shorter time, and no cache", lambda *a: decode(*a, join=min, caches=lambda c, b: 0)
)

# --- 5. Rounding in groups


def rounded(weight, bits, group):
    groups = weight.unflatten(1, (-1, group))
    scale = groups.abs().amax(dim=2, keepdim=True) / (2 ** (bits - 1) - 1)
    return ((groups / scale).round() * scale).flatten(1)


def rounding_cases():
    torch.manual_seed(29)
    cases = [
        (torch.randn(o, i), bits, g)
        for o, i, bits, g in [
            (2, 8, 4, 4),
            (3, 6, 3, 2),
            (4, 4, 8, 4),
            (4, 16, 2, 4),
            (1, 12, 5, 3),
            (5, 10, 4, 10),
            (4, 8, 3, 1),
            (8, 8, 4, 2),
        ]
    ]
    outlier = torch.randn(2, 8)
    outlier[0, 3] = -40.0
    return [*cases, (outlier, 4, 4), (-torch.rand(2, 6) - 0.5, 4, 3), (torch.rand(2, 6) + 3, 4, 3)]


def quantize(
    w,
    bits,
    group,
    top=lambda b: 2 ** (b - 1) - 1,
    size=lambda g: g.abs().amax(2, keepdim=True),
    step=torch.round,
    back=True,
):
    groups = w.unflatten(1, (-1, group))
    scale = size(groups) / top(bits)
    q = step(groups / scale)
    return (q * scale if back else q).flatten(1)


wrong, right = exercise(CHECKS, "check_rounded", rounded, rounding_cases)


@right("loops over rows and groups")
def _(weight, bits, group):
    top, out = 2 ** (bits - 1) - 1, torch.empty_like(weight)
    for r in range(weight.shape[0]):
        for start in range(0, weight.shape[1], group):
            part = weight[r, start : start + group]
            scale = part.abs().max() / top
            out[r, start : start + group] = torch.round(part / scale) * scale
    return out


@right("reshape, numpy in float64")
def _(weight, bits, group):
    g = weight.double().numpy().reshape(len(weight), -1, group)
    scale = np.abs(g).max(axis=-1, keepdims=True) / (2 ** (bits - 1) - 1)
    return torch.from_numpy((np.rint(g / scale) * scale).reshape(weight.shape))


@right("chunks, and a clamp that never acts")
def _(weight, bits, group):
    top, parts = (1 << (bits - 1)) - 1, []
    for part in weight.split(group, dim=1):
        scale = part.abs().amax(1, keepdim=True) / top
        parts.append((part / scale).round().clamp(-top, top) * scale)
    return torch.cat(parts, dim=1)


wrong("2^(bits - 1)", lambda *a: quantize(*a, top=lambda b: 2 ** (b - 1)))
wrong("2^bits - 1", lambda *a: quantize(*a, top=lambda b: 2**b - 1))
wrong("2^bits", lambda *a: quantize(*a, top=lambda b: 2**b))
wrong(
    "the largest, not the largest by size",
    lambda *a: quantize(*a, size=lambda g: g.amax(2, keepdim=True)),
)
wrong("one scale for all", lambda *a: quantize(*a, size=lambda g: g.abs().amax()))
wrong(
    "one scale for a row",
    lambda *a: quantize(*a, size=lambda g: g.abs().amax((1, 2), keepdim=True)),
)
wrong(
    "one scale for a column of groups",
    lambda *a: quantize(*a, size=lambda g: g.abs().amax(0, keepdim=True)),
)
wrong(
    "the range of a group",
    lambda *a: quantize(
        *a, size=lambda g: (g.amax(2, keepdim=True) - g.amin(2, keepdim=True)).clamp(min=1e-3)
    ),
)
wrong(
    "the mean size for the largest",
    lambda *a: quantize(*a, size=lambda g: g.abs().mean(2, keepdim=True)),
)
wrong("rounds down", lambda *a: quantize(*a, step=torch.floor))
wrong("rounds up", lambda *a: quantize(*a, step=torch.ceil))
wrong("cuts off towards zero", lambda *a: quantize(*a, step=torch.trunc))
wrong("does not round", lambda *a: quantize(*a, step=lambda x: x))
wrong("returns the integers", lambda *a: quantize(*a, back=False))
wrong("does not flatten", lambda w, b, g: rounded(w, b, g).unflatten(1, (-1, g)))
wrong(
    "groups of every n-th weight",
    lambda w, b, g: (
        lambda x: (
            quantize(x.unflatten(1, (g, -1)).transpose(1, 2).flatten(1), b, g)
            .unflatten(1, (-1, g))
            .transpose(1, 2)
            .flatten(1)
        )
    )(w),
)
wrong(
    "as many groups as a group should have members",
    lambda w, b, g: quantize(w, b, max(w.shape[1] // g, 1)),
)
wrong(
    "a zero point: asymmetric",
    lambda w, b, g: (
        lambda x: (lambda lo, s: (((x - lo) / s).round() * s + lo).flatten(1))(
            x.amin(2, keepdim=True),
            ((x.amax(2, keepdim=True) - x.amin(2, keepdim=True)) / (2**b - 1)).clamp(min=1e-9),
        )
    )(w.unflatten(1, (-1, g))),
)
wrong(
    "divides by the scale to go back",
    lambda w, b, g: (
        lambda x: (lambda s: ((x / s).round() / s).flatten(1))(
            x.abs().amax(2, keepdim=True) / (2 ** (b - 1) - 1)
        )
    )(w.unflatten(1, (-1, g))),
)
wrong("changes the caller's weights", lambda w, b, g: w.copy_(rounded(w, b, g)))
wrong(
    "rounds the scale too",
    lambda w, b, g: quantize(
        w, b, g, size=lambda x: x.abs().amax(2, keepdim=True).round().clamp(min=1)
    ),
)
wrong("loses the sign", lambda w, b, g: rounded(w, b, g).abs())
wrong(
    "both: 2^(bits - 1), one scale for all",
    lambda *a: quantize(*a, top=lambda b: 2 ** (b - 1), size=lambda g: g.abs().amax()),
)
wrong(
    "both: 2^bits - 1, and cuts off towards zero",
    lambda *a: quantize(*a, top=lambda b: 2**b - 1, step=torch.trunc),
)
wrong(
    "both: one scale for a row, returns the integers",
    lambda *a: quantize(*a, size=lambda g: g.abs().amax((1, 2), keepdim=True), back=False),
)
