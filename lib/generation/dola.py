"""DoLa: decoding by contrasting layers. What do the last layers add to what the earlier ones say?

Each layer's residual stream can be read as a distribution (the logit lens). DoLa takes, of some
earlier layers, the one whose distribution differs most from the last layer's, and chooses by the
difference of the two log-probabilities, among tokens that the last layer finds plausible. Source:
Chuang et al. (2024), "DoLa", sections 2.1 to 2.3. Where the released code (and transformers 4.43
to 4.56, which followed it) differs from the paper's formulas, `as_released` says which to follow.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.generation.filters import min_p
from lib.model import KVCache, LanguageModel

PLAUSIBLE = 0.1  # the paper's alpha: of the highest probability, as in min_p


def candidate_layers(model: LanguageModel, layers: str | Sequence[int]) -> list[int]:
    """The layers to contrast with the last: 0 is the embedding, L - 1 the last but one.

    "low" and "high" are every second layer of the lower or upper half; with tied embeddings the
    embedding itself is left out, which would only say the same token again. Raises ValueError for
    another word or a layer that is not below the last.
    """
    last, tied = model.config.n_layers, model.config.tie_embeddings
    if isinstance(layers, str):
        half = last // 2 if last <= 40 else 20
        start = 0 if not tied else 2 if last > 2 else last - 1
        if layers == "low":
            return list(range(start, half, 2)) or [start]
        if layers == "high":
            return list(range(last // 2 if last <= 40 else last - 20, last, 2))
        raise ValueError(f'dola_layers must be "low", "high" or layers, got {layers!r}')
    if not layers or not all(0 <= layer < last for layer in layers):
        raise ValueError(f"dola_layers must be in 0 .. {last - 1}, got {tuple(layers)}")
    return list(layers)


def stream_at_end(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    attention_mask: Bool[Tensor, "B S"] | None = None,
    cache: KVCache | None = None,
) -> Float[Tensor, "layers B C"]:
    """The residual stream of the last position, before the first layer and after each one."""
    x, rotary, mask = model.embed(ids, attention_mask, cache.length if cache else 0)
    stream = [x[:, -1]]
    for block in model.blocks:
        x = block(x, rotary, mask, cache)
        stream.append(x[:, -1])
    if cache is not None:
        cache.advance(ids.shape[1])
    return torch.stack(stream)


def layer_divergence(
    last: Float[Tensor, "B V"],
    early: Float[Tensor, "layers B V"],
    as_released: bool = False,
) -> Float[Tensor, "layers B"]:
    """Jensen-Shannon divergence (nats) of each early
    layer's distribution from the last one's.

    With M the mean of P and Q it is (KL(P || M) + KL(Q || M)) / 2, at most ln 2. The
    released code has the arguments of KL the other way round: KL(M || P) and KL(M ||
    Q), which has no bound.
    """
    log_p, log_q = last.log_softmax(dim=-1)[None], early.log_softmax(dim=-1)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    if as_released:
        return (log_m.exp() * (log_m - (log_p + log_q) / 2)).sum(dim=-1)
    both = log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)
    return (both / 2).sum(dim=-1)


def contrast_layers(
    model: LanguageModel,
    stream: Float[Tensor, "layers B C"],
    layers: str | Sequence[int],
    as_released: bool = True,
) -> tuple[Float[Tensor, "B V"], Int[Tensor, "B"]]:
    """DoLa's logits, and which layer each row was contrasted with.

    ln p - ln q where p is at least a tenth of the highest, else -inf. `as_released`:
    read early layers without the final normalization, and measure as `layer_divergence`
    says; otherwise by the logit lens and the paper's divergence. transformers chose one
    layer for a whole batch; here each row has its own, so that a row does not depend on
    its neighbors.
    """
    candidates = candidate_layers(model, layers)
    last = model.unembed(stream[-1]).float()
    read = model.head if as_released else model.unembed
    early = read(stream[candidates]).float()
    place = layer_divergence(last, early, as_released).argmax(dim=0)
    log_q = early[place, torch.arange(len(last))].log_softmax(dim=-1)
    contrast = last.log_softmax(dim=-1) - log_q
    plausible = min_p(last, PLAUSIBLE) > -math.inf
    layer = torch.tensor(candidates, device=place.device)[place]
    return contrast.masked_fill(~plausible, -math.inf), layer
