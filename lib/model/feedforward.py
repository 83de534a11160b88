"""The feed-forward layer: what each token computes on its own."""

import functools
import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lib.model.config import ModelConfig


def relu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """max(x, 0)."""
    return x.clamp(min=0)


def squared_relu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """max(x, 0)^2 (So et al., 2021, Primer, section 3)."""
    return relu(x).square()


def gelu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """x * Phi(x), with Phi the standard normal distribution
    function (Hendrycks & Gimpel, 2016).
    """
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def gelu_tanh(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The tanh approximation of GELU that GPT-2 was
    trained with (Hendrycks & Gimpel, 2016).
    """
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_sigmoid(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """x * sigmoid(1.702 x), the coarser approximation of
    GELU (Hendrycks & Gimpel, 2016).
    """
    return swish(x, 1.702)


def swish(x: Float[Tensor, "..."], beta: float | int = 1.0) -> Float[Tensor, "..."]:
    """x * sigmoid(beta x): x / 2 at beta 0, ReLU for large
    beta (Ramachandran, Zoph & Le, 2017).
    """
    return x * torch.sigmoid(beta * x)


def silu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """x * sigmoid(x), Swish with beta 1 (Elfwing, Uchibe & Doya, 2018)."""
    return swish(x)


def identity(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """x: a gated layer with this activation is bilinear."""
    return x


ACTIVATIONS = {
    "relu": relu,
    "squared_relu": squared_relu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "gelu_sigmoid": gelu_sigmoid,
    "silu": silu,
    "sigmoid": torch.sigmoid,
    "identity": identity,
}
# The same functions by torch's kernels, which read and write x once: training is a fifth faster.
FUSED_ACTIVATIONS = ACTIVATIONS | {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": functools.partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
}
# What a gated layer is called by the activation of its gate (Shazeer, 2020, equations 5 and 6).
GATED_FORMS = {
    "GLU": "sigmoid",
    "Bilinear": "identity",
    "ReGLU": "relu",
    "GEGLU": "gelu",
    "SwiGLU": "silu",
}


def gated_width(d_ff: int, multiple_of: int = 1) -> int:
    """The width at which three matrices have as many parameters as two of width `d_ff`: 2/3 of it.

    Rounded up to a multiple that suits the hardware (Llama: 256). Sources: Shazeer (2020), section
    2; Touvron et al. (2023), LLaMA, section 2.2. Raises ValueError for sizes below 1.
    """
    if d_ff < 1 or multiple_of < 1:
        raise ValueError(
            f"d_ff and multiple_of must be at least 1, got d_ff={d_ff}, multiple_of={multiple_of}"
        )
    return math.ceil(2 * d_ff // 3 / multiple_of) * multiple_of


class FeedForward(nn.Module):
    """Two linear maps with an activation between them;
    gated, a third one multiplies in.

    plain: down(activation(up(x))); gated: down(activation(gate(x)) * up(x)). With
    `gate_limit` L, gate(x) is at most L, up(x) within ±L and 1 is added to it:
    down(activation(gate) * (up + 1)). `d_ff` replaces the width that the configuration
    gives. Source: Vaswani et al. (2017), equation 2; Dauphin et al. (2017) and Shazeer
    (2020), equation 6, for the gated form; OpenAI (2025), gpt-oss model card, section
    2.2, for the limit.
    """

    def __init__(self, config: ModelConfig, d_ff: int | None = None):
        super().__init__()
        width, bias = d_ff or config.d_ff, config.feedforward_bias
        self.gate = nn.Linear(config.d_model, width, bias) if config.gated else None
        self.up = nn.Linear(config.d_model, width, bias)
        self.down = nn.Linear(width, config.d_model, bias)
        self.activation = FUSED_ACTIVATIONS[config.activation]
        self.limit = config.gate_limit

    def forward(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        if self.gate is None:
            return self.down(self.activation(self.up(x)))
        gate, up = self.gate(x), self.up(x)
        if self.limit is not None:
            gate, up = gate.clamp(max=self.limit), up.clamp(-self.limit, self.limit) + 1
        return self.down(self.activation(gate) * up)
