import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.training.ngrams import ngram_losses


def witten_bell(training, history, word, vocab_size):
    """The same formula, word by word with dictionaries."""
    if history is None:
        return 1 / vocab_size
    shorter = witten_bell(training, history[1:] if history else None, word, vocab_size)
    n = len(history) + 1
    grams = Counter(tuple(training[i : i + n]) for i in range(len(training) - n + 1))
    followers = {gram[-1]: c for gram, c in grams.items() if gram[:-1] == tuple(history)}
    if not followers:
        return shorter
    kinds, total = len(followers), sum(followers.values())
    return (followers.get(word, 0) + kinds * shorter) / (total + kinds)


texts = st.lists(st.integers(0, 4), min_size=3, max_size=40)


@given(texts, texts)
def test_losses_equal_the_formula(training, validation):
    losses = ngram_losses(np.array(training), np.array(validation), 5)
    assert losses[0] == pytest.approx(math.log(5))
    for n in (1, 2, 3):
        surprise = [
            -math.log(witten_bell(training, tuple(validation[i - n + 1 : i]), validation[i], 5))
            for i in range(2, len(validation))
        ]
        assert losses[n] == pytest.approx(np.mean(surprise), rel=1e-9)


@given(texts, texts)
def test_probabilities_sum_to_one(training, start):
    """Over all tokens that could come third."""
    history = start[:2]
    for n in (1, 2, 3):
        losses = [ngram_losses(np.array(training), np.array([*history, w]), 5)[n] for w in range(5)]
        assert sum(math.exp(-loss) for loss in losses) == pytest.approx(1.0)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="at least 3 tokens"):
        ngram_losses(np.array([1, 2]), np.array([1, 2, 3]), 5)
    with pytest.raises(ValueError, match="do not fit 64 bits"):
        ngram_losses(np.ones(9, int), np.ones(9, int), 50_000, order=5)
    with pytest.raises(ValueError, match=r"validation tokens must be in 0 \.\. 4, got 1 \.\. 5"):
        ngram_losses(np.array([1, 2, 3]), np.array([1, 5, 3]), 5)
