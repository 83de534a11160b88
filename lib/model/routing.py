"""Routing: which few of many experts each token goes to, and how much each of them counts.

A token's router logits are one linear map of its activations. They become scores (softmax or
sigmoid); the top k experts by score are chosen; their scores are the weights of the mixture.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lib.settings import require, require_all, require_choice

RANGES = {
    "scale": "(0, inf)",
    "capacity_factor": "(0, inf)",
    "n_groups": "[1, inf)",
    "n_active_groups": "[1, inf)",
}


@dataclass(frozen=True)
class RouterConfig:
    """How a router chooses. The defaults are Mixtral's; N is the number of tokens.

    `normalize` makes the chosen experts' weights sum to 1, before `scale` multiplies them. `noisy`
    adds learned noise to the logits in training. `bias` adds a number for each expert to the scores
    when experts are chosen, and only then; `logit_bias` is learned and a part of the logits.
    `capacity_factor` c lets an expert take no more than ceil(c k N / E) tokens. Of `n_groups` equal
    groups of experts only the best `n_active_groups` are open to a token. Raises ValueError for a
    value out of range.
    """

    gate: str = "softmax"  # or "sigmoid"
    normalize: bool = True
    scale: float | int = 1.0
    noisy: bool = False
    bias: bool = False
    logit_bias: bool = False
    capacity_factor: float | int | None = None
    n_groups: int = 1
    n_active_groups: int = 1

    def __post_init__(self):
        require_choice("gate", self.gate, ("softmax", "sigmoid"))
        require_all(self, RANGES)
        if not 1 <= self.n_active_groups <= self.n_groups:
            raise ValueError(
                f"n_active_groups must be in 1 .. n_groups = {self.n_groups}, "
                f"got {self.n_active_groups}"
            )

    def check(self, n_experts: int, n_active: int) -> None:
        """Raise ValueError unless a router over so many experts can choose so many of them."""
        require("n_active_experts", n_active, f"[1, {n_experts}]", whole=True)
        size, spare = divmod(n_experts, self.n_groups)
        if spare or (self.n_groups > 1 and size < 2):
            raise ValueError(
                f"n_groups must divide n_experts into groups of 2 or more, "
                f"got n_groups={self.n_groups}, n_experts={n_experts}"
            )
        if n_active > self.n_active_groups * size:
            raise ValueError(
                f"{self.n_active_groups} active groups of {size} experts cannot give "
                f"n_active_experts={n_active}"
            )


@dataclass(frozen=True)
class Routing:
    """Where N tokens go: all that a router decided, in float32.

    `experts` are each token's choices, best first, and `weights` what they count. `probabilities`
    are the scores of all experts, made to sum to 1. `kept` is False where an expert was full.
    """

    logits: Float[Tensor, "N E"]
    probabilities: Float[Tensor, "N E"]
    experts: Int[Tensor, "N k"]
    weights: Float[Tensor, "N k"]
    kept: Bool[Tensor, "N k"] | None = None


def route(
    logits: Float[Tensor, "N E"],
    n_active: int,
    settings: RouterConfig = RouterConfig(),
    bias: Float[Tensor, "E"] | None = None,
) -> Routing:
    """Choose `n_active` experts for each token by score;
    `bias` enters the choice, not the weights.

    Sources: Shazeer et al. (2017), equation 3; Jiang et al. (2024), Mixtral, section
    2.1; DeepSeek-AI (2024), DeepSeek-V3, equations 12 to 16.
    """
    settings.check(logits.shape[-1], n_active)
    scores = logits.sigmoid() if settings.gate == "sigmoid" else logits.softmax(dim=-1)
    preference = scores if bias is None else scores + bias
    if settings.n_groups > 1:
        closed = ~open_experts(preference, settings.n_groups, settings.n_active_groups)
        preference = preference.masked_fill(closed, -math.inf)
    experts = preference.topk(n_active, dim=-1).indices
    weights = scores.gather(-1, experts)
    if settings.normalize:
        weights = weights / (weights.sum(dim=-1, keepdim=True) + 1e-20)
    probabilities = scores / (scores.sum(dim=-1, keepdim=True) + 1e-20)
    kept = None
    if settings.capacity_factor is not None:
        most = capacity(*logits.shape, n_active, settings.capacity_factor)
        kept = within_capacity(experts, logits.shape[-1], most)
    return Routing(logits, probabilities, experts, weights * settings.scale, kept)


def open_experts(
    preference: Float[Tensor, "N E"], n_groups: int, n_active_groups: int
) -> Bool[Tensor, "N E"]:
    """True for the experts of the best groups. A group is as good as its two best experts together.

    Groups live on different machines; few groups to a token means few messages.
    Source: DeepSeek-AI (2024), DeepSeek-V3, section 2.1.2 (node-limited routing).
    """
    groups = preference.unflatten(-1, (n_groups, -1))
    best = groups.topk(2, dim=-1).values.sum(dim=-1).topk(n_active_groups, dim=-1).indices
    chosen = torch.zeros_like(groups[..., 0], dtype=torch.bool).scatter(-1, best, True)
    return chosen[..., None].expand_as(groups).flatten(-2)


def capacity(n_tokens: int, n_experts: int, n_active: int, factor: float | int) -> int:
    """How many tokens one expert takes at most: `factor`
    times its share if all had equally many.

    Source: Fedus, Zoph & Shazeer (2022), Switch Transformer, equation 3, times k.
    """
    return math.ceil(factor * n_active * n_tokens / n_experts)


def within_capacity(
    experts: Int[Tensor, "N k"],
    n_experts: int,
    most: int,
) -> Bool[Tensor, "N k"]:
    """True where the chosen expert still had room, for
    at most `most` tokens to an expert.

    All first choices are served before any second choice, each in the order of the
    tokens. Source: Lepikhin et al. (2021), GShard, algorithm 1.
    """
    n_tokens, n_active = experts.shape
    chosen = F.one_hot(experts.T.flatten(), n_experts)
    # 1 for the first to come to its expert
    place = (chosen.cumsum(dim=0) * chosen).sum(dim=-1)
    return (place <= most).view(n_active, n_tokens).T


class Router(nn.Module):
    """One linear map from a token to a logit for each expert, in float32, and the choice.

    With `noisy`, training adds N(0, 1) softplus(x W_noise) to the logits, so that experts on the
    verge of being chosen are tried. The bias is no parameter: it is set from loads, not gradients.
    Sources: Shazeer et al. (2017), equation 4; Fedus et al. (2022), section 2.4, for float32.
    """

    def __init__(self, d_model: int, n_experts: int, n_active: int, settings: RouterConfig):
        super().__init__()
        self.n_active, self.settings = n_active, settings
        self.weight = nn.Parameter(torch.empty(n_experts, d_model).normal_(0, 0.02))
        noise = torch.empty(n_experts, d_model).normal_(0, 0.02) if settings.noisy else None
        self.noise_weight = None if noise is None else nn.Parameter(noise)
        learned = torch.zeros(n_experts) if settings.logit_bias else None
        self.logit_bias = None if learned is None else nn.Parameter(learned)
        self.register_buffer("bias", torch.zeros(n_experts) if settings.bias else None)

    def forward(self, x: Float[Tensor, "N C"]) -> Routing:
        device = "cpu" if x.is_meta else x.device.type  # the meta device knows no autocast
        with torch.autocast(device, enabled=False):
            wide = x.float()
            logits = wide @ self.weight.float().T
            if self.logit_bias is not None:
                logits = logits + self.logit_bias.float()
            if self.noise_weight is not None and self.training:
                spread = F.softplus(wide @ self.noise_weight.float().T)
                logits = logits + torch.randn_like(logits) * spread
            bias = None if self.bias is None else self.bias.float()
            return route(logits, self.n_active, self.settings, bias)
