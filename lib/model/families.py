"""From GPT-2 to Llama 3 to Qwen3: one configuration, one change at a time."""

from lib.model.config import ModelConfig

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
