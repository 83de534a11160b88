"""Experts against the blocks of transformers, and against a loop over tokens."""

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3MoE
from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeSparseMoeBlock

from lib.model import KVCache, LanguageModel, ModelConfig
from lib.model.experts import Experts, recorded_routing
from lib.model.feedforward import FeedForward
from lib.model.parameters import expert_parameters, parameters_by_part
from lib.model.routing import RouterConfig

SIZES = dict(vocab_size=31, context_length=24, d_model=16, n_layers=2, n_heads=2, d_ff=20)
DEEPSEEK = RouterConfig(gate="sigmoid", scale=2.5, bias=True, n_groups=4, n_active_groups=2)


def experts(seed=0, **changes):
    config = ModelConfig(**SIZES | {"n_experts": 8, "d_expert": 12} | changes)
    torch.manual_seed(seed)
    layer = Experts(config).eval()
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_(0, 0.5)
        if layer.router.bias is not None:
            layer.router.bias.normal_(0, 0.3)
    return layer


def copy_weights(layer, block):
    """Put our weights into a block of transformers."""
    gate = [torch.cat([e.gate.weight, e.up.weight]) for e in layer.experts]
    weights = {
        "gate.weight": layer.router.weight,
        "experts.gate_up_proj": torch.stack(gate),
        "experts.down_proj": torch.stack([e.down.weight for e in layer.experts]),
    }
    if layer.router.bias is not None:
        weights["gate.e_score_correction_bias"] = layer.router.bias
    if layer.shared is not None:
        for name in ("gate", "up", "down"):
            weights[f"shared_experts.{name}_proj.weight"] = getattr(layer.shared, name).weight
    block.load_state_dict(weights)
    return block.eval()


def mixtral(config):
    return MixtralSparseMoeBlock(
        transformers.MixtralConfig(
            hidden_size=config.d_model,
            intermediate_size=config.d_expert,
            num_local_experts=config.n_experts,
            num_experts_per_tok=config.n_active_experts,
        )
    )


def qwen3(config):
    return Qwen3MoeSparseMoeBlock(
        transformers.Qwen3MoeConfig(
            hidden_size=config.d_model,
            moe_intermediate_size=config.d_expert,
            num_experts=config.n_experts,
            num_experts_per_tok=config.n_active_experts,
            norm_topk_prob=config.router.normalize,
        )
    )


def deepseek(config):
    return DeepseekV3MoE(
        transformers.DeepseekV3Config(
            hidden_size=config.d_model,
            moe_intermediate_size=config.d_expert,
            n_routed_experts=config.n_experts,
            num_experts_per_tok=config.n_active_experts,
            n_shared_experts=config.n_shared_experts,
            n_group=config.router.n_groups,
            topk_group=config.router.n_active_groups,
            norm_topk_prob=config.router.normalize,
            routed_scaling_factor=config.router.scale,
        )
    )


BLOCKS = {
    "Mixtral": (mixtral, {}),
    "Qwen3-MoE": (qwen3, dict(n_active_experts=4)),
    "Qwen3-MoE, weights as they are": (
        qwen3,
        dict(n_active_experts=3, router=RouterConfig(normalize=False)),
    ),
    "DeepSeek-V3": (deepseek, dict(n_active_experts=3, n_shared_experts=2, router=DEEPSEEK)),
    "DeepSeek-V3, one group": (
        deepseek,
        dict(n_shared_experts=1, router=RouterConfig(gate="sigmoid", normalize=False, bias=True)),
    ),
}


