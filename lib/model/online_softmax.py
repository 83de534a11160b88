"""FlashAttention's algorithm in plain torch: exact attention that never holds a row of scores.

Softmax seems to need a whole row: its largest score, to be safe, and its sum. But both can be kept
up to date while the keys come by in tiles. Memory for scores falls from T x S to one tile.
Sources: Milakov & Gimelshein (2018), algorithm 3; Dao et al. (2022), FlashAttention, algorithm 1;
Dao (2023), FlashAttention-2, for the loop over queries outside.
"""

import math

import torch
from einops import repeat
from jaxtyping import Bool, Float
from torch import Tensor


def online_softmax_step(
    maximum: Float[Tensor, "... T"],
    total: Float[Tensor, "... T"],
    output: Float[Tensor, "... T D"],
    scores: Float[Tensor, "... T tile"],
    value: Float[Tensor, "... tile D"],
) -> tuple[Float[Tensor, "... T"], Float[Tensor, "... T"], Float[Tensor, "... T D"]]:
    """Take in one tile of keys: the new maximum, sum of
    exponentials, and unnormalized output.

    What was summed before is relative to the old maximum, so it shrinks by exp(old -
    new).
    """
    new_maximum = torch.maximum(maximum, scores.amax(dim=-1))
    # A row of masked scores alone has the maximum -inf; -inf minus -inf would be NaN.
    safe = torch.where(new_maximum == -math.inf, 0.0, new_maximum)
    shrink = torch.exp(maximum - safe)
    exponentials = torch.exp(scores - safe[..., None])
    total = total * shrink + exponentials.sum(dim=-1)
    output = output * shrink[..., None] + exponentials @ value
    return new_maximum, total, output


def tiled_attention(
    query: Float[Tensor, "B H T D"],
    key: Float[Tensor, "B K S D"],
    value: Float[Tensor, "B K S D"],
    query_tile: int = 64,
    key_tile: int = 64,
    causal: bool = True,
) -> tuple[Float[Tensor, "B H T D"], Float[Tensor, "B H T"]]:
    """Attention tile by tile, and the logarithm of each row's sum of exponentials.

    The second result is all that a backward pass needs to make the weights again. With `causal`,
    the last query sees every key, and tiles that no query may see are never computed.
    """
    if query_tile < 1 or key_tile < 1:
        raise ValueError(f"tiles must be at least 1 wide, got {query_tile} and {key_tile}")
    n_query, n_key, n_groups = query.shape[2], key.shape[2], query.shape[1] // key.shape[1]
    if causal and n_query > n_key:
        raise ValueError(f"{n_query} queries for {n_key} keys leaves some with nothing to see")
    key = repeat(key, "B K S D -> B (K G) S D", G=n_groups)
    value = repeat(value, "B K S D -> B (K G) S D", G=n_groups)
    outputs, logsums = [], []
    for first in range(0, n_query, query_tile):
        rows = torch.arange(first, min(first + query_tile, n_query), device=query.device)
        rows_query = query[:, :, rows] / math.sqrt(query.shape[-1])
        maximum = rows_query.new_full(rows_query.shape[:-1], -math.inf)
        total, output = torch.zeros_like(maximum), torch.zeros_like(rows_query)
        last_key = int(rows[-1]) + n_key - n_query + 1 if causal else n_key
        for start in range(0, last_key, key_tile):
            tile = slice(start, min(start + key_tile, n_key))
            scores = rows_query @ key[:, :, tile].transpose(-2, -1)
            if causal:
                hidden = _later(rows + n_key - n_query, tile)
                scores = scores.masked_fill(hidden, -math.inf)
            maximum, total, output = online_softmax_step(
                maximum, total, output, scores, value[:, :, tile]
            )
        outputs.append(output / total[..., None])
        logsums.append(maximum + total.log())
    return torch.cat(outputs, dim=2), torch.cat(logsums, dim=2)


def _later(query_positions: Tensor, tile: slice) -> Bool[Tensor, "T tile"]:
    keys = torch.arange(tile.start, tile.stop, device=query_positions.device)
    return keys[None, :] > query_positions[:, None]


def score_elements(n_query: int, n_key: int, query_tile: int = 64, key_tile: int = 64) -> int:
    """Numbers that one head holds at once for scores: a tile, or all of them if it is smaller."""
    return min(query_tile, n_query) * min(key_tile, n_key)
