"""Small random models of transformers, saved as a reader's folder would be."""

from pathlib import Path

import torch
import transformers

SMALL = dict(
    vocab_size=97,
    hidden_size=48,
    intermediate_size=80,
    num_hidden_layers=3,
    num_attention_heads=6,
    num_key_value_heads=2,
    max_position_embeddings=64,
)
LLAMA_31_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 500.0,
    "factor": 4.0,
    "beta_fast": 4.0,
    "beta_slow": 1.0,
    "original_max_position_embeddings": 16,
}
LINEAR = {"rope_type": "linear", "rope_theta": 500.0, "factor": 4.0}
ROPE = {"llama-scaled": LLAMA_31_ROPE, "llama-yarn": YARN, "llama-linear": LINEAR}


def small_model(kind: str) -> transformers.PreTrainedModel:
    """A random model of the named kind, in evaluation mode, no parameter at its default."""
    torch.manual_seed(0)
    if kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=97, n_positions=64, n_embd=48, n_layer=3, n_head=6
        )
    elif kind.startswith("llama"):
        config = transformers.LlamaConfig(
            **SMALL,
            tie_word_embeddings="tied" in kind,
            attention_bias="bias" in kind,
            mlp_bias="bias" in kind,
            rope_parameters=ROPE.get(kind),
        )
    elif kind == "mistral":
        config = transformers.MistralConfig(**SMALL, sliding_window=5)
    elif kind == "qwen2":
        config = transformers.Qwen2Config(**SMALL)
    elif kind == "qwen2-windows":  # from layer 1 on
        config = transformers.Qwen2Config(
            **SMALL, use_sliding_window=True, sliding_window=4, max_window_layers=1
        )
    elif kind.startswith("gpt-neox"):
        config = transformers.GPTNeoXConfig(
            **{key: value for key, value in SMALL.items() if key != "num_key_value_heads"},
            rotary_pct=0.5,
            use_parallel_residual="serial" not in kind,
        )
    elif kind == "gpt-neo":
        config = transformers.GPTNeoConfig(
            vocab_size=97,
            hidden_size=48,
            num_layers=3,
            num_heads=6,
            max_position_embeddings=64,
            window_size=5,
            attention_types=[[["global", "local", "global"], 1]],
        )
    elif kind == "smollm3":
        config = transformers.SmolLM3Config(
            **SMALL, no_rope_layer_interval=2, pad_token_id=None, bos_token_id=1, eos_token_id=2
        )
    elif kind == "qwen3":
        config = transformers.Qwen3Config(**SMALL, head_dim=16, tie_word_embeddings=True)
    elif kind == "qwen3-windows":  # a window in the first and the last layer
        config = transformers.Qwen3Config(
            **SMALL,
            head_dim=16,
            use_sliding_window=True,
            sliding_window=4,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        )
    elif kind == "gemma3-deep":  # as published: every sixth layer without a window
        config = transformers.Gemma3TextConfig(
            **(SMALL | {"num_hidden_layers": 6}),
            head_dim=16,
            query_pre_attn_scalar=16,
            sliding_window=4,
        )
    elif kind.startswith("gemma3"):
        windows = ["sliding_attention", "full_attention", "sliding_attention"]
        config = transformers.Gemma3TextConfig(
            **SMALL,
            head_dim=16,
            query_pre_attn_scalar=16,
            sliding_window=4,
            layer_types=windows if kind == "gemma3" else ["full_attention"] * 3,
            rope_parameters={
                "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
                "full_attention": {"rope_type": "default", "rope_theta": 5000.0},
            },
        )
    elif kind == "mixtral":
        config = transformers.MixtralConfig(**SMALL, num_local_experts=4)
    elif kind == "qwen3-moe":  # the middle layer is dense
        config = transformers.Qwen3MoeConfig(
            **SMALL,
            head_dim=16,
            num_experts=6,
            num_experts_per_tok=3,
            moe_intermediate_size=20,
            mlp_only_layers=[1],
        )
    elif kind == "olmo2":
        config = transformers.Olmo2Config(**SMALL)
    else:
        raise ValueError(f"no small model of kind {kind!r}")
    model = transformers.AutoModelForCausalLM.from_config(
        config, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:  # norms and biases start at 1 and 0, which would hide mistakes
                parameter.add_(0.3 * torch.randn_like(parameter))
            else:
                parameter.normal_(0, 0.15)
    return model


def save_small_model(kind: str, folder: Path, **save_options) -> transformers.PreTrainedModel:
    """Write such a model to `folder` in Hugging Face format, and return it."""
    model = small_model(kind)
    model.save_pretrained(folder, **save_options)
    return model
