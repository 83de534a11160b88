"""Balancing in the training loop: what each term does to gradients, biases and loads."""

import pytest
import torch

from lib.model import LanguageModel, ModelConfig
from lib.model.balancing import load, load_balancing_loss, load_entropy, router_z_loss
from lib.model.experts import recorded_routing
from lib.model.routing import RouterConfig
from lib.training import TrainingConfig, next_token_loss, train, training_step
from lib.training.auxiliary import routers
from lib.training.optimizer import make_optimizer

SIZES = dict(vocab_size=40, context_length=16, d_model=16, n_layers=2, n_heads=2, d_ff=16)


def build(router=None, seed=0):
    torch.manual_seed(seed)
    router = router or RouterConfig()
    return LanguageModel(ModelConfig(**SIZES, n_experts=4, d_expert=8, router=router))


def settings(**changes):
    return TrainingConfig(**dict(steps=10, batch_size=4, context_length=16) | changes)


def gradients(model):
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_losses_are_added(monkeypatch, accumulate):
    model, windows = build().train(), torch.randint(40, (4, 17))
    optimizer = make_optimizer(model, 0.0)
    monkeypatch.setattr(optimizer, "zero_grad", lambda set_to_none: None)  # keep them to look at
    config = settings(
        balance_loss=0.5, z_loss=0.25, max_gradient_norm=float("inf"), accumulate=accumulate
    )
    loss, _ = training_step(model, optimizer, windows, config)
    ours = gradients(model)
    model.zero_grad()
    for part in windows.chunk(accumulate):
        with recorded_routing(model) as routings:
            plain = next_token_loss(model, part)
        extra = sum(0.5 * load_balancing_loss(r) + 0.25 * router_z_loss(r) for r in routings)
        ((plain + extra) / accumulate).backward()
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-6, rtol=1e-4)
    assert loss.item() == pytest.approx(next_token_loss(model, windows).item(), rel=1e-5)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_biases_move_against_the_load_of_the_whole_step(accumulate):
    model = build(RouterConfig(gate="sigmoid", bias=True)).train()
    windows = torch.randint(40, (4, 17))
    with recorded_routing(model) as routings:
        model(windows[:, :-1])
    config = settings(bias_rate=0.01, accumulate=accumulate)
    training_step(model, make_optimizer(model, 0.0), windows, config)
    for router, routing in zip(routers(model), routings, strict=True):
        expected = 0.01 * torch.sign(0.25 - load(routing))
        torch.testing.assert_close(router.bias, expected)


def test_a_bias_evens_out_a_bad_start():
    model = build(RouterConfig(gate="sigmoid", bias=True))
    with torch.no_grad():
        for router in routers(model):
            router.bias += torch.tensor([0.3, 0.1, 0.0, 0.0])
    tokens = torch.randint(40, (2000,))

    def entropy():
        with torch.inference_mode(), recorded_routing(model) as routings:
            model(tokens[:1600].view(100, 16))
        return min(load_entropy(load(routing)).item() for routing in routings)

    before = entropy()
    train(model, tokens, settings(steps=120, bias_rate=0.003))
    assert before < 0.8
    assert entropy() > 0.97


def test_a_run_with_experts_resumes_from_its_checkpoint(tmp_path):
    tokens = torch.randint(40, (2000,))
    config = settings(steps=8, bias_rate=0.01, checkpoint_every=4)
    router = RouterConfig(gate="sigmoid", bias=True)
    whole = build(router)
    history = train(whole, tokens, config, folder=tmp_path)
    (tmp_path / "step-00000008").rename(tmp_path / "gone")
    resumed = build(router, seed=1)
    assert train(resumed, tokens, config, folder=tmp_path) == history
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(balance_loss=-0.1), "balance_loss must be at least 0, got -0.1"),
        (dict(bias_rate=-1.0), "bias_rate must be at least 0"),
    ],
)
def test_bad_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        settings(**changes)


def test_what_the_model_lacks_is_named():
    tokens = torch.randint(40, (200,))
    with pytest.raises(ValueError, match=r"bias_rate=0.1 needs routers with .*bias=True"):
        train(build(), tokens, settings(bias_rate=0.1))
    with pytest.raises(ValueError, match=r"balance_loss=0.1 needs a model with experts"):
        train(LanguageModel(ModelConfig(**SIZES)), tokens, settings(balance_loss=0.1))
