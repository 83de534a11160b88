"""What training does for experts beside the next-token loss: auxiliary losses and bias steps."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn

from lib.model.balancing import bias_step, expert_counts, load_balancing_loss, router_z_loss
from lib.model.experts import recorded_routing
from lib.model.routing import Router, Routing
from lib.training.config import TrainingConfig


def watched_routing(
    model: nn.Module, config: TrainingConfig
) -> AbstractContextManager[list[Routing]]:
    """A `with` block that records the routing, if the configuration has a use for it."""
    needed = config.balance_loss or config.z_loss or config.bias_rate
    return recorded_routing(model) if needed else nullcontext([])


def auxiliary_loss(
    routings: Sequence[Routing], config: TrainingConfig
) -> Float[Tensor, ""] | float:
    """What is added to the next-token loss: the sum over layers of both losses, weighted."""
    return sum(
        (
            config.balance_loss * load_balancing_loss(routing)
            + config.z_loss * router_z_loss(routing)
            for routing in routings
        ),
        start=0.0,
    )


def update_biases(
    model: nn.Module, parts: Sequence[Sequence[Routing]], config: TrainingConfig
) -> None:
    """After a step, move each router's bias against the loads of the whole step.

    `parts` holds a list of routings, one for each layer, for each part of the step. With several
    processes the loads are added up over all.
    """
    if not config.bias_rate:
        return
    for router, routings in zip(routers(model), zip(*parts, strict=True), strict=True):
        counts = sum(expert_counts(routing) for routing in routings)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(counts)
        router.bias += bias_step(counts, config.bias_rate).to(router.bias.dtype)


def routers(model: nn.Module) -> list[Router]:
    """The routers of a model, first layer first."""
    return [module for module in model.modules() if isinstance(module, Router)]


def check_auxiliary(model: nn.Module, config: TrainingConfig) -> None:
    """Raise ValueError if the model lacks what the configuration wants to balance."""
    for name in ("balance_loss", "z_loss", "bias_rate"):
        if getattr(config, name) and not routers(model):
            raise ValueError(f"{name}={getattr(config, name)} needs a model with experts")
    if config.bias_rate and any(router.bias is None for router in routers(model)):
        raise ValueError(f"bias_rate={config.bias_rate} needs routers with RouterConfig(bias=True)")
