"""Read the prompts once, and give each of them several rows of the cache to go on in."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.generation.config import GenerationConfig
from lib.generation.constraints import check_sequences
from lib.generation.dola import candidate_layers
from lib.model import KVCache, LanguageModel
from lib.model.inputs import PaddingMask, check_prompt
from lib.settings import require_kind


def new_cache(model: LanguageModel, batch: int, capacity: int, *, whole: bool = False) -> KVCache:
    """An empty cache for `batch` rows of `capacity` positions, of the weights' dtype and device.

    `whole`: windows, too, keep all positions, for what goes back (speculation) or shares prompts.
    """
    weight = model.embedding.weight
    return KVCache(model.config, batch, capacity, weight.dtype, weight.device, whole=whole)


def dice(config: GenerationConfig, device: torch.device) -> torch.Generator | None:
    """Random numbers of `config.seed`; None, torch's own, without a seed or without a draw."""
    if config.seed is None or not config.do_sample:
        return None
    return torch.Generator(device).manual_seed(int(config.seed))


def repeat_cache(model: LanguageModel, cache: KVCache, n: int, capacity: int) -> KVCache:
    """A whole cache in which each row of another stands n times, with `capacity` positions."""
    n_rows = cache.keys[0].shape[0]
    wide = new_cache(model, n_rows * n, capacity, whole=True)
    for narrow, repeated in zip(
        (*cache.keys, *cache.values), (*wide.keys, *wide.values), strict=True
    ):
        used = narrow[:, :, : cache.length]
        repeated[:, :, : cache.length] = used.repeat_interleave(n, dim=0)
    wide.length = cache.length
    return wide


def keep_rows(cache: KVCache, rows: Bool[Tensor, "B"]) -> None:
    """Drop the other rows from a cache; where a layer has a window, all of its ring stays."""
    cache.keys = [_kept(key, rows, cache.length) for key in cache.keys]
    cache.values = [_kept(value, rows, cache.length) for value in cache.values]


def _kept(stored: Tensor, rows: Tensor, used: int) -> Tensor:
    kept = stored.new_empty((int(rows.sum()), *stored.shape[1:]))
    kept[:, :, :used] = stored[rows, :, :used]
    return kept


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
    cache = new_cache(model, len(ids), ids.shape[1], whole=True)
    hidden = model.hidden(ids, attention_mask, cache)
    return hidden, repeat_cache(model, cache, n, ids.shape[1] + max_new_tokens)


def check_room(model: LanguageModel, ids: Int[Tensor, "B T"], max_new_tokens: int) -> None:
    """Raise ValueError for ids that no prompt has, and if the continuation does not fit."""
    check_prompt(model.config, ids)
    total = ids.shape[1] + max_new_tokens
    if total > model.config.context_length:
        raise ValueError(
            f"prompt and continuation take {total} positions, the context has "
            f"{model.config.context_length}; shorten the prompt or max_new_tokens"
        )


def check_entry(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    config: GenerationConfig,
    attention_mask: PaddingMask | None = None,
) -> Bool[Tensor, "B T"] | None:
    """What every way to decode asks before any work; the mask as True and False.

    Raises ValueError for a model, prompts, a mask or settings that do not fit together.
    """
    require_kind("model", model, LanguageModel)
    require_kind("config", config, GenerationConfig)
    mask = check_prompt(model.config, ids, attention_mask)
    check_room(model, ids, config.max_new_tokens)
    pad = () if config.pad_token_id is None else (config.pad_token_id,)
    check_sequences("eos_token_id", [(i,) for i in config.stop_ids], model.config.vocab_size)
    check_sequences("pad_token_id", [(i,) for i in pad], model.config.vocab_size)
    check_sequences("sequence_bias", list(config.sequence_bias or ()), model.config.vocab_size)
    check_sequences("bad_words_ids", list(config.bad_words_ids or ()), model.config.vocab_size)
    if config.dola_layers is not None:
        candidate_layers(model, config.dola_layers)
    return mask
