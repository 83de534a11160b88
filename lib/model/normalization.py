"""Normalization: keep the size of activations in check, token by token."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lib.model.config import ModelConfig


def layer_norm(
    x: Float[Tensor, "... C"],
    weight: Float[Tensor, "C"],
    bias: Float[Tensor, "C"],
    eps: float = 1e-5,
) -> Float[Tensor, "... C"]:
    """Subtract the mean, divide by the standard deviation, then scale and shift.

    y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias, over the last dimension of one token.
    Source: Ba, Kiros & Hinton (2016), equation 4.
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

    def forward(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class RMSNorm(nn.Module):
    """Divide by the root mean square, then scale: LayerNorm without the mean and the shift.

    y = x / sqrt(mean(x^2) + eps) * weight, over the last dimension of one token. As in Llama, the
    result is cast back to the dtype of x before it is scaled.
    Source: Zhang & Sennrich (2019), equation 4.
    """

    def __init__(self, width: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        wide = x.float()
        normalized = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + self.eps)
        return normalized.to(x.dtype) * self.weight


def make_norm(config: ModelConfig, width: int | None = None) -> nn.Module:
    """The normalization that `config.norm` names, over `width` features (default: d_model)."""
    norms = {"layernorm": LayerNorm, "rmsnorm": RMSNorm}
    return norms[config.norm](width or config.d_model, config.norm_eps)
