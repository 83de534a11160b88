"""An exercise of chapter 3: attention in one pass over tiles of keys."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Probe
from lib.exercises.softmaxes import SCALE, divisor, has_nan, random

MATRIX = (
    "It holds scores of more than `tile` keys at once: read the keys tile by tile, and put together"
    " only sums."
)
TWICE = (
    "It reads the keys twice, first for the maximum: one pass is asked for. When a later tile has a"
    " larger score, rescale what was summed so far."
)
TORCH = "The result comes from an attention function of torch: write the pass over the tiles."


def online_attention(
    query: Float[Tensor, "T D"],
    key: Float[Tensor, "S D"],
    value: Float[Tensor, "S D"],
    tile: int,
    *,
    scale: str = "sqrt_d",
    first: float | int = -math.inf,
    maximum: str = "running",
    shrink: str = "both",
    keys: str = "all",
    divide: str = "end",
    mask: str = "none",
) -> Float[Tensor, "T D"]:
    """Attention without a mask, `tile` keys at a time, with a running maximum and sum."""
    width = tile**0.5 if scale == "tile" else divisor(scale, query.shape[-1], len(key))
    if divide == "tiles":
        parts = zip(key.split(tile), value.split(tile), strict=True)
        return sum((query @ k.T / width).softmax(-1) @ v for k, v in parts) / -(-len(key) // tile)
    best = torch.full((len(query), 1), float(first))
    total, output = torch.zeros(len(query), 1), torch.zeros(len(query), value.shape[-1])
    stop = len(key) if keys == "all" else len(key) // tile * tile
    for start in range(0, stop, tile):
        end = min(start + tile, stop)
        scores = query @ key[start:end].T / width
        if mask == "causal":
            seen = torch.arange(len(query))[:, None] >= torch.arange(start, end)
            scores = scores.masked_fill(~seen, -math.inf)
        top = scores.amax(-1, keepdim=True)
        new = torch.maximum(best, top)
        new = {
            "running": new, "tile": top, "none": 0 * new, "rows": new.amax().expand_as(new),
            }[maximum]  # fmt: skip
        factor = (best - new).exp()
        factor = 1 / factor if shrink == "grow" and start else factor
        exponentials = (scores - new).exp()
        mass = exponentials.sum(-1, keepdim=True)
        total = total * (factor if shrink in ("both", "sum", "grow") else 1) + mass
        output = output * (factor if shrink in ("both", "output", "grow") else 1)
        output = output + exponentials @ value[start:end] / (mass if divide == "own" else 1)
        output = output / total if divide == "each" else output
        best = new
    last = {"end": total, "mean": -(-len(key) // tile)}
    return output / last.get(divide, 1)


class OnePass:
    """The rule: never scores of more than `tile` keys, each key read once, no attention of torch.

    Scores are told by their size: floats with a dimension above `tile` and all other sizes, and
    without the width D. With a single query, to compute with keys of an earlier tile is a second
    pass.
    """

    def begin(self, case: tuple) -> None:
        """Take the sizes of the case that comes."""
        query, key, value, tile = case
        self.width, self.size = key.shape[-1], key.numel() if len(query) == 1 < len(key) else 0
        tiles = -(-len(key) // tile)  # a number for each tile, such as its maximum, is no score
        self.most = max(tile, len(query), self.width, value.shape[-1], tiles)
        self.each, self.done = tile * self.width, {}  # numbers in a tile; the tiles read so far

    def __call__(self, name: str, result: object) -> str | None:
        """Look at what a torch function returned."""
        if name in ("scaled_dot_product_attention", "multi_head_attention_forward"):
            return TORCH
        if not isinstance(result, Tensor) or not result.is_floating_point():
            return None
        if self.width not in result.shape and any(n > self.most for n in result.shape):
            return MATRIX
        return None

    def reads(self, args: tuple, result: object) -> str | None:
        """Look at where in the keys or values a function reads that makes something new."""
        if not isinstance(result, Tensor):
            return None
        for tensor in (x for x in args if isinstance(x, Tensor)):
            memory = tensor.untyped_storage()
            place = memory.data_ptr()
            if memory.nbytes() != self.size * tensor.element_size() or (
                result.untyped_storage().data_ptr() == place
            ):
                continue
            here, done = tensor.storage_offset() // self.each, self.done.setdefault(place, [])
            if here in done[:-1]:  # tiles may come in any order, but not again
                return TWICE
            done += [here] * (here not in done)
        return None


def _rows(keys: list, values: list, tile: int, query: float | int = 1.0) -> tuple:
    """One query (q, q) and keys (k, k) / √2, so that the scores are q · k."""
    key = torch.tensor(keys, dtype=torch.float32)[:, None].expand(-1, 2) / 2**0.5
    value = torch.tensor(values, dtype=torch.float32)[:, None].expand(-1, 2)
    return torch.full((1, 2), float(query)), key.contiguous(), value.contiguous(), tile


def _cases(seed: int) -> list[tuple]:
    sizes = [(1, 4, 2, 2), (3, 7, 4, 3), (4, 12, 8, 5), (2, 6, 4, 6), (3, 13, 2, 4)]
    cases = [(random(seed, t, d), random(seed, s, d), random(seed, s, d), tile)
             for t, s, d, tile in sizes]  # fmt: skip
    cases.append((60 * random(seed, 2, 4), 60 * random(seed, 9, 4), random(seed, 9, 4), 4))
    return cases


check_online_attention = Exercise(
    title="Online softmax",
    reference=online_attention,
    cases=_cases,
    switches={
        "scale": {**SCALE, "tile": "The scores are divided by the root of the tile, not by √d."},
        "first": {
            0.0: "The running maximum begins at 0: very negative scores then vanish. Begin at -∞.",
        },
        "maximum": {
            "tile": "The last tile's maximum is taken for that of all: keep the larger one.",
            "none": "Right for small scores, but exp overflows for large ones: subtract the "
            "maximum.",
            "rows": "One maximum serves all queries: rows with small scores vanish.",
        },
        "shrink": {
            "none": "Nothing is rescaled when the maximum rises: sums of different tiles are then "
            "in different units.",
            "sum": "The sum shrinks with a new maximum, but the output does not: both are relative "
            "to it.",
            "output": "The output shrinks with a new maximum, but the sum does not: both are "
            "relative to it.",
            "grow": "What was summed grows when the maximum rises: multiply by exp(old - new).",
        },
        "keys": {
            "full": "The last tile, when it is not full, is left out.",
        },
        "divide": {
            "never": "The division by the sum of the exponentials is missing.",
            "each": "The output is divided in each tile and summed on: divide once, at the end.",
            "mean": "The output is divided by the number of tiles, not by the sum.",
            "own": "Each tile is divided by its own sum: divide once, by the sum of all.",
            "tiles": "It is the mean of what each tile gives alone: tiles with large scores count "
            "more.",
        },
        "mask": {"causal": "Later keys are hidden: no mask is asked for."},
    },
    probes=[
        Probe(
            "One key has the weight 1: the output is its value.",
            _rows([3], [5], 1),
        ),
        Probe(
            "With all keys in one tile it must be usual attention: softmax over scores / √D.",
            _rows([0, 1], [0, 1], 2),
        ),
        Probe(
            "Equal scores in two tiles: the output is the mean of all values.",
            _rows([0, 0, 0, 0], [0, 1, 2, 5], 2),
        ),
        Probe(
            "Equal scores, the last tile shorter: the output is the mean of all values.",
            _rows([0, 0, 0], [0, 1, 5], 2),
        ),
        Probe(
            "Where all values are 1 the output is 1: the sum must hold the same exponentials.",
            _rows([1, 2, 3, 0], [1, 1, 1, 1], 2),
        ),
        Probe(
            "When the first tile has the larger scores, the second must count less.",
            _rows([2, 2, 0, 0], [0, 0, 1, 1], 2),
        ),
        Probe(
            "When the second tile has the larger scores, what was summed before must shrink.",
            _rows([0, 0, 2, 2], [0, 0, 1, 1], 2),
        ),
        Probe(
            "With three tiles the output must be usual attention: softmax over scores / √D.",
            _rows([0, 2, 1, 0, 3, 1], [0, 1, 2, 3, 4, 5], 2),
        ),
        Probe(
            "Very negative scores vanish: the running maximum must begin at -∞, and each query "
            "needs its own.",
            (torch.tensor([[1.0, 0], [0, 1]]), torch.tensor([[-900.0, 0], [-901, 0], [-902, 0]]),
             torch.tensor([[0.0, 1], [1, 0], [2, 2]]), 2),
        ),
        Probe(
            "Large scores overflow: subtract the running maximum.",
            _rows([900, 901, 899], [0, 1, 2], 2),
            lambda e, g: has_nan(e, g),
        ),
    ],
    rule=OnePass(),
    difficulty=3,
    minutes=30,
)  # fmt: skip
