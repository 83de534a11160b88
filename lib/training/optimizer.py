"""The optimizer: AdamW, with weight decay for matrices only."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Parameter groups: matrices decay, vectors (norms, biases) do not.

    A norm's gain has its natural value at 1, so pulling it to 0 would shrink the activations.
    Source: Brown et al. (2020), appendix B, for the value 0.1; the split is common practice.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    return [
        {"params": [w for w in weights if w.dim() >= 2], "weight_decay": weight_decay},
        {"params": [w for w in weights if w.dim() < 2], "weight_decay": 0.0},
    ]


def make_optimizer(
    model: nn.Module,
    learning_rate: float,
    weight_decay: float = 0.1,
    betas: tuple[float, float] = (0.9, 0.95),
) -> torch.optim.AdamW:
    """AdamW over decay groups; `fused` updates all weights in one kernel.

    Source: Loshchilov & Hutter (2019), algorithm 2.
    """
    groups = decay_groups(model, weight_decay)
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=1e-8, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Use this learning rate from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def clip_gradients(weights: Iterable[nn.Parameter], most: float) -> Float[Tensor, ""]:
    """Scale all gradients down together if their joint norm is above `most`; return the norm.

    Source: Pascanu, Mikolov & Bengio (2013), algorithm 1.
    """
    norm = nn.utils.clip_grad_norm_(weights, most)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
