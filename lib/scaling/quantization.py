"""Weights in fewer bits: integers and a scale for each row or group, rounded to the nearest."""

import torch
from jaxtyping import Float, Int8
from torch import Tensor, nn

from lib.model import LanguageModel
from lib.settings import require

PACKED = hasattr(torch, "_weight_int8pack_mm")  # private to torch: it may go
ROWS = 4096  # quantized at a time: a whole embedding would need much room for a moment


def quantize(
    weight: Float[Tensor, "out in"], bits: int = 8, group: int | None = None
) -> tuple[Int8[Tensor, "out in"], Float[Tensor, "out groups"]]:
    """Integers q and scales s with weight about q s, |q| <= 2^(bits - 1) - 1.

    One scale for each row, or for each `group` neighbors in a row: its largest weight
    gets the largest integer. Symmetric, rounded to nearest: the simplest scheme, which
    needs no data. Source: Dettmers et al. (2022), LLM.int8(), section 2.1 (absmax), by
    row; groups as in Frantar et al. (2023), GPTQ, section 5. Raises ValueError for bits
    out of 2 .. 8 and a group that does not divide a row.
    """
    require("bits", bits, "[2, 8]", whole=True)
    group = weight.shape[1] if group is None else group
    require("group", group, "[1, inf)", whole=True)
    if weight.shape[1] % group:
        width = weight.shape[1]
        raise ValueError(f"group must divide the row's {width} weights, got {group}")
    most = 2 ** (bits - 1) - 1
    grouped = weight.float().unflatten(1, (-1, group))
    scales = grouped.abs().amax(dim=2, keepdim=True).clamp(min=1e-12) / most
    integers = (grouped / scales).round().clamp(-most, most)
    return integers.flatten(1).to(torch.int8), scales.squeeze(2)


def dequantize(
    integers: Int8[Tensor, "out in"], scales: Float[Tensor, "out groups"]
) -> Float[Tensor, "out in"]:
    """The weights that a product then uses: integers times their group's scale."""
    grouped = integers.float().unflatten(1, (scales.shape[1], -1))
    return (grouped * scales[:, :, None]).flatten(1)


def bits_per_weight(bits: int, group: int, scale_bits: int = 16) -> float:
    """Bits that a weight takes with its share of the scale."""
    require("bits", bits, "[1, inf)", whole=True)
    require("group", group, "[1, inf)", whole=True)
    return bits + scale_bits / group


@torch.no_grad()
def round_weights(model: LanguageModel, bits: int = 8, group: int | None = None) -> None:
    """Replace every matrix by its quantized and dequantized self, embedding included, in place.

    Shows what quantization does to the loss. It saves nothing: the numbers stay as wide.
    """
    for weight in model.parameters():
        if weight.dim() == 2:
            for rows in weight.split(ROWS):
                rows.copy_(dequantize(*quantize(rows, bits, group)))


class Int8Linear(nn.Module):
    """A linear map whose weight is kept, and read, in 8 bits; activations in bfloat16.

    The kernel turns integers into bfloat16 on their way into the product and multiplies by the
    row's scale at the end. Only its reading of memory is cheaper.
    """

    def __init__(self, linear: nn.Linear):
        super().__init__()
        parts = [quantize(rows, 8) for rows in linear.weight.detach().split(ROWS)]
        self.register_buffer("integers", torch.cat([integers for integers, _ in parts]))
        scales = torch.cat([scales for _, scales in parts])[:, 0]
        self.register_buffer("scales", scales.to(torch.bfloat16))
        bias = linear.bias
        self.register_buffer("bias", None if bias is None else bias.detach().to(torch.bfloat16))

    def forward(self, x: Float[Tensor, "*B in"]) -> Float[Tensor, "*B out"]:
        rows = x.flatten(0, -2).to(torch.bfloat16)
        # The kernel reads 16 weights at a time, and beyond a row of another length.
        if PACKED and rows.device.type == "cpu" and rows.shape[1] % 32 == 0:
            y = torch._weight_int8pack_mm(rows, self.integers, self.scales)
        else:  # the same result; all weights become bfloat16 for a moment, so nothing is saved
            y = rows @ self.integers.to(torch.bfloat16).T * self.scales
        y = y if self.bias is None else y + self.bias
        return y.unflatten(0, x.shape[:-1]).to(x.dtype)


def use_int8(model: LanguageModel) -> LanguageModel:
    """Replace every nn.Linear of a model by an `Int8Linear`, in place; returns the model.

    A tied head is quantized apart from the embedding, of which single rows are read.
    """
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                setattr(module, name, Int8Linear(child))
    return model
