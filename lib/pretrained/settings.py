"""What a config.json of Hugging Face says, as our configuration.

Whatever it says that this code does not know is an error that names it: a setting that is silently
ignored gives a model that is silently wrong.
"""

from lib.model import ModelConfig
from lib.model.rope_scaling import LinearScaling, RopeScaling, Scaling, YarnScaling
from lib.model.routing import RouterConfig

# Settings that do not change the logits of a forward pass in evaluation mode.
HARMLESS = frozenset(
    """
    _name_or_path architectures attention_dropout attn_pdrop bos_token_id chunk_size_feed_forward
    dtype embd_pdrop eos_token_id id2label initializer_range is_encoder_decoder is_llama_config
    label2id max_window_layers model_type n_ctx output_attentions output_hidden_states
    output_router_logits pad_token_id pretraining_tp problem_type resid_pdrop return_dict
    router_aux_loss_coef router_jitter_noise summary_activation summary_first_dropout
    summary_proj_to_labels summary_type summary_use_proj task_specific_params torch_dtype
    transformers.js_config transformers_version use_cache
    """.split()  # noqa: SIM905
)
# Settings for which this code has one behavior; any other value is an error.
FIXED = {
    "add_cross_attention": False,
    "final_logit_softcapping": None,
    "reorder_and_upcast_attn": False,
    "rope_interleaved": False,
    "scale_attn_by_inverse_layer_idx": False,
    "scale_attn_weights": True,
    "sliding_window": None,
    "use_bidirectional_attention": False,
    "use_sliding_window": False,
}
WINDOWED = ("mistral", "mixtral", "qwen3", "gemma3_text")  # kinds that may have windows
_SLIDING = "sliding_attention"
ACTIVATION_NAMES = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}


def read_config(settings: dict) -> ModelConfig:
    """Our configuration for the contents of a config.json.

    Raises ValueError for a kind of model, a setting or a value that is not supported.
    """
    kind = settings.get("model_type")
    readers = {"gpt2": _gpt2_config, "llama": _llama_config}
    readers |= {"mistral": _mistral_config, "qwen3": _qwen3_config}
    readers |= {"gemma3_text": _gemma3_config, "olmo2": _olmo2_config}
    readers |= {"mixtral": _mixtral_config, "qwen3_moe": _qwen3_moe_config}
    if kind not in readers:
        raise ValueError(f"model_type must be one of {', '.join(readers)}, got {kind!r}")
    left = {key: value for key, value in settings.items() if key not in HARMLESS}
    for key, only in FIXED.items():
        if "sliding" in key and kind in WINDOWED:
            continue
        if key in left and left.pop(key) != only:
            raise ValueError(f"{key}={settings[key]!r} is not supported, only {only!r}")
    try:
        config = readers[kind](left)
    except KeyError as error:
        raise ValueError(f"config.json of a {kind} model lacks {error}") from None
    if left:
        names = ", ".join(f"{key}={value!r}" for key, value in sorted(left.items()))
        raise ValueError(f"config.json has settings that are not supported: {names}")
    return config


def _gpt2_config(left: dict) -> ModelConfig:
    width = left.pop("n_embd")
    return ModelConfig.gpt2(
        vocab_size=left.pop("vocab_size"),
        context_length=left.pop("n_positions"),
        d_model=width,
        n_layers=left.pop("n_layer"),
        n_heads=left.pop("n_head"),
        d_ff=left.pop("n_inner", None) or 4 * width,
        activation=_activation(left.pop("activation_function", "gelu_new")),
        norm_eps=left.pop("layer_norm_epsilon", 1e-5),
        tie_embeddings=left.pop("tie_word_embeddings", True),
    )


def _llama_config(left: dict) -> ModelConfig:
    base, scaling = _rope(left)
    attention_bias = left.pop("attention_bias", False)
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
        activation=_activation(left.pop("hidden_act", "silu")),
        attention_bias=attention_bias,
        feedforward_bias=left.pop("mlp_bias", False),
        tie_embeddings=left.pop("tie_word_embeddings", False),
    )


def _mistral_config(left: dict) -> ModelConfig:
    window = left.pop("sliding_window", None)
    left.setdefault("num_key_value_heads", 8)
    return _llama_config(left).replace(window=window)


def _qwen3_config(left: dict) -> ModelConfig:
    window = left.pop("sliding_window", None) if left.pop("use_sliding_window", False) else None
    left.pop("sliding_window", None)
    kinds = left.pop("layer_types", None)
    windows = _windows(kinds or [], window)
    if window is not None and kinds is None:
        raise ValueError("use_sliding_window=True needs layer_types, which config.json lacks")
    if window is None and _SLIDING in (kinds or ()):
        raise ValueError("layer_types names sliding_attention, but use_sliding_window is not set")
    left.setdefault("head_dim", 128)
    return _llama_config(left).replace(qk_norm=True, window=windows)


def _mixtral_config(left: dict) -> ModelConfig:
    experts = dict(
        n_experts=left.pop("num_local_experts", 8),
        n_active_experts=left.pop("num_experts_per_tok", 2),
    )
    left.setdefault("rms_norm_eps", 1e-5)
    if "rope_parameters" not in left:
        left.setdefault("rope_theta", 1_000_000.0)
    return _mistral_config(left).replace(**experts)


