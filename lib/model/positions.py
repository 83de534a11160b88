"""Positions: how a model that sees a set of tokens is told their order."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.model.config import ModelConfig, RopeScaling


def rope_frequencies(
    d_head: int, base: float = 10_000.0, scaling: RopeScaling | None = None
) -> Float[Tensor, "half_D"]:
    """Radians per position for each pair of features: base^(-2i / d_head), i = 0 .. d_head/2 - 1.

    Source: Su et al. (2021), RoFormer, section 3.2.2.
    """
    pair = torch.arange(0, d_head, 2, dtype=torch.float32)
    frequencies = 1.0 / base ** (pair / d_head)
    return frequencies if scaling is None else scale_frequencies(frequencies, scaling)


def scale_frequencies(
    frequencies: Float[Tensor, "half_D"], scaling: RopeScaling
) -> Float[Tensor, "half_D"]:
    """Llama 3.1's scaling: keep fast pairs, slow the slow ones by `factor`, blend in between.

    A pair is fast if its wavelength is below original_context_length / high_freq_factor, slow if it
    is above original_context_length / low_freq_factor. Source: Llama 3.1 reference code.
    """
    wavelength = 2 * math.pi / frequencies
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    blend = (scaling.original_context_length / wavelength - low) / (high - low)
    blend = blend.clamp(0.0, 1.0)
    return blend * frequencies + (1 - blend) * frequencies / scaling.factor


def rope_tables(
    config: ModelConfig, positions: Int[Tensor, "#B T"]
) -> tuple[Float[Tensor, "#B 1 T half_D"], Float[Tensor, "#B 1 T half_D"]]:
    """Cosine and sine of every angle position * frequency, ready to rotate (B, H, T, D) tensors."""
    frequencies = rope_frequencies(config.d_head, config.rope_base, config.rope_scaling)
    angles = positions[:, None, :, None].float() * frequencies.to(positions.device)
    return angles.cos(), angles.sin()


def apply_rope(
    x: Float[Tensor, "B H T D"],
    cos: Float[Tensor, "#B 1 T half_D"],
    sin: Float[Tensor, "#B 1 T half_D"],
) -> Float[Tensor, "B H T D"]:
    """Rotate each pair (x_i, x_{i + D/2}) of features by its angle.

    This is the pairing of Hugging Face checkpoints; the paper and GGUF files pair (x_2i, x_2i+1).
    Source: Su et al. (2021), equation 34.
    """
    first, second = x.float().chunk(2, dim=-1)
    rotated = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return rotated.to(x.dtype)


def interleaved_to_half_split(n_heads: int, d_head: int) -> Int[Tensor, "rows"]:
    """The row order that turns interleaved query or key weights into half-split ones.

    `weight[interleaved_to_half_split(H, D)]` moves, in each head, rows 0, 2, 4, … to the first half
    and rows 1, 3, 5, … to the second.
    """
    rows = torch.arange(n_heads * d_head).view(n_heads, d_head // 2, 2)
    return rows.transpose(1, 2).reshape(-1)
