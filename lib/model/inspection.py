"""Look inside a model: where each head looks, what it writes, and what is lost without it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from einops import einsum
from jaxtyping import Float, Int
from torch import Tensor

from lib.model.attention import AttentionSteps
from lib.model.normalization import LayerNorm, RMSNorm
from lib.model.transformer import LanguageModel

# Where heads look


def layer_steps(model: LanguageModel, ids: Int[Tensor, "B T"]) -> Iterator[AttentionSteps]:
    """Every intermediate of attention, layer after layer, without gradients."""
    with torch.no_grad():
        x, rotary, mask = model.embed(ids)
    for block in model.blocks:
        with torch.no_grad():  # not around the `yield`: what the caller does is not our business
            steps = block.attention.steps(block.attention_norm(x), rotary, mask)
            x = block(x, rotary, mask)
        yield steps


def head_weights(model: LanguageModel, ids: Int[Tensor, "B T"]) -> Float[Tensor, "L B H T S"]:
    """The attention weights of all heads of all layers."""
    return torch.stack([steps.weights for steps in layer_steps(model, ids)])


def previous_token_score(weights: Float[Tensor, "*heads T S"]) -> Float[Tensor, "*heads"]:
    """Mean weight on the token just before."""
    return weights.diagonal(offset=-1, dim1=-2, dim2=-1).mean(-1)


def first_token_score(weights: Float[Tensor, "*heads T S"]) -> Float[Tensor, "*heads"]:
    """Mean weight on the first token, over all later queries: the head's use as a sink."""
    return weights[..., 1:, 0].mean(-1)


def induction_score(weights: Float[Tensor, "*heads T S"], period: int) -> Float[Tensor, "*heads"]:
    """Mean weight, in text that repeats after `period`, on what followed the token last time.

    Source: Olsson et al. (2022), In-context Learning and Induction Heads.
    """
    if not 2 <= period < weights.shape[-1]:
        raise ValueError(f"period must be in 2 .. {weights.shape[-1] - 1}, got {period}")
    follows = weights.diagonal(offset=1 - period, dim1=-2, dim2=-1)
    return follows[..., 1:].mean(-1)  # the first of them is still in the first round


def repeated_tokens(
    vocab_size: int, n_texts: int, period: int, seed: int = 0
) -> Int[Tensor, "B T"]:
    """Random tokens, then the same again: only memory of the context can predict the second half.

    The first 100 ids are left out: special tokens and single bytes live there.
    """
    random = torch.Generator().manual_seed(seed)
    half = torch.randint(min(100, vocab_size - 1), vocab_size, (n_texts, period), generator=random)
    return torch.cat([half, half], dim=1)


# What heads write


def head_writes(model: LanguageModel, layer: int) -> Float[Tensor, "H D C"]:
    """For each head, the rows of W_o that turn its output into what it adds to the stream."""
    attention = model.blocks[layer].attention
    return attention.output.weight.T.unflatten(0, (attention.heads[0], attention.d_head))


@torch.no_grad()
def copying_score(model: LanguageModel, ids: Int[Tensor, "B T"]) -> Float[Tensor, "L B H"]:
    """How often a head that looks at a token would raise this token most of all in the text.

    For each token j of a text: the head's value at j goes through W_o and the unembedding; is the
    logit of token j the largest among the text's distinct tokens? The average over j. A head that
    ignores what it copies scores about 1 / (number of distinct tokens).
    Source: the OV circuit of Elhage et al. (2021), here on the values of a real text.
    """
    texts = [row.unique(return_inverse=True) for row in ids]  # distinct tokens, and which at j
    reads = [model.head.weight[words] * model.final_norm.gain for words, _ in texts]
    scores = []
    for layer, steps in enumerate(layer_steps(model, ids)):
        shared = steps.query.shape[1] // steps.value.shape[1]
        value = steps.value.repeat_interleave(shared, dim=1)
        written = einsum(value, head_writes(model, layer), "B H T D, H D C -> B H T C")
        raised = [(text @ read.T).argmax(-1) for text, read in zip(written, reads, strict=True)]
        own = [best == which for best, (_, which) in zip(raised, texts, strict=True)]
        scores.append(torch.stack(own).float().mean(dim=-1))
    return torch.stack(scores)


@dataclass(frozen=True)
class LogitAttribution:
    """One logit as a sum of what each part of the model wrote to the last position.

    `constant` collects what no input changes: biases of sublayers and of the final norm.
    """

    logit: float
    embedding: float
    heads: Float[Tensor, "L H"]
    feedforward: Float[Tensor, "L"]
    constant: float

    @property
    def total(self) -> float:
        """The sum of all parts, which is the logit."""
        return self.embedding + float(self.heads.sum() + self.feedforward.sum()) + self.constant


