"""Contrastive search: a probable token whose hidden state is unlike those before it.

A text that repeats itself has hidden states that resemble earlier ones. Of the `top_k` most
probable tokens v, take the one with the highest

    (1 - alpha) p(v | x) - alpha max_j cos(h_v, h_j),

where h_v is the model's last hidden state if v is appended and h_j those of the text so far.
Source: Su et al. (2022), "A contrastive framework for neural text generation", equation 5.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.generation.config import GenerationConfig
from lib.generation.logits import History, probabilities
from lib.generation.prefill import check_entry, read_prompts
from lib.model import LanguageModel
from lib.model.inputs import PaddingMask


def degeneration_penalty(
    states: Float[Tensor, "B T C"],
    candidates: Float[Tensor, "B k C"],
    attention_mask: Bool[Tensor, "B T"] | None = None,
) -> Float[Tensor, "B k"]:
    """The highest cosine between each candidate's hidden
    state and those of the text so far.
    """
    states = states / states.norm(dim=-1, keepdim=True)
    candidates = candidates / candidates.norm(dim=-1, keepdim=True)
    cosine = candidates @ states.mT  # (B, k, T)
    if attention_mask is not None:
        cosine = cosine.masked_fill(~attention_mask[:, None], -torch.inf)
    return cosine.amax(dim=-1)


def contrastive_scores(
    p: Float[Tensor, "B k"], penalty: Float[Tensor, "B k"], alpha: float | int
) -> Float[Tensor, "B k"]:
    """(1 - alpha) p - alpha penalty: 0 is greedy
    decoding, 1 looks at the geometry alone.
    """
    return (1 - alpha) * p - alpha * penalty


def top_candidates(
    logits: Float[Tensor, "B V"], config: GenerationConfig, history: History
) -> tuple[Float[Tensor, "B k"], Int[Tensor, "B k"]]:
    """The most probable tokens after penalties and constraints. Raises ValueError for NaN."""
    p = probabilities(logits, config, history)
    return p.topk(min(config.top_k, p.shape[-1]))


@torch.inference_mode()
def contrastive_steps(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    config: GenerationConfig,
    attention_mask: PaddingMask | None = None,
) -> Iterator[Int[Tensor, "B"]]:
    """Yield the next token of every row, step by step; stopped rows go on as in `generate_steps`.

    Each step runs the model on all candidates of all rows at once: the price is that of a batch of
    `top_k`. The hidden states are those after the final normalization.
    """
    attention_mask = check_entry(model, ids, config, attention_mask)
    n, k, prompt = len(ids), min(config.top_k, model.config.vocab_size), ids.shape[1]
    x, cache = read_prompts(model, ids, attention_mask, k, config.max_new_tokens + 1)
    states, logits = model.final_norm(x), model.unembed(x[:, -1])
    stop_ids = torch.tensor(config.stop_ids, device=ids.device)
    stopped = torch.zeros(n, dtype=torch.bool, device=ids.device)
    for _ in range(config.max_new_tokens):
        history = History(ids, prompt, attention_mask)
        p, tokens = top_candidates(logits, config, history)
        wide = None
        if attention_mask is not None:
            one = torch.ones(n, 1, dtype=torch.bool, device=ids.device)
            longer = torch.cat([attention_mask, one], dim=1)
            wide = longer.repeat_interleave(k, dim=0)
        x = model.hidden(tokens.reshape(-1, 1), wide, cache)[:, -1].unflatten(0, (n, k))
        h = model.final_norm(x)
        scores = contrastive_scores(
            p, degeneration_penalty(states, h, attention_mask), config.penalty_alpha
        ).masked_fill(p == 0, -torch.inf)  # a forbidden token is no candidate
        place, row = scores.argmax(dim=-1), torch.arange(n, device=ids.device)
        token = torch.where(stopped, config.fill_id, tokens[row, place])
        yield token
        stopped |= torch.isin(token, stop_ids)
        if stopped.all():
            return
        cache.reorder((row * k + place).repeat_interleave(k))  # all go on from the chosen one
        ids = torch.cat([ids, token[:, None]], dim=1)
        states = torch.cat([states, h[row, place][:, None]], dim=1)
        logits = model.unembed(x[row, place])
        if attention_mask is not None:
            attention_mask = longer
