"""What norms meet in a model: the mean of activations, massive activations, gradients, a leak."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from lib.model.normalization import BatchNorm, DynamicTanh, LayerNorm, RMSNorm
from lib.model.transformer import LanguageModel

NORMS = LayerNorm | RMSNorm | BatchNorm | DynamicTanh


@torch.no_grad()
def norm_inputs(model: LanguageModel, ids: Int[Tensor, "B T"]) -> dict[str, Float[Tensor, "B T C"]]:
    """What each norm on the residual stream receives, by the norm's name, from bottom to top."""
    inputs: dict[str, Tensor] = {}

    def note(name: str) -> Callable:
        return lambda module, arguments: inputs.__setitem__(name, arguments[0])

    handles = [
        module.register_forward_pre_hook(note(name))
        for name, module in model.named_modules()
        if isinstance(module, NORMS) and "query_norm" not in name and "key_norm" not in name
    ]
    try:
        model(ids)
    finally:
        for handle in handles:
            handle.remove()
    return inputs


def mean_share(x: Float[Tensor, "... C"]) -> Float[Tensor, "..."]:
    """mean(x)^2 / mean(x^2): the part of a vector's square that LayerNorm subtracts, 0 to 1.

    RMSNorm leaves it in. Numbers that are independent around zero have 1 / C on average.
    """
    return x.mean(dim=-1).square() / x.square().mean(dim=-1)


@dataclass(frozen=True)
class MassiveActivation:
    """One number of the residual stream that dwarfs the others."""

    block: int  # blocks passed
    text: int
    position: int
    channel: int
    value: float
    median: float  # of the absolute values of the stream there


def massive_activations(
    stream: Float[Tensor, "layers B T C"], least: float = 100.0, ratio: float = 1000.0
) -> list[MassiveActivation]:
    """Numbers above `least` and above `ratio` times the median absolute value of their layer.

    Source: Sun et al. (2024), Massive Activations in Large Language Models, section 2, for the
    definition and both values.
    """
    found = []
    for block, x in enumerate(stream):
        size = x.abs()
        median = size.median().item()
        for place in ((size > least) & (size > ratio * median)).nonzero().tolist():
            text, position, channel = place
            value = x[text, position, channel].item()
            found.append(MassiveActivation(block, text, position, channel, value, median))
    return found


@contextmanager
def stream_set(
    model: LanguageModel, block: int, position: int, channels: list[int], value: float
) -> Iterator[LanguageModel]:
    """Inside the `with` block, these channels of one position are `value` after block `block`."""

    def hook(module: nn.Module, arguments: tuple, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, position, channels] = value
        return output

    handle = model.blocks[block].register_forward_hook(hook)
    try:
        yield model
    finally:
        handle.remove()


def gradient_norms(model: LanguageModel, windows: Int[Tensor, "B T_plus_1"]) -> list[float]:
    """The norm of the loss's gradient on each block's second feed-forward matrix.

    Source: the quantity of Xiong et al. (2020), figure 3. The model's own gradients stay untouched.
    """
    weights = [block.feedforward.down.weight for block in model.blocks]
    logits = model(windows[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
    return [gradient.norm().item() for gradient in torch.autograd.grad(loss, weights)]


def influence(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "T C"]
) -> Float[Tensor, "T S"]:
    """How much each output position depends on each input position: the norm of the Jacobian.

    A causal function has nothing above the diagonal.
    """
    jacobian = torch.autograd.functional.jacobian(function, x)  # T C S C
    return jacobian.square().sum(dim=(1, 3)).sqrt()


@torch.no_grad()
def xavier_initialize(model: LanguageModel) -> LanguageModel:
    """Give all matrices of the blocks the variance 2 / (inputs + outputs), and return the model.

    Source: Glorot & Bengio (2010), equation 16, in the normal form; what Xiong et al. (2020) use.
    """
    for name, weight in model.named_parameters():
        if name.startswith("blocks.") and weight.dim() > 1:
            nn.init.xavier_normal_(weight)
    return model
