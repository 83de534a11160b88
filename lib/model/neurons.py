"""Neurons: the inner features of a feed-forward layer, what makes them active, what they write.

The layer is a sum over its F neurons, activation times value: down(a) = sum_i a_i v_i. Row i of
`up` (and of `gate`) is the key that a token is compared with, column i of `down` the value.
Source: Geva et al. (2021), Transformer Feed-Forward Layers Are Key-Value Memories.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.model.feedforward import FeedForward
from lib.model.transformer import LanguageModel


@torch.no_grad()
def neuron_activations(
    model: LanguageModel, ids: Int[Tensor, "B T"], layers: Sequence[int]
) -> list[Float[Tensor, "B T F"]]:
    """The activations of all neurons in some layers: what enters `down` at each position.

    Raises ValueError for a layer that is not there or is not a dense feed-forward layer.
    """
    for layer in layers:
        if not 0 <= layer < len(model.blocks):
            raise ValueError(f"layers must be in 0 .. {len(model.blocks) - 1}, got {layer}")
        if not isinstance(model.blocks[layer].feedforward, FeedForward):
            raise ValueError(f"layer {layer} has experts; neurons are those of one dense layer")
    found: dict[int, Tensor] = {}
    handles = [
        model.blocks[layer].feedforward.down.register_forward_pre_hook(
            lambda module, inputs, layer=layer: found.__setitem__(layer, inputs[0])
        )
        for layer in layers
    ]
    try:
        model.hidden(ids)
    finally:
        for handle in handles:
            handle.remove()
    return [found[layer] for layer in layers]


def promoted_tokens(
    model: LanguageModel,
    layer: int,
    neuron: int,
    k: int = 8,
) -> Int[Tensor, "k"]:
    """The k tokens whose logits a neuron's value raises
    most, read by the model's own head.

    Source: Geva et al. (2022), Transformer Feed-Forward Layers Build Predictions by
    Promoting Concepts in the Vocabulary Space, equation 5.
    """
    value = model.blocks[layer].feedforward.down.weight[:, neuron]
    return (model.head.weight @ (value * model.final_norm.weight)).topk(k).indices


def strongest(
    activations: Float[Tensor, "N F"], neuron: int, k: int = 8
) -> tuple[Int[Tensor, "k"], Float[Tensor, "k"]]:
    """Where a neuron is most active in a text of N tokens, up or down, and how much."""
    column = activations[:, neuron]
    places = column.abs().topk(k).indices
    return places, column[places]


def write_share(
    activations: Float[Tensor, "N F"], values: Float[Tensor, "C F"], share: float
) -> Float[Tensor, "N"]:
    """The fewest neurons, as a share of F, whose writes hold `share` of all squared lengths.

    A neuron writes |a_i| |v_i|. If few neurons do most of the work, the layer is sparse in effect
    though hardly any activation is exactly zero. Raises ValueError for a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be in (0, 1], got {share}")
    written = (activations * values.norm(dim=0)).square().sort(dim=-1, descending=True).values
    reached = written.cumsum(dim=-1) / written.sum(dim=-1, keepdim=True)
    before_the_last = reached[..., :-1]  # with the last all is reached, whatever was rounded
    return ((before_the_last < share).sum(dim=-1) + 1).float() / activations.shape[-1]
