"""What chapter 8 says of SmolLM2's heads holds on each of 20 texts, and more than by chance."""

import math

import pytest
import torch
import torch.nn.functional as F

from lib.corpora import english
from lib.model.inspection import (
    copying_score,
    first_token_score,
    head_weights,
    induction_score,
    previous_token_score,
    repeated_tokens,
    without_heads,
)

PREVIOUS, INDUCTION, COPYING = (16, 0), (18, 6), (20, 6)


@pytest.fixture(scope="module")
def texts(smollm2):
    ids = torch.tensor(smollm2[1].encode(english(250_000)[150_000:]))
    return torch.stack([ids[i * 1000 : i * 1000 + 24] for i in range(20)])


@pytest.fixture(scope="module")
def weights(smollm2, texts):
    return head_weights(smollm2[0], texts)


@pytest.fixture(scope="module")
def rounds():
    return repeated_tokens(49_152, n_texts=20, period=20, seed=1)


def test_a_head_that_looks_one_token_back(weights):
    scores = previous_token_score(weights)  # layers, texts, heads
    assert scores[16, :, 0].min() > 0.5
    assert (scores.transpose(1, 2).flatten(0, 1).argmax(0) == 16 * 9).float().mean() > 0.8
    assert scores.median() < 0.2


def test_heads_that_rest_on_the_first_token(weights):
    scores = first_token_score(weights)
    even = (1 / torch.arange(2, 25)).mean()  # a head that spreads its weight evenly
    assert scores[12:].median() > 2 * even
    assert (scores[18, :, 8] > 0.4).all()


@torch.inference_mode()
def test_induction_heads_and_what_they_are_good_for(smollm2, rounds):
    model = smollm2[0]
    scores = induction_score(head_weights(model, rounds), period=20)
    assert scores[18, :, 6].min() > 0.5
    assert scores.median() < 0.05

    def loss():
        logits = model.unembed(model.hidden(rounds[:5])[:, 20:-1])
        return F.cross_entropy(logits.transpose(1, 2), rounds[:5, 21:], reduction="none").mean(1)

    whole = loss()
    with without_heads(model, [INDUCTION]):
        without = loss()
    with without_heads(model, [(18, 0)]):
        control = loss()
    assert (without > whole).all()
    assert (without - whole).mean() > 5 * (control - whole).mean().abs()
    with without_heads(model, [PREVIOUS]):
        left = induction_score(head_weights(model, rounds[:5]), period=20)
    assert (left[18, :, 6] < scores[18, :5, 6] - 0.3).all()


def test_a_head_that_copies(smollm2, texts):
    scores = copying_score(smollm2[0], texts)
    layer, head = COPYING
    assert (scores[layer, :, head] > 0.3).all()
    assert scores.median() < 0.1
    assert math.isclose(scores[layer, :, head].mean(), scores.mean(1).max(), abs_tol=0.1)
