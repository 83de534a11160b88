"""Penalties, constraints and Mirostat against transformers, or oracles in plain Python."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.generation import logits_process as theirs

from lib.generation.config import GenerationConfig
from lib.generation.logits import (
    History,
    bad_words,
    dry,
    frequency_penalty,
    mirostat_1,
    mirostat_2,
    mirostat_step,
    no_repeat_ngram,
    no_stop,
    presence_penalty,
    repetition_penalty,
    sequence_bias,
)
from lib.generation.mirostat import mirostat_k, zipf_exponent
from lib.generation.penalties import repeated_endings
from tests.generation.strategies import VOCAB, logits, softmax, texts


@st.composite
def batches(draw, dtype=torch.float32):
    """Logits and texts with as many rows."""
    batch = draw(logits(dtype=dtype))
    return batch, torch.tensor(draw(texts(len(batch))))


@st.composite
def left_padding(draw, ids):
    lengths = draw(st.lists(st.integers(0, ids.shape[1] - 1), min_size=len(ids), max_size=len(ids)))
    return torch.arange(ids.shape[1]) >= torch.tensor(lengths)[:, None], torch.tensor(lengths)


@pytest.mark.parity(
    "repetition_penalty, no_repeat_ngram_size", "transformers' LogitsProcessors", "identical"
)
@given(pair=batches(), penalty=st.floats(0.2, 5), n=st.integers(1, 5), data=st.data())
def test_penalties_equal_transformers(pair, penalty, n, data):
    batch, ids = pair
    expected = theirs.RepetitionPenaltyLogitsProcessor(penalty)(ids, batch.clone())
    assert torch.equal(repetition_penalty(batch, ids, penalty), expected)
    expected = theirs.NoRepeatNGramLogitsProcessor(n)(ids, batch.clone())
    assert torch.equal(no_repeat_ngram(batch, ids, n), expected)
    mask, lengths = data.draw(left_padding(ids))
    expected = theirs.RepetitionPenaltyLogitsProcessor(penalty, prompt_ignore_length=lengths)
    assert torch.equal(repetition_penalty(batch, ids, penalty, mask), expected(ids, batch.clone()))


@given(pair=batches(), n=st.integers(1, 4), data=st.data())
def test_padding_holds_no_ngrams(pair, n, data):
    batch, ids = pair
    mask, lengths = data.draw(left_padding(ids))
    result = no_repeat_ngram(batch, ids, n, mask)
    for row, start in enumerate(lengths.tolist()):
        alone = no_repeat_ngram(batch[[row]], ids[[row], start:], n)
        assert torch.equal(result[[row]], alone)


@pytest.mark.parity("presence and frequency penalty", "OpenAI's formula in Python", "1e-6")
@given(pair=batches(torch.float64), a=st.floats(-2, 2), b=st.floats(-2, 2))
def test_presence_and_frequency(pair, a, b):
    batch, ids = pair
    result = frequency_penalty(presence_penalty(batch, ids, a), ids, b)
    for row in range(len(batch)):
        for j in range(VOCAB):
            c = ids[row].tolist().count(j)
            expected = batch[row, j].item() - c * b - float(c > 0) * a
            assert result[row, j].item() == pytest.approx(expected)


@given(pair=batches(), n=st.integers(1, 12), start=st.integers(0, 5))
def test_penalties_look_at_the_last_tokens(pair, n, start):
    """penalty_last_n: the end of the text for repetition, of the continuation for the rest."""
    batch, ids = pair
    start = min(start, ids.shape[1])
    config = GenerationConfig(repetition_penalty=1.3, frequency_penalty=0.5, penalty_last_n=n)
    result = config.process(batch, History(ids, start))
    window = ids[:, max(0, ids.shape[1] - n) :]
    expected = theirs.RepetitionPenaltyLogitsProcessor(1.3)(window, batch.clone())
    for row in range(len(batch)):
        recent = ids[row, max(start, ids.shape[1] - n) :].tolist()
        for j in set(recent):
            expected[row, j] -= 0.5 * recent.count(j)
    torch.testing.assert_close(result, expected)


@pytest.mark.parity("presence, frequency and repetition penalty, DRY",
                    "examples of llama.cpp's test-sampling", "1e-5")  # fmt: skip
def test_published_examples():
    fifth, quarter = torch.full((1, 5), 0.2).log(), torch.full((1, 4), 0.25).log()
    ids = torch.tensor([[0, 1, 2, 0, 0]])
    both = frequency_penalty(presence_penalty(fifth, ids, 5.0), ids, 5.0).softmax(-1)
    expected = [0.000000, 0.000023, 0.000023, 0.499977, 0.499977]
    assert both[0].tolist() == pytest.approx(expected, abs=1e-5)
    repetition = repetition_penalty(fifth, ids, 50.0).softmax(-1)
    assert repetition[0].tolist() == pytest.approx([0, 0, 0, 0.5, 0.5], abs=1e-5)

    def dried(batch, text, *settings):
        return dry(batch, torch.tensor([text]), *settings).softmax(-1)[0].tolist()

    assert dried(quarter, [0, 1], 1.0, 1.1, 2) == pytest.approx([0.25] * 4)
    expected = [0.296923, 0.296923, 0.109232, 0.296923]
    assert dried(quarter, [0, 1, 2, 0, 1], 1.0, 1.1, 2) == pytest.approx(expected, abs=1e-5)
    assert dried(fifth, [0, 1, 3, 4, 0, 1], 1.0, 1.1, 2, (3,)) == pytest.approx([0.2] * 5)
    expected = [0.241818, 0.241818, 0.032727, 0.241818, 0.241818]
    assert dried(fifth, [0, 1, 2, 0, 1], 2.0, 1.1, 2) == pytest.approx(expected, abs=1e-5)
    assert dried(fifth, [0, 1, 2, 3, 4, 0, 1], 1.0, 1.1, 4) == pytest.approx([0.2] * 5)


def dry_oracle(text, token, multiplier, base, allowed, breakers):
    """Try every earlier place of `token` and count how far the texts before it agree."""
    longest = 0
    for place in range(1, len(text)):
        if text[place] != token or token in breakers:
            continue
        n = 0
        while n < place and text[place - 1 - n] == text[-1 - n] and text[-1 - n] not in breakers:
            n += 1
        longest = max(longest, n)
    return multiplier * base ** (longest - allowed) if longest >= allowed else 0.0


@pytest.mark.parity("DRY", "definition in plain Python", "1e-6")
@given(
    pair=batches(torch.float64),
    base=st.floats(1, 3),
    allowed=st.integers(1, 4),
    breakers=st.sets(st.integers(0, 3), max_size=2),
)
def test_dry(pair, base, allowed, breakers):
    batch, ids = pair
    result = dry(batch, ids, 0.8, base, allowed, tuple(breakers))
    for row, text in enumerate(ids.tolist()):
        for token in range(VOCAB):
            penalty = dry_oracle(text, token, 0.8, base, allowed, breakers)
            assert result[row, token].item() == pytest.approx(batch[row, token].item() - penalty)


@given(ids=st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_repeated_endings(ids):
    def common(i):
        n = 0
        while n <= i and ids[i - n] == ids[-1 - n]:
            n += 1
        return n

    assert repeated_endings(ids) == [common(i) for i in range(len(ids))]


def test_a_long_loop_neither_overflows_nor_takes_long():
    ids = torch.zeros(1, 20_000, dtype=torch.long)
    result = dry(torch.zeros(1, 3), ids, 0.8)
    assert result[0, 0] < -1e30
    assert not result.isnan().any()


# Constraints


@st.composite
def sequences(draw):
    return draw(
        st.dictionaries(
            st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple),
            st.one_of(st.floats(-8, 8, width=32), st.just(-math.inf)),
            min_size=1, max_size=5,
        )
    )  # fmt: skip


@pytest.mark.parity("sequence_bias, bad_words_ids, min_length, min_new_tokens",
                    "transformers' LogitsProcessors", "identical")  # fmt: skip
@given(pair=batches(), biases=sequences(), stop=st.sets(st.integers(0, 11), min_size=1, max_size=3))
def test_constraints_equal_transformers(pair, biases, stop):
    batch, ids = pair
    expected = theirs.SequenceBiasLogitsProcessor(dict(biases))(ids, batch.clone())
    torch.testing.assert_close(sequence_bias(batch, ids, biases), expected)
    words = [list(sequence) for sequence in biases]
    expected = theirs.NoBadWordsLogitsProcessor(words)(ids, batch.clone())
    assert torch.equal(bad_words(batch, ids, words), expected)
    expected = theirs.MinLengthLogitsProcessor(99, list(stop))(ids, batch.clone())
    assert torch.equal(no_stop(batch, tuple(stop)), expected)


# Mirostat


def k_oracle(q, mu, n_vocab):
    """The authors' estimate_s and compute_k, restated."""
    q = np.sort(q)[::-1][:100]
    q = q[q > 0]
    t = [math.log((i + 2) / (i + 1)) for i in range(len(q) - 1)]
    b = [math.log(q[i] / q[i + 1]) for i in range(len(q) - 1)]
    s = sum(x * y for x, y in zip(t, b, strict=True)) / sum(x * x for x in t)
    e = s - 1
    return s, (e * 2**mu / (1 - n_vocab**-e)) ** (1 / s)


