"""Every norm against torch, transformers or a NumPy oracle, in float32 and bfloat16."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.olmo2.modeling_olmo2 import Olmo2RMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from lib.model import ModelConfig
from lib.model.normalization import (
    BatchNorm,
    DynamicTanh,
    LayerNorm,
    RMSNorm,
    batch_statistics,
    layer_norm,
    make_norm,
)

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3).flatmap(
    lambda rest: st.integers(1, 33).map(lambda width: (*rest, width))
)
dtypes = st.sampled_from([torch.float32, torch.bfloat16])
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


def random(shape, dtype=torch.float32, seed=0, spread=2.0, shift=0.7):
    generator = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(shape, generator=generator) + shift).to(dtype)


def with_weights(norm, dtype=torch.float32):
    """Weights that are not those of the start, which would hide mistakes."""
    with torch.no_grad():
        for i, weight in enumerate(norm.parameters()):
            weight.add_(random(weight.shape, seed=i + 1, spread=0.4, shift=0.1))
    return norm.to(dtype)


def copied(theirs, ours):
    weights = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
    ours.load_state_dict(weights)
    return ours.to(next(theirs.parameters()).dtype)


# Equality


@pytest.mark.parity(
    "LayerNorm, float32 and bfloat16", "torch LayerNorm", "identical; formula 1 ulp"
)
@given(shape=shapes, dtype=dtypes)
def test_layer_norm_equals_torch(shape, dtype):
    theirs = with_weights(nn.LayerNorm(shape[-1], eps=1e-3), dtype)
    x = random(shape, dtype)
    expected = theirs(x)
    torch.testing.assert_close(
        copied(theirs, LayerNorm(shape[-1], 1e-3))(x), expected, rtol=0, atol=0
    )
    formula = layer_norm(x, theirs.weight, theirs.bias, 1e-3)
    assert formula.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 2**-7
    torch.testing.assert_close(formula, expected, rtol=tolerance, atol=tolerance)


CONVENTIONS = {
    "llama": (LlamaRMSNorm, {}),
    "qwen3": (Qwen3RMSNorm, {}),
    "olmo2": (Olmo2RMSNorm, {"cast": "after scale"}),
    "gemma3": (Gemma3RMSNorm, {"unit_offset": True, "cast": "after scale"}),
}


@pytest.mark.parity(
    "RMSNorm of Llama, Qwen3, OLMo 2, Gemma 3, float32 and bfloat16", "transformers", "identical"
)
@pytest.mark.parametrize("kind", CONVENTIONS)
@given(shape=shapes, dtype=dtypes)
def test_rms_norm_equals_transformers(kind, shape, dtype):
    reference, options = CONVENTIONS[kind]
    theirs = with_weights(reference(shape[-1], eps=1e-6), dtype)
    ours = copied(theirs, RMSNorm(shape[-1], 1e-6, **options))
    x = random(shape, dtype)
    got, expected = ours(x), theirs(x)
    assert got.dtype == dtype
    torch.testing.assert_close(got, expected, rtol=0, atol=0)


@pytest.mark.parity("RMSNorm, scale before the cast", "torch RMSNorm", "1e-6; bfloat16 1 ulp")
@each_dtype
def test_rms_norm_equals_torch(dtype):
    theirs = with_weights(nn.RMSNorm(48, eps=1e-5), dtype)
    ours = copied(theirs, RMSNorm(48, 1e-5, cast="after scale"))
    x = random((64, 48), dtype)
    tolerance = 1e-6 if dtype == torch.float32 else 2**-7
    torch.testing.assert_close(ours(x), theirs(x), rtol=tolerance, atol=tolerance)


def test_the_order_of_cast_and_scale_matters_in_bfloat16_only():
    for dtype, same in ((torch.float32, True), (torch.bfloat16, False)):
        first = with_weights(RMSNorm(64), dtype)
        after = copied(first, RMSNorm(64, cast="after scale"))
        x = random((32, 64), dtype)
        assert torch.equal(first(x), after(x)) is same


def test_the_unit_offset_keeps_a_gain_near_one_finer():
    norm = RMSNorm(2, unit_offset=True, cast="after scale").to(torch.bfloat16)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.001, -0.002]))
    assert norm.gain.dtype == torch.float32
    torch.testing.assert_close(norm.gain, torch.tensor([1.001, 0.998]), atol=1e-5, rtol=0)
    assert torch.tensor(1.001).to(torch.bfloat16) == 1.0  # what a plain weight would keep


@pytest.mark.parity("BatchNorm over features, training and evaluation", "torch BatchNorm1d", "1e-5")
@given(shape=shapes.filter(lambda shape: np.prod(shape[:-1]) > 1), steps=st.integers(1, 4))
def test_batch_norm_equals_torch(shape, steps):
    theirs = with_weights(nn.BatchNorm1d(shape[-1], eps=1e-3))
    ours = BatchNorm(shape[-1], 1e-3)
    ours.load_state_dict(
        {"weight": theirs.weight, "bias": theirs.bias}
        | {"running_mean": theirs.running_mean, "running_variance": theirs.running_var}
    )
    for seed in range(steps):
        x = random(shape, seed=seed)
        expected = theirs(x.flatten(0, -2)).view(shape)
        torch.testing.assert_close(ours(x), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ours.running_variance, theirs.running_var, atol=1e-5, rtol=1e-5)
    x, expected = random(shape, seed=9), theirs.eval()(random(shape, seed=9).flatten(0, -2))
    torch.testing.assert_close(ours.eval()(x), expected.view(shape), atol=1e-5, rtol=1e-4)


@pytest.mark.parity("Dynamic Tanh", "NumPy in float64", "1e-6")
@given(shape=shapes)
def test_dynamic_tanh_equals_numpy(shape):
    norm = with_weights(DynamicTanh(shape[-1]))
    x = random(shape)
    alpha, weight, bias = (w.detach().double().numpy() for w in norm.parameters())
    expected = np.tanh(alpha * x.double().numpy()) * weight + bias
    torch.testing.assert_close(norm(x).double(), torch.from_numpy(expected), atol=1e-6, rtol=1e-6)


def test_dynamic_tanh_starts_as_the_paper_says():
    norm = DynamicTanh(3)
    torch.testing.assert_close(norm(torch.ones(3)), torch.full((3,), 0.5).tanh())


# Gradients


@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm", "batchnorm", "dynamic_tanh"])
def test_gradients_equal_finite_differences(norm):
    config = ModelConfig(
        vocab_size=5, context_length=8, d_model=4, n_layers=1, n_heads=2, d_ff=8, norm=norm
    )
    layer = with_weights(make_norm(config)).double()
    for buffer in layer.buffers():
        buffer.data = buffer.double()
    x = random((3, 4), torch.float64).requires_grad_()
    reference = {  # in float64, where ours computes in float32
        "layernorm": lambda x: F.layer_norm(x, (4,), layer.weight, layer.bias, layer.eps),
        "rmsnorm": lambda x: (
            x / (x.square().mean(-1, keepdim=True) + layer.eps).sqrt() * layer.weight
        ),
        "batchnorm": lambda x: F.batch_norm(
            x, None, None, layer.weight, layer.bias, training=True, eps=layer.eps
        ),
        "dynamic_tanh": lambda x: torch.tanh(layer.alpha * x) * layer.weight + layer.bias,
    }[norm]
    assert torch.autograd.gradcheck(reference, x)
    direction = random((3, 4), torch.float64, seed=5)
    (expected,) = torch.autograd.grad((reference(x) * direction).sum(), x)
    (got,) = torch.autograd.grad((layer(x) * direction).sum(), x)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


# Invariances


def scaled(x):
    """Far from zero, so that eps does not matter."""
    return 10 * x


@given(shape=shapes.filter(lambda s: s[-1] > 1), shift=st.floats(-5, 5), scale=st.floats(0.2, 5))
def test_layer_norm_ignores_shift_and_scale(shape, shift, scale):
    norm = with_weights(LayerNorm(shape[-1], eps=1e-12))
    x = scaled(random(shape))
    torch.testing.assert_close(norm(scale * x + shift), norm(x), atol=2e-3, rtol=2e-3)


@given(shape=shapes, scale=st.floats(0.2, 5))
def test_rms_norm_ignores_scale(shape, scale):
    norm = with_weights(RMSNorm(shape[-1], eps=1e-12))
    x = scaled(random(shape))
    torch.testing.assert_close(norm(scale * x), norm(x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(norm(-x), -norm(x))


@given(shape=shapes.filter(lambda s: s[-1] > 1))
def test_layer_norm_is_rms_norm_of_the_centered_vector(shape):
    x = scaled(random(shape))
    centered = x - x.mean(dim=-1, keepdim=True)
    expected = LayerNorm(shape[-1], eps=1e-6)(x)
    torch.testing.assert_close(
        RMSNorm(shape[-1], eps=1e-6)(centered), expected, atol=1e-4, rtol=1e-4
    )


def test_rms_norm_does_not_ignore_a_shift():
    x = random((5, 16))
    assert not torch.allclose(RMSNorm(16)(x), RMSNorm(16)(x + 1), atol=0.1)


@given(shape=shapes.filter(lambda s: np.prod(s[:-1]) > 3), scale=st.floats(0.2, 5))
def test_batch_norm_ignores_shift_and_scale_of_each_feature(shape, scale):
    norm = BatchNorm(shape[-1], eps=1e-12)
    x = scaled(random(shape))
    by_feature = scale * (1 + torch.arange(shape[-1]))
    expected = norm(x)
    torch.testing.assert_close(norm(by_feature * x - by_feature), expected, atol=2e-3, rtol=2e-3)


@given(shape=shapes, scale=st.floats(0, 1e6))
def test_dynamic_tanh_is_bounded(shape, scale):
    out = DynamicTanh(shape[-1])(scale * random(shape))
    assert out.abs().max() <= 1


@given(shape=shapes.filter(lambda s: len(s) > 2), data=st.data())
def test_norms_over_features_do_not_mix_tokens(shape, data):
    token = tuple(data.draw(st.integers(0, size - 1)) for size in shape[:-1])
    x = random(shape)
    changed = x.clone()
    changed[token] = 9 * torch.arange(shape[-1])
    for norm in (LayerNorm(shape[-1]), RMSNorm(shape[-1]), DynamicTanh(shape[-1])):
        same = norm(x) == norm(changed)
        same[token] = True
        assert same.all()


def test_batch_norm_mixes_tokens_in_training_only():
    norm, x = BatchNorm(4), random((2, 6, 4))
    changed = x.clone()
    changed[1, 5] += 7  # the last token of the other text
    assert not torch.allclose(norm(x)[0, 0], norm(changed)[0, 0])
    norm.eval()
    assert torch.equal(norm(x)[0], norm(changed)[0])


def test_batch_statistics_are_over_all_tokens():
    mean, variance = batch_statistics(
        torch.tensor([[[1.0, 0.0], [3.0, 0.0]], [[5.0, 0.0], [7.0, 4.0]]])
    )
    assert mean.tolist() == [4.0, 1.0]
    assert variance.tolist() == [5.0, 3.0]


# Bad input


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="at least 2 tokens in training, got 1"):
        BatchNorm(4)(torch.ones(1, 1, 4))
    with pytest.raises(ValueError, match="cast must be 'after scale', got 'before scale'"):
        RMSNorm(4, unit_offset=True)
    small = dict(vocab_size=5, context_length=8, d_model=4, n_layers=1, n_heads=2, d_ff=8)
    for change, message in [
        ({"norm_unit_offset": True}, "norm_unit_offset needs norm='rmsnorm'"),
        ({"qk_norm_all_heads": True}, "qk_norm_all_heads needs qk_norm=True"),
        ({"window_rope_base": 10.0}, "window_rope_base needs a window"),
    ]:
        with pytest.raises(ValueError, match=message):
            ModelConfig(**small, **change)
