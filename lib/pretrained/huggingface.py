"""Read GPT-2, Llama, Mistral and Qwen3 models from a folder in Hugging Face format.

A folder holds config.json, one or more .safetensors files and tokenizer.json. Whatever the
configuration says that this code does not know is an error that names it: a setting that is
silently ignored gives a model that is silently wrong.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lib.model import LanguageModel, ModelConfig
from lib.model.rope_scaling import LinearScaling, RopeScaling, Scaling, YarnScaling
from lib.pretrained.weights import build_model
from lib.tokenization import BPETokenizer

# Settings that do not change the logits of a forward pass in evaluation mode.
HARMLESS = frozenset(
    """
    _name_or_path architectures attention_dropout attn_pdrop bos_token_id chunk_size_feed_forward
    dtype embd_pdrop eos_token_id id2label initializer_range is_encoder_decoder is_llama_config
    label2id max_window_layers model_type n_ctx output_attentions output_hidden_states pad_token_id
    pretraining_tp problem_type resid_pdrop return_dict summary_activation summary_first_dropout
    summary_proj_to_labels summary_type summary_use_proj task_specific_params torch_dtype
    transformers.js_config transformers_version use_cache
    """.split()  # noqa: SIM905
)
# Settings for which this code has one behavior; any other value is an error.
FIXED = {
    "add_cross_attention": False,
    "reorder_and_upcast_attn": False,
    "rope_interleaved": False,
    "scale_attn_by_inverse_layer_idx": False,
    "scale_attn_weights": True,
    "sliding_window": None,
    "use_sliding_window": False,
}
WINDOWED = ("mistral", "qwen3")  # kinds that may have windows
ACTIVATION_NAMES = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}

# Names of tensors, theirs and ours; {} is the number of the layer.
LLAMA_NAMES = {
    "model.embed_tokens": "embedding",
    "model.norm": "final_norm",
    "lm_head": "head",
    "model.layers.{}.input_layernorm": "blocks.{}.attention_norm",
    "model.layers.{}.self_attn.q_proj": "blocks.{}.attention.query",
    "model.layers.{}.self_attn.k_proj": "blocks.{}.attention.key",
    "model.layers.{}.self_attn.v_proj": "blocks.{}.attention.value",
    "model.layers.{}.self_attn.o_proj": "blocks.{}.attention.output",
    "model.layers.{}.self_attn.q_norm": "blocks.{}.attention.query_norm",
    "model.layers.{}.self_attn.k_norm": "blocks.{}.attention.key_norm",
    "model.layers.{}.post_attention_layernorm": "blocks.{}.feedforward_norm",
    "model.layers.{}.mlp.gate_proj": "blocks.{}.feedforward.gate",
    "model.layers.{}.mlp.up_proj": "blocks.{}.feedforward.up",
    "model.layers.{}.mlp.down_proj": "blocks.{}.feedforward.down",
}
GPT2_NAMES = {
    "wte": "embedding",
    "wpe": "position",
    "ln_f": "final_norm",
    "lm_head": "head",
    "h.{}.ln_1": "blocks.{}.attention_norm",
    "h.{}.attn.c_attn": "blocks.{}.attention.query_key_value",
    "h.{}.attn.c_proj": "blocks.{}.attention.output",
    "h.{}.ln_2": "blocks.{}.feedforward_norm",
    "h.{}.mlp.c_fc": "blocks.{}.feedforward.up",
    "h.{}.mlp.c_proj": "blocks.{}.feedforward.down",
}
# Buffers that old checkpoints carry: masks and tables, not weights.
BUFFERS = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")


def load_folder(
    folder: str | Path, dtype: torch.dtype = torch.float32
) -> tuple[LanguageModel, BPETokenizer | None]:
    """The model and, if the folder has a tokenizer.json, the tokenizer.

    Raises FileNotFoundError and ValueError with the name of what is missing or not supported.
    """
    folder = Path(folder)
    settings = _read_json(folder / "config.json")
    config = read_config(settings)
    weights = dict(_read_weights(folder, settings["model_type"], dtype))
    model = build_model(config, weights, folder.name)
    return model, _read_tokenizer(folder, settings)


def read_config(settings: dict) -> ModelConfig:
    """Our configuration for the contents of a config.json.

    Raises ValueError for a kind of model, a setting or a value that is not supported.
    """
    kind = settings.get("model_type")
    readers = {"gpt2": _gpt2_config, "llama": _llama_config}
    readers |= {"mistral": _mistral_config, "qwen3": _qwen3_config}
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
    known = {"full_attention": None, "sliding_attention": window}
    if unknown := set(kinds or ()) - set(known):
        raise ValueError(f"layer_types={sorted(unknown)} is not supported, only {list(known)}")
    if window is not None and kinds is None:
        raise ValueError("use_sliding_window=True needs layer_types, which config.json lacks")
    if window is None and "sliding_attention" in (kinds or ()):
        raise ValueError("layer_types names sliding_attention, but use_sliding_window is not set")
    left.setdefault("head_dim", 128)
    windows = None if window is None else tuple(known[kind] for kind in kinds)
    return _llama_config(left).replace(qk_norm=True, window=windows)


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


def _read_weights(folder: Path, kind: str, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Every tensor in the folder, under our name and in our layout."""
    names = GPT2_NAMES if kind == "gpt2" else LLAMA_NAMES
    for theirs, tensor in _tensors(folder):
        if theirs.endswith(BUFFERS):
            continue
        name = _our_name(theirs.removeprefix("transformer."), names)
        if name is None:
            raise ValueError(f"{folder.name} holds a tensor that is not supported: {theirs}")
        if kind == "gpt2" and ".c_" in theirs and theirs.endswith("weight"):
            tensor = tensor.T.contiguous()  # GPT-2's Conv1D stores (in, out)
        yield name, tensor.to(dtype)


def _our_name(name: str, names: dict[str, str]) -> str | None:
    module, _, suffix = name.rpartition(".")
    parts = module.split(".")
    layer = next((part for part in parts if part.isdigit()), "")
    pattern = ".".join("{}" if part == layer else part for part in parts)
    return f"{names[pattern].format(layer)}.{suffix}" if pattern in names else None


def _tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files = sorted(set(_read_json(index)["weight_map"].values()))
    else:
        files = ["model.safetensors"]
    for name in files:
        path = folder / name
        if Path(name).name != name:
            raise ValueError(f"{index.name} names a file outside the folder: {name!r}")
        if not path.is_file():
            raise FileNotFoundError(f"{folder} has no {name}; weights are read from safetensors")
        try:
            with safe_open(path, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (not a mapping)
                    yield key, file.get_tensor(key)
        except SafetensorError as error:
            raise ValueError(f"{name} is damaged or cut short ({error})") from error


def _read_tokenizer(folder: Path, settings: dict) -> BPETokenizer | None:
    if not (folder / "tokenizer.json").is_file():
        return None
    tokenizer = BPETokenizer.load(folder / "tokenizer.json")
    for name in ("bos", "eos"):
        ids = settings.get(f"{name}_token_id")
        if ids is not None:
            setattr(tokenizer, f"{name}_id", ids[0] if isinstance(ids, list) else ids)
    extra = folder / "tokenizer_config.json"
    template = folder / "chat_template.jinja"
    if template.is_file():
        tokenizer.chat_template = template.read_text(encoding="utf-8")
    elif extra.is_file():
        tokenizer.chat_template = _read_json(extra).get("chat_template")
    return tokenizer


def _read_json(path: Path) -> dict:
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} has no {path.name}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not valid JSON ({error})") from error
