"""Experts: many feed-forward layers, of which each token uses a few."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.model.config import ModelConfig
from lib.model.feedforward import FeedForward
from lib.model.routing import Router, Routing


class Experts(nn.Module):
    """The weighted sum of the experts that a token is routed to, plus the shared experts.

    y = sum over chosen i of weight_i expert_i(x) + shared(x). Every token uses the shared experts;
    together they are one feed-forward layer as wide as all of them. A token that found all its
    experts full gets zeros from them, and stays as it is in the residual stream.
    Sources: Shazeer et al. (2017), equation 1; Dai et al. (2024), DeepSeekMoE, equation 9.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        width = config.d_expert
        self.router = Router(
            config.d_model, config.n_experts, config.n_active_experts, config.router
        )
        self.experts = nn.ModuleList(FeedForward(config, width) for _ in range(config.n_experts))
        shared = config.n_shared_experts
        self.shared = FeedForward(config, shared * width) if shared else None

    def forward(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        tokens = x.flatten(0, -2)
        mixture = self.mix(tokens, self.router(tokens))
        if self.shared is not None:
            mixture = mixture + self.shared(tokens)
        return mixture.view_as(x)

    def mix(self, tokens: Float[Tensor, "N C"], routing: Routing) -> Float[Tensor, "N C"]:
        """Each expert once, on all of its tokens together: a
        few large products, not many small.

        The N k assignments are sorted by expert, so that the tokens of one expert are
        neighbors.
        """
        chosen, weights = routing.experts.flatten(), routing.weights.flatten()
        order = chosen.argsort(stable=True)
        if routing.kept is not None:
            order = order[routing.kept.flatten()[order]]
        counts = chosen[order].bincount(minlength=len(self.experts)).tolist()
        # the token that an assignment belongs to
        source = order // routing.experts.shape[1]
        groups = tokens[source].split(counts)
        outputs = torch.cat(
            [
                expert(group)
                for expert, group in zip(self.experts, groups, strict=True)
                # in training all get a gradient, if zero
                if len(group) or torch.is_grad_enabled()
            ]
            or [tokens[:0]]
        )
        mixture = torch.zeros(tokens.shape, dtype=torch.float32, device=tokens.device)
        mixture = mixture.index_add(0, source, outputs * weights[order, None])
        return mixture.to(tokens.dtype)


def make_feedforward(config: ModelConfig, layer: int) -> nn.Module:
    """What follows attention in this layer: experts, or one dense feed-forward layer."""
    return Experts(config) if config.has_experts(layer) else FeedForward(config)


@contextmanager
def recorded_routing(model: nn.Module) -> Iterator[list[Routing]]:
    """Inside the `with` block each pass through a router adds its routing to the list, in order.

    One forward pass of a model gives one routing for each layer with experts. They belong to the
    graph: a loss of theirs has gradients.
    """
    routings: list[Routing] = []
    handles = [
        module.register_forward_hook(lambda module, inputs, output: routings.append(output))
        for module in model.modules()
        if isinstance(module, Router)
    ]
    try:
        yield routings
    finally:
        for handle in handles:
            handle.remove()
