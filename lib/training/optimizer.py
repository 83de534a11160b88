"""The optimizer: AdamW, with weight decay for matrices only, and a stop where it diverges."""

import math
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.settings import require, shortened


class DivergedError(ValueError):
    """A loss, a gradient or a weight is NaN or infinite: training stops before it spreads."""


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
    check_adam(learning_rate, weight_decay, betas)
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
    check_clipping(most)
    norm = nn.utils.clip_grad_norm_(weights, most)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


def clipped_step(
    optimizer: torch.optim.Optimizer,
    loss: Float[Tensor, ""],
    weights: Iterable[nn.Parameter],
    most: float,
) -> Float[Tensor, ""]:
    """Clip the gradients that `loss` left, update the weights, return the norm before clipping.

    Raises DivergedError, and changes no weight, if the loss or the norm is not finite.
    """
    norm = clip_gradients(weights, most)
    finite = math.isfinite(loss.detach()) and math.isfinite(norm)
    if finite:
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    if not finite:
        rate = optimizer.param_groups[0]["lr"]
        raise DivergedError(
            f"the loss is {loss:.4g} and its gradient has norm {norm:.4g}, at a learning rate of "
            f"{rate:.4g}: lower it, or look for NaN in the weights"
        )
    return norm


def check_adam(learning_rate: float, weight_decay: float, betas: tuple[float, float]) -> None:
    """Raise ValueError for settings with which AdamW does not work."""
    require("learning_rate", learning_rate, "[0, inf)")
    require("weight_decay", weight_decay, "[0, inf)")
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise ValueError(f"betas must be two numbers in [0, 1), got {shortened(betas)}")
    for i, beta in enumerate(betas):
        require(f"betas[{i}]", beta, "[0, 1)")


def check_clipping(most: float) -> None:
    """Raise ValueError unless a gradient can have this norm at most."""
    if not (isinstance(most, float) and most == math.inf):  # never clips
        require("max_gradient_norm", most, "(0, inf)")
