"""Attention sinks: somewhere for attention to go when there is nothing to look up.

Softmax must give away all of its weight. Trained models put what they do not need on the first
token (Xiao et al., 2023). gpt-oss gives each head a learned logit for it instead: one more entry in
the softmax, with no key and no value behind it (OpenAI, 2025; Miller, 2023, "softmax plus one").
"""

from jaxtyping import Float
from torch import Tensor, cat
from torch.nn.functional import pad

from lib.model.masks import Mask, as_bias


def softmax_with_sinks(
    masked: Float[Tensor, "B H T S"], sinks: Float[Tensor, "H"]
) -> Float[Tensor, "B H T S"]:
    """Softmax over the scores and one sink logit for each
    head; the sink's weight is dropped.

    So the weights of a row sum to less than one.
    """
    column = sinks.view(1, -1, 1, 1).expand(*masked.shape[:-1], 1)
    return cat([masked, column], dim=-1).softmax(dim=-1)[..., :-1]


def add_sink_key(
    key: Float[Tensor, "B K S D"],
    value: Float[Tensor, "B K S D"],
    mask: Mask,
    sinks: Float[Tensor, "H"],
) -> tuple[Float[Tensor, "B K S1 D"], Float[Tensor, "B K S1 D"], Float[Tensor, "#B H T S1"]]:
    """The same for a fused kernel: one more key and value of zeros, and the logit in the mask.

    A key of zeros scores zero, so the mask's entry is the whole logit; a value of zeros adds
    nothing to the output.
    """
    bias = as_bias(mask)
    bias = bias.view((1,) * (4 - bias.dim()) + bias.shape)  # B H T S
    bias = bias.expand(-1, len(sinks), -1, -1)
    column = sinks.view(1, -1, 1, 1).expand(*bias.shape[:-1], 1)
    row = (0, 0, 0, 1)
    return pad(key, row), pad(value, row), cat([bias.to(column.dtype), column], dim=-1)
