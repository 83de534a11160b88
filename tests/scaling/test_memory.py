"""Bytes against what autograd keeps, what a cache holds, what an optimizer allocates."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import scaling
from lib.model import KVCache, LanguageModel, ModelConfig
from lib.model.latent_attention import LatentCache, LatentConfig
from lib.scaling.observed import observed_activation_bytes

SMALL = dict(vocab_size=101, context_length=64, d_model=48, n_layers=3, n_heads=4, d_ff=80)
FAMILIES = {
    "GPT-2": ModelConfig.gpt2(**SMALL),
    "Llama": ModelConfig.llama3_8b(**SMALL, n_kv_heads=2),
    "Qwen3": ModelConfig.qwen3_0_6b(**SMALL, n_kv_heads=2, d_head=32),
}


@pytest.mark.parity(
    "bytes of activations: GPT-2, Llama, Qwen3", "torch saved_tensors_hooks", "equal"
)
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("batch", "positions"), [(1, 2), (3, 33), (2, 64)])
def test_activations(name, batch, positions):
    config = FAMILIES[name]
    observed = observed_activation_bytes(
        LanguageModel(config), torch.randint(101, (batch, positions + 1))
    )
    assert scaling.activation_bytes(config, positions, batch) == observed


@settings(max_examples=40)
@given(
    batch=st.integers(1, 3),
    positions=st.integers(2, 20),
    shared=st.integers(1, 3),
    n_kv_heads=st.integers(1, 3),
    d_ff=st.integers(1, 40),
    gated=st.booleans(),
    activation=st.sampled_from(["relu", "gelu", "gelu_tanh", "silu"]),
    norm=st.sampled_from(["layernorm", "rmsnorm"]),
    qk_norm=st.booleans(),
    positions_kind=st.sampled_from(["rope", "learned", "none"]),
    bias=st.booleans(),
    tied=st.booleans(),
)
def test_activations_of_any_shape(
    batch, positions, shared, n_kv_heads, d_ff, gated, activation, norm, qk_norm, positions_kind,
    bias, tied,
):  # fmt: skip
    config = ModelConfig(
        vocab_size=23,
        context_length=20,
        d_model=24,
        n_layers=2,
        n_heads=shared * n_kv_heads,
        n_kv_heads=n_kv_heads,
        d_head=6,
        d_ff=d_ff,
        gated=gated,
        activation=activation,
        norm=norm,
        qk_norm=qk_norm,
        positions=positions_kind,
        attention_bias=bias,
        feedforward_bias=bias,
        tie_embeddings=tied,
    )
    observed = observed_activation_bytes(
        LanguageModel(config), torch.randint(23, (batch, positions + 1))
    )
    assert scaling.activation_bytes(config, positions, batch) == observed


@pytest.mark.parametrize("window", [None, 7, (None, 7, 5)])
@pytest.mark.parametrize("name", FAMILIES)
def test_cache_is_what_the_cache_holds(name, window):
    config = FAMILIES[name].replace(window=window)
    cache = KVCache(config, 3, 40, dtype=torch.bfloat16)
    assert scaling.kv_cache_bytes(config, 40, batch=3) == cache.nbytes


def test_latent_cache_is_what_the_cache_holds():
    config = LatentConfig(d_model=32, n_heads=2, d_latent=12, d_rope=4)
    cache = LatentCache(config, 3, 40)
    held = cache.latent.nbytes + cache.rope_key.nbytes
    assert scaling.latent_cache_bytes(config, 5, 40, 3, 4) == 5 * held


def test_published_caches():
    """Bytes of one token in bfloat16."""
    assert scaling.kv_cache_bytes(ModelConfig.gpt2(), 1) == 36 * 1024
    assert scaling.kv_cache_bytes(ModelConfig.qwen3_0_6b(), 1) == 112 * 1024
    assert scaling.kv_cache_bytes(ModelConfig.llama3_8b(), 1) == 128 * 1024
    assert scaling.latent_cache_bytes(LatentConfig(), 61, 1) == 70_272  # DeepSeek-V3


def test_training_state_is_what_torch_allocates():
    config = FAMILIES["Llama"]
    model = LanguageModel(config)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.zeros(1, 4, dtype=torch.long)).sum().backward()
    optimizer.step()
    state = scaling.training_state_bytes(config)
    weights = list(model.parameters())
    assert state["weights"] == sum(w.nbytes for w in weights)
    assert state["gradients"] == sum(w.grad.nbytes for w in weights)
    means = [t for s in optimizer.state.values() for t in s.values() if t.dim()]
    assert state["optimizer"] == sum(t.nbytes for t in means)
    mixed = scaling.training_state_bytes(config, mixed=True)
    assert sum(mixed.values()) == sum(state.values()) == 16 * scaling.parameters(config)


def test_korthikanti_for_gpt2_small():
    """34 s b h + 5 a s^2 b by hand; the quadratic term is 70 percent at 1,024 tokens."""
    config = ModelConfig.gpt2()
    layer = 34 * 1024 * 8 * 768 + 5 * 12 * 1024 * 1024 * 8
    assert scaling.korthikanti_bytes(config, 1024, 8) == 12 * layer


def test_checkpoints_are_least_near_the_square_root():
    """With a tiny vocabulary, so that only the blocks matter."""
    config = FAMILIES["GPT-2"].replace(n_layers=16, vocab_size=2)
    block = sum(scaling.block_activation_numbers(config).values())
    sizes = {s: scaling.checkpointed_activation_bytes(config, 32, 1, s) for s in range(1, 17)}
    best = min(sizes, key=sizes.get)
    ideal = (16 * block / config.d_model) ** 0.5  # s C + (L / s) block is least here
    assert abs(best - min(ideal, 16)) <= 3
    assert sizes[1] == pytest.approx(4 * 32 * (16 * block + config.d_model))


def test_bad_input():
    config = FAMILIES["GPT-2"]
    with pytest.raises(ValueError, match="activations are counted without dropout"):
        scaling.activation_bytes(config.replace(dropout=0.1), 8)
    for option in ({"norm": "batchnorm"}, {"norm_placement": "post"}, {"activation": "identity"}):
        with pytest.raises(ValueError, match=f"counted without {next(iter(option))}"):
            scaling.activation_bytes(config.replace(**option), 8)
    with pytest.raises(ValueError, match=r"segments must be in 1 .. 3, got 4"):
        scaling.checkpointed_activation_bytes(config, 8, segments=4)
    with pytest.raises(ValueError, match="positions must be an integer at least 1, got 0"):
        scaling.kv_cache_bytes(config, 0)
