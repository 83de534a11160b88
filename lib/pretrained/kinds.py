"""How the config.json of each kind of model becomes our configuration.

A reader takes out of `left` all that it understands; what stays there is an error of the caller's.
Defaults are those of transformers' configuration of the same kind.
"""

from lib.model import ModelConfig
from lib.model.config import RANGES
from lib.pretrained.config_parts import (
    SLIDING,
    activation,
    layer_count,
    qwen_windows,
    rope,
    take,
    windows,
)
from lib.settings import require


def _gpt2_config(left: dict) -> ModelConfig:
    width = left.pop("n_embd")
    return ModelConfig.gpt2(
        vocab_size=left.pop("vocab_size"),
        context_length=left.pop("n_positions"),
        d_model=width,
        n_layers=left.pop("n_layer"),
        n_heads=left.pop("n_head"),
        d_ff=left.pop("n_inner", None) or 4 * width,
        activation=activation(left.pop("activation_function", "gelu_new")),
        norm_eps=left.pop("layer_norm_epsilon", 1e-5),
        tie_embeddings=left.pop("tie_word_embeddings", True),
    )


def _gpt_neo_config(left: dict) -> ModelConfig:
    """GPT-2 with every second layer local and unscaled scores (TinyStories; Black et al., 2021)."""
    n_layers, width = layer_count(left, "num_layers"), left.pop("hidden_size")
    pattern = take(left, "attention_types", list, [[["global", "local"], n_layers // 2]])
    kinds = take(left, "attention_layers", list)
    if kinds is None:
        kinds = [kind for names, count in pattern for kind in names * min(count, n_layers)]
    names = {"global": "full_attention", "local": SLIDING}
    window = left.pop("window_size", 256)
    return ModelConfig.gpt2(
        vocab_size=left.pop("vocab_size"),
        context_length=left.pop("max_position_embeddings"),
        d_model=width,
        n_layers=left.pop("num_layers"),
        n_heads=left.pop("num_heads"),
        d_ff=left.pop("intermediate_size", None) or 4 * width,
        activation=activation(left.pop("activation_function", "gelu_new")),
        norm_eps=left.pop("layer_norm_epsilon", 1e-5),
        attention_bias=False,
        attention_output_bias=True,
        attention_scale=1.0,
        window=windows([names.get(kind, kind) for kind in kinds], window),
        tie_embeddings=left.pop("tie_word_embeddings", True),
    )


def _gpt_neox_config(left: dict) -> ModelConfig:
    """Pythia (Biderman et al., 2023): a parallel residual, and a quarter of each head rotates."""
    left["rope_theta"] = left.pop("rotary_emb_base", 10_000)
    given = take(left, "rope_parameters", dict, {})
    part = given.pop("partial_rotary_factor", left.pop("rotary_pct", 0.25))
    require("rotary_pct", part, "(0, 1]")
    base, scaling = rope(left | {"rope_parameters": given})
    left.pop("rope_theta"), left.pop("rope_scaling", None)
    config = ModelConfig(
        vocab_size=left.pop("vocab_size"),
        context_length=left.pop("max_position_embeddings"),
        d_model=left.pop("hidden_size"),
        n_layers=left.pop("num_hidden_layers"),
        n_heads=left.pop("num_attention_heads"),
        d_ff=left.pop("intermediate_size"),
        rope_base=base,
        rope_scaling=scaling,
        norm="layernorm",
        norm_eps=left.pop("layer_norm_eps", 1e-5),
        parallel_residual=left.pop("use_parallel_residual", True),
        activation=activation(left.pop("hidden_act", "gelu")),
        gated=False,
        attention_bias=left.pop("attention_bias", True),
        feedforward_bias=True,
        tie_embeddings=left.pop("tie_word_embeddings", False),
    )
    return config.replace(d_rotary=int(config.d_head * part))


def llama_config(left: dict) -> ModelConfig:
    """Llama, and what is read the same way in the kinds that came after it."""
    base, scaling = rope(left)
    return ModelConfig(
        vocab_size=left.pop("vocab_size"),
        context_length=left.pop("max_position_embeddings"),
        d_model=left.pop("hidden_size"),
        n_layers=left.pop("num_hidden_layers"),
        n_heads=left.pop("num_attention_heads"),
        n_kv_heads=left.pop("num_key_value_heads", None),
        d_head=left.pop("head_dim", None),
        d_ff=left.pop("intermediate_size"),
        rope_base=base,
        rope_scaling=scaling,
        norm_eps=left.pop("rms_norm_eps", 1e-6),
        activation=activation(left.pop("hidden_act", "silu")),
        attention_bias=left.pop("attention_bias", False),
        feedforward_bias=left.pop("mlp_bias", False),
        tie_embeddings=left.pop("tie_word_embeddings", False),
    )


def mistral_config(left: dict) -> ModelConfig:
    """Llama with one window for all layers."""
    window = left.pop("sliding_window", None)
    left.setdefault("num_key_value_heads", 8)
    return llama_config(left).replace(window=window)


def _qwen2_config(left: dict) -> ModelConfig:
    by_layer = qwen_windows(left)
    config = llama_config(left)
    return config.replace(attention_bias=True, attention_output_bias=False, window=by_layer)


def _qwen3_config(left: dict) -> ModelConfig:
    by_layer = qwen_windows(left)
    left.setdefault("head_dim", 128)
    return llama_config(left).replace(qk_norm=True, window=by_layer)


def _smollm3_config(left: dict) -> ModelConfig:
    """Llama without positions in every fourth layer (Bakouch et al., 2025)."""
    step = take(left, "no_rope_layer_interval", int, 4)
    require("no_rope_layer_interval", step, "[1, inf)")
    default = [int(i % step != 0) for i in range(1, layer_count(left) + 1)]
    rotates = take(left, "no_rope_layers", list) or default  # 1: the layer has positions
    nope = tuple(i for i, flag in enumerate(rotates) if not flag)
    by_layer = qwen_windows(left)
    left.setdefault("num_key_value_heads", 4)
    left.setdefault("tie_word_embeddings", True)
    if "rope_parameters" not in left:
        left.setdefault("rope_theta", 2_000_000.0)
    return llama_config(left).replace(nope_layers=nope, window=by_layer)


def _gemma3_config(left: dict) -> ModelConfig:
    defaults = dict(num_key_value_heads=4, head_dim=256, tie_word_embeddings=True)
    defaults |= dict(query_pre_attn_scalar=256, hidden_activation="gelu_pytorch_tanh")
    left.update(defaults | left)
    left["hidden_act"] = left.pop("hidden_activation")
    scale = left.pop("query_pre_attn_scalar")
    require("query_pre_attn_scalar", scale, "(0, inf)")
    head_dim = left["head_dim"]
    softcap = left.pop("attn_logit_softcapping", None)
    window, pattern = left.pop("sliding_window", 4096), take(left, "sliding_window_pattern", int, 6)
    left.pop("_sliding_window_pattern", None)  # layer_types says it all
    require("sliding_window_pattern", pattern, "[1, inf)")
    numbers = range(1, layer_count(left) + 1)
    default = ["full_attention" if i % pattern == 0 else SLIDING for i in numbers]
    by_layer = windows(take(left, "layer_types", list) or default, window)
    near = _gemma3_rope(left)
    return llama_config(left).replace(
        norm_placement="sandwich",
        norm_unit_offset=True,
        norm_cast="after scale",
        qk_norm=True,
        scale_embeddings=True,
        attention_softcap=softcap,
        attention_scale=None if scale == head_dim else scale**-0.5,
        window=by_layer,
        window_rope_base=None if by_layer is None else near,
    )


def _gemma3_rope(left: dict) -> float:
    """The base in layers with a window; what the others are told stays in `left`, as Llama's."""
    far, near = left.pop("rope_theta", 1_000_000.0), left.pop("rope_local_base_freq", 10_000.0)
    old = {"rope_theta": far} | take(left, "rope_scaling", dict, {})
    new = take(left, "rope_parameters", dict) or {"full_attention": old}
    local = dict(new.get(SLIDING) or {"rope_theta": near})
    near = local.pop("rope_theta")
    if local not in ({}, {"rope_type": "default"}):
        raise ValueError(f"rotary scaling in layers with a window is not supported: {local}")
    require("rope_theta", near, RANGES["window_rope_base"])
    left["rope_parameters"] = new["full_attention"]
    return float(near)


def _olmo2_config(left: dict) -> ModelConfig:
    left.setdefault("rms_norm_eps", 1e-5)
    return llama_config(left).replace(
        norm_placement="output", norm_cast="after scale", qk_norm=True, qk_norm_all_heads=True
    )


READERS = {
    "gpt2": _gpt2_config,
    "gpt_neo": _gpt_neo_config,
    "gpt_neox": _gpt_neox_config,
    "llama": llama_config,
    "mistral": mistral_config,
    "qwen2": _qwen2_config,
    "qwen3": _qwen3_config,
    "smollm3": _smollm3_config,
    "gemma3_text": _gemma3_config,
    "olmo2": _olmo2_config,
}
