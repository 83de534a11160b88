"""Read a model and its tokenizer from a GGUF file, llama.cpp's format."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lib.model import LanguageModel, ModelConfig
from lib.model.positions import interleaved_to_half_split
from lib.model.rope_scaling import FactorScaling, LinearScaling
from lib.pretrained.gguf_reader import GGUFTensor, read_gguf
from lib.pretrained.gguf_tokenizer import Metadata, read_tokenizer
from lib.pretrained.weights import build_model, check_dtype, fitting_tokenizer
from lib.settings import require, shortened
from lib.tokenization import BPETokenizer

# GGUF's names of modules, and ours. {} is the number of the layer.
NAMES = {
    "token_embd": "embedding",
    "output_norm": "final_norm",
    "output": "head",
    "blk.{}.attn_norm": "blocks.{}.attention_norm",
    "blk.{}.attn_q": "blocks.{}.attention.query",
    "blk.{}.attn_k": "blocks.{}.attention.key",
    "blk.{}.attn_v": "blocks.{}.attention.value",
    "blk.{}.attn_q_norm": "blocks.{}.attention.query_norm",
    "blk.{}.attn_k_norm": "blocks.{}.attention.key_norm",
    "blk.{}.attn_output": "blocks.{}.attention.output",
    "blk.{}.post_attention_norm": "blocks.{}.attention_output_norm",
    "blk.{}.ffn_norm": "blocks.{}.feedforward_norm",
    "blk.{}.ffn_gate": "blocks.{}.feedforward.gate",
    "blk.{}.ffn_up": "blocks.{}.feedforward.up",
    "blk.{}.ffn_down": "blocks.{}.feedforward.down",
    "blk.{}.post_ffw_norm": "blocks.{}.feedforward_output_norm",
}
ROPE_FACTORS = "rope_freqs.weight"


def load_gguf(
    path: str | Path, dtype: torch.dtype = torch.float32, *, tokenizer: bool = True
) -> tuple[LanguageModel, BPETokenizer | None]:
    """The model and tokenizer of one GGUF file, weights dequantized to `dtype`.

    With `tokenizer=False` the model alone. Raises ValueError if the file is not GGUF, is cut short,
    or holds another kind of model.
    """
    path = Path(path)
    check_dtype(dtype)
    fields, tensors = read_gguf(path)
    metadata = Metadata(path.name, fields)
    config = _read_config(metadata, {tensor.name: tensor for tensor in tensors})
    found = None
    if tokenizer:
        found = fitting_tokenizer(lambda: read_tokenizer(metadata), config, path.name)
    return _build(config, tensors, dtype, path.name, metadata["general.architecture"]), found


def _read_config(metadata: Metadata, tensors: dict[str, GGUFTensor]) -> ModelConfig:
    architecture = metadata["general.architecture"]
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"{metadata.filename} holds a {shortened(architecture)} model; only "
            f"{', '.join(map(repr, ARCHITECTURES))} are supported in GGUF"
        )

    def get(key: str, default: Any = None) -> Any:
        return metadata.get(f"{architecture}.{key}", default)

    for key in ("expert_count", "attention.scale", "attn_logit_softcapping"):
        if get(key):
            raise ValueError(f"{metadata.filename} uses {architecture}.{key}, not supported here")
    if "token_embd.weight" not in tensors:
        raise ValueError(f"{metadata.filename} lacks the tensor 'token_embd.weight'")
    d_head = get("attention.key_length", get("rope.dimension_count"))
    if (
        get("rope.dimension_count", d_head) != d_head
        or get("attention.value_length", d_head) != d_head
    ):
        raise ValueError(f"{metadata.filename} has keys, values and rotations of different widths")
    config = ModelConfig(
        vocab_size=tensors["token_embd.weight"].shape[0],
        context_length=metadata[f"{architecture}.context_length"],
        d_model=metadata[f"{architecture}.embedding_length"],
        n_layers=metadata[f"{architecture}.block_count"],
        n_heads=metadata[f"{architecture}.attention.head_count"],
        n_kv_heads=get("attention.head_count_kv"),
        d_head=d_head,
        d_ff=metadata[f"{architecture}.feed_forward_length"],
        rope_base=get("rope.freq_base", 10_000.0),
        rope_scaling=_read_scaling(metadata.filename, get, tensors),
        norm_eps=metadata[f"{architecture}.attention.layer_norm_rms_epsilon"],
        tie_embeddings="output.weight" not in tensors,
    )
    return config.replace(**ARCHITECTURES[architecture](get, config))


def _read_scaling(
    filename: str, get: Callable, tensors: dict[str, GGUFTensor]
) -> FactorScaling | LinearScaling | None:
    """Rotary scaling: a factor for each frequency in a tensor (Llama 3.1), or one for all."""
    if ROPE_FACTORS in tensors:
        return FactorScaling(tuple(tensors[ROPE_FACTORS].dequantized(torch.float32).tolist()))
    kind = get("rope.scaling.type", "none")
    if kind not in ("none", "linear"):
        raise ValueError(f"{filename} has rope.scaling.type {shortened(kind)}, not supported here")
    return LinearScaling(get("rope.scaling.factor")) if kind == "linear" else None


def _gemma3(get: Callable, config: ModelConfig) -> dict[str, Any]:
    """Five layers of six have a window. The file's norms have the unit offset added already."""
    window = get("attention.sliding_window")
    require("attention.sliding_window", window, "[1, inf)", whole=True)
    layers = range(1, config.n_layers + 1)
    return dict(
        activation="gelu_tanh",
        norm_placement="sandwich",
        norm_cast="after scale",
        qk_norm=True,
        scale_embeddings=True,
        window=tuple(None if layer % 6 == 0 else window for layer in layers),
        window_rope_base=get("rope.freq_base_swa", 10_000.0),
    )


# What each architecture changes in Llama's configuration.
ARCHITECTURES: dict[str, Callable[[Callable, ModelConfig], dict[str, Any]]] = {
    "llama": lambda get, config: {},
    "qwen2": lambda get, config: {"attention_bias": True, "attention_output_bias": False},
    "qwen3": lambda get, config: {"qk_norm": True},
    "gemma3": _gemma3,
}


def _build(
    config: ModelConfig, tensors: list[GGUFTensor], dtype: torch.dtype, filename: str, kind: str
) -> LanguageModel:
    """Read the tensors one by one, so that no second copy of the weights is ever in memory."""
    weights = {}
    for tensor in tensors:
        if tensor.name == ROPE_FACTORS:
            continue
        name = _our_name(tensor.name)
        if name is None:
            raise ValueError(f"{filename} holds an unknown tensor {tensor.name!r}")
        weight = tensor.dequantized(dtype)
        if kind == "llama" and (".attn_q." in tensor.name or ".attn_k." in tensor.name):
            # llama.cpp keeps the rotary pairs of these heads side by side; of the others, as we do.
            n_heads = config.n_heads if ".attn_q." in tensor.name else config.n_kv_heads
            if len(weight) != n_heads * config.d_head:
                raise ValueError(f"{filename}: {tensor.name} has shape {tuple(weight.shape)}")
            weight = weight[interleaved_to_half_split(n_heads, config.d_head)]
        weights[name] = weight
    return build_model(config, weights, filename)


def _our_name(name: str) -> str | None:
    module, _, suffix = name.rpartition(".")
    layer = module.split(".")[1] if module.startswith("blk.") else ""
    pattern = module.replace(f"blk.{layer}.", "blk.{}.", 1)
    known = pattern in NAMES and (not layer or layer.isdigit())
    return f"{NAMES[pattern].format(layer)}.{suffix}" if known else None
