"""Give a model another number of key/value heads: more of them exactly, fewer of them roughly."""

import torch
from einops import reduce, repeat
from jaxtyping import Float
from torch import Tensor

from lib.model.transformer import LanguageModel
from lib.settings import require


@torch.no_grad()
def with_kv_heads(model: LanguageModel, n_kv_heads: int) -> LanguageModel:
    """The model with `n_kv_heads` key/value heads in every layer; all other weights are shared.

    More heads: each is repeated, and the logits stay the same, since grouped-query attention is
    multi-head attention whose heads share keys. Fewer: neighbors are averaged, which is where
    Ainslie et al. (2023), GQA, section 2.1, begin to train on. Raises ValueError if neither number
    divides the other.
    """
    config, old = model.config, model.config.n_kv_heads
    require("n_kv_heads", n_kv_heads, "[1, inf)", whole=True)
    if max(n_kv_heads, old) % min(n_kv_heads, old):
        raise ValueError(f"n_kv_heads must divide {old} or be a multiple of it, got {n_kv_heads}")
    with torch.device("meta"):  # no memory for weights that are about to be replaced
        converted = LanguageModel(config.replace(n_kv_heads=n_kv_heads))
    weights = model.state_dict()
    for name, tensor in weights.items():
        if "query_key_value" in name:
            n_rows = [heads * config.d_head for heads in (config.n_heads, old, old)]
            query, key, value = tensor.split(n_rows)
            pair = [_with_heads(rows, old, n_kv_heads) for rows in (key, value)]
            weights[name] = torch.cat([query, *pair])
    converted.load_state_dict(weights, assign=True)
    if config.tie_embeddings:
        converted.head.weight = converted.embedding.weight
    return converted.train(model.training)


def _with_heads(rows: Float[Tensor, "rows ..."], old: int, new: int) -> Float[Tensor, "rows2 ..."]:
    if new >= old:
        return repeat(rows, "(K D) ... -> (K G D) ...", K=old, G=new // old)
    return reduce(rows, "(K G D) ... -> (K D) ...", "mean", K=new, G=old // new)