@pytest.mark.parity("Mirostat 1 and 2", "the paper's formulas in NumPy", "same tokens")
@given(seed=st.integers(0, 10**6), scale=st.floats(0.3, 6), mu=st.floats(0.5, 12))
def test_mirostat_cuts(seed, scale, mu):
    row = np.random.default_rng(seed).normal(size=150) * scale
    row[:: 1 + seed % 7] = -np.inf
    row[0] = scale
    batch, limit = torch.tensor(row)[None], torch.tensor([mu], dtype=torch.float64)
    one, two = mirostat_1(batch, limit)[0].numpy(), mirostat_2(batch, limit)[0].numpy()
    q = softmax(row)
    with np.errstate(divide="ignore"):
        surprise = -np.log2(q)
    expected = (surprise <= mu) | (row == row.max())
    assert (np.isfinite(two) == expected)[np.abs(surprise - mu) > 1e-9].all()
    if (q > 0).sum() < 3:
        return
    s, k = k_oracle(q, mu, len(q))
    if s < 1e-3 or abs(s - 1) < 1e-3 or abs(k % 1 - 0.5) < 1e-6:
        return
    lowest = np.sort(row)[::-1][min(max(round(k), 1), len(q)) - 1]
    assert (np.isfinite(one) == ((row >= lowest) & np.isfinite(row))).all()


