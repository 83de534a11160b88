"""Muon: a momentum optimizer whose update of a matrix turns and does not stretch.

A gradient of a matrix is mostly a few large directions. Muon replaces the momentum U S V^T by
U V^T, so that all directions move alike. Embedding, norms and biases go on with AdamW.
Sources: Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks"; the size
of an update as in Liu et al. (2025), "Muon is Scalable for LLM Training", section 2.2.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from lib.model import LanguageModel
from lib.settings import require
from lib.training.optimizer import make_optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of Jordan et al.: steepest at 0, so five steps suffice


def orthogonalized(
    matrix: Float[Tensor, "R S"],
    steps: int = 5,
) -> Float[Tensor, "R S"]:
    """Nearly U V^T of a matrix U S V^T: its singular
    values come to lie between about 0.7 and 1.2.

    A Newton-Schulz iteration: X becomes a X + b (X X^T) X + c (X X^T)^2 X, which needs
    products only, where a singular value decomposition takes far longer.
    """
    a, b, c = COEFFICIENTS
    x = matrix / matrix.norm().clamp(min=1e-7)  # no singular value is above 1
    if tall := len(x) > x.shape[1]:
        x = x.T
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Muon for the matrices inside the blocks, AdamW for all else, with one learning rate.

    An update of R x S weights is scaled by 0.2 sqrt(max(R, S)): its mean square is then about that
    of AdamW's, so that rate and weight decay of AdamW serve both.
    """

    def __init__(
        self,
        model: LanguageModel,
        learning_rate: float,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
    ):
        require("momentum", momentum, "[0, 1)")
        hidden = [w for w in model.blocks.parameters() if w.dim() == 2]
        self.adamw = make_optimizer(model, learning_rate, weight_decay)
        inside = {id(weight) for weight in hidden}
        for group in self.adamw.param_groups:
            group["params"] = [w for w in group["params"] if id(w) not in inside]
        super().__init__(hidden, dict(lr=learning_rate, weight_decay=weight_decay))
        self.momentum = momentum
        self.param_groups += self.adamw.param_groups  # the same objects: one rate sets all

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """Update all weights by their gradients, with Nesterov's momentum."""
        if closure is not None:
            raise ValueError("Muon takes no closure: compute the loss and its gradients first")
        group = self.param_groups[0]
        for weight in group["params"]:
            state = self.state[weight]
            mean = state.setdefault("momentum", torch.zeros_like(weight))
            mean.lerp_(weight.grad, 1 - self.momentum)
            update = orthogonalized(weight.grad.lerp(mean, self.momentum))
            weight.mul_(1 - group["lr"] * group["weight_decay"])
            weight.add_(update, alpha=-0.2 * max(weight.shape) ** 0.5 * group["lr"])
        self.adamw.step()
