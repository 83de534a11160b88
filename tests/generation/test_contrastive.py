"""Contrastive search equals an older release of transformers, and its parts NumPy."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.generation import GenerationConfig, generate
from lib.generation.contrastive import contrastive_scores, degeneration_penalty
from tests.generation.references.make_references import N_NEW, PATH, prompts

OLD = json.loads(PATH.read_text())


@pytest.mark.parity("contrastive search, batched and padded", "transformers 4.49 generate", "identical")  # fmt: skip  # noqa: E501
@pytest.mark.parametrize("case", range(len(OLD["contrastive"])))
def test_contrastive_search_equals_old_transformers(old_model, case):
    ids, mask = prompts()
    expected = OLD["contrastive"][case]
    config = GenerationConfig(max_new_tokens=N_NEW, **expected["setting"])
    rows = expected["rows"]
    ours = generate(old_model, ids[rows], config, mask.bool()[rows])
    assert ours.ids.tolist() == expected["sequences"]


@given(st.integers(0, 500))
def test_penalty_is_the_highest_cosine(seed):
    torch.manual_seed(seed)
    states, candidates = torch.randn(2, 5, 7), torch.randn(2, 3, 7)
    mask = torch.rand(2, 5) > 0.3
    mask[:, -1] = True
    found = degeneration_penalty(states, candidates, mask).numpy()
    for b in range(2):
        for k in range(3):
            v = candidates[b, k].numpy()
            cosines = [
                h @ v / np.linalg.norm(h) / np.linalg.norm(v)
                for h, keep in zip(states[b].numpy(), mask[b], strict=True)
                if keep
            ]
            assert found[b, k] == pytest.approx(max(cosines), abs=1e-5)


def test_without_weight_on_geometry_it_is_greedy(pair):
    """alpha = 0 cannot be set (it is off), but the score then is the probability."""
    p, penalty = torch.tensor([[0.6, 0.3]]), torch.tensor([[0.9, 0.1]])
    assert contrastive_scores(p, penalty, 0).argmax() == 0
    assert contrastive_scores(p, penalty, 0.6).argmax() == 1
    model, _ = pair
    ids = torch.randint(97, (2, 5))
    almost = GenerationConfig(max_new_tokens=8, penalty_alpha=1e-9, top_k=4)
    greedy = generate(model, ids, GenerationConfig(max_new_tokens=8))
    assert torch.equal(generate(model, ids, almost).ids, greedy.ids)


def test_a_row_that_stops_is_filled(pair):
    model, _ = pair
    ids = torch.randint(97, (4, 5))
    free = GenerationConfig(max_new_tokens=10, penalty_alpha=0.6, top_k=4)
    stop = generate(model, ids, free).new_ids[0, 3].item()
    config = GenerationConfig(
        max_new_tokens=10, penalty_alpha=0.6, top_k=4, eos_token_id=stop, pad_token_id=1
    )
    first = generate(model, ids, config).new_ids[0].tolist()
    assert set(first[first.index(stop) + 1 :]) <= {1}


def test_top_k_above_the_vocabulary_takes_all(tiny):
    config = GenerationConfig(max_new_tokens=4, penalty_alpha=0.6, top_k=1000)
    assert generate(tiny, torch.tensor([[1, 2]]), config).new_ids.shape == (1, 4)


@pytest.mark.parametrize("alpha", [0.6, 0.99])
def test_what_is_forbidden_is_no_candidate(tiny, alpha):
    """However unlike the text its hidden state is: of 12 candidates two may be taken."""
    n_vocab = tiny.config.vocab_size
    forbidden = [[i] for i in range(n_vocab) if i not in (3, 5)]
    for seed in range(4):
        ids = torch.randint(n_vocab, (2, 5), generator=torch.Generator().manual_seed(seed))
        config = GenerationConfig(
            max_new_tokens=6, penalty_alpha=alpha, top_k=12, bad_words_ids=forbidden
        )
        assert {*generate(tiny, ids, config).new_ids.flatten().tolist()} <= {3, 5}


def test_nan_is_named(tiny):
    weight = tiny.head.weight
    with torch.no_grad():
        kept = weight.clone()
        weight[:, 0] = float("nan")
    try:
        with pytest.raises(ValueError, match="hold NaN"):
            generate(tiny, torch.tensor([[1]]), GenerationConfig(penalty_alpha=0.5, top_k=2, max_new_tokens=2))  # fmt: skip  # noqa: E501
    finally:
        with torch.no_grad():
            weight.copy_(kept)
