"""Many continuations of one prompt, and choosing among them."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from lib.generation import GenerationConfig, generate
from lib.generation.measures import (
    distinct_n,
    effective_vocabulary,
    follow,
    kept_mass,
    n_kept,
    repetition,
    surprise,
)
from lib.generation.voting import best_of_n, majority_vote, pass_at_n, sample_many
from tests.generation.strategies import logits


@pytest.mark.parity("surprise of a text", "transformers' loss", "1e-4")
def test_surprise_is_the_loss(pair):
    model, reference = pair
    ids = torch.randint(97, (1, 12))
    nats = surprise(model, ids)
    assert nats.shape == (1, 11)
    with torch.no_grad():
        loss = reference(ids, labels=ids).loss.item()
    assert nats.mean().item() == pytest.approx(loss, abs=1e-4)
    torch.testing.assert_close(surprise(model, ids, 5), nats[:, 4:])
    with pytest.raises(ValueError, match=r"start must be an integer in \[1, 11\], got 0"):
        surprise(model, ids, 0)


def test_samples_know_their_surprise(pair):
    model, _ = pair
    ids = torch.randint(97, (2, 5))
    config = GenerationConfig(max_new_tokens=7, do_sample=True, temperature=1.5, top_k=20, seed=3)
    out = sample_many(model, ids, 3, config)
    assert out.ids.shape == out.surprise.shape == (2, 3, 7)
    whole = torch.cat([ids[:, None].expand(-1, 3, -1), out.ids], dim=-1).reshape(6, -1)
    expected = surprise(model, whole, 5).reshape(2, 3, 7)
    torch.testing.assert_close(out.surprise, expected, atol=1e-4, rtol=1e-4)


def test_one_sample_is_what_generate_draws(pair):
    model, _ = pair
    ids = torch.randint(97, (3, 5))
    config = GenerationConfig(max_new_tokens=9, do_sample=True, seed=4, repetition_penalty=1.2)
    assert torch.equal(
        sample_many(model, ids, 1, config).ids[:, 0], generate(model, ids, config).new_ids
    )


def test_a_stopped_sample_is_filled_and_not_surprising(pair):
    model, _ = pair
    config = GenerationConfig(max_new_tokens=12, do_sample=True, seed=0, eos_token_id=tuple(range(60)), pad_token_id=1)  # fmt: skip  # noqa: E501
    out = sample_many(model, torch.randint(97, (1, 4)), 8, config)
    for row, nats in zip(out.ids[0].tolist(), out.surprise[0].tolist(), strict=True):
        stop = next((i for i, token in enumerate(row) if token < 60), len(row))
        assert all(token == 1 for token in row[stop + 1 :])
        assert all(x == 0 for x in nats[stop + 1 :])
        assert all(x > 0 for x in nats[: stop + 1])


@pytest.mark.parity("first tokens of 8,000 samples", "chi-square against softmax", "p > 0.001")
def test_samples_follow_the_distribution(pair):
    model, _ = pair
    ids = torch.randint(97, (1, 4))
    config = GenerationConfig(max_new_tokens=1, do_sample=True, top_k=5, seed=0)
    first = sample_many(model, ids, 8000, config).ids[0, :, 0]
    p = follow(model(ids)[:, -1].detach(), config)[-1].logits.softmax(-1)[0]
    counts = torch.bincount(first, minlength=97)
    assert counts[p == 0].sum() == 0
    kept = p > 0
    expected = p[kept].double() / p[kept].double().sum() * 8000
    assert chisquare(counts[kept].numpy(), expected.numpy()).pvalue > 0.001


def test_votes():
    assert majority_vote([3, 5, 5, None, 3, 5]) == 5
    assert majority_vote([7, 2, 2, 7]) == 7  # a tie: who came first
    assert best_of_n(["a", "bbb", "cc"], len) == "bbb"
    assert best_of_n([1.0, 2.0], lambda x: math.nan if x == 2 else x) == 1.0
    for call in (lambda: majority_vote([None]), lambda: best_of_n([], len)):
        with pytest.raises(ValueError, match=r"there (is|are) no"):
            call()


@given(n_drawn=st.integers(1, 7), data=st.data())
def test_pass_at_n_counts_subsets(n_drawn, data):
    n_right, n = data.draw(st.integers(0, n_drawn)), data.draw(st.integers(1, n_drawn))
    drawn = [True] * n_right + [False] * (n_drawn - n_right)
    subsets = list(itertools.combinations(drawn, n))
    assert pass_at_n(n_right, n_drawn, n) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_settings_that_cannot_be(pair):
    model, _ = pair
    ids = torch.randint(97, (1, 4))
    with pytest.raises(ValueError, match="needs do_sample=True"):
        sample_many(model, ids, 2, GenerationConfig())
    with pytest.raises(ValueError, match="take 68 positions, the context has 64"):
        sample_many(model, ids, 2, GenerationConfig(do_sample=True))
    with pytest.raises(ValueError, match="n_right"):
        pass_at_n(3, 2, 1)


def test_diversity_by_hand():
    assert distinct_n([[1, 2, 1, 2]], 2) == pytest.approx(2 / 3)
    assert distinct_n([[1, 2], [1, 2]], 1) == 0.5
    assert math.isnan(distinct_n([[1]], 2))
    assert repetition([1, 1, 1, 1], 1) == 0.75
    assert repetition([1, 2, 3], 2) == 0


@given(batch=logits(rows=1))
def test_follow_accounts_for_all_mass(batch):
    config = GenerationConfig(do_sample=True, temperature=0.7, top_k=4, min_p=0.1)
    steps = follow(batch, config)
    assert [step.name for step in steps] == ["model", "temperature", "top_k", "min_p"]
    for before, after in itertools.pairwise(steps):
        lost = before.logits.softmax(-1)[(after.logits == -math.inf)].sum().item()
        assert after.mass == pytest.approx(1 - lost, abs=1e-5)
        assert after.tokens == n_kept(after.logits).item()
        assert kept_mass(before.logits, after.logits).item() == pytest.approx(after.mass)
    assert 1 - 1e-4 <= effective_vocabulary(steps[-1].logits).item() <= steps[-1].tokens + 1e-3
