"""Measures: what a filter does to a distribution, and what it does to the text that comes out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.generation.config import GenerationConfig
from lib.generation.logits import History
from lib.generation.reshaping import entropy
from lib.model import LanguageModel
from lib.model.inputs import check_prompt
from lib.settings import require


def effective_vocabulary(logits: Float[Tensor, "B V"]) -> Float[Tensor, "B"]:
    """exp(entropy): as many tokens of equal probability would be as uncertain."""
    return entropy(logits).exp()


def kept_mass(before: Float[Tensor, "B V"], after: Float[Tensor, "B V"]) -> Float[Tensor, "B"]:
    """The probability, under `before`, of the tokens that `after` has not sent to -inf."""
    return before.softmax(dim=-1).masked_fill(after == -math.inf, 0).sum(dim=-1)


def n_kept(logits: Float[Tensor, "B V"]) -> Int[Tensor, "B"]:
    """How many tokens are not at -inf."""
    return (logits > -math.inf).sum(dim=-1)


@dataclass(frozen=True)
class Step:
    """One processor at work: its name, the logits after it, and what it has left of them."""

    name: str
    logits: Tensor  # (1, V)
    tokens: int
    mass: float  # of the distribution that entered it
    entropy: float  # nats


def follow(
    logits: Float[Tensor, "1 V"], config: GenerationConfig, history: History | None = None
) -> list[Step]:
    """The model's own distribution, then that after each processor that is on."""
    steps = [Step("model", logits, logits.shape[-1], 1.0, entropy(logits).item())]
    for name, process in config.steps:
        after = process(logits, history)
        mass = kept_mass(logits, after).item()
        steps.append(Step(name, after, int(n_kept(after)), mass, entropy(after).item()))
        logits = after
    return steps


@torch.inference_mode()
def surprise(model: LanguageModel, ids: Int[Tensor, "B T"], start: int = 1) -> Float[Tensor, "B N"]:
    """-ln p of each token from position `start` on, given those before it, in nats.

    exp of its mean is the perplexity of the text under the model. Raises ValueError if start is
    below 1: nothing comes before the first token.
    """
    check_prompt(model.config, ids)
    require("start", start, f"[1, {ids.shape[1] - 1}]", whole=True)
    hidden = model.hidden(ids[:, :-1])[:, start - 1 :]
    log_p = model.unembed(hidden).float().log_softmax(dim=-1)
    return -log_p.gather(-1, ids[:, start:, None])[..., 0]


def ngrams(tokens: Sequence[int], n: int) -> list[tuple[int, ...]]:
    """All n neighboring tokens of a text, in order."""
    require("n", n, "[1, inf)", whole=True)
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def distinct_n(texts: Sequence[Sequence[int]], n: int) -> float:
    """Share of the n-grams of several texts that are different: 1 if none occurs twice.

    Source: Li et al. (2016), "A diversity-promoting objective function", section 5.
    """
    found = [gram for tokens in texts for gram in ngrams(tokens, n)]
    return len(set(found)) / len(found) if found else float("nan")


def repetition(tokens: Sequence[int], n: int = 2) -> float:
    """Share of the n-grams of one text that occurred in it before (rep-n: Welleck et al., 2020)."""
    return 1 - distinct_n([tokens], n)
