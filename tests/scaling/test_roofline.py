"""The roofline against arithmetic by hand, and against a search over all batches."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib import scaling
from lib.model import LanguageModel, ModelConfig
from lib.scaling import DEVICES, Device

LLAMA = ModelConfig.llama3_8b()
A100 = DEVICES["A100 40GB"]


def test_decoding_llama_by_hand():
    """Batch 1, 1,024 tokens: all weights but the embedding's other rows, and 128 KiB a token."""
    step = scaling.decode_step(LLAMA, A100, batch=1, context=1024)
    table = 128_256 * 4096
    moved = 2 * (8_030_261_248 - table + 4096) + 1024 * 128 * 1024
    assert step.bytes == moved
    per_layer = 2 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14_336)
    attention = 4 * 32 * 128 * 1025
    assert step.flops == 32 * (per_layer + attention) + 2 * table
    assert step.seconds == pytest.approx(moved / 1.555e12)
    assert step.bound == "memory"
    assert step.tokens_per_second == pytest.approx(1.555e12 / moved)


def test_prompts_are_bound_by_compute():
    step = scaling.prefill_step(LLAMA, A100, batch=1, positions=1024)
    assert step.bound == "compute"
    assert step.intensity > A100.ridge > scaling.decode_step(LLAMA, A100).intensity


@pytest.mark.parametrize("context", [1, 64, 256])
@pytest.mark.parametrize("weight_bytes", [2, 1, 0.5])
def test_crossover_by_trying_every_batch(context, weight_bytes):
    config = ModelConfig.qwen3_0_6b()
    found = scaling.crossover_batch(config, A100, context, weight_bytes, most=4096)
    bounds = [
        scaling.decode_step(config, A100, b, context, weight_bytes).bound for b in range(1, 600)
    ]
    first = bounds.index("compute") + 1 if "compute" in bounds else math.inf
    assert found == first or (found > 599 and first == math.inf)


def test_a_long_context_is_never_bound_by_compute():
    """GPT-2's cache gives one FLOP a byte, H / K; an A100 wants two hundred."""
    assert scaling.crossover_batch(ModelConfig.gpt2(), A100, context=1000) == math.inf


def test_weights_read():
    gpt2 = ModelConfig.gpt2()
    assert scaling.weights_read(gpt2, 1) == scaling.parameters(gpt2) - 1023 * 768
    experts = LLAMA.replace(n_experts=8, n_active_experts=2)
    assert scaling.weights_read(experts, 1) == pytest.approx(
        scaling.parameters(experts, active=True) - (128_256 - 1) * 4096
    )
    many = scaling.weights_read(experts, 10_000)
    assert many == pytest.approx(scaling.parameters(experts) + (10_000 - 128_256) * 4096)


@given(st.floats(1e-3, 1e6), st.sampled_from(sorted(DEVICES)))
def test_roofline(intensity, name):
    device = DEVICES[name]
    expected = device.flops if intensity >= device.ridge else intensity * device.bandwidth
    assert scaling.attainable_flops(intensity, device) == pytest.approx(expected)


def test_utilization_of_the_notes():
    """6 x 125e6 x 200e3 / 312e12 = 0.48; attention of GPT-2 small at 1,024 tokens makes it 0.55."""
    assert scaling.mfu(6 * 125e6, 200e3, 312e12) == pytest.approx(0.4808, abs=1e-4)
    attention = 12 * 12 * 12 * 64 * 1024
    assert scaling.mfu(6 * 125e6 + attention, 200e3, 312e12) == pytest.approx(0.553, abs=1e-3)
    assert scaling.hfu(6.0, 2.0, 1.0, 16.0) == scaling.mfu(6.0, 1.0, 16.0) * 4 / 3


def test_devices_are_dense_peaks():
    for device in DEVICES.values():
        assert 10e12 < device.flops < 1000e12  # a number with sparsity would be beyond an H100's
        assert 100 < device.ridge < 320
        assert device.source


def test_this_machine_is_measured():
    machine = scaling.this_machine(size=256, megabytes=8)
    assert min(machine.flops, machine.bandwidth) > 1e8
    assert machine.memory > 1e9
    assert scaling.seconds(lambda: None) >= 0
    assert scaling.time_ratio(lambda: sum(range(100_000)), lambda: None) > 1


def test_bad_input():
    with pytest.raises(ValueError, match="bandwidth must be above 0, got 0"):
        Device("none", 1.0, 0.0, 1.0, "")
    with pytest.raises(ValueError, match="intensity must be above 0, got 0"):
        scaling.attainable_flops(0.0, A100)
    with pytest.raises(ValueError, match="peak must be above 0, got 0"):
        scaling.mfu(1.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="batch must be an integer at least 1, got 0"):
        scaling.decode_step(LLAMA, A100, batch=0)


@pytest.mark.parity("peak memory of a training step", "VmHWM of a new process", "30 MB")
@pytest.mark.parametrize("segments", [None, 3])
def test_peak_memory(segments):
    """The measured peak holds what is predicted, and little else: threads, code, scratch space."""
    config = ModelConfig.smollm2_135m(
        vocab_size=512,
        context_length=256,
        d_model=96,
        n_layers=9,
        n_heads=4,
        n_kv_heads=2,
        d_ff=256,
    )
    torch.set_num_threads(1)
    predicted = scaling.training_peak_bytes(config, 256, 6, segments)
    measured = scaling.measured_peak_bytes(config, 256, 6, segments, steps=2)
    assert 0.95 * predicted < measured < 1.05 * predicted + 30e6


def test_the_peak_counts_what_training_uses():
    """The peak is predicted for `recomputed_activations` of lib.training; both give one loss."""
    from lib.scaling.observed import _loss
    from lib.training import next_token_loss

    config = ModelConfig.smollm2_135m(
        vocab_size=64, context_length=32, d_model=24, n_layers=5, n_heads=3, n_kv_heads=1, d_ff=32
    )
    model, windows = LanguageModel(config), torch.randint(64, (2, 17))
    for segments in (None, 1, 2, 5):
        torch.testing.assert_close(_loss(model, windows, segments), next_token_loss(model, windows))
