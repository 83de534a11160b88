"""Constraints: fixed wishes about tokens, whatever the model thinks of them."""

import math
from collections.abc import Mapping, Sequence
from numbers import Integral

import torch
from jaxtyping import Float, Int
from torch import Tensor


def sequence_bias(
    logits: Float[Tensor, "B V"],
    ids: Int[Tensor, "B T"],
    biases: Mapping[tuple[int, ...], float],
) -> Float[Tensor, "B V"]:
    """Add a bias to the token that would complete a sequence; to a token alone, in any case.

    A bias for single tokens is what OpenAI's API calls `logit_bias`. `biases` maps sequences of
    ids to numbers, e.g. {(5,): -2.0, (7, 8): math.inf}: 8 must follow 7. Source: transformers'
    SequenceBiasLogitsProcessor, but for +inf, which there makes NaN: here nothing else may come.
    Raises ValueError for an empty sequence, an id outside the vocabulary or a bias that is NaN.
    """
    check_sequences("sequence_bias", list(biases), logits.shape[-1])
    bias, forced = torch.zeros_like(logits), torch.zeros_like(logits, dtype=torch.bool)
    for sequence, value in biases.items():
        if math.isnan(value):
            raise ValueError(f"the bias of {sequence} must be a number, got nan")
        start, last = sequence[:-1], sequence[-1]
        if len(start) > ids.shape[1]:
            continue
        ending = ids[:, ids.shape[1] - len(start) :]
        completes = (ending == torch.tensor(start, dtype=ids.dtype, device=ids.device)).all(dim=-1)
        if value == math.inf:
            forced[completes, last] = True
        else:
            bias[completes, last] += value
    return (logits + bias).masked_fill(forced.any(-1, keepdim=True) & ~forced, -math.inf)


def bad_words(
    logits: Float[Tensor, "B V"], ids: Int[Tensor, "B T"], sequences: Sequence[Sequence[int]]
) -> Float[Tensor, "B V"]:
    """Forbid the token that would complete one of the sequences: a bias of -inf.

    A word has many spellings in tokens (with a space, in capitals, in pieces): give each. Source:
    transformers' NoBadWordsLogitsProcessor. Errors as for `sequence_bias`.
    """
    return sequence_bias(logits, ids, {tuple(sequence): -math.inf for sequence in sequences})


def no_stop(logits: Float[Tensor, "B V"], stop_ids: Sequence[int]) -> Float[Tensor, "B V"]:
    """Forbid the ids that end a text: used while it is shorter than the minimum.

    Source: transformers' MinLengthLogitsProcessor. Raises ValueError for an id outside the
    vocabulary.
    """
    check_sequences("eos_token_id", [(i,) for i in stop_ids], logits.shape[-1])
    banned = torch.zeros(logits.shape[-1], dtype=torch.bool, device=logits.device)
    banned[list(stop_ids)] = True
    return logits.masked_fill(banned, -math.inf)


def check_sequences(name: str, sequences: Sequence[Sequence[int]], n_vocab: int) -> None:
    """Raise ValueError for an empty sequence or an id outside the vocabulary."""
    for sequence in sequences:
        if len(sequence) == 0:
            raise ValueError(f"{name} holds an empty sequence; leave it out")
        for i in sequence:
            if not isinstance(i, Integral) or isinstance(i, bool) or not 0 <= i < n_vocab:
                raise ValueError(f"{name} holds the id {i!r}; ids must be in 0 .. {n_vocab - 1}")
