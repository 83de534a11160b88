"""From GPT-2 to Llama 3 to Qwen3, one change at a time; and three published models with experts."""

from lib.model.config import ModelConfig
from lib.model.routing import RouterConfig

# What changes, and the fields that say so. Sizes stay, but for those of `family_steps`.
GPT2_TO_LLAMA = {
    "rotary positions": {"positions": "rope"},
    "RMSNorm": {"norm": "rmsnorm"},
    "a gate in the feed-forward layer": {"gated": True, "activation": "silu"},
    "no biases": {"attention_bias": False, "feedforward_bias": False},
    "grouped queries": {"n_kv_heads": None},
    "an untied head: Llama 3": {"tie_embeddings": False},
}
LLAMA_TO_QWEN3 = {
    "QK-norm": {"qk_norm": True},
    "a head width of its own": {"d_head": None},
    "a tied head: Qwen3": {"tie_embeddings": True},
}


def family_steps(
    gpt2: ModelConfig, n_kv_heads: int, d_head: int
) -> list[tuple[str, dict, ModelConfig]]:
    """GPT-2's configuration and what each change makes of it: (name, changes, configuration).

    `n_kv_heads` and `d_head` are the values that grouped queries and Qwen3's heads take. The tests
    hold every step to a model of transformers with the same weights.
    """
    sizes = {"n_kv_heads": n_kv_heads, "d_head": d_head}
    steps, config = [("GPT-2", {}, gpt2)], gpt2
    for name, fields in (GPT2_TO_LLAMA | LLAMA_TO_QWEN3).items():
        changes = {key: sizes[key] if value is None else value for key, value in fields.items()}
        config = config.replace(**changes)
        steps.append((name, changes, config))
    return steps


def mixtral_8x7b() -> ModelConfig:
    """Mixtral 8x7B: 8 experts, 2 active (Jiang et al., 2024, table 1)."""
    return ModelConfig(
        vocab_size=32_000,
        context_length=32_768,
        d_model=4096,
        n_layers=32,
        n_heads=32,
        n_kv_heads=8,
        d_ff=14_336,
        rope_base=1_000_000.0,
        n_experts=8,
        n_active_experts=2,
    )


def qwen3_30b_a3b() -> ModelConfig:
    """Qwen3 30B-A3B: 128 narrow experts, 8 active (Yang et al., 2025, table 2)."""
    return ModelConfig(
        vocab_size=151_936,
        context_length=40_960,
        d_model=2048,
        n_layers=48,
        n_heads=32,
        n_kv_heads=4,
        d_head=128,
        d_ff=6144,
        rope_base=1_000_000.0,
        norm_eps=1e-6,
        qk_norm=True,
        n_experts=128,
        n_active_experts=8,
        d_expert=768,
    )


def deepseek_v3_feedforward() -> ModelConfig:
    """The feed-forward part of DeepSeek-V3 (DeepSeek-AI, 2024, section 4.2), in Llama's attention.

    256 experts, 8 active, and a shared one, chosen by sigmoid and bias within 4 of 8 groups; three
    dense layers first. Its own attention is in lib.model.latent_attention.
    """
    return ModelConfig(
        vocab_size=129_280,
        context_length=4096,
        d_model=7168,
        n_layers=61,
        n_heads=128,
        d_head=128,
        d_ff=18_432,
        norm_eps=1e-6,
        n_experts=256,
        n_active_experts=8,
        n_shared_experts=1,
        d_expert=2048,
        dense_layers=(0, 1, 2),
        router=RouterConfig(gate="sigmoid", scale=2.5, bias=True, n_groups=8, n_active_groups=4),
    )