@pytest.mark.parametrize("s", [0.8, 1.0, 1.2, 1.7])
def test_zipf_exponent_is_found(s):
    ranks = torch.arange(1, 5001, dtype=torch.float64)
    batch = (-s * ranks.log())[None]
    assert zipf_exponent(batch).item() == pytest.approx(s)
    k = mirostat_k(zipf_exponent(batch), torch.tensor([4.0], dtype=torch.float64), 5000).item()
    assert 1 <= k <= 5000


def test_mirostat_of_a_uniform_and_of_a_single_token():
    mu = torch.tensor([3.0, 3.0])
    batch = torch.tensor([[0.0] * 4, [0.0, -math.inf, -math.inf, -math.inf]])
    for cut in (mirostat_1, mirostat_2):
        result = cut(batch, mu)
        assert result.isfinite().any(-1).all()
        assert not result.isnan().any()


def test_the_limit_moves_against_the_error():
    batch = torch.tensor([[0.5, 0.25, 0.25]]).log()
    mu = torch.tensor([6.0])
    assert mirostat_step(batch, torch.tensor([0]), mu, 3.0, 0.5).item() == pytest.approx(7.0)
    assert mirostat_step(batch, torch.tensor([1]), mu, 1.0, 0.5).item() == pytest.approx(5.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z, i: repetition_penalty(z, i, 0.0), "repetition_penalty must be above 0"),
        (lambda z, i: presence_penalty(z, i, math.inf), "presence_penalty must be a finite number"),
        (lambda z, i: frequency_penalty(z, i, math.nan), "frequency_penalty must be a finite"),
        (lambda z, i: no_repeat_ngram(z, i, 0), "no_repeat_ngram_size must be an integer at least"),
        (lambda z, i: dry(z, i, 1.0, 0.5), "dry_base must be at least 1, got 0.5"),
        (lambda z, i: dry(z, i, 1.0, 2.0, 0), "dry_allowed_length must be an integer at least 1"),
        (lambda z, i: sequence_bias(z, i, {(): 1.0}), "sequence_bias holds an empty sequence"),
        (lambda z, i: sequence_bias(z, i, {(1, 9): 1.0}), r"the id 9; ids must be in 0 \.\. 3"),
        (lambda z, i: sequence_bias(z, i, {(1,): math.nan}), r"bias of \(1,\) must be a number"),
        (lambda z, i: no_stop(z, (4,)), r"eos_token_id holds the id 4"),
    ],
)
def test_settings_out_of_range(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(1, 4), torch.zeros(1, 3, dtype=torch.long))
