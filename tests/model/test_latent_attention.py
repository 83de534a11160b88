import pytest
import torch
import transformers
from transformers.models.deepseek_v3.modeling_deepseek_v3 import (
    DeepseekV3Attention,
    DeepseekV3RotaryEmbedding,
)

from lib.model.latent_attention import LatentAttention, LatentCache, LatentConfig
from lib.model.masks import as_bias, causal_mask

NAMES = {
    "query_down": "q_a_proj",
    "query_norm": "q_a_layernorm",
    "query_up": "q_b_proj",
    "latent_down": "kv_a_proj_with_mqa",
    "latent_norm": "kv_a_layernorm",
    "latent_up": "kv_b_proj",
    "output": "o_proj",
}
SMALL = LatentConfig(
    d_model=40,
    n_heads=4,
    d_latent=12,
    d_rope=6,
    d_content=8,
    d_value=10,
    d_query_latent=20,
    rope_base=100.0,
)
LITE = LatentConfig(**vars(SMALL) | {"d_query_latent": None})
each_shape = pytest.mark.parametrize("config", [SMALL, LITE], ids=["V3", "V2 Lite"])
each_form = pytest.mark.parametrize("form", ["forward", "forward_absorbed"])


def reference_attention(config):
    settings = transformers.DeepseekV3Config(
        hidden_size=config.d_model,
        num_attention_heads=config.n_heads,
        num_key_value_heads=config.n_heads,
        kv_lora_rank=config.d_latent,
        q_lora_rank=config.d_query_latent,
        qk_rope_head_dim=config.d_rope,
        qk_nope_head_dim=config.d_content,
        v_head_dim=config.d_value,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_base},
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    reference = DeepseekV3Attention(settings, 0).eval()
    with torch.no_grad():
        for weight in reference.parameters():
            weight.normal_(0, 0.3) if weight.dim() > 1 else weight.add_(
                0.3 * torch.randn(weight.shape)
            )
    return reference, DeepseekV3RotaryEmbedding(settings)


def ours_like(reference, config):
    attention = LatentAttention(config)
    names = NAMES
    if config.d_query_latent is None:
        names = {k: v for k, v in NAMES.items() if not k.startswith("query")} | {
            "query_up": "q_proj"
        }
    attention.load_state_dict(
        {f"{ours}.weight": getattr(reference, theirs).weight for ours, theirs in names.items()}
    )
    return attention.eval()


@pytest.mark.parity("multi-head latent attention, both forms", "transformers DeepSeek-V3", "1e-5")
@each_shape
@each_form
@torch.inference_mode()
def test_equals_deepseek(config, form):
    reference, rotary = reference_attention(config)
    attention = ours_like(reference, config)
    x = torch.randn(2, 11, config.d_model)
    tables = rotary(x, torch.arange(11)[None])
    expected, _ = reference(x, tables, as_bias(causal_mask(11, 11))[None, None])
    torch.testing.assert_close(getattr(attention, form)(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parity("the same, with the compressed cache", "transformers DeepSeek-V3", "1e-5")
@each_shape
@each_form
@pytest.mark.parametrize("chunks", [[1] * 11, [6, 1, 4]])
@torch.inference_mode()
def test_cached_equals_deepseek(config, form, chunks):
    reference, rotary = reference_attention(config)
    attention = ours_like(reference, config)
    x = torch.randn(2, 11, config.d_model)
    expected, _ = reference(
        x, rotary(x, torch.arange(11)[None]), as_bias(causal_mask(11, 11))[None, None]
    )
    cache = LatentCache(config, batch_size=2, capacity=11)
    pieces = [getattr(attention, form)(piece, cache) for piece in x.split(chunks, dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), expected, atol=1e-5, rtol=1e-5)
    assert cache.latent.shape[2] + cache.rope_key.shape[2] == config.cache_elements


def test_gradients_of_both_forms_agree():
    attention = LatentAttention(SMALL)
    x = torch.randn(1, 5, SMALL.d_model)
    weights = list(attention.parameters())
    one = torch.autograd.grad(attention(x).square().sum(), weights)
    other = torch.autograd.grad(attention.forward_absorbed(x).square().sum(), weights)
    for first, second in zip(one, other, strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)


def test_the_cache_of_deepseek_v3():
    assert LatentConfig().cache_elements == 576
    assert 61 * 2 * LatentConfig().cache_elements == 70_272  # bytes a token, 61 layers, bf16


def test_a_full_cache_is_named():
    cache = LatentCache(SMALL, 1, 3)
    with pytest.raises(ValueError, match="the cache holds 3 positions, got 4"):
        LatentAttention(SMALL)(torch.randn(1, 4, 40), cache)
