"""What counting reaches: the loss of n-gram models, to hold a transformer's loss against."""

import numpy as np

from lib.settings import require
from lib.training.batches import Tokens, check_tokens


def ngram_losses(
    training: Tokens, validation: Tokens, vocab_size: int, order: int = 3
) -> list[float]:
    """Cross-entropy on `validation`, nats per token: uniform, unigram, bigram, … of `order`.

    Counts come from `training` alone. Each order is mixed with the one below, and the lowest with
    the uniform distribution, so that nothing has probability zero:

        p(w | h) = (count(h, w) + kinds(h) p(w | shorter h)) / (count(h) + kinds(h))

    with kinds(h) the number of different tokens seen after h (Witten & Bell, 1991; the mixed form
    as in Chen & Goodman, 1999, section 2.5). Every position is predicted but the first order - 1.
    Raises ValueError for texts too short, and for tokens outside the vocabulary.
    """
    require("vocab_size", vocab_size, "[1, inf)", whole=True)
    require("order", order, "[1, inf)", whole=True)
    for name, tokens in (("training", training), ("validation", validation)):
        check_tokens(tokens, name=name)
        if len(tokens) < order:
            raise ValueError(f"both texts need at least {order} tokens to count {order}-grams")
        low, high = int(tokens.min()), int(tokens.max())
        if low < 0 or high >= vocab_size:
            raise ValueError(f"{name} tokens must be in 0 .. {vocab_size - 1}, got {low} .. {high}")
    training = np.asarray(training, dtype=np.int64)
    validation = np.asarray(validation, dtype=np.int64)
    probability = np.full(len(validation) - order + 1, 1 / vocab_size)
    losses = [float(-np.log(probability).mean())]
    for n in range(1, order + 1):
        grams, counts = np.unique(_codes(training, n, vocab_size), return_counts=True)
        # The last n-1 tokens of the text are followed by nothing: they are no context.
        contexts, first = np.unique(grams // vocab_size, return_index=True)
        totals = np.add.reduceat(counts, first)
        kinds = np.diff(np.append(first, len(grams)))
        asked = _codes(validation, n, vocab_size)[order - n :]
        count = _look_up(grams, counts, asked)
        total = _look_up(contexts, totals, asked // vocab_size)
        kind = _look_up(contexts, kinds, asked // vocab_size)
        seen = total > 0
        mixed = (count + kind * probability)[seen] / (total + kind)[seen]
        probability = probability.copy()
        probability[seen] = mixed  # a context that was never seen says nothing
        losses.append(float(-np.log(probability).mean()))
    return losses


def _codes(tokens: np.ndarray, n: int, vocab_size: int) -> np.ndarray:
    """Each run of n tokens as one number, the last token its last digit in base vocab_size."""
    if vocab_size**n >= 2**63:
        raise ValueError(f"{n}-grams of a vocabulary of {vocab_size} do not fit 64 bits")
    codes = np.zeros(len(tokens) - n + 1, dtype=np.int64)
    for i in range(n):
        codes = codes * vocab_size + tokens[i : len(tokens) - n + 1 + i]
    return codes


def _look_up(keys: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """values[i] where keys[i] is asked for, 0 where it is in no key. `keys` are sorted."""
    place = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
    return np.where(keys[place] == asked, values[place], 0)
