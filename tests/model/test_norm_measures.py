"""What is measured about norms, against hand computation and torch."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.model import LanguageModel, ModelConfig
from lib.model.masks import causal_mask
from lib.model.norm_measures import (
    gradient_norms,
    influence,
    massive_activations,
    mean_share,
    norm_inputs,
    stream_set,
    xavier_initialize,
)
from lib.model.normalization import BatchNorm

CONFIG = ModelConfig.gpt2(
    vocab_size=31, context_length=24, d_model=16, n_layers=2, n_heads=4, d_ff=24
)


@pytest.fixture
def model():
    return LanguageModel(CONFIG).eval()


def test_norm_inputs_are_the_residual_stream(model):
    ids = torch.randint(31, (2, 7))
    inputs, stream = norm_inputs(model, ids), model.residual_stream(ids)
    names = [f"blocks.{i}.{part}_norm" for i in (0, 1) for part in ("attention", "feedforward")]
    assert list(inputs) == [*names, "final_norm"]
    torch.testing.assert_close(inputs["blocks.1.attention_norm"], stream[1])
    torch.testing.assert_close(inputs["final_norm"], stream[2])
    assert not model.final_norm._forward_pre_hooks


def test_mean_share_by_hand():
    assert mean_share(torch.tensor([3.0, 3.0])).item() == 1.0
    assert mean_share(torch.tensor([1.0, -1.0])).item() == 0.0
    assert mean_share(torch.tensor([3.0, 1.0])).item() == pytest.approx(4 / 5)
    noise = mean_share(torch.randn(20_000, 50)).mean().item()
    assert noise == pytest.approx(1 / 50, rel=0.05)


def test_massive_activations_are_found_by_both_rules():
    stream = 0.1 * torch.ones(2, 1, 3, 8)
    stream[1, 0, 2, 5] = -400.0
    stream[1, 0, 1, 0] = 99.0  # not above 100
    stream[0] = 1.0
    stream[0, 0, 0, 0] = 500.0  # not above 1,000 times the median
    (found,) = massive_activations(stream)
    assert (found.block, found.text, found.position, found.channel) == (1, 0, 2, 5)
    assert found.value == -400.0
    assert found.median == pytest.approx(0.1)


def test_stream_set_holds_inside_the_block_only(model):
    ids = torch.randint(31, (2, 7))
    before = model.residual_stream(ids)
    with stream_set(model, 0, 3, [2, 5], 7.0):
        inside = model.residual_stream(ids)
    assert (inside[1, :, 3, [2, 5]] == 7.0).all()
    inside[1, :, 3, [2, 5]] = before[1, :, 3, [2, 5]]
    torch.testing.assert_close(inside[:2], before[:2])
    torch.testing.assert_close(model.residual_stream(ids), before)


def test_gradient_norms_equal_those_of_backward(model):
    windows = torch.randint(31, (2, 9))
    norms = gradient_norms(model, windows)
    assert all(weight.grad is None for weight in model.parameters())
    F.cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten()).backward()
    expected = [block.feedforward.down.weight.grad.norm().item() for block in model.blocks]
    assert norms == pytest.approx(expected, rel=1e-5)


def test_influence_by_hand():
    x, weights = torch.randn(4, 3), torch.randn(4, 4)
    got = influence(lambda x: weights @ x, x)
    torch.testing.assert_close(got, weights.abs() * 3**0.5)
    causal = influence(lambda x: (causal_mask(4, 4) * weights) @ x, x)
    assert torch.equal(causal, causal.tril())
    norm = BatchNorm(3)
    assert influence(norm, x).triu(1).sum() > 0.1
    assert influence(norm.eval(), x).triu(1).sum() == 0


def test_xavier_has_its_variance():
    model = xavier_initialize(LanguageModel(CONFIG.replace(d_model=64, d_ff=256)))
    for linear in (m for m in model.blocks.modules() if isinstance(m, nn.Linear)):
        rows, columns = linear.weight.shape
        assert linear.weight.var().item() == pytest.approx(2 / (rows + columns), rel=0.1)