@pytest.mark.parity("expert layers of Mixtral, Qwen3-MoE, DeepSeek-V3", "transformers", "1e-5")
@pytest.mark.parametrize("name", BLOCKS)
def test_a_layer_equals_transformers(name):
    make, changes = BLOCKS[name]
    config = ModelConfig(**SIZES | {"n_experts": 8, "d_expert": 12} | changes)
    layer = experts(**changes)
    block = copy_weights(layer, make(config))
    x = torch.randn(3, 7, 16, requires_grad=True)
    ours, theirs = layer(x), block(x)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    direction = torch.randn_like(ours)
    gradients = [torch.autograd.grad((y * direction).sum(), x)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


@given(
    n=st.integers(1, 40),
    n_experts=st.integers(2, 9),
    data=st.data(),
    gate=st.sampled_from(["softmax", "sigmoid"]),
    factor=st.sampled_from([None, 0.3, 1.0, 1.5]),
    shared=st.integers(0, 2),
    gated=st.booleans(),
)
def test_grouping_equals_a_loop_over_tokens(n, n_experts, data, gate, factor, shared, gated):
    layer = experts(
        n_experts=n_experts,
        n_active_experts=data.draw(st.integers(1, n_experts)),
        n_shared_experts=shared,
        gated=gated,
        router=RouterConfig(gate=gate, capacity_factor=factor),
    )
    x = torch.randn(n, 16)
    with recorded_routing(layer) as routings:
        mixture = layer(x)
    (routing,) = routings
    for token in range(n):
        expected = torch.zeros(16)
        for choice, expert in enumerate(routing.experts[token].tolist()):
            if routing.kept is None or routing.kept[token, choice]:
                expected += routing.weights[token, choice] * layer.experts[expert](x[token])
        if layer.shared is not None:
            expected += layer.shared(x[token])
        torch.testing.assert_close(mixture[token], expected, atol=1e-4, rtol=1e-4)
    with torch.no_grad():  # takes the way that leaves out experts without tokens
        torch.testing.assert_close(layer(x), mixture, atol=1e-5, rtol=1e-5)


def test_one_expert_is_a_dense_layer():
    layer = experts(n_experts=1, n_active_experts=1, d_expert=20)
    dense = FeedForward(ModelConfig(**SIZES))
    dense.load_state_dict(layer.experts[0].state_dict())
    x = torch.randn(2, 5, 16)
    torch.testing.assert_close(layer(x), dense(x))


def test_an_expert_that_nobody_chose_has_a_gradient_of_zero():
    layer = experts(n_experts=8)
    layer(torch.randn(1, 1, 16)).sum().backward()
    norms = [expert.down.weight.grad.norm().item() for expert in layer.experts]
    assert sum(norm > 0 for norm in norms) == 2
    assert all(norm == 0 or norm > 0 for norm in norms)


def test_bfloat16_activations_stay_bfloat16():
    layer = experts()
    x = torch.randn(2, 9, 16)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert (layer(x) - exact).abs().max() < 0.05 * exact.abs().max()
    assert layer.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = ModelConfig(
        **SIZES,
        n_experts=4,
        n_shared_experts=1,
        d_expert=8,
        dense_layers=(0,),
        router=RouterConfig(gate="sigmoid", bias=True),
    )
    return LanguageModel(config).eval()


def test_a_model_with_experts_predicts(model):
    ids = torch.randint(31, (2, 12))
    with torch.inference_mode(), recorded_routing(model) as routings:
        whole = model(ids)
    assert [routing.logits.shape for routing in routings] == [(24, 4)]  # the first layer is dense
    assert isinstance(model.blocks[0].feedforward, FeedForward)
    cache = KVCache(model.config, 2, 12)
    with torch.inference_mode():
        steps = [model(piece, cache=cache) for piece in ids.split(1, dim=1)]
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-5, rtol=1e-4)
    with recorded_routing(model) as routings:
        pass
    model(ids)
    assert not routings  # nothing is recorded after the block


@given(
    shared=st.integers(0, 2),
    gated=st.booleans(),
    bias=st.booleans(),
    noisy=st.booleans(),
    n_active=st.integers(1, 4),
    dense=st.sampled_from([(), (0,), (0, 1)]),
)
def test_parameters_by_formula(shared, gated, bias, noisy, n_active, dense):
    config = ModelConfig(
        **SIZES,
        n_experts=4,
        n_active_experts=n_active,
        n_shared_experts=shared,
        d_expert=8,
        gated=gated,
        feedforward_bias=bias,
        dense_layers=dense,
        router=RouterConfig(noisy=noisy, bias=True),
    )
    model = LanguageModel(config)
    assert sum(parameters_by_part(config).values()) == model.count_parameters()
    idle = (4 - n_active) * (2 - len(dense))
    expert = sum(w.numel() for w in FeedForward(config, 8).parameters())
    active = sum(parameters_by_part(config, active=True).values())
    assert model.count_parameters() - active == idle * expert
    assert expert_parameters(config) == sum(w.numel() for w in Experts(config).parameters())


def test_initialization_knows_experts():
    torch.manual_seed(0)
    config = ModelConfig(**SIZES | {"d_model": 128, "d_ff": 256}, n_experts=4, n_shared_experts=1)
    block = LanguageModel(config).blocks[0].feedforward
    for layer in [*block.experts, block.shared]:
        assert layer.down.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert layer.up.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert block.router.weight.std().item() == pytest.approx(0.02, rel=0.15)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(n_experts=0), r"n_experts must be an integer in \[1, 100000\], got 0"),
        (
            dict(n_experts=4, n_active_experts=5),
            r"n_active_experts must be an integer in \[1, 4\], got 5",
        ),
        (dict(n_experts=4, d_expert=-3), r"d_expert must be an integer in \[1, 1e9\], got -3"),
        (
            dict(n_experts=4, n_shared_experts=-1),
            r"n_shared_experts must be an integer in \[0, 100000\]",
        ),
        (
            dict(n_experts=4, dense_layers=(7,)),
            r"dense_layers must be an integer in \[0, 1\], got 7",
        ),
        (dict(n_shared_experts=1), "need n_experts"),
        (dict(n_experts=6, router=RouterConfig(n_groups=4)), "n_groups must divide n_experts"),
        (
            dict(n_experts=4, n_active_experts=3, router=RouterConfig(n_groups=2)),
            "1 active groups of 2 experts cannot give n_active_experts=3",
        ),
    ],
)
def test_bad_sizes_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**SIZES, **changes)


def test_width_of_an_expert_is_d_ff_unless_given():
    assert ModelConfig(**SIZES, n_experts=4).d_expert == 20
    assert ModelConfig(**SIZES).d_expert is None
