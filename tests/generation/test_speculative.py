"""Speculative decoding loses nothing: the same greedy tokens, the same distribution."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from lib.generation import GenerationConfig, generate
from lib.generation.drafts import LookupDraft, ModelDraft, first_layers, lookup
from lib.generation.measures import surprise
from lib.generation.speculative import (
    accept,
    expected_speedup,
    expected_tokens,
    speculate,
    speculative_rounds,
)


def drafts(model):
    return {
        "early exit": ModelDraft(first_layers(model, 1)),
        "itself": ModelDraft(model),
        "lookup": LookupDraft(model.config.vocab_size),
    }


@pytest.mark.parity("speculative decoding, greedy, three drafts", "transformers generate", "identical")  # fmt: skip  # noqa: E501
@pytest.mark.parametrize("name", ["early exit", "itself", "lookup"])
@pytest.mark.parametrize("n_draft", [1, 4, 9])
def test_greedy_equals_transformers(pair, name, n_draft):
    model, reference = pair
    for seed in range(3):
        torch.manual_seed(seed)
        ids = torch.randint(1, 97, (1, 6))
        expected = reference.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=25,
            repetition_penalty=1.1, pad_token_id=1,
        )  # fmt: skip
        config = GenerationConfig(max_new_tokens=25, repetition_penalty=1.1)
        out = speculate(model, drafts(model)[name], ids, config, n_draft)
        assert torch.equal(out.ids, expected)
        if name == "itself":
            assert out.acceptance == 1


def test_it_stops_where_generate_stops(pair):
    model, _ = pair
    ids = torch.randint(1, 97, (1, 6))
    free = generate(model, ids, GenerationConfig(max_new_tokens=25)).new_ids[0].tolist()
    for place in range(0, 25, 4):
        config = GenerationConfig(max_new_tokens=25, eos_token_id=free[place])
        expected = generate(model, ids, config).ids
        for draft in drafts(model).values():
            assert torch.equal(speculate(model, draft, ids, config, 5).ids, expected)


@pytest.mark.parity("speculative sampling, 500 texts of 3 tokens", "chi-square against the model", "p > 0.001")  # fmt: skip  # noqa: E501
@pytest.mark.parametrize("name", ["early exit", "lookup"])
def test_sampling_keeps_the_distribution(tiny, name):
    """All 216 texts of three tokens, with temperature and top_k, against exact probabilities."""
    ids = torch.tensor([[1, 2, 1, 2]])
    draft = drafts(tiny)[name]
    settings = dict(max_new_tokens=3, do_sample=True, temperature=1.2)
    counts, n = {}, 500
    torch.manual_seed(5)
    accepted = guessed = 0
    for _ in range(n):
        rounds = list(speculative_rounds(tiny, draft, ids, GenerationConfig(**settings), 2))
        text = tuple(t for r in rounds for t in r.tokens)
        counts[text] = counts.get(text, 0) + 1
        accepted += sum(r.n_accepted for r in rounds)
        guessed += sum(r.n_guessed for r in rounds)
    assert 0.05 < accepted / guessed < 0.95  # both ways are taken
    with torch.no_grad():
        tiny.head.weight.div_(1.2)
        texts = torch.tensor(list(itertools.product(range(6), repeat=3)))
        p = (-surprise(tiny, torch.cat([ids.expand(216, -1), texts], dim=1), 4).sum(-1)).exp()
        tiny.head.weight.mul_(1.2)
    p = p.double() / p.double().sum()
    order = p.argsort(descending=True)
    common = order[p[order] * n >= 5]
    observed = [counts.get(tuple(texts[i].tolist()), 0) for i in common]
    observed.append(n - sum(observed))
    expected = [*(p[common] * n).tolist(), (1 - p[common].sum().item()) * n]
    if expected[-1] < 5:  # too rare to be a class of its own
        observed[-2:], expected[-2:] = [sum(observed[-2:])], [sum(expected[-2:])]
    assert chisquare(observed, expected).pvalue > 0.001


@pytest.mark.parity("acceptance rule, 20,000 draws", "chi-square against p", "p > 0.001")
def test_the_rule_gives_p_whatever_q_is():
    p = torch.tensor([[0.5, 0.3, 0.2, 0.0], [0.25, 0.25, 0.25, 0.25]])
    q = torch.tensor([[0.1, 0.1, 0.3, 0.5]])
    generator = torch.Generator().manual_seed(0)
    guesses = torch.multinomial(q[0], 20_000, replacement=True, generator=generator)
    first, kept = [], 0
    for guess in guesses:
        n, token = accept(p, q, guess[None], generator)
        first.append(int(guess) if n else token)
        kept += n
    counts = torch.bincount(torch.tensor(first), minlength=4)
    assert counts[3] == 0
    assert chisquare(counts[:3].numpy(), (p[0, :3] * 20_000).numpy()).pvalue > 0.001
    assert kept / 20_000 == pytest.approx(torch.minimum(p[0], q[0]).sum().item(), abs=0.01)


@given(st.integers(0, 300), st.integers(2, 6))
def test_equal_distributions_accept_all(seed, n_vocab):
    torch.manual_seed(seed)
    p = torch.randn(4, n_vocab).softmax(-1)
    guesses = torch.multinomial(p[:3], 1)[:, 0]
    assert accept(p, p[:3], guesses)[0] == 3


@given(st.lists(st.integers(0, 3), max_size=20), st.integers(1, 5), st.integers(1, 4))
def test_lookup_copies_what_followed(text, n, max_ngram):
    found = lookup(text, n, max_ngram)
    assert len(found) <= n
    if not found:
        assert len(text) < 2 or text[-1] not in text[:-1]
        return
    starts = [i for i in range(1, len(text)) if text[i : i + len(found)] == found]
    assert any(text[i - 1] == text[-1] for i in starts)


@pytest.mark.parity("expected tokens of a round", "simulation of 20,000 rounds", "2%")
@pytest.mark.parametrize(("alpha", "n"), [(0.0, 4), (0.3, 1), (0.7, 5), (0.95, 8)])
def test_expected_tokens(alpha, n):
    generator = torch.Generator().manual_seed(0)
    held = torch.rand(20_000, n, generator=generator) < alpha
    tokens = held.long().cumprod(dim=1).sum(dim=1) + 1
    assert expected_tokens(alpha, n) == pytest.approx(tokens.float().mean().item(), rel=0.02)
    assert expected_tokens(1, n) == n + 1
    assert expected_speedup(alpha, n, 0.0) == expected_tokens(alpha, n)


def test_what_cannot_be_is_refused(pair):
    model, _ = pair
    ids, draft = torch.ones(1, 4).long(), LookupDraft(97)
    with pytest.raises(ValueError, match="takes one prompt, got 2"):
        speculate(model, draft, ids.repeat(2, 1), GenerationConfig(max_new_tokens=2))
    with pytest.raises(ValueError, match="n_draft must be at least 1, got 0"):
        speculate(model, draft, ids, GenerationConfig(max_new_tokens=2), 0)
    with pytest.raises(ValueError, match="draws or is greedy"):
        speculate(model, draft, ids, GenerationConfig(max_new_tokens=2, num_beams=2))
    with pytest.raises(ValueError, match="the context has 64"):
        speculate(model, draft, ids, GenerationConfig(max_new_tokens=61))
    with pytest.raises(ValueError, match=r"n_layers must be an integer in \[1, 2\], got 3"):
        first_layers(model, 3)
    with pytest.raises(ValueError, match="max_ngram must be at least 1, got 0"):
        LookupDraft(97, 0)
    with pytest.raises(ValueError, match="at least one token"):
        speculate(model, draft, ids[:, :0], GenerationConfig(max_new_tokens=2))


def test_early_exit_shares_the_weights(pair):
    model, _ = pair
    short = first_layers(model, 2)
    assert len(model.blocks) == 3
    assert short.blocks[0] is model.blocks[0]
    ids = torch.randint(97, (1, 5))
    stream = model.residual_stream(ids)
    torch.testing.assert_close(short(ids).detach(), model.unembed(stream[2]).detach())
