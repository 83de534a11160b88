"""Rotary positions beyond the trained length: four ways to slow the frequencies down.

A model that never saw position 10,000 during training has never seen the angles that belong to it.
Every scaling here maps the angles of a longer text into the range that was trained. They differ in
which frequencies they touch. Each takes the plain frequencies base^(-2i / d_head) and returns the
scaled ones, together with a factor for the cosines and sines (1 except for YaRN).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lib.settings import require, require_all

RANGES = {
    "factor": "[1, inf)",
    "low_freq_factor": "(0, inf)",
    "high_freq_factor": "(0, inf)",
    "original_context_length": "[1, 1e9]",
    "beta_fast": "(0, inf)",
    "beta_slow": "(0, inf)",
    "attention_factor": "(0, inf)",
}


@dataclass(frozen=True)
class _Scaling:
    """What all four have: the factor, and ranges that are checked."""

    factor: float | int = 4.0

    def __post_init__(self):
        require_all(self, RANGES)


@dataclass(frozen=True)
class LinearScaling(_Scaling):
    """Position interpolation: every frequency is divided by `factor`, so position is.

    Source: Chen et al. (2023), Extending Context Window via Positional Interpolation, equation 4.
    """

    def scale(
        self, frequencies: Float[Tensor, "half_D"], base: float
    ) -> tuple[Float[Tensor, "half_D"], float]:
        """The scaled frequencies, and 1."""
        return frequencies / self.factor, 1.0


@dataclass(frozen=True)
class NTKScaling(_Scaling):
    """A larger base: the slowest pair is slowed by `factor`, the fastest not at all.

    base' = base * factor^(d / (d - 2)), so that the last pair's frequency is divided by exactly
    `factor`. Source: Peng et al. (2023), YaRN, definition 1 ("NTK-aware" interpolation).
    """

    def scale(
        self, frequencies: Float[Tensor, "half_D"], base: float
    ) -> tuple[Float[Tensor, "half_D"], float]:
        """The scaled frequencies, and 1."""
        n_pairs = len(frequencies)
        if n_pairs == 1:
            raise ValueError("NTK scaling needs d_head of at least 4, got 2")
        exponent = torch.arange(n_pairs, dtype=torch.float32, device=frequencies.device)
        return frequencies / self.factor ** (exponent / (n_pairs - 1)), 1.0


@dataclass(frozen=True)
class Llama3Scaling(_Scaling):
    """Llama 3.1: keep fast pairs, slow the slow ones by `factor`, blend in between.

    A pair is fast if its wavelength is below original_context_length / high_freq_factor, slow if it
    is above original_context_length / low_freq_factor.
    Source: Llama 3.1 model release (Meta, 2024), `apply_scaling` in its reference code.
    """

    factor: float | int = 8.0
    low_freq_factor: float | int = 1.0
    high_freq_factor: float | int = 4.0
    original_context_length: int = 8192

    def __post_init__(self):
        super().__post_init__()
        if not self.high_freq_factor > self.low_freq_factor:
            raise ValueError(
                f"high_freq_factor must be above low_freq_factor, got {self.high_freq_factor} and "
                f"{self.low_freq_factor}"
            )

    def scale(
        self, frequencies: Float[Tensor, "half_D"], base: float
    ) -> tuple[Float[Tensor, "half_D"], float]:
        """The scaled frequencies, and 1."""
        wavelength = 2 * math.pi / frequencies
        low, high = self.low_freq_factor, self.high_freq_factor
        keep = (self.original_context_length / wavelength - low) / (high - low)
        keep = keep.clamp(0.0, 1.0)
        return keep * frequencies + (1 - keep) * frequencies / self.factor, 1.0


@dataclass(frozen=True)
class YarnScaling(_Scaling):
    """YaRN: like Llama 3.1's, blended over the index of the pair, and with warmer attention.

    Pairs that turn more than `beta_fast` times within the original context are kept, those that
    turn less than `beta_slow` times are slowed by `factor`. Cosines and sines are multiplied by
    `attention_factor`, by default 0.1 ln(factor) + 1, so scores grow by its square.
    Source: Peng et al. (2023), YaRN, equations 17 to 22.
    """

    original_context_length: int = 4096
    beta_fast: float | int = 32.0
    beta_slow: float | int = 1.0
    attention_factor: float | int | None = None
    truncate: bool = True  # round the ends of the blend to whole pairs, as most checkpoints do

    def __post_init__(self):
        super().__post_init__()
        if not self.beta_fast > self.beta_slow:
            raise ValueError(
                f"beta_fast must be above beta_slow, got {self.beta_fast} and {self.beta_slow}"
            )

    def scale(
        self, frequencies: Float[Tensor, "half_D"], base: float
    ) -> tuple[Float[Tensor, "half_D"], float]:
        """The scaled frequencies, and the factor of cosines and sines."""
        n_pairs = len(frequencies)
        low = self._pair_that_turns(self.beta_fast, n_pairs, base)
        high = self._pair_that_turns(self.beta_slow, n_pairs, base)
        if self.truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, 2 * n_pairs - 1)
        pair = torch.arange(n_pairs, dtype=torch.float32, device=frequencies.device)
        slow = ((pair - low) / ((high - low) or 0.001)).clamp(0.0, 1.0)
        scaled = (1 - slow) * frequencies + slow * frequencies / self.factor
        return scaled, self.attention_factor or 0.1 * math.log(max(self.factor, 1.0)) + 1.0

    def _pair_that_turns(self, turns: float | int, n_pairs: int, base: float) -> float:
        """The (fractional) index of the pair that turns so often in the original context."""
        longest = self.original_context_length / (turns * 2 * math.pi)
        return n_pairs * math.log(longest) / math.log(base)


@dataclass(frozen=True)
class FactorScaling:
    """Every frequency divided by a factor of its own, which a file brings (GGUF's rope_freqs)."""

    factors: tuple[float, ...]

    def __post_init__(self):
        for factor in self.factors:
            require("factors", factor, "(0, inf)")

    def scale(
        self, frequencies: Float[Tensor, "half_D"], base: float
    ) -> tuple[Float[Tensor, "half_D"], float]:
        """The scaled frequencies, and 1."""
        if len(self.factors) != len(frequencies):
            raise ValueError(
                f"factors must hold one for each of {len(frequencies)} pairs, got "
                f"{len(self.factors)}"
            )
        return frequencies / torch.tensor(self.factors, device=frequencies.device), 1.0


Scaling = FactorScaling | LinearScaling | NTKScaling | Llama3Scaling | YarnScaling