def _qwen3_moe_config(left: dict) -> ModelConfig:
    n_layers, step = left["num_hidden_layers"], left.pop("decoder_sparse_step", 1)
    dense = set(left.pop("mlp_only_layers", None) or [])
    dense |= {layer for layer in range(n_layers) if (layer + 1) % step}
    n_experts = left.pop("num_local_experts", 128)
    experts = dict(
        n_experts=left.pop("num_experts", n_experts),
        n_active_experts=left.pop("num_experts_per_tok", 8),
        d_expert=left.pop("moe_intermediate_size", 768),
        dense_layers=tuple(sorted(dense)),
        router=RouterConfig(normalize=left.pop("norm_topk_prob", False)),
    )
    left.setdefault("num_key_value_heads", 4)
    return _llama_config(left).replace(qk_norm=True, **experts)


def _gemma3_config(left: dict) -> ModelConfig:
    defaults = dict(num_key_value_heads=4, head_dim=256, tie_word_embeddings=True)
    defaults |= dict(query_pre_attn_scalar=256, hidden_activation="gelu_pytorch_tanh")
    left.update(defaults | left)
    left["hidden_act"] = left.pop("hidden_activation")
    scale = left.pop("query_pre_attn_scalar")
    if scale != left["head_dim"]:
        raise ValueError(
            f"query_pre_attn_scalar={scale!r} is not supported, only head_dim={left['head_dim']}"
        )
    softcap = left.pop("attn_logit_softcapping", None)
    window, pattern = left.pop("sliding_window", 4096), left.pop("sliding_window_pattern", 6)
    left.pop("_sliding_window_pattern", None)  # layer_types says it all
    n_layers = left["num_hidden_layers"]
    default = ["full_attention" if i % pattern == 0 else _SLIDING for i in range(1, n_layers + 1)]
    windows = _windows(left.pop("layer_types", None) or default, window)
    near = _gemma3_rope(left)
    return _llama_config(left).replace(
        norm_placement="sandwich",
        norm_unit_offset=True,
        norm_cast="after scale",
        qk_norm=True,
        scale_embeddings=True,
        attention_softcap=softcap,
        window=windows,
        window_rope_base=None if windows is None else near,
    )


def _gemma3_rope(left: dict) -> float:
    """The base in layers with a window; what the others are told stays in `left`, as Llama's."""
    far, near = left.pop("rope_theta", 1_000_000.0), left.pop("rope_local_base_freq", 10_000.0)
    old = {"rope_theta": far} | (left.pop("rope_scaling", None) or {})
    new = left.pop("rope_parameters", None) or {"full_attention": old}
    local = dict(new.get(_SLIDING) or {"rope_theta": near})
    near = float(local.pop("rope_theta"))
    if local not in ({}, {"rope_type": "default"}):
        raise ValueError(f"rotary scaling in layers with a window is not supported: {local}")
    left["rope_parameters"] = new["full_attention"]
    return near


def _olmo2_config(left: dict) -> ModelConfig:
    left.setdefault("rms_norm_eps", 1e-5)
    return _llama_config(left).replace(
        norm_placement="output", norm_cast="after scale", qk_norm=True, qk_norm_all_heads=True
    )


def _windows(kinds: list[str], window: int | None) -> tuple[int | None, ...] | None:
    """The window of each layer from the names of their kinds; None if no layer has one."""
    known = {"full_attention": None, _SLIDING: window}
    if unknown := set(kinds) - set(known):
        raise ValueError(f"layer_types={sorted(unknown)} is not supported, only {list(known)}")
    windows = tuple(known[kind] for kind in kinds)
    return windows if any(windows) else None


def _rope(left: dict) -> tuple[float, Scaling | None]:
    """The base and scaling, from the new (`rope_parameters`) or the old spelling."""
    rope = {"rope_theta": left.pop("rope_theta", 10_000.0)}
    rope |= left.pop("rope_scaling", None) or {}
    rope |= left.pop("rope_parameters", None) or {}
    base, kind = float(rope.pop("rope_theta")), rope.pop("rope_type", rope.pop("type", "default"))
    if kind == "llama3":
        scaling = RopeScaling(
            factor=rope.pop("factor"),
            low_freq_factor=rope.pop("low_freq_factor"),
            high_freq_factor=rope.pop("high_freq_factor"),
            original_context_length=rope.pop("original_max_position_embeddings"),
        )
    elif kind == "yarn":
        names = ("factor", "beta_fast", "beta_slow", "attention_factor", "truncate")
        given = {name: rope.pop(name) for name in names if rope.get(name) is not None}
        length = rope.pop("original_max_position_embeddings")
        scaling = YarnScaling(**given, original_context_length=length)
    elif kind == "linear":
        scaling = LinearScaling(rope.pop("factor"))
    elif kind == "default":
        scaling = None
    else:
        known = "'default', 'linear', 'llama3' and 'yarn'"
        raise ValueError(f"rope_type={kind!r} is not supported, only {known}")
    if rope:
        raise ValueError(f"rotary settings {sorted(rope)} are not supported")
    return base, scaling


def _activation(name: str) -> str:
    if name not in ACTIVATION_NAMES:
        known = ", ".join(ACTIVATION_NAMES)
        raise ValueError(f"activation {name!r} is not supported, only {known}")
    return ACTIVATION_NAMES[name]
