"""FLOPs against torch's own counter, on forward and backward passes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lib import scaling
from lib.model import KVCache, LanguageModel, ModelConfig
from lib.scaling.observed import observed_flops, shapes_only

SMALL = dict(vocab_size=101, context_length=64, d_model=48, n_layers=3, n_heads=4, d_ff=80)
FAMILIES = {
    "GPT-2": ModelConfig.gpt2(**SMALL),
    "Llama": ModelConfig.llama3_8b(**SMALL, n_kv_heads=2),
    "Qwen3": ModelConfig.qwen3_0_6b(**SMALL, n_kv_heads=2, d_head=32),
    "experts": ModelConfig(
        **SMALL, n_experts=6, n_active_experts=2, n_shared_experts=1, d_expert=24, dense_layers=(0,)
    ),
}
PUBLISHED = {
    "GPT-2": ModelConfig.gpt2(),
    "SmolLM2": ModelConfig.smollm2_135m(),
    "Qwen3": ModelConfig.qwen3_0_6b(),
    "Llama": ModelConfig.llama3_8b(),
}


@pytest.mark.parity(
    "FLOPs of forward and backward: GPT-2, Llama, Qwen3, experts", "torch FlopCounterMode", "equal"
)
@pytest.mark.parametrize("name", FAMILIES)
def test_small_models(name):
    config = FAMILIES[name]
    forward, backward = observed_flops(LanguageModel(config), torch.randint(101, (3, 33)))
    assert scaling.forward_flops(config, 33, batch=3) == forward
    assert scaling.backward_flops(config, 33, batch=3) == backward


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name):
    """At full size, on the meta device, which knows only shapes."""
    config = PUBLISHED[name]
    ids = torch.zeros(2, 512, dtype=torch.long, device="meta")
    forward, backward = observed_flops(shapes_only(config), ids)
    assert scaling.forward_flops(config, 512, batch=2) == forward
    assert scaling.backward_flops(config, 512, batch=2) == backward


@settings(max_examples=25)
@given(
    batch=st.integers(1, 3),
    positions=st.integers(1, 20),
    shared=st.integers(1, 3),
    n_kv_heads=st.integers(1, 3),
    d_head=st.sampled_from([2, 6, 10]),
    d_ff=st.integers(1, 40),
    gated=st.booleans(),
    window=st.sampled_from([None, 1, 7]),
)
def test_any_shape(batch, positions, shared, n_kv_heads, d_head, d_ff, gated, window):
    config = ModelConfig(
        vocab_size=11,
        context_length=20,
        d_model=12,
        n_layers=2,
        n_heads=shared * n_kv_heads,
        n_kv_heads=n_kv_heads,
        d_head=d_head,
        d_ff=d_ff,
        gated=gated,
        window=window,
    )
    ids = torch.zeros(batch, positions, dtype=torch.long, device="meta")
    forward, backward = observed_flops(shapes_only(config), ids)
    assert scaling.forward_flops(config, positions, batch) == forward
    assert scaling.backward_flops(config, positions, batch) == backward


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("window", [None, 8])
def test_one_more_token_with_a_cache(name, window):
    config = FAMILIES[name].replace(window=window)
    model, cache = (
        LanguageModel(config).eval(),
        KVCache(FAMILIES[name].replace(window=window), 2, 40),
    )
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH):
        model(torch.randint(101, (2, 30)), cache=cache)
        with FlopCounterMode(display=False) as counter:
            model(torch.randint(101, (2, 1)), cache=cache)
    assert scaling.forward_flops(config, 1, batch=2, past=30) == counter.get_total_flops()


def test_the_fused_kernel_of_the_cpu_is_counted():
    """torch alone counts none of it; with our formula the forward pass is complete."""
    config = FAMILIES["GPT-2"]
    forward, _ = observed_flops(LanguageModel(config), torch.randint(101, (2, 33)), fused=True)
    assert forward == scaling.forward_flops(config, 33, batch=2)


@given(
    positions=st.integers(1, 30),
    past=st.integers(0, 30),
    window=st.one_of(st.none(), st.integers(1, 40)),
    sinks=st.integers(0, 4),
)
def test_visible_pairs_by_counting(positions, past, window, sinks):
    sinks = sinks if window else 0
    keys = [min(q + 1, window + sinks) if window else q + 1 for q in range(past, past + positions)]
    assert scaling.visible_pairs(positions, past, window, sinks) == sum(keys)


def test_kaplan_by_table_1():
    """Row by row, for GPT-2: d_attn = d_model, d_ff = 4 d_model, so N = 12 L C^2."""
    config = ModelConfig.gpt2()
    layers, width, positions = 12, 768, 1024
    rows = [
        2 * layers * width * 3 * width,
        2 * layers * positions * width,
        2 * layers * width * width,
        2 * layers * 2 * width * 3072,
    ]
    assert scaling.block_matrix_parameters(config) == 12 * layers * width**2
    assert scaling.kaplan_forward(config, positions) == sum(rows)
    assert scaling.training_flops_per_token(config, positions, "6N") == 72 * layers * width**2


def test_chinchilla_by_appendix_f():
    """Line by line, per sequence, for Gopher 280B's sizes; the appendix has the key size apart."""
    layers, width, heads, key_size, inner, vocabulary, seq_len = (
        80,
        16_384,
        128,
        128,
        65_536,
        32_000,
        2048,
    )
    config = ModelConfig.gpt2(
        vocab_size=vocabulary, context_length=seq_len, d_model=width, n_layers=layers,
        n_heads=heads, d_head=key_size, d_ff=inner,
    )  # fmt: skip
    embeddings = 2 * seq_len * vocabulary * width
    attention = (
        2 * 3 * seq_len * width * (key_size * heads)
        + 2 * seq_len * seq_len * (key_size * heads)
        + 3 * heads * seq_len * seq_len
        + 2 * seq_len * seq_len * (key_size * heads)
        + 2 * seq_len * (key_size * heads) * width
    )
    dense = 2 * seq_len * (width * inner + width * inner)
    logits = 2 * seq_len * width * vocabulary
    total = embeddings + layers * (attention + dense) + logits
    assert scaling.chinchilla_forward(config, seq_len) * seq_len == total
    assert scaling.training_flops_per_token(config, seq_len, "Chinchilla") == 3 * total / seq_len


def test_palm_is_exact_for_tied_models_up_to_norms():
    """6 N counts norms and biases too: far less than a percent."""
    for name in ("GPT-2", "SmolLM2", "Qwen3"):
        config = PUBLISHED[name].replace(positions="rope")
        palm = scaling.training_flops_per_token(config, 1024, "PaLM")
        exact = scaling.training_flops_per_token(config, 1024)
        assert palm == pytest.approx(exact, rel=2e-3)


def test_active_parameters():
    config = FAMILIES["experts"]
    expert = 3 * 48 * 24
    assert scaling.parameters(config) - scaling.parameters(config, active=True) == 2 * 4 * expert


def test_bad_input():
    config = FAMILIES["GPT-2"]
    with pytest.raises(ValueError, match=r"method must be one of 6N, Kaplan.*got 'Casson'"):
        scaling.training_flops_per_token(config, 8, "Casson")
    with pytest.raises(ValueError, match="positions must be an integer at least 1, got 0"):
        scaling.forward_flops(config, 0)
    with pytest.raises(ValueError, match="past must be an integer at least 0, got -1"):
        scaling.forward_flops(config, 1, past=-1)
