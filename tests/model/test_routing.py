import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax
from scipy.stats import norm

from lib.model.routing import Router, RouterConfig, capacity, open_experts, route, within_capacity

shapes = st.tuples(st.integers(1, 20), st.integers(2, 8))


@given(shape=shapes, data=st.data(), gate=st.sampled_from(["softmax", "sigmoid"]))
@pytest.mark.parity("choices and weights of a router", "NumPy and SciPy", "1e-6")
def test_choices_and_weights(shape, data, gate):
    n_active = data.draw(st.integers(1, shape[1]))
    normalize, biased = data.draw(st.booleans()), data.draw(st.booleans())
    logits = torch.randn(shape)
    bias = torch.randn(shape[1]) if biased else None
    settings = RouterConfig(gate=gate, normalize=normalize, scale=1.7)
    routing = route(logits, n_active, settings, bias)
    scores = softmax(logits.numpy(), -1) if gate == "softmax" else expit(logits.numpy())
    preference = scores if bias is None else scores + bias.numpy()
    best = np.argsort(-preference, axis=-1, kind="stable")[:, :n_active]
    assert np.array_equal(routing.experts.numpy(), best)
    weights = np.take_along_axis(scores, best, -1)
    weights = 1.7 * (weights / weights.sum(-1, keepdims=True) if normalize else weights)
    np.testing.assert_allclose(routing.weights.numpy(), weights, rtol=1e-5)
    np.testing.assert_allclose(routing.probabilities.sum(-1).numpy(), 1, rtol=1e-5)


@given(shape=shapes, data=st.data())
def test_softmax_of_the_chosen_is_the_chosen_of_the_softmax(shape, data):
    logits = torch.randn(shape)
    n_active = data.draw(st.integers(1, shape[1]))
    routing = route(logits, n_active)
    kept = logits.gather(-1, routing.experts).softmax(dim=-1)
    torch.testing.assert_close(routing.weights, kept)


@given(n=st.integers(1, 30), n_experts=st.integers(1, 6), data=st.data())
def test_capacity_serves_first_choices_first(n, n_experts, data):
    n_active = data.draw(st.integers(1, n_experts))
    most = data.draw(st.integers(0, n))
    experts = torch.rand(n, n_experts).argsort(-1)[:, :n_active]
    kept = within_capacity(experts, n_experts, most)
    room = dict.fromkeys(range(n_experts), most)
    expected = torch.zeros_like(kept)
    for choice in range(n_active):
        for token in range(n):
            expert = int(experts[token, choice])
            if room[expert]:
                room[expert] -= 1
                expected[token, choice] = True
    assert torch.equal(kept, expected)


def test_capacity():
    assert capacity(n_tokens=6, n_experts=3, n_active=1, factor=1.0) == 2
    assert capacity(n_tokens=7, n_experts=4, n_active=2, factor=1.25) == 5  # 4.375 rounded up


def test_few_groups_are_open():
    preference = torch.tensor([[0.9, 0.0, 0.5, 0.5, 0.1, 0.2]])
    # The sums of the best two are .9, 1.0 and .3: the best single expert is not in the best group.
    assert open_experts(preference, 3, 1).tolist() == [[False, False, True, True, False, False]]
    settings = RouterConfig(n_groups=3, n_active_groups=1)
    assert route(preference.log(), 2, settings).experts.sort().values.tolist() == [[2, 3]]


def test_noise_acts_in_training_only_and_has_the_learned_spread():
    torch.manual_seed(0)
    router = Router(8, 4, 2, RouterConfig(noisy=True))
    x = torch.randn(1, 8).expand(20_000, 8)
    quiet, loud = router.eval()(x).logits, router.train()(x).logits
    assert torch.equal(quiet, router.eval()(x).logits)
    spread = torch.nn.functional.softplus(x[0] @ router.noise_weight.T)
    noise = ((loud - quiet) / spread).detach().numpy()
    quantiles = np.quantile(noise, [0.05, 0.5, 0.95])
    np.testing.assert_allclose(quantiles, norm.ppf([0.05, 0.5, 0.95]), atol=0.03)


def test_bias_gets_no_gradient_and_changes_no_weight():
    torch.manual_seed(0)
    router = Router(8, 4, 4, RouterConfig(gate="sigmoid", bias=True))
    x = torch.randn(5, 8)
    before = router(x)
    router.bias += torch.tensor([9.0, -9.0, 3.0, 0.0])
    after = router(x)
    assert after.experts.tolist() == [[0, 2, 3, 1]] * 5
    order = torch.tensor([0, 2, 3, 1]).expand(5, 4)
    sorted_before = torch.zeros(5, 4).scatter(1, before.experts, before.weights)
    torch.testing.assert_close(after.weights, sorted_before.gather(1, order))
    assert [name for name, _ in router.named_parameters()] == ["weight"]
    assert "bias" in router.state_dict()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(gate="tanh"), "gate must be one of softmax, sigmoid, got 'tanh'"),
        (dict(scale=0.0), "scale must be above 0, got 0.0"),
        (dict(capacity_factor=-1.0), "capacity_factor must be above 0"),
        (dict(n_groups=2, n_active_groups=3), r"n_active_groups must be in 1 \.\. n_groups = 2"),
    ],
)
def test_bad_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        RouterConfig(**changes)
