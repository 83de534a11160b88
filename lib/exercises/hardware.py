"""Exercises of chapter 12: the least time of a decoding step, and the cache's bytes."""

from collections.abc import Callable
from typing import Any

from lib.exercises.checking import Exercise, Probe


def decode_seconds(
    n_parameters: int,
    bytes_per_weight: float | int,
    cache_bytes_each: int,
    batch: int,
    peak: float | int,
    bandwidth: float | int,
    *,
    flops: float | int = 2,
    texts: Callable = lambda b: b,
    weights: Callable = lambda n, w, b: n * w,
    caches: Callable = lambda c, b: c * b,
    more: Callable = lambda n, c: 0,
    join: Callable = max,
    times: Callable | None = None,
    result: Callable = lambda seconds, b: seconds,
) -> float:
    """The least time of one decoding step of a batch: arithmetic or memory traffic."""
    work = (flops * n_parameters + more(n_parameters, cache_bytes_each)) * texts(batch)
    read = weights(n_parameters, bytes_per_weight, batch), caches(cache_bytes_each, batch)
    if times is not None:
        return result(times(work, *read, peak, bandwidth), batch)
    return result(join(work / peak, sum(read) / bandwidth), batch)


check_decode_seconds = Exercise(
    title="The least time of a decoding step",
    reference=decode_seconds,
    cases=lambda seed: [
        (10**9, 2, 10**8, 1 + seed, 312e12, 1.555e12),
        (10**9, 2, 10**6, 400, 312e12, 1.555e12),
        (10**9, 2, 10**9, 7, 312e12, 1.555e12),
        (8 * 10**9, 1, 10**9, 16, 989e12, 3.35e12),
        (8 * 10**9, 0.5, 10**7, 2048, 989e12, 3.35e12),
    ],
    switches={
        "join": {
            lambda work, read: work + read: (
                "The two overlap: the step takes the longer time, not the sum."
            ),
            min: "The slower of the two decides: the larger time.",
            lambda work, read: (work + read) / 2: "It takes the mean: the longer time counts.",
            lambda work, read: read: (
                "A large batch is bound by arithmetic, 2 N for each sequence."
            ),
            lambda work, read: work: "A small batch is bound by what is read from memory.",
        },
        "flops": {
            1: "A multiplication and an addition are two operations: 2 N for each text.",
            6: "6 N is training: decoding takes 2 N for each text.",
        },
        "texts": {lambda b: 1: "The arithmetic is done for each text of the batch."},
        "weights": {
            lambda n, w, b: n * w * b: "The batch reads the weights once, together.",
            lambda n, w, b: n: "A weight has `bytes_per_weight` bytes.",
            lambda n, w, b: 2 * n: "A weight has `bytes_per_weight` bytes, not always 2.",
            lambda n, w, b: 0: "The weights are read too.",
        },
        "caches": {
            lambda c, b: c: "Each sequence has a cache of its own.",
            lambda c, b: 0: "Each text's keys and values are read too.",
            lambda c, b: 2 * c * b: "`cache_bytes_each` holds keys and values already, and only "
            "reading counts.",
            lambda c, b: c / b: "Each sequence has a cache of its own: multiply by the batch.",
        },
        "more": {
            lambda n, c: 2 * c: "Attention's FLOPs are to be left out.",
            lambda n, c: c: "Attention's FLOPs are to be left out.",
        },
        "times": {
            lambda work, n, c, peak, bandwidth: max(work / peak, n / bandwidth, c / bandwidth): (
                "Weights and caches go over the same memory: their times add up."
            ),
            lambda work, n, c, peak, bandwidth: (work + n + c) / (peak + bandwidth): (
                "Operations and bytes are added: each has a time of its own."
            ),
            lambda work, n, c, peak, bandwidth: max(work / bandwidth, (n + c) / peak): (
                "Peak and bandwidth are exchanged: FLOPs by the peak, bytes by the bandwidth."
            ),
        },
        "result": {
            lambda s, b: s / b: "This is the time for one text: the step does all of them.",
            lambda s, b: b / s: "These are tokens a second: seconds are asked for.",
            lambda s, b: 1e3 * s: "These are milliseconds: seconds are asked for.",
        },
    },
    difficulty=2,
    minutes=15,
)


def cache_bytes(
    windows: list,
    n_kv_heads: int,
    d_head: int,
    positions: int,
    bytes_per_number: int,
    *,
    both: int = 2,
    full: Callable = lambda t: t,
    kept: Callable = min,
    layers: Callable = lambda windows: windows,
    size: Callable = lambda size: size,
    total: Callable = sum,
) -> int | Any:
    """Bytes of one sequence's keys and values; `windows` has a width or None for each layer."""
    places = [full(positions) if w is None else kept(w, positions) for w in layers(windows)]
    return both * total(places) * n_kv_heads * d_head * size(bytes_per_number)


def _smallest(windows: list) -> list:
    return [min((w for w in windows if w is not None), default=None)] * len(windows)


FILLED = "A text shorter than the window does not fill it."

check_cache_bytes = Exercise(
    title="A cache with windows",
    reference=cache_bytes,
    cases=lambda seed: [
        ([None, None], 2, 4, 10, 2),
        ([None, 4, 4], 2, 4, 10 + seed, 2),
        ([4, None, 6], 3, 8, 12, 1),
        ([1024, None] * 8, 8, 128, 8192, 2),
        ([512] * 4, 4, 64, 100, 4),
    ],
    switches={
        "both": {1: "Keys and values: both are kept."},
        "full": {
            lambda t: 0: "None means that a layer keeps all positions, not none.",
            lambda t: 1: "None means that a layer keeps all positions, not one.",
        },
        "kept": {
            lambda w, t: t: "A layer with a window keeps no more than its window.",
            lambda w, t: w: FILLED,
            max: "It takes the longer of window and text: the shorter is kept.",
            lambda w, t: min(w + 1, t): "A window keeps one position less than this.",
            lambda w, t: min(max(w - 1, 0), t): "A window keeps as many positions as it says, not "
            "one less.",
            lambda w, t: max(t - w, 0): "It keeps what the window drops: keep the window.",
            lambda w, t: w * t: "Positions are not multiplied with the window.",
            lambda w, t: 0: "A layer with a window keeps its window.",
            lambda w, t: w + t: "Positions are not added to the window.",
        },
        "layers": {
            lambda windows: windows[:1]: "It counts the first layer alone.",
            _smallest: "It takes the smallest window for all layers: each has its own.",
            lambda windows: windows[:1] * len(windows): "The first layer's window serves all.",
            lambda windows: windows[-1:] * len(windows): "The last layer's window serves all.",
        },
        "size": {
            **dict.fromkeys(
                [lambda b: 2, lambda b: 4],
                "A number has `bytes_per_number` bytes, not a fixed number.",
            ),
            lambda b: 1: "This counts numbers: multiply by the bytes of each.",
            lambda b: 8 * b: "This counts bits: bytes are asked for.",
            lambda b: b / 1024: "This is in KiB: bytes are asked for.",
            lambda b: b / 2**20: "This is in MiB: bytes are asked for.",
            lambda b: b / 2**30: "This is in GiB: bytes are asked for.",
        },
        "total": {
            lambda places: sum(places) / len(places): "It takes the mean over layers: sum them."
        },
    },
    probes=[
        Probe(
            "Each layer is cut to its own window and to the text, not all together.",
            ([None, 100, 4], 2, 4, 10, 2),
            lambda expected, got: got in (32 * 30, 32 * 10),  # 32 bytes a position
        )
    ],
    difficulty=1,
    minutes=10,
)
