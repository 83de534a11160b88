import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import entropy
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from lib.model.balancing import (
    bias_step,
    load,
    load_balancing_loss,
    load_entropy,
    pool,
    router_z_loss,
)
from lib.model.routing import RouterConfig, route

sizes = dict(n=st.integers(1, 30), n_experts=st.integers(2, 8), data=st.data())


@given(**sizes)
@pytest.mark.parity("load-balancing loss, over one layer and several", "transformers", "1e-5")
def test_loss_equals_transformers(n, n_experts, data):
    k, layers = data.draw(st.integers(1, n_experts)), data.draw(st.integers(1, 3))
    logits = [torch.randn(n, n_experts, requires_grad=True) for _ in range(layers)]
    ours = load_balancing_loss(pool([route(each, k) for each in logits]))
    theirs = load_balancing_loss_func(tuple(logits), n_experts, k)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    gradients = [torch.autograd.grad(loss, logits[0])[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)


def test_pooled_layers_hide_each_other():
    one = route(torch.tensor([[9.0, -9.0]]).expand(10, 2), 1)
    other = route(torch.tensor([[-9.0, 9.0]]).expand(10, 2), 1)
    assert load_balancing_loss(one).item() == pytest.approx(2, abs=1e-4)
    assert load_balancing_loss(pool([one, other])).item() == pytest.approx(1, abs=1e-4)


@given(**sizes)
def test_load_and_its_entropy(n, n_experts, data):
    routing = route(torch.randn(n, n_experts), data.draw(st.integers(1, n_experts)))
    counts = np.bincount(routing.experts.numpy().ravel(), minlength=n_experts)
    np.testing.assert_allclose(load(routing).numpy(), counts / counts.sum(), rtol=1e-6)
    share = float(load_entropy(load(routing)))
    assert share == pytest.approx(entropy(counts) / np.log(n_experts), abs=1e-5)


@given(**sizes)
def test_z_loss(n, n_experts, data):
    logits = torch.randn(n, n_experts)
    expected = (logsumexp(logits.numpy(), axis=-1) ** 2).mean()
    assert router_z_loss(route(logits, 1)).item() == pytest.approx(expected, rel=1e-4)


def test_loss_falls_when_load_is_spread():
    torch.manual_seed(0)
    logits = (torch.randn(200, 4) + torch.tensor([2.0, 0.0, 0.0, 0.0])).requires_grad_()
    before = load_balancing_loss(route(logits, 1))
    for _ in range(200):
        (step,) = torch.autograd.grad(load_balancing_loss(route(logits, 1)), logits)
        logits = (logits - 20 * step).detach().requires_grad_()
    assert load_balancing_loss(route(logits, 1)) < 1.05 < before


def test_bias_balances_without_a_loss():
    torch.manual_seed(0)
    scores = torch.randn(500, 8) + torch.linspace(-1, 1, 8)
    settings, bias = RouterConfig(gate="sigmoid", bias=True), torch.zeros(8)
    start = load_entropy(load(route(scores, 2, settings, bias)))
    for _ in range(300):
        counts = route(scores, 2, settings, bias).experts.flatten().bincount(minlength=8)
        step = bias_step(counts, 0.003)
        assert torch.equal(step.sign(), (counts.float().mean() - counts).sign())
        bias += step
    assert start < 0.95
    assert load_entropy(load(route(scores, 2, settings, bias))) > 0.999
