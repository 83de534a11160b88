"""Each filter against transformers' where it has one, else against an oracle in NumPy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation import logits_process as theirs

from lib.generation.logits import (
    dynamic_temperature,
    entropy,
    epsilon_cutoff,
    eta_cutoff,
    min_p,
    p_less,
    quadratic_smoothing,
    tail_free,
    temperature,
    top_a,
    top_h,
    top_k,
    top_n_sigma,
    top_p,
    typical_p,
    xtc,
)
from tests.generation.strategies import logits, softmax

share = st.floats(0.01, 0.99)
NEAR = 1e-9  # a token this near to its threshold may fall on either side


def scores_of(name, setting):
    return getattr(theirs, name)(setting)


@pytest.mark.parity(
    "temperature, top_k, top_p, min_p, typical_p, epsilon_cutoff, eta_cutoff",
    "transformers' LogitsProcessors",
    "identical",
)
@pytest.mark.parametrize(
    ("ours", "name", "setting"),
    [
        (temperature, "TemperatureLogitsWarper", st.floats(0.05, 20)),
        (top_k, "TopKLogitsWarper", st.integers(1, 20)),
        (top_p, "TopPLogitsWarper", share),
        (min_p, "MinPLogitsWarper", st.floats(0, 1)),
        (typical_p, "TypicalLogitsWarper", share),
        (epsilon_cutoff, "EpsilonLogitsWarper", st.floats(1e-5, 0.9)),
        (eta_cutoff, "EtaLogitsWarper", st.floats(1e-5, 0.9)),
    ],
)
@given(data=st.data())
def test_filters_equal_transformers(ours, name, setting, data):
    batch, value = data.draw(logits(vocab=None)), data.draw(setting)
    before = batch.clone()
    expected = scores_of(name, value)(torch.zeros(len(batch), 1, dtype=torch.long), batch.clone())
    assert torch.equal(ours(batch, value), expected)
    assert torch.equal(batch, before), "it changes its argument"


@pytest.mark.parity("top_h", "transformers' TopHLogitsWarper", "identical")
@given(batch=logits(vocab=None), h=share)
def test_top_h_equals_transformers(batch, h):
    expected = theirs.TopHLogitsWarper(h)(torch.zeros(len(batch), 1), batch.clone())
    assert torch.equal(top_h(batch, h), expected)


def test_top_h_looks_at_a_hundred_tokens():
    batch = torch.zeros(1, 300)
    assert torch.equal(top_h(batch, 0.5), theirs.TopHLogitsWarper(0.5)(None, batch))
    assert top_h(batch, 0.505).isfinite().sum() == 50
    assert top_h(batch, 0.501, n_most=300).isfinite().sum() == 150


@given(batch=logits(dtype=torch.float64), h=share)
def test_top_h_renormalized_bounds_the_entropy_of_what_stays(batch, h):
    kept = top_h(batch, h, renormalize=True)
    assert (entropy(kept) <= h * entropy(batch) + NEAR).all()
    assert ((kept == batch) | (kept == -math.inf)).all()


# Oracles: what each paper says, for one row, token by token, in double precision.


def min_p_oracle(row, p):
    q = softmax(row)
    return q - p * q.max()


def top_a_oracle(row, a):
    q = softmax(row)
    return q - a * q.max() ** 2


def top_n_sigma_oracle(row, n):
    finite = row[np.isfinite(row)]
    return row - (finite.max() - n * np.std(finite))


def p_less_oracle(row):
    q = softmax(row)
    return q - (q**2).sum()


def assert_margins(kept, batch, oracle, *settings):
    """Kept must be what has a margin of 0 or more; within rounding of 0 both are right."""
    for before, after in zip(batch.numpy(), kept.numpy(), strict=True):
        margin = oracle(before, *settings)
        sure = np.abs(margin) > NEAR
        assert ((after > -np.inf) == ((margin >= 0) & np.isfinite(before)))[sure].all()
        assert (after[after > -np.inf] == before[after > -np.inf]).all()


@pytest.mark.parity("top_a, top_n_sigma, min_p", "definitions in NumPy", "same tokens")
@given(batch=logits(vocab=None, dtype=torch.float64), a=st.floats(0, 1), n=st.floats(0.05, 4))
def test_thresholds(batch, a, n):
    assert_margins(top_a(batch, a), batch, top_a_oracle, a)
    assert_margins(min_p(batch, a), batch, min_p_oracle, a)
    assert_margins(top_n_sigma(batch, n), batch, top_n_sigma_oracle, n)


@pytest.mark.parity("p-less", "definition in NumPy", "same tokens")
@given(batch=logits(dtype=torch.float64))
def test_p_less(batch):
    assert_margins(p_less(batch), batch, p_less_oracle)


def test_p_less_keeps_all_that_is_equally_probable():
    assert p_less(torch.zeros(1, 7)).isfinite().all()
    assert p_less(torch.tensor([[5.0, 0.0, 0.0]])).isfinite().tolist() == [[True, False, False]]


def tail_free_oracle(row, z):
    """The number of tokens kept and whether rounding could change it."""
    q = np.sort(softmax(row))[::-1]
    weights = np.abs([(q[i + 2] - q[i + 1]) - (q[i + 1] - q[i]) for i in range(len(q) - 2)])
    if len(q) < 3 or weights.sum() == 0:
        return len(q), True
    sums = np.cumsum(weights) / weights.sum()
    return 1 + int((sums <= z).sum()), bool((np.abs(sums - z) > NEAR).all())


@pytest.mark.parity("tail-free sampling", "definition in NumPy", "same tokens")
@given(batch=logits(vocab=None, dtype=torch.float64), z=share)
def test_tail_free(batch, z):
    for before, after in zip(batch, tail_free(batch, z), strict=True):
        n_kept, sure = tail_free_oracle(before.numpy(), z)
        if not sure:
            continue
        kept = after.isfinite()
        assert kept.sum() <= n_kept
        assert kept.sum() == min(n_kept, int(before.isfinite().sum()))
        if not kept.all():
            assert before[kept].min() >= before[~kept].max()


def xtc_oracle(row, threshold):
    q = softmax(row)
    above = sorted(x for x in q if x >= threshold and x > 0)
    return [not (above and x >= threshold and x > above[0]) for x in q]


@pytest.mark.parity("XTC", "definition in NumPy", "same tokens")
@given(batch=logits(vocab=None, dtype=torch.float64), threshold=st.floats(0, 1))
def test_xtc(batch, threshold):
    for before, after in zip(batch, xtc(batch, threshold), strict=True):
        q = softmax(before.numpy())
        if (np.abs(q - threshold) < NEAR).any() or (
            np.abs(np.subtract.outer(q, q)) < NEAR
        ).sum() > len(q):
            continue  # a tie, equal or not after rounding
        kept = np.array(xtc_oracle(before.numpy(), threshold))
        assert (after.isfinite().numpy() == (kept & before.isfinite().numpy())).all()


def test_xtc_strikes_with_its_probability():
    batch = torch.tensor([[2.0, 1.9, 0.0]]).expand(4000, -1)
    generator = torch.Generator().manual_seed(0)
    struck = xtc(batch, 0.1, 0.3, generator)[:, 0].isinf()
    assert struck.float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert not xtc(batch, 0.1, 0.0, generator)[:, 0].isinf().any()


# Published examples: llama.cpp's test-sampling (probabilities in, probabilities out).


@pytest.mark.parity("filters and XTC", "examples of llama.cpp's test-sampling", "1e-5")
@pytest.mark.parametrize(
    ("function", "settings", "before", "after"),
    [
        (min_p, (0.26,), (0.1, 0.2, 0.3, 0.4), (0, 2 / 9, 3 / 9, 4 / 9)),
        (min_p, (0.74,), (0.1, 0.2, 0.3, 0.4), (0, 0, 3 / 7, 4 / 7)),
        (min_p, (0.76,), (0.1, 0.2, 0.3, 0.4), (0, 0, 0, 1)),
        (typical_p, (0.5,), (0.97, 0.01, 0.01, 0.01), (1, 0, 0, 0)),
        (typical_p, (0.5,), (0.4, 0.2, 0.2, 0.2), (0, 1 / 3, 1 / 3, 1 / 3)),
        (top_n_sigma, (1.0,), (0.1, 0.2, 0.3, 0.4), (0, 0, 3 / 7, 4 / 7)),
        (top_n_sigma, (3.0,), (0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.3, 0.4)),
        (xtc, (0.09,), (0.4, 0.3, 0.2, 0.1), (0, 0, 0, 1)),
        (xtc, (0.19,), (0.4, 0.3, 0.2, 0.1), (0, 0, 2 / 3, 1 / 3)),
        (xtc, (0.29,), (0.4, 0.3, 0.2, 0.1), (0, 3 / 6, 2 / 6, 1 / 6)),
        (xtc, (0.39,), (0.4, 0.3, 0.2, 0.1), (0.4, 0.3, 0.2, 0.1)),
        (top_p, (0.5,), (0.1, 0.2, 0.3, 0.4), (0, 0, 3 / 7, 4 / 7)),
        (top_k, (3,), (0.1, 0.2, 0.3, 0.4), (0, 2 / 9, 3 / 9, 4 / 9)),
    ],
)
def test_published_examples(function, settings, before, after):
    result = function(torch.tensor([before]).log(), *settings).softmax(-1)
    torch.testing.assert_close(result, torch.tensor([after], dtype=torch.float), atol=1e-5, rtol=0)


# Reshaping


def dynamic_oracle(row, low, high, exponent):
    q = softmax(row)
    h = -sum(x * math.log(x) for x in q if x > 0)
    n = int(np.isfinite(row).sum())
    share = min(max(h / math.log(n), 0), 1) if n > 1 else 0.0
    value = low + (high - low) * share**exponent
    return softmax(row / value)


def smoothing_oracle(row, factor, curve):
    out = []
    for x in row:
        d = x - row.max()
        d = 0.0 if np.isinf(x) else d
        polynomial = -((3 - curve) / 2) * factor * d**2 + ((curve - 1) / 2) * factor * d**3
        out.append(x if np.isinf(x) else row.max() + polynomial)
    return np.array(out)


@pytest.mark.parity("dynamic temperature, quadratic smoothing", "definitions in NumPy", "1e-9")
@given(
    batch=logits(vocab=None, dtype=torch.float64),
    low=st.floats(0.1, 2),
    more=st.floats(0, 3),
    exponent=st.floats(0.3, 3),
    factor=st.floats(0.01, 5),
    curve=st.floats(1, 3),
)
def test_reshaping(batch, low, more, exponent, factor, curve):
    result = dynamic_temperature(batch, low, low + more, exponent).softmax(-1)
    smooth = quadratic_smoothing(batch, factor, curve)
    for row, got, bent in zip(batch.numpy(), result.numpy(), smooth.numpy(), strict=True):
        expected = dynamic_oracle(row, low, low + more, exponent)
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(bent, smoothing_oracle(row, factor, curve), rtol=1e-9)


@given(batch=logits(vocab=None, dtype=torch.float64))
def test_entropy_is_that_of_numpy(batch):
    for row, got in zip(batch.numpy(), entropy(batch).numpy(), strict=True):
        q = softmax(row)
        assert got == pytest.approx(-sum(x * math.log(x) for x in q if x > 0), abs=1e-9)


def test_a_temperature_of_zero_takes_the_most_probable():
    batch = torch.tensor([[1.0, 3.0, -math.inf, 2.0], [5.0, -math.inf, -math.inf, -math.inf]])
    result = dynamic_temperature(batch, 0.0, 1e-30)
    assert result.softmax(-1).argmax(-1).tolist() == [1, 0]
    assert not result.isnan().any()


# Properties

FILTERS = [
    (top_k, 3), (top_p, 0.7), (min_p, 0.2), (top_a, 0.3), (tail_free, 0.6), (typical_p, 0.6),
    (top_h, 0.6), (epsilon_cutoff, 0.1), (eta_cutoff, 0.1), (top_n_sigma, 1.0), (xtc, 0.2),
]  # fmt: skip


@pytest.mark.parametrize(("function", "setting"), FILTERS)
@given(batch=logits(vocab=None))
def test_what_is_kept_is_unchanged_and_something_is_kept(function, setting, batch):
    result = function(batch, setting)
    assert ((result == batch) | (result == -math.inf)).all()
    assert result.isfinite().any(dim=-1).all()
    assert result.softmax(-1).sum(-1).numpy() == pytest.approx(1)
    if function not in (typical_p, xtc):
        assert (result.amax(-1) == batch.amax(-1)).all(), "the most probable token must stay"


@pytest.mark.parametrize(("function", "setting"), FILTERS)
@given(batch=logits(rows=4), data=st.data())
def test_rows_do_not_see_each_other(function, setting, batch, data):
    row = data.draw(st.integers(0, len(batch) - 1))
    assert torch.equal(function(batch, setting)[row], function(batch[[row]], setting)[0])


@settings(max_examples=50)
@given(batch=logits(dtype=torch.float64), n=st.floats(0.1, 4), t=st.floats(0.1, 10))
def test_top_n_sigma_commutes_with_temperature(batch, n, t):
    margin = [top_n_sigma_oracle(row, n) for row in batch.numpy()]
    if np.abs(margin).min() < 1e-6:
        return
    one, other = temperature(top_n_sigma(batch, n), t), top_n_sigma(temperature(batch, t), n)
    torch.testing.assert_close(one, other)


@given(batch=logits(), k=st.integers(1, 15), t=st.integers(-3, 3).map(lambda i: 2.0**i))
def test_top_k_commutes_with_temperature(batch, k, t):
    assert torch.equal(temperature(top_k(batch, k), t), top_k(temperature(batch, t), k))


def test_min_p_and_top_p_do_not_commute_with_temperature():
    batch = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    for function, setting in ((min_p, 0.1), (top_p, 0.9)):
        first = temperature(function(batch, setting), 3.0).isfinite()
        last = function(temperature(batch, 3.0), setting).isfinite()
        assert first.sum() < last.sum()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z: temperature(z, 0.0), "temperature must be above 0, got 0.0"),
        (lambda z: top_k(z, 0), "top_k must be an integer at least 1, got 0"),
        (lambda z: top_p(z, 1.7), r"top_p must be in \(0, 1\], got 1\.7"),
        (lambda z: min_p(z, math.nan), r"min_p must be in \[0, 1\], got nan"),
        (lambda z: top_a(z, -0.1), r"top_a must be in \[0, 1\], got -0\.1"),
        (lambda z: tail_free(z, 0.0), r"tfs must be in \(0, 1\], got 0\.0"),
        (lambda z: typical_p(z, 0.0), r"typical_p must be in \(0, 1\], got 0\.0"),
        (lambda z: top_h(z, 1.5), r"top_h must be in \(0, 1\], got 1\.5"),
        (lambda z: epsilon_cutoff(z, 1.0), r"epsilon_cutoff must be in \(0, 1\), got 1\.0"),
        (lambda z: eta_cutoff(z, 0.0), r"eta_cutoff must be in \(0, 1\), got 0\.0"),
        (lambda z: top_n_sigma(z, 0.0), r"top_n_sigma must be above 0, got 0\.0"),
        (lambda z: xtc(z, 0.1, 1.5), r"xtc_probability must be in \[0, 1\], got 1\.5"),
        (lambda z: dynamic_temperature(z, 2.0, 1.0), "low must be at most its high"),
        (lambda z: quadratic_smoothing(z, 0.0), r"smoothing_factor must be above 0, got 0\.0"),
        (lambda z: quadratic_smoothing(z, 1.0, 4.0), r"smoothing_curve must be in \[1, 3\]"),
    ],
)
def test_settings_out_of_range(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(1, 4))


def test_more_tokens_than_there_are():
    batch = torch.tensor([[1.0, 2.0]])
    assert torch.equal(top_k(batch, 50), batch)
    assert torch.equal(top_h(batch[:, :1], 0.5), batch[:, :1])
