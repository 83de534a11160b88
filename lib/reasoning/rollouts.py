"""Rollouts: many responses drawn at once, with a KV cache.

Prompts of several lengths go through the model side by side: while a row is still within its
prompt, its next token is given rather than drawn. So all rows stand at the same position, without
padding; and rows that have ended are dropped from the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lib.generation.prefill import keep_rows, new_cache
from lib.model import LanguageModel, ModelConfig
from lib.model.inputs import as_mask, check_ids
from lib.reasoning.task import END_ID, PAD_ID
from lib.settings import require, shortened


@dataclass(frozen=True)
class Rollouts:
    """Prompts and what the model said. After a row's end there is padding."""

    ids: Int[Tensor, "B T"]
    drawn: Bool[Tensor, "B T"]  # True at tokens that the model drew, the end among them
    log_p: Float[Tensor, "B T"]  # log-probability of each drawn token when it was drawn, else 0

    def responses(self) -> list[list[int]]:
        """The drawn ids of each row."""
        return [row[mask].tolist() for row, mask in zip(self.ids, self.drawn, strict=True)]

    def rows(self, kept: Bool[Tensor, "B"] | Int[Tensor, "N"]) -> "Rollouts":
        """Some of the rows, cut to their greatest length."""
        drawn = self.drawn[kept]
        end = int(drawn.any(0).nonzero().max()) + 1 if drawn.any() else 1
        return Rollouts(self.ids[kept][:, :end], drawn[:, :end], self.log_p[kept][:, :end])


@torch.no_grad()
def sample(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    length: int | None = None,
    temperature: float | int = 1.0,
    generator: torch.Generator | None = None,
    end_id: int = END_ID,
) -> Rollouts:
    """Draw one response to each prompt until it ends or prompt and response have `length` tokens.

    `temperature` 0 takes the likeliest token. The log-probabilities are those of the distribution
    that was drawn from. Raises ValueError for an empty prompt or one that leaves no room, and for
    ids that the model does not have.
    """
    require("temperature", temperature, "[0, inf)")
    most = model.config.context_length
    length = most if length is None else length
    require("length", length, f"[2, {most}]", whole=True)
    require("end_id", end_id, f"[0, {model.config.vocab_size - 1}]", whole=True)
    try:
        n_rows, sizes = len(prompts), [len(prompt) for prompt in prompts]
    except TypeError:
        raise ValueError(f"prompts must be lists of ids, got {shortened(prompts)}") from None
    if not sizes or min(sizes) < 1 or max(sizes) >= length:
        raise ValueError(
            f"prompts must have 1 .. {length - 1} tokens, got {min(sizes, default=0)} .. "
            f"{max(sizes, default=0)}"
        )
    ids = torch.full((n_rows, length), PAD_ID)
    for row, prompt in enumerate(prompts):
        given = _as_ids(prompt)
        check_ids(model.config, given[None])
        ids[row, : len(prompt)] = given
    drawn, log_p = torch.zeros_like(ids, dtype=torch.bool), torch.zeros(ids.shape)
    live, n_prompt = torch.arange(n_rows), torch.tensor(sizes)
    cache = new_cache(model, n_rows, length)
    shown = min(sizes)  # the first pass reads what is prompt in all rows
    chunk = ids[:, :shown]
    for position in range(shown, length):
        hidden = model.hidden(chunk, cache=cache)[:, -1]
        token, chosen = _draw(model.unembed(hidden), temperature, generator)
        free = n_prompt[live] <= position
        token = torch.where(free, token, ids[live, position])
        ids[live, position], drawn[live, position] = token, free
        log_p[live, position] = torch.where(free, chosen, 0.0)
        going = ~(free & (token == end_id))
        if not going.all():
            live, token = live[going], token[going]
            if not len(live):
                break
            keep_rows(cache, going)
        chunk = token[:, None]
    end = int(drawn.any(0).nonzero().max()) + 1
    return Rollouts(ids[:, :end].clone(), drawn[:, :end].clone(), log_p[:, :end].clone())


def _as_ids(prompt: Sequence[int]) -> Tensor:
    try:
        return torch.as_tensor(prompt)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"a prompt must be a list of ids, got {shortened(prompt)}") from None


def _draw(
    logits: Float[Tensor, "B V"], temperature: float | int, generator: torch.Generator | None
) -> tuple[Int[Tensor, "B"], Float[Tensor, "B"]]:
    """A token for each row and its log-probability."""
    if temperature == 0:
        log_p = logits.log_softmax(dim=-1)
        token = log_p.argmax(dim=-1)
    else:
        log_p = (logits / float(temperature)).log_softmax(dim=-1)
        token = torch.multinomial(log_p.exp(), 1, generator=generator)[:, 0]
    return token, log_p.gather(1, token[:, None])[:, 0]


def response_log_p(
    model: nn.Module, rollouts: Rollouts, temperature: float | int = 1.0
) -> Float[Tensor, "B T"]:
    """Log-probability of each drawn token under the model, 0 elsewhere; with gradients.

    Padding is at the end of a row, where a causal model's earlier positions cannot see it.
    Raises ValueError for a temperature of 0, at which there are no probabilities to learn, and for
    ids or a mask that do not fit the model or each other.
    """
    require("temperature", temperature, "(0, inf)")
    if not isinstance(rollouts, Rollouts):
        raise ValueError(f"rollouts must be what sample(…) returns, got {shortened(rollouts)}")
    if isinstance(config := getattr(model, "config", None), ModelConfig):
        check_ids(config, rollouts.ids)
    drawn = as_mask(rollouts.drawn, *rollouts.ids.shape, name="drawn", device=rollouts.ids.device)
    logits = model(rollouts.ids[:, :-1]) / float(temperature)
    log_p = logits.log_softmax(dim=-1).gather(2, rollouts.ids[:, 1:, None])[..., 0]
    log_p = nn.functional.pad(log_p, (1, 0))
    return torch.where(drawn, log_p, 0.0)
