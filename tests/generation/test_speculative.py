"""Speculative decoding loses nothing: the same greedy tokens, the same distribution."""

import itertools
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from lib.generation import GenerationConfig, generate
from lib.generation.drafts import LookupDraft, ModelDraft, first_layers, lookup
from lib.generation.grammar import Grammar
from lib.generation.measures import surprise
from lib.generation.speculative import (
    accept,
    expected_speedup,
    expected_tokens,
    speculate,
    speculative_rounds,
)
from lib.model import LanguageModel, ModelConfig


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
def test_sampling_keeps_the_distribution(tiny, name, as_a_reader):
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
def test_the_rule_gives_p_whatever_q_is(as_a_reader):
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
    with pytest.raises(ValueError, match="n_draft must be an integer at least 1, got 0"):
        speculate(model, draft, ids, GenerationConfig(max_new_tokens=2), 0)
    with pytest.raises(ValueError, match="draws or is greedy"):
        speculate(model, draft, ids, GenerationConfig(max_new_tokens=2, num_beams=2))
    with pytest.raises(ValueError, match="the context has 64"):
        speculate(model, draft, ids, GenerationConfig(max_new_tokens=61))
    with pytest.raises(ValueError, match=r"n_layers must be an integer in \[1, 2\], got 3"):
        first_layers(model, 3)
    with pytest.raises(ValueError, match="max_ngram must be an integer at least 1, got 0"):
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


def windowed():
    torch.manual_seed(1)
    config = ModelConfig(
        vocab_size=50, context_length=64, d_model=16, n_layers=3, n_heads=2, d_ff=32,
        window=(4, None, 5),
    )  # fmt: skip
    return LanguageModel(config).eval().requires_grad_(False)


def test_windows_go_back_and_share_prompts():
    """Speculation, beams and contrastive search with a window shorter than the prompt."""
    model = windowed()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.4)
    ids = torch.randint(0, 50, (1, 9))
    config = GenerationConfig(max_new_tokens=20)
    expected = generate(model, ids, config).ids
    for draft in (ModelDraft(first_layers(model, 1)), ModelDraft(model), LookupDraft(50)):
        assert torch.equal(speculate(model, draft, ids, config).ids, expected)
    nearly_greedy = GenerationConfig(max_new_tokens=20, penalty_alpha=1e-6, top_k=4)
    assert torch.equal(generate(model, ids, nearly_greedy).ids, expected)
    beams = GenerationConfig(max_new_tokens=12, num_beams=4, num_return_sequences=4)
    out = generate(model, ids.repeat(2, 1), beams)
    nats = surprise(model, out.ids, 9).mean(-1)
    torch.testing.assert_close(-nats, out.scores, atol=1e-5, rtol=1e-5)


def test_the_seed_holds_with_xtc(tiny):
    ids = torch.tensor([[1, 2, 1, 2]])
    config = GenerationConfig(
        max_new_tokens=20, do_sample=True, xtc_probability=0.5, xtc_threshold=0.1, seed=4
    )
    for draft in drafts(tiny).values():
        first = speculate(tiny, draft, ids, config).ids
        torch.manual_seed(first.sum())
        assert torch.equal(speculate(tiny, draft, ids, config).ids, first)


def test_a_grammar_stops_at_the_first_guess_that_it_forbids(babbler, as_a_reader):
    model, tokenizer = babbler
    ids = torch.tensor([tokenizer.encode("List: a b c a b c a b c\nJSON:")])
    shape = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    settings = dict(
        grammar=Grammar.json_schema(shape, tokenizer), eos_token_id=tokenizer.eos_id,
        max_new_tokens=24,
    )  # fmt: skip
    expected = generate(model, ids, GenerationConfig(**settings)).ids
    for draft in (LookupDraft(model.config.vocab_size), ModelDraft(first_layers(model, 3))):
        out = speculate(model, draft, ids, GenerationConfig(**settings), 4)
        assert torch.equal(out.ids, expected)
    for way in ({"num_beams": 2}, {"penalty_alpha": 0.6, "top_k": 4}):
        row = generate(model, ids, GenerationConfig(**settings, **way)).new_ids[0].tolist()
        assert isinstance(json.loads(tokenizer.decode(row[:-1]))["n"], int)


def test_a_draft_is_of_the_same_vocabulary(pair):
    model, _ = pair
    ids, config = torch.ones(1, 4).long(), GenerationConfig(max_new_tokens=2)
    with pytest.raises(ValueError, match="one vocabulary, got 98 tokens"):
        speculate(model, LookupDraft(98), ids, config)
