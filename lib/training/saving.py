"""Save a model as a Hugging Face folder, which transformers and `load_pretrained` open."""

import json
import os
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from lib.files import atomic_write
from lib.model import LanguageModel, ModelConfig
from lib.pretrained.settings import read_config
from lib.pretrained.tensor_names import NAMES
from lib.settings import shortened
from lib.tokenization import BPETokenizer

FILE = "model.safetensors"
KINDS = ("gpt2", "llama", "qwen3")
ARCHITECTURES = dict(gpt2="GPT2LMHeadModel", llama="LlamaForCausalLM", qwen3="Qwen3ForCausalLM")
ACTIVATIONS = dict(gelu="gelu", gelu_tanh="gelu_new", relu="relu", silu="silu")


def save_model(
    folder: str | os.PathLike, model: LanguageModel, tokenizer: BPETokenizer | None = None
) -> None:
    """Write config.json, model.safetensors, generation_config.json and the tokenizer's files.

    The folder is written whole or not at all, and takes the place of one of that name that this
    function wrote. A head that is tied to the embedding is stored once. Raises ValueError for a
    model that is neither GPT-2, Llama nor Qwen3 in kind, for one with weights that are not finite,
    for a tokenizer with more ids than the model, and for a folder that holds something else.
    """
    folder = Path(folder)
    if not isinstance(model, LanguageModel):
        raise TypeError(f"save_model needs a LanguageModel, got {shortened(model)}")
    settings = config_json(model.config)
    if tokenizer is not None and not isinstance(tokenizer, BPETokenizer):
        raise TypeError(f"save_model needs a BPETokenizer or None, got {shortened(tokenizer)}")
    if tokenizer is not None and tokenizer.vocab_size > model.config.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} ids, and the model embeddings for "
            f"{model.config.vocab_size}: they do not belong together"
        )
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "config.json").is_file():
        raise ValueError(f"{folder.name} holds other files; give a new folder")
    weights = _finite_weights(model, settings)
    settings["dtype"] = str(next(iter(weights.values())).dtype).removeprefix("torch.")
    generation: dict[str, Any] = {}
    if tokenizer is not None:
        stops = list(tokenizer.stop_ids)
        ends = {"eos_token_id": stops if len(stops) > 1 else stops[0]} if stops else {}
        begins = {} if tokenizer.bos_id is None else {"bos_token_id": tokenizer.bos_id}
        generation = begins | ends
    # without them transformers takes its own defaults, such as GPT-2's 50256
    settings |= {"bos_token_id": None, "eos_token_id": None} | generation
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder, folder=True) as path:
        save_file(weights, path / FILE, {"format": "pt"})
        if tokenizer is not None:
            tokenizer.save(path)
        for name, content in (("config", settings), ("generation_config", generation)):
            (path / f"{name}.json").write_text(json.dumps(content, indent=2), encoding="utf-8")


def save_weights(folder: str | os.PathLike, model: LanguageModel) -> None:
    """Replace the weights in a folder that `save_model` wrote for a model of this shape.

    The file is written whole or not at all. Raises ValueError for weights that are not finite.
    """
    weights = _finite_weights(model, config_json(model.config))
    with atomic_write(Path(folder) / FILE) as path:
        save_file(weights, path, {"format": "pt"})


def _finite_weights(model: LanguageModel, settings: dict[str, Any]) -> dict[str, Tensor]:
    weights = their_weights(model, settings["model_type"])
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{name} holds values that are NaN or infinite; nothing is written")
    return weights


def config_json(config: ModelConfig) -> dict[str, Any]:
    """What config.json says of a model, read back to be sure that it is the same.

    Raises ValueError for a model that none of the three kinds can say.
    """
    if config.activation not in ACTIVATIONS:
        raise ValueError(f"no kind of folder has the activation {config.activation!r}")
    kind = "llama" if config.gated else "gpt2"
    kind = "qwen3" if config.gated and config.qk_norm else kind
    settings: dict[str, Any] = {
        "model_type": kind,
        "architectures": [ARCHITECTURES[kind]],
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tie_embeddings,
        "initializer_range": config.initial_std,
    }
    activation = ACTIVATIONS[config.activation]
    if kind == "gpt2":
        settings |= {
            "n_positions": config.context_length,
            "n_embd": config.d_model,
            "n_layer": config.n_layers,
            "n_head": config.n_heads,
            "n_inner": config.d_ff,
            "activation_function": activation,
            "layer_norm_epsilon": config.norm_eps,
            **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), config.dropout),
        }
    else:
        settings |= {
            "max_position_embeddings": config.context_length,
            "hidden_size": config.d_model,
            "num_hidden_layers": config.n_layers,
            "num_attention_heads": config.n_heads,
            "num_key_value_heads": config.n_kv_heads,
            "head_dim": config.d_head,
            "intermediate_size": config.d_ff,
            "rope_theta": config.rope_base,
            "rms_norm_eps": config.norm_eps,
            "hidden_act": activation,
            "attention_bias": config.attention_bias,
        }
        if kind == "llama":
            settings["mlp_bias"] = config.feedforward_bias
    # dropout, and how weights began, are no part of what a trained model computes
    same = {name: getattr(config, name) for name in ("dropout", "initial_std", "embedding_std")}
    written = read_config(settings).replace(**same)
    if written != config:
        other = [name for name in vars(config) if getattr(config, name) != getattr(written, name)]
        values = ", ".join(f"{name}={shortened(getattr(config, name))}" for name in other)
        raise ValueError(
            f"a folder can hold models like {', '.join(KINDS)}; {kind} has no place for {values}"
        )
    return settings


def their_weights(model: LanguageModel, kind: str) -> dict[str, Tensor]:
    """Every tensor under its name in Hugging Face's files and in their layout."""
    names = {ours: theirs for theirs, ours in NAMES[kind].items()}
    config, found = model.config, {}
    sizes = [n * config.d_head for n in (config.n_heads, config.n_kv_heads, config.n_kv_heads)]
    for name, tensor in model.state_dict().items():
        if name == "head.weight" and config.tie_embeddings:
            continue
        module, _, suffix = name.rpartition(".")
        parts = module.split(".")
        numbers = [part for part in parts if part.isdigit()]
        pattern = ".".join("{}" if part.isdigit() else part for part in parts)
        pieces = {pattern: tensor}
        if kind != "gpt2" and pattern.endswith("query_key_value"):
            start = pattern.removesuffix("query_key_value")
            heads = tensor.split(sizes)
            pieces = {start + n: h for n, h in zip(("query", "key", "value"), heads, strict=True)}
        for ours, piece in pieces.items():
            theirs = names[ours].format(*numbers)
            if kind == "gpt2":
                theirs = theirs if theirs == "lm_head" else f"transformer.{theirs}"
                piece = piece.T if ".c_" in theirs and suffix == "weight" else piece
            found[f"{theirs}.{suffix}"] = piece.detach().to("cpu", copy=True).contiguous()
    return found
