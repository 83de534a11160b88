"""Quantized weights against torch's own quantizer and against plain products."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.model import LanguageModel, ModelConfig
from lib.scaling.quantization import (
    Int8Linear,
    bits_per_weight,
    dequantize,
    quantize,
    round_weights,
    use_int8,
)

CONFIG = ModelConfig.smollm2_135m(
    vocab_size=97, context_length=32, d_model=64, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=96
)


@pytest.mark.parity(
    "rounding weights by row", "torch.fake_quantize_per_channel_affine", "identical"
)
@pytest.mark.parametrize("bits", [8, 4])
def test_rows_as_torch_rounds_them(bits):
    weight, most = torch.randn(20, 48), 2 ** (bits - 1) - 1
    integers, scales = quantize(weight, bits)
    zeros = torch.zeros(20, dtype=torch.int32)
    expected = torch.fake_quantize_per_channel_affine(weight, scales[:, 0], zeros, 0, -most, most)
    torch.testing.assert_close(dequantize(integers, scales), expected, rtol=0, atol=0)


@settings(max_examples=50)
@given(
    bits=st.integers(2, 8),
    rows=st.integers(1, 5),
    groups=st.integers(1, 4),
    group=st.sampled_from([1, 4, 16]),
    scale=st.floats(1e-3, 1e3),
)
def test_error_is_at_most_half_a_step(bits, rows, groups, group, scale):
    weight = scale * torch.randn(rows, groups * group)
    integers, scales = quantize(weight, bits, group)
    assert scales.shape == (rows, groups)
    assert integers.abs().max() <= 2 ** (bits - 1) - 1
    error = (dequantize(integers, scales) - weight).abs().unflatten(1, (groups, group))
    assert (error <= 0.5001 * scales[:, :, None]).all()


def test_zeros_and_extremes_survive():
    weight = torch.tensor([[0.0, 0.0], [3.0, -1.0]])
    integers, scales = quantize(weight, 4)
    assert torch.equal(integers[0], torch.zeros(2, dtype=torch.int8))
    assert dequantize(integers, scales)[1, 0] == pytest.approx(3.0)


@pytest.mark.parametrize("bias", [True, False])
def test_int8_linear(bias):
    linear = torch.nn.Linear(64, 48, bias)
    x = torch.randn(3, 5, 64)
    with torch.no_grad():
        weight = dequantize(*quantize(linear.weight))
        expected = torch.nn.functional.linear(x, weight, linear.bias)
        torch.testing.assert_close(Int8Linear(linear)(x), expected, atol=0.03, rtol=0.03)


@pytest.mark.parametrize("width", [24, 33, 168])
def test_rows_that_the_kernel_cannot_read_go_another_way(width):
    torch.manual_seed(0)
    linear = torch.nn.Linear(width, 10, bias=False)
    x = torch.randn(3, width)
    torch.testing.assert_close(Int8Linear(linear)(x), linear(x), atol=0.05, rtol=0.05)


def test_a_model_in_int8_is_near_its_rounded_self():
    model = LanguageModel(CONFIG).eval()
    ids = torch.randint(97, (2, 20))
    with torch.inference_mode():
        expected = model(ids)
        got = use_int8(model)(ids)
    assert not any(type(module) is torch.nn.Linear for module in model.modules())
    assert (got - expected).abs().max() < 0.05 * expected.abs().max()


def test_fewer_bits_and_larger_groups_lose_more():
    weight = torch.randn(64, 128)
    errors = [
        (dequantize(*quantize(weight, bits, group)) - weight).square().mean().item()
        for bits, group in [(8, None), (6, None), (4, 16), (4, 32), (4, None), (3, None)]
    ]
    assert errors == sorted(errors)


def test_round_weights_leaves_vectors_alone():
    model, before = LanguageModel(CONFIG), LanguageModel(CONFIG)
    before.load_state_dict(model.state_dict())
    round_weights(model, 4, 32)
    for (name, new), old in zip(model.named_parameters(), before.parameters(), strict=True):
        assert torch.equal(new, old) == (new.dim() == 1), name
    assert len(model.blocks[0].feedforward.up.weight.unflatten(1, (-1, 32))[0, 0].unique()) <= 15


def test_bits():
    assert bits_per_weight(4, 32) == 4.5
    assert math.isclose(bits_per_weight(8, 576), 8 + 16 / 576)


def test_bad_input():
    with pytest.raises(ValueError, match=r"bits must be an integer in \[2, 8\], got 1"):
        quantize(torch.ones(2, 4), 1)
    with pytest.raises(ValueError, match="group must divide the row's 4 weights, got 3"):
        quantize(torch.ones(2, 4), 4, 3)
