"""Positions: how a model that sees a set of tokens is told their order.

Added to the embedding: learned (GPT-2) or sinusoidal. Inside attention: RoPE, which rotates queries
and keys, or ALiBi, which lowers the scores of distant keys.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lib.model.config import ModelConfig
from lib.model.rope_scaling import Scaling

# Added to the embedding


class SinusoidalPositions(nn.Module):
    """A fixed vector for each position: sines and cosines of wavelengths from 2 pi to 20,000 pi."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width

    def forward(self, positions: Int[Tensor, "*B T"]) -> Float[Tensor, "*B T C"]:
        return sinusoidal_table(positions, self.width)


def sinusoidal_table(positions: Int[Tensor, "*B T"], width: int) -> Float[Tensor, "*B T C"]:
    """Sine in the even features, cosine in the odd ones, of position / 10,000^(2i / width).

    Source: Vaswani et al. (2017), section 3.5.
    """
    even = torch.arange(0, width, 2, dtype=torch.float32, device=positions.device)
    angles = positions[..., None].float() / 10_000 ** (even / width)
    table = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
    return table[..., :width]


def make_positions(config: ModelConfig) -> nn.Module | None:
    """What turns positions into vectors to add to the embedding; None if the model adds none.

    Learned vectors, one for each position, are those of Radford et al. (2018).
    """
    if config.positions == "learned" or config.learned_positions:
        return nn.Embedding(config.context_length, config.d_model)
    return SinusoidalPositions(config.d_model) if config.positions == "sinusoidal" else None


# Rotary positions


def rope_frequencies(
    d_head: int, base: float = 10_000.0, scaling: Scaling | None = None
) -> Float[Tensor, "half_D"]:
    """Radians per position for each pair of features: base^(-2i / d_head), i = 0 .. d_head/2 - 1.

    Source: Su et al. (2021), RoFormer, section 3.2.2.
    """
    pair = torch.arange(0, d_head, 2, dtype=torch.float32)
    frequencies = 1.0 / base ** (pair / d_head)
    return frequencies if scaling is None else scaling.scale(frequencies, base)[0]


def rope_tables(
    config: ModelConfig, positions: Int[Tensor, "#B T"]
) -> tuple[Float[Tensor, "#B 1 T half_D"], ...]:
    """Cosine and sine of every angle position * frequency, ready to rotate (B, H, T, D) tensors.

    With `config.window_rope_base` a second pair follows, for layers with a window (Gemma 3).
    """
    width = config.d_rotary or config.d_head
    frequencies = rope_frequencies(width, config.rope_base)
    factor = 1.0
    if config.rope_scaling is not None:
        frequencies, factor = config.rope_scaling.scale(frequencies, config.rope_base)
    tables = _rope_table(frequencies, factor, positions)
    if config.window_rope_base is None:
        return tables
    near = rope_frequencies(width, config.window_rope_base)
    return *tables, *_rope_table(near, 1.0, positions)


def _rope_table(
    frequencies: Float[Tensor, "half_D"], factor: float, positions: Int[Tensor, "#B T"]
) -> tuple[Float[Tensor, "#B 1 T half_D"], Float[Tensor, "#B 1 T half_D"]]:
    angles = positions[:, None, :, None].float() * frequencies.to(positions.device)
    cos, sin = angles.cos(), angles.sin()
    return (cos, sin) if factor == 1.0 else (cos * factor, sin * factor)


def apply_rope(
    x: Float[Tensor, "B H T D"],
    cos: Float[Tensor, "#B 1 T half_D"],
    sin: Float[Tensor, "#B 1 T half_D"],
) -> Float[Tensor, "B H T D"]:
    """Rotate each pair (x_i, x_{i + D/2}) of features by its angle.

    Tables of R < D / 2 angles turn the pairs (x_i, x_{i + R}) and leave the features
    after them. This is the pairing of Hugging Face checkpoints; the paper and GGUF
    files pair (x_2i, x_2i+1). Source: Su et al. (2021), equation 34.
    """
    half = cos.shape[-1]
    first, second, still = x.float().tensor_split((half, 2 * half), dim=-1)
    turned = (first * cos - second * sin, second * cos + first * sin)
    rotated = torch.cat([*turned, still], dim=-1)
    return rotated.to(x.dtype)


def apply_rope_interleaved(
    x: Float[Tensor, "B H T D"],
    cos: Float[Tensor, "#B 1 T half_D"],
    sin: Float[Tensor, "#B 1 T half_D"],
) -> Float[Tensor, "B H T D"]:
    """Rotate each pair (x_2i, x_{2i + 1}) of neighboring features by its angle.

    The pairing of the paper, of Meta's Llama code, of GGUF files and of DeepSeek.
    """
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    rotated = torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1)
    return rotated.flatten(-2).to(x.dtype)


def interleaved_to_half_split(n_heads: int, d_head: int) -> Int[Tensor, "rows"]:
    """The row order that turns interleaved query or key weights into half-split ones.

    `weight[interleaved_to_half_split(H, D)]` moves, in each head, rows 0, 2, 4, … to the first half
    and rows 1, 3, 5, … to the second.
    """
    rows = torch.arange(n_heads * d_head).view(n_heads, d_head // 2, 2)
    return rows.transpose(1, 2).reshape(-1)


# Linear biases


def alibi_slopes(n_heads: int) -> Float[Tensor, "H"]:
    """How fast each head's scores fall with distance: a geometric sequence from 2^(-8/H) to 2^-8.

    For a number of heads that is no power of two, the sequence of the next lower power, then every
    second slope of the next higher one. Source: Press, Smith & Lewis (2022), section 3.
    """
    power = 2 ** math.floor(math.log2(n_heads))
    slopes = [2 ** (-8 * (i + 1) / power) for i in range(power)]
    between = [2 ** (-8 * (i + 1) / (2 * power)) for i in range(0, 2 * power, 2)]
    return torch.tensor((slopes + between)[:n_heads])


def alibi_bias(
    n_heads: int, query_positions: Int[Tensor, "T"], key_positions: Int[Tensor, "S"]
) -> Float[Tensor, "H T S"]:
    """What ALiBi adds to the scores: -slope * (query position - key position)."""
    distance = query_positions[:, None] - key_positions[None, :]
    return -alibi_slopes(n_heads).to(distance.device)[:, None, None] * distance
