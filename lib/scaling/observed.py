"""What torch itself sees of a model: FLOPs by its counter, activation bytes by its hooks.

Estimates are worth what their checks are worth; these are the checks.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from lib.model import LanguageModel, ModelConfig


def _cpu_attention(query, key, value, *args, **options) -> int:
    return sdpa_flop_count(query, key, value)


# torch's counter has formulas for the fused attention kernels of GPUs, none for the CPU's.
CPU_ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _cpu_attention}


def observed_flops(
    model: LanguageModel, ids: Int[Tensor, "B T"], *, fused: bool = False
) -> tuple[int, int]:
    """FLOPs of one forward and one backward pass, as torch's FlopCounterMode counts them.

    Attention runs as plain products; with `fused` as the device's own kernel, of which the counter
    misses the backward pass on a CPU (and, without `CPU_ATTENTION`, the forward pass too).
    """
    backends = list(SDPBackend.__members__.values()) if fused else [SDPBackend.MATH]
    with sdpa_kernel(backends):
        with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as forward:
            loss = model(ids).float().mean()
        with FlopCounterMode(display=False) as backward:
            loss.backward()
    return forward.get_total_flops(), backward.get_total_flops()


def shapes_only(config: ModelConfig) -> LanguageModel:
    """A model on torch's meta device: shapes without numbers, so that any size fits."""
    with torch.device("meta"):
        return LanguageModel(config)


def observed_activation_bytes(model: LanguageModel, windows: Int[Tensor, "B T_plus_1"]) -> int:
    """Bytes that autograd keeps of a forward pass with its loss, by its hooks on saved tensors.

    Counts each piece of memory once, however many operations keep it, and no weights.
    """
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        logits = model(windows[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
    assert loss.requires_grad  # the graph, and with it all that was noted, lives until here
    return sum(kept.values())
