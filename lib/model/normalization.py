"""Normalization: keep the size of activations in check.

LayerNorm and RMSNorm look at one token's features; BatchNorm looks at one feature over all tokens
of a batch, which a causal model must not do: it is here to be measured. Dynamic Tanh looks at
nothing but the number itself.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lib.model.config import ModelConfig

# Over the features of one token


def layer_norm(
    x: Float[Tensor, "... C"],
    weight: Float[Tensor, "C"],
    bias: Float[Tensor, "C"],
    eps: float = 1e-5,
) -> Float[Tensor, "... C"]:
    """Subtract the mean, divide by the standard deviation, then scale and shift.

    y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias, over the last dimension of
    one token. Source: Ba, Kiros & Hinton (2016), equation 4.
    """
    wide = x.float()
    centered = wide - wide.mean(dim=-1, keepdim=True)
    variance = centered.square().mean(dim=-1, keepdim=True)
    normalized = centered * torch.rsqrt(variance + eps)
    return (normalized * weight.float() + bias.float()).to(x.dtype)


class LayerNorm(nn.Module):
    """`layer_norm` with a weight and a bias to learn, by torch's kernel: one pass over memory."""

    def __init__(self, width: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    @property
    def gain(self) -> Float[Tensor, "C"]:
        """What each normalized feature is multiplied by."""
        return self.weight

    def forward(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class RMSNorm(nn.Module):
    """Divide by the root mean square, then scale: LayerNorm without the mean and the shift.

    y = x / sqrt(mean(x^2) + eps) * gain, over the last dimension of one token, in float32. The gain
    is the weight, or with `unit_offset` 1 + weight. `cast` says when the result returns to the
    dtype of x: "before scale" (Llama, Qwen) or "after scale" (OLMo 2 and, with the offset, Gemma).
    Raises ValueError for the offset with the first. Source: Zhang & Sennrich (2019), equation 4.
    """

    def __init__(
        self,
        width: int,
        eps: float = 1e-5,
        unit_offset: bool = False,
        cast: str = "before scale",
    ):
        super().__init__()
        if unit_offset and cast != "after scale":
            raise ValueError(
                f"unit_offset scales in float32: cast must be 'after scale', got {cast!r}"
            )
        self.eps, self.unit_offset, self.cast_first = eps, unit_offset, cast == "before scale"
        self.weight = nn.Parameter(torch.zeros(width) if unit_offset else torch.ones(width))

    @property
    def gain(self) -> Float[Tensor, "C"]:
        """What each normalized feature is multiplied by.

        1 + weight is computed in float32: in bfloat16 the sum would be rounded as 1 is, the weight
        alone is finer.
        """
        return 1 + self.weight.float() if self.unit_offset else self.weight

    def forward(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        wide = x.float()
        normalized = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + self.eps)
        if self.cast_first:
            return normalized.to(x.dtype) * self.weight
        return (normalized * self.gain.float()).to(x.dtype)


# Over the tokens of a batch


def batch_statistics(
    x: Float[Tensor, "... C"],
) -> tuple[Float[Tensor, "C"], Float[Tensor, "C"]]:
    """Mean and variance of each feature over all tokens: other texts, padding, the future."""
    tokens = x.float().flatten(0, -2)
    mean = tokens.mean(dim=0)
    return mean, (tokens - mean).square().mean(dim=0)


class BatchNorm(nn.Module):
    """Normalize each feature over the tokens of the batch; in evaluation, by running statistics.

    In training y = (x - mean) / sqrt(var + eps) * weight + bias with `batch_statistics`, and the
    running mean and variance move toward them by the share `momentum`. Raises ValueError for a
    training batch of one token, which has no variance. Source: Ioffe & Szegedy (2015), algorithms
    1 and 2.
    """

    def __init__(self, width: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_variance", torch.ones(width))

    def forward(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        mean, variance = self.running_mean.float(), self.running_variance.float()
        if self.training:
            mean, variance = batch_statistics(x)
            self.remember(mean, variance, x.numel() // x.shape[-1])
        normalized = (x.float() - mean) * torch.rsqrt(variance + self.eps)
        return (normalized * self.weight.float() + self.bias.float()).to(x.dtype)

    @torch.no_grad()
    def remember(self, mean: Float[Tensor, "C"], variance: Float[Tensor, "C"], n: int) -> None:
        """Move the running statistics toward those of a batch of `n` tokens."""
        if n < 2:
            raise ValueError(f"BatchNorm needs at least 2 tokens in training, got {n}")
        unbiased = variance * n / (n - 1)
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_variance.lerp_(unbiased.to(self.running_variance), self.momentum)


# Over nothing


class DynamicTanh(nn.Module):
    """y = tanh(alpha x) * weight + bias: bounded, and no statistics at all.

    alpha is one number to learn, and starts at 0.5. Source: Zhu et al. (2025), section 4.
    """

    def __init__(self, width: int, alpha: float = 0.5):
        super().__init__()
        self.alpha = nn.Parameter(torch.full((1,), alpha))
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        return torch.tanh(self.alpha * x) * self.weight + self.bias


def make_norm(config: ModelConfig, width: int | None = None) -> nn.Module:
    """The normalization that `config.norm` names, over `width` features (default: d_model)."""
    width = width or config.d_model
    if config.norm == "rmsnorm":
        return RMSNorm(width, config.norm_eps, config.norm_unit_offset, config.norm_cast)
    if config.norm == "dynamic_tanh":
        return DynamicTanh(width)
    return {"layernorm": LayerNorm, "batchnorm": BatchNorm}[config.norm](width, config.norm_eps)
