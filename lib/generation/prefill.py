"""Read the prompts once, and give each of them several rows of the cache to go on in."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.model import KVCache, LanguageModel


def new_cache(model: LanguageModel, batch: int, capacity: int) -> KVCache:
    """An empty cache for `batch` rows of `capacity` positions, of the weights' dtype and device."""
    weight = model.embedding.weight
    return KVCache(model.config, batch, capacity, weight.dtype, weight.device)


def repeat_cache(model: LanguageModel, cache: KVCache, n: int, capacity: int) -> KVCache:
    """A cache in which each row stands n times, with room for `capacity` positions."""
    n_rows = cache.keys[0].shape[0]
    wide = new_cache(model, n_rows * n, capacity)
    if any(ring is not None for ring in (*cache.rings, *wide.rings)):
        raise ValueError("the model forgets positions (a window); draw without a shared prompt")
    for narrow, repeated in zip(
        (*cache.keys, *cache.values), (*wide.keys, *wide.values), strict=True
    ):
        used = narrow[:, :, : cache.length]
        repeated[:, :, : cache.length] = used.repeat_interleave(n, dim=0)
    wide.length = cache.length
    return wide


def read_prompts(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    attention_mask: Bool[Tensor, "B T"] | None,
    n: int,
    max_new_tokens: int,
) -> tuple[Float[Tensor, "B T C"], KVCache]:
    """The residual stream of the prompts, and a cache of n rows for each, with room to go on.

    Raises ValueError if prompt and continuation do not fit the context.
    """
    check_room(model, ids, max_new_tokens)
    cache = new_cache(model, len(ids), ids.shape[1])
    hidden = model.hidden(ids, attention_mask, cache)
    return hidden, repeat_cache(model, cache, n, ids.shape[1] + max_new_tokens)


def check_room(model: LanguageModel, ids: Int[Tensor, "B T"], max_new_tokens: int) -> None:
    """Raise ValueError if prompt and continuation do not fit the model's context."""
    total = ids.shape[1] + max_new_tokens
    if total > model.config.context_length:
        raise ValueError(
            f"prompt and continuation take {total} positions, the context has "
            f"{model.config.context_length}; shorten the prompt or max_new_tokens"
        )
