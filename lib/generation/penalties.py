"""Penalties: make what the text already holds less probable.

Each takes logits of shape (B, V) and the ids of the text that counts, of shape (B, T). Whether the
prompt counts is a matter of what is passed as ids; `lib.generation.logits` says what it passes.
`counted` is False at positions that do not count (padding).
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.settings import require


def token_counts(
    ids: Int[Tensor, "B T"], n_vocab: int, counted: Bool[Tensor, "B T"] | None = None
) -> Float[Tensor, "B V"]:
    """How often each token occurs in each row."""
    ones = torch.ones(ids.shape, device=ids.device) if counted is None else counted.float()
    return torch.zeros(len(ids), n_vocab, device=ids.device).scatter_add(1, ids, ones)


def repetition_penalty(
    logits: Float[Tensor, "B V"],
    ids: Int[Tensor, "B T"],
    penalty: float,
    counted: Bool[Tensor, "B T"] | None = None,
) -> Float[Tensor, "B V"]:
    """Divide positive logits of tokens in the text by
    `penalty`, multiply negative ones with it.

    Source: Keskar et al. (2019), "CTRL", section 4.1, who only divide; that would make
    tokens with a negative logit more probable, so transformers, vLLM and llama.cpp
    multiply those. It depends on where the logits' zero lies, though softmax does not.
    Raises ValueError unless penalty is positive.
    """
    require("repetition_penalty", penalty, "(0, inf)")
    seen = token_counts(ids, logits.shape[-1], counted) > 0
    return torch.where(
        seen,
        torch.where(logits < 0, logits * float(penalty), logits / float(penalty)),
        logits,
    )


def presence_penalty(
    logits: Float[Tensor, "B V"], ids: Int[Tensor, "B T"], penalty: float
) -> Float[Tensor, "B V"]:
    """Subtract `penalty` once from every token that occurs in the text.

    Source: OpenAI's API reference, which counts "sampled" tokens: give the generated ids alone.
    vLLM does so; llama.cpp's server counts the last 64 tokens, the prompt's among them. Raises
    ValueError unless penalty is finite (OpenAI allows -2 to 2).
    """
    require("presence_penalty", penalty, "(-inf, inf)")
    return logits - float(penalty) * (token_counts(ids, logits.shape[-1]) > 0).to(logits.dtype)


def frequency_penalty(
    logits: Float[Tensor, "B V"], ids: Int[Tensor, "B T"], penalty: float
) -> Float[Tensor, "B V"]:
    """Subtract `penalty` from a token for each time that it occurs in the text.

    Source and errors as for `presence_penalty`.
    """
    require("frequency_penalty", penalty, "(-inf, inf)")
    counts = token_counts(ids, logits.shape[-1]).to(logits.dtype)
    return logits - float(penalty) * counts


def no_repeat_ngram(
    logits: Float[Tensor, "B V"],
    ids: Int[Tensor, "B T"],
    n: int,
    counted: Bool[Tensor, "B T"] | None = None,
) -> Float[Tensor, "B V"]:
    """Forbid every token that would complete an n-gram which the text already holds.

    Source: Paulus, Xiong & Socher (2018), section 2.5. Raises ValueError unless n is at least 1.
    """
    require("no_repeat_ngram_size", n, "[1, inf)", whole=True)
    n_rows, length = ids.shape
    if length < n:
        return logits
    ngrams = ids.unfold(1, n, 1)  # (B, T - n + 1, n)
    ending = ids[:, length - n + 1 :]  # the n - 1 tokens that a new one would complete
    match = (ngrams[:, :, :-1] == ending[:, None]).all(dim=-1)
    if counted is not None:
        match &= counted.unfold(1, n, 1).all(dim=-1)
    banned = torch.zeros(n_rows, logits.shape[-1] + 1, dtype=torch.bool, device=ids.device)
    banned.scatter_(1, ngrams[:, :, -1].masked_fill(~match, logits.shape[-1]), True)
    return logits.masked_fill(banned[:, :-1], -math.inf)


def repeated_endings(ids: list[int]) -> list[int]:
    """For each position i: how many tokens up to i equal the last tokens of the text.

    For "a b c x a b" it is 0 2 0 0 0 6: at position 1 the ending "a b" was there before. Linear in
    the length: the Z algorithm on the reversed text (Gusfield, 1997, chapter 1).
    """
    text = ids[::-1]
    z, left, right = [len(text)] + [0] * (len(text) - 1), 0, 0
    for i in range(1, len(text)):
        if i < right:  # inside a stretch that is known to equal the beginning
            z[i] = min(right - i, z[i - left])
        while i + z[i] < len(text) and text[z[i]] == text[i + z[i]]:
            z[i] += 1
        if i + z[i] > right:
            left, right = i, i + z[i]
    return z[::-1]


def dry(
    logits: Float[Tensor, "B V"],
    ids: Int[Tensor, "B T"],
    multiplier: float,
    base: float = 1.75,
    allowed_length: int = 2,
    breakers: tuple[int, ...] = (),
    counted: Bool[Tensor, "B T"] | None = None,
) -> Float[Tensor, "B V"]:
    """Don't repeat yourself: penalize a token that would prolong a verbatim repetition.

    If the last n ≥ allowed_length tokens stood in the text before, followed by token i,
    then multiplier · base^(n - allowed_length) is subtracted from z_i, for the longest
    such n. Matches do not reach across a breaker (a token such as a line break), and
    breakers are not penalized. Source: Weidmann (2024), text-generation-webui pull
    request 5677. Raises ValueError for a multiplier below 0, a base below 1, or an
    allowed_length below 1.
    """
    require("dry_multiplier", multiplier, "[0, inf)")
    require("dry_base", base, "[1, inf)")
    require("dry_allowed_length", allowed_length, "[1, inf)", whole=True)
    # base^most is the largest float32
    most = 88.0 / math.log(base) if base > 1 else math.inf
    penalties = torch.zeros_like(logits)
    for row, tokens in enumerate(ids.tolist()):
        if counted is not None:
            counts = zip(tokens, counted[row].tolist(), strict=True)
            tokens = [t for t, c in counts if c]
        since = (n for n, t in enumerate(tokens[::-1]) if t in breakers)
        since_breaker = next(since, len(tokens))
        longest: dict[int, int] = {}
        for n, following in zip(repeated_endings(tokens), tokens[1:], strict=False):
            longest[following] = max(longest.get(following, 0), min(n, since_breaker))
        for token, n in longest.items():
            if n >= allowed_length and token not in breakers:
                power = min(n - allowed_length, most)
                penalties[row, token] = multiplier * base**power
    return logits - penalties