@torch.no_grad()
def logit_attribution(
    model: LanguageModel, ids: Int[Tensor, "1 T"], direction: Float[Tensor, "V"] | int
) -> LogitAttribution:
    """Split the last position's logit of a token over embedding, heads and feed-forward layers.

    `direction` is a token id, or weights over the vocabulary (+1 and -1 at two tokens give the
    difference of their logits). The last normalization is taken at the scale that it has here;
    with that held fixed, every logit is linear in what was written to the stream.
    Source: Elhage et al. (2021), A Mathematical Framework for Transformer Circuits.
    """
    if isinstance(direction, int):
        unembed = model.head.weight[direction]
    else:
        unembed = direction @ model.head.weight
    x, rotary, mask = model.embed(ids)
    final = model.residual_stream(ids)[-1, 0, -1]
    read, constant = _linear_readout(model, final, unembed)
    embedding, heads, feedforward = x[0, -1] @ read, [], []
    for layer, block in enumerate(model.blocks):
        steps = block.attention.steps(block.attention_norm(x), rotary, mask)
        output = steps.head_output[0, :, -1]  # H D
        heads.append(einsum(output, head_writes(model, layer), read, "H D, H D C, C -> H"))
        if block.attention.output.bias is not None:
            constant += block.attention.output.bias @ read
        middle = x + block.attention(block.attention_norm(x), rotary, mask)
        x = block(x, rotary, mask)
        feedforward.append((x - middle)[0, -1] @ read)
    logit = model.final_norm(final) @ unembed
    return LogitAttribution(
        logit=float(logit),
        embedding=float(embedding),
        heads=torch.stack(heads),
        feedforward=torch.stack(feedforward),
        constant=float(constant),
    )


def _linear_readout(
    model: LanguageModel, final: Float[Tensor, "C"], unembed: Float[Tensor, "C"]
) -> tuple[Float[Tensor, "C"], Float[Tensor, ""]]:
    """The vector whose product with the stream gives the logit, and what is added to it."""
    norm = model.final_norm
    if model.config.norm_placement != "pre" or not isinstance(norm, LayerNorm | RMSNorm):
        raise ValueError(
            "attribution needs a pre-norm model with layernorm or rmsnorm, got "
            f"{model.config.norm_placement!r} and {model.config.norm!r}"
        )
    read, constant = unembed * norm.gain, unembed.new_zeros(())
    if isinstance(norm, LayerNorm):
        constant = norm.bias @ unembed
        read = read - read.mean()  # the mean of the stream is subtracted
        final = final - final.mean()
    return read * torch.rsqrt(final.square().mean() + norm.eps), constant


# What is lost without heads


@torch.no_grad()
def mean_head_outputs(model: LanguageModel, ids: Int[Tensor, "B T"]) -> Float[Tensor, "L H D"]:
    """What each head hands to W_o, averaged over all positions of these texts."""
    return torch.stack([s.head_output.mean(dim=(0, 2)) for s in layer_steps(model, ids)])


@contextmanager
def without_heads(
    model: LanguageModel,
    heads: Iterable[tuple[int, int]],
    means: Float[Tensor, "L H D"] | None = None,
) -> Iterator[LanguageModel]:
    """Inside the `with` block these (layer, head) write
    nothing; afterwards all is as before.

    With `means` (from `mean_head_outputs`) they write their average instead: what a
    head writes whatever it reads stays, so that only what it says about this text is
    lost. Later layers expect the average; without it they may fail for reasons of their
    own. Raises ValueError for a head that is not there.
    """
    by_layer: dict[int, list[int]] = {}
    for layer, head in heads:
        if not (0 <= layer < len(model.blocks) and 0 <= head < model.config.n_heads):
            raise ValueError(
                f"there is no head {head} in layer {layer}: "
                f"the model has {len(model.blocks)} "
                f"layers of {model.config.n_heads} heads"
            )
        by_layer.setdefault(layer, []).append(head)

    def replace(layer: int, gone: list[int]):
        def hook(module, inputs):
            outputs = inputs[0].unflatten(-1, (model.config.n_heads, -1)).clone()
            written = 0.0 if means is None else means[layer, gone].to(outputs.dtype)
            outputs[..., gone, :] = written
            return (outputs.flatten(-2),)

        return hook

    attentions = {layer: model.blocks[layer].attention for layer in by_layer}
    handles = [
        attention.output.register_forward_pre_hook(replace(layer, by_layer[layer]))
        for layer, attention in attentions.items()
    ]
    try:
        yield model
    finally:
        for handle in handles:
            handle.remove()
