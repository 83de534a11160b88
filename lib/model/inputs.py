"""What a caller passes to a model: token ids and the mask of padding, checked in one place.

Tokenizers of other libraries give masks of whole numbers. Added to scores as they are, such a mask
would hide nothing, so 0 and 1 become False and True here, and anything else is an error.
"""

import torch
from jaxtyping import Bool, Int, Integer
from torch import Tensor

from lib.model.config import ModelConfig
from lib.settings import shortened

# True (or 1) at a token, False (or 0) at padding.
PaddingMask = Bool[Tensor, "B S"] | Integer[Tensor, "B S"]


def check_ids(config: ModelConfig, ids: Int[Tensor, "B T"], *, wait: bool = False) -> None:
    """Raise ValueError unless `ids` are rows of at least one token of the model's vocabulary.

    Off the CPU their range is checked only with `wait`, since reading it waits for the device.
    """
    if not isinstance(ids, Tensor):
        raise ValueError(f"ids must be a tensor, got {shortened(ids)}: use torch.tensor(ids)")
    if ids.dim() == 1:
        raise ValueError(
            f"ids must be (batch, position), got {_shape(ids)}: a single prompt needs one more "
            "pair of brackets, torch.tensor([ids])"
        )
    if ids.dim() != 2:
        raise ValueError(f"ids must be (batch, position), got {_shape(ids)}")
    if 0 in ids.shape:
        raise ValueError(f"ids must hold at least one token, got {_shape(ids)}")
    if ids.dtype not in (torch.int64, torch.int32) or ids.layout != torch.strided:
        kind = ids.dtype if ids.layout == torch.strided else ids.layout
        raise ValueError(f"ids must be whole numbers (torch.int64 or int32), got {kind}")
    if (wait and ids.device.type != "meta") or ids.device.type == "cpu":
        low, high = (int(value) for value in ids.aminmax())
        if low < 0 or high >= config.vocab_size:
            raise ValueError(f"ids must be in 0 .. {config.vocab_size - 1}, got {low} .. {high}")


def as_mask(
    mask: PaddingMask,
    n_rows: int,
    length: int,
    name: str = "attention_mask",
    device: torch.device | None = None,
) -> Bool[Tensor, "B S"]:
    """The mask as True and False; ValueError for another shape, dtype, value, or `device`."""
    if not isinstance(mask, Tensor) or mask.layout != torch.strided:
        raise ValueError(f"{name} must be a dense tensor, got {shortened(mask)}")
    if device not in (None, mask.device):
        raise ValueError(f"{name} is on {mask.device}, the ids on {device}: use {name}.to(…)")
    if mask.dim() != 2 or len(mask) != n_rows:
        raise ValueError(
            f"{name} must have a row for each of {n_rows} sequences, got {_shape(mask)}"
        )
    if mask.shape[1] != length:
        raise ValueError(f"{name} must cover {length} positions, got {mask.shape[1]}")
    if mask.dtype == torch.bool:
        return mask
    if mask.is_floating_point() or mask.is_complex():
        raise ValueError(
            f"{name} must hold True and False, or the integers 1 and 0, got {mask.dtype}"
        )
    if (wrong := mask[(mask != 0) & (mask != 1)]).numel():
        raise ValueError(f"{name} must hold 0 (padding) and 1, got {wrong[0].item()}")
    return mask.bool()


def check_prompt(
    config: ModelConfig, ids: Int[Tensor, "B T"], attention_mask: PaddingMask | None = None
) -> Bool[Tensor, "B T"] | None:
    """The mask of prompts that are to be continued, as True and False.

    Raises ValueError for ids or a mask that no model takes, for a prompt longer than the context,
    and for padding on the right, after which there is nothing to go on from.
    """
    check_ids(config, ids, wait=True)
    check_length(config, ids.shape[1])
    if attention_mask is None:
        return None
    mask = as_mask(attention_mask, *ids.shape, device=ids.device)
    if not mask[:, -1].all():
        row = int((~mask[:, -1]).nonzero()[0])
        raise ValueError(
            f"row {row} ends in padding (its attention_mask is False at the last position); pad "
            "prompts on the left, so that each goes on from its own last token"
        )
    return mask


def check_length(config: ModelConfig, length: int) -> None:
    """Raise ValueError if so many positions do not fit the context."""
    if length > config.context_length:
        raise ValueError(
            f"the context is {config.context_length} positions, got {length}; shorten ids"
        )


def _shape(tensor: Tensor) -> str:
    return f"a tensor of shape {tuple(tensor.shape)}"
