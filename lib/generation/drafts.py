"""Drafts: cheap ways to guess the next tokens, for speculative decoding.

A smaller model of the same vocabulary; the model's own first layers; or the text itself, where an
ending that stood there before is likely to go on as it did. Sources: Leviathan et al. (2023) for a
draft model; Elhoushi et al. (2024), "LayerSkip", for early exit; Saxena (2023) for prompt lookup.
"""

import copy
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lib.generation.config import GenerationConfig
from lib.generation.logits import History, probabilities
from lib.generation.prefill import new_cache
from lib.model import LanguageModel
from lib.settings import require, require_kind

Guesses = tuple[Int[Tensor, "N"], Float[Tensor, "N V"]]  # tokens, and what each was drawn from


def distribution(
    logits: Float[Tensor, "B V"], config: GenerationConfig, history: History
) -> Float[Tensor, "B V"]:
    """What `generate` draws from: softmax after the settings; 1 at the best token if greedy.

    Raises ValueError if there is no token to choose.
    """
    p = probabilities(logits, config, history)
    return p if config.do_sample else F.one_hot(p.argmax(dim=-1), p.shape[-1]).to(p.dtype)


@runtime_checkable
class Draft(Protocol):
    """Something that guesses."""

    def begin(self, prompt_length: int, capacity: int) -> None:
        """A new text begins, of at most `capacity` tokens."""

    def propose(
        self, history: History, n: int, config: GenerationConfig, generator: torch.Generator | None
    ) -> Guesses:
        """At most n tokens to follow one text, and the distributions they were drawn from."""


class ModelDraft:
    """Guesses of a smaller model, drawn with the settings of the large one."""

    def __init__(self, model: LanguageModel):
        require_kind("model", model, LanguageModel)
        self.model, self.vocab_size = model, model.config.vocab_size

    def begin(self, prompt_length: int, capacity: int) -> None:
        """Make room for the text."""
        self.cache = new_cache(self.model, 1, capacity, whole=True)

    def propose(
        self, history: History, n: int, config: GenerationConfig, generator: torch.Generator | None
    ) -> Guesses:
        """Draw n tokens one after another."""
        ids, start = history.ids, history.ids.shape[1]
        self.cache.truncate(min(self.cache.length, start - 1))  # what was rejected is forgotten
        rows = []
        for _ in range(n):
            hidden = self.model.hidden(ids[:, self.cache.length :], cache=self.cache)
            so_far = History(ids, history.prompt_length, generator=generator)
            rows.append(distribution(self.model.unembed(hidden[:, -1]), config, so_far))
            token = torch.multinomial(rows[-1], 1, generator=generator)
            ids = torch.cat([ids, token], dim=1)
        n_vocab = self.model.config.vocab_size
        q = torch.cat(rows) if rows else torch.empty(0, n_vocab, device=ids.device)
        return ids[0, start:], q


class LookupDraft:
    """Guesses from the text: what followed the latest occurrence of its last tokens.

    The longest ending of at most `max_ngram` tokens that stood there before counts. There is no
    guess if there is none.
    """

    def __init__(self, vocab_size: int, max_ngram: int = 3):
        require("vocab_size", vocab_size, "[1, inf)", whole=True)
        require("max_ngram", max_ngram, "[1, inf)", whole=True)
        self.vocab_size, self.max_ngram = vocab_size, max_ngram

    def begin(self, prompt_length: int, capacity: int) -> None:
        """Nothing to prepare."""

    def propose(
        self, history: History, n: int, config: GenerationConfig, generator: torch.Generator | None
    ) -> Guesses:
        """Copy up to n tokens; the distribution of a copied token is 1 at that token."""
        tokens = lookup(history.ids[0].tolist(), n, self.max_ngram)
        guesses = torch.tensor(tokens, dtype=torch.long, device=history.ids.device)
        return guesses, F.one_hot(guesses, self.vocab_size).float()


def lookup(text: list[int], n: int, max_ngram: int) -> list[int]:
    """Up to n tokens that followed the latest earlier occurrence of the text's longest ending."""
    for size in range(min(max_ngram, len(text) - 1), 0, -1):
        ending = text[-size:]
        for start in range(len(text) - size - 1, -1, -1):
            if text[start : start + size] == ending:
                return text[start + size : start + size + n]
    return []


def first_layers(model: LanguageModel, n_layers: int) -> LanguageModel:
    """The model without its later layers: no copy of weights, the same normalization and head.

    Raises ValueError unless 1 <= n_layers < the model's.
    """
    require("n_layers", n_layers, f"[1, {model.config.n_layers - 1}]", whole=True)
    short = copy.copy(model)
    short._modules = dict(model._modules)
    short.blocks = nn.ModuleList(model.blocks[:n_layers])
    short.config = model.config.with_layers(n_layers)
    return short
