"""The references of chapter 12's exercises, held to the library."""

import pytest
import torch

from lib import scaling
from lib.exercises import compute as exercises
from lib.model import ModelConfig
from lib.scaling.quantization import dequantize, quantize


def test_references_agree_with_the_library():
    for config in (ModelConfig.smollm2_135m(), ModelConfig.qwen3_0_6b(), ModelConfig.llama3_8b()):
        sizes = (config.n_layers, config.d_model, config.n_heads, config.n_kv_heads)
        sizes += (config.d_head, config.d_ff, config.vocab_size, 512)
        assert exercises.training_flops(*sizes) == scaling.training_flops_per_token(config, 512)
        windows = [None, 100] * (config.n_layers // 2)
        windowed = config.replace(window=tuple(windows))
        cached = exercises.cache_bytes(windows, config.n_kv_heads, config.d_head, 512, 2)
        assert cached == scaling.kv_cache_bytes(windowed, 512)
    mfu, hfu = exercises.utilization(10**9, 5e4, 1e15, True)
    assert mfu == scaling.mfu(6e9, 5e4, 1e15)
    assert hfu == pytest.approx(scaling.hfu(6e9, 2e9, 5e4, 1e15))
    weight = torch.randn(6, 64)
    expected = dequantize(*quantize(weight, 4, 16))
    torch.testing.assert_close(exercises.rounded(weight, 4, 16), expected)


def test_the_roofline_agrees_but_for_attention():
    """The exercise leaves out the FLOPs of attention, and the library the unread embedding."""
    config, device = ModelConfig.smollm2_135m(), scaling.DEVICES["A100 40GB"]
    each = scaling.kv_cache_bytes(config, 16)
    for batch in (1, 64, 2048):
        step = scaling.decode_step(config, device, batch, 16)
        seconds = exercises.decode_seconds(
            scaling.parameters(config), 2, each, batch, device.flops, device.bandwidth
        )
        assert seconds == pytest.approx(step.seconds, rel=0.01)
