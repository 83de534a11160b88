"""Read a model and its tokenizer from a GGUF file, llama.cpp's format."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lib.model import LanguageModel, ModelConfig
from lib.model.positions import interleaved_to_half_split
from lib.model.rope_scaling import FactorScaling, LinearScaling
from lib.pretrained.gguf_reader import GGUFTensor, read_gguf
from lib.pretrained.weights import build_model, check_dtype, fitting_tokenizer
from lib.settings import require, shortened
from lib.tokenization import BPETokenizer
from lib.tokenization.pretokenization import GGUF_PATTERNS

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
PRETOKENIZERS = GGUF_PATTERNS  # tokenizer.ggml.pre → our name of the split pattern
CONTROL = 3  # the token type of special tokens
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
    metadata = _Metadata(path.name, fields)
    config = _read_config(metadata, {tensor.name: tensor for tensor in tensors})
    found = None
    if tokenizer:
        found = fitting_tokenizer(lambda: _read_tokenizer(metadata), config, path.name)
    return _build(config, tensors, dtype, path.name, metadata["general.architecture"]), found


class _Metadata(dict):
    """The key/value part of the file; a missing key is an error that names it."""

    def __init__(self, filename: str, fields: dict[str, Any]):
        super().__init__(fields)
        self.filename = filename

    def __missing__(self, key: str):
        raise ValueError(f"{self.filename} lacks the field {key!r}")

    def texts(self, key: str) -> list[str]:
        """A list of texts, such as the tokens."""
        value = self[key]
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise ValueError(f"{key} must be a list of texts, got {shortened(value)}")
        return value


def _read_config(metadata: _Metadata, tensors: dict[str, GGUFTensor]) -> ModelConfig:
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


def _read_tokenizer(metadata: _Metadata) -> BPETokenizer:
    model, pre = metadata["tokenizer.ggml.model"], metadata.get("tokenizer.ggml.pre", "default")
    if model != "gpt2" or pre not in PRETOKENIZERS:
        raise ValueError(
            f"{metadata.filename} has a tokenizer {model!r} with split {pre!r}; supported is "
            f"'gpt2' with {', '.join(map(repr, PRETOKENIZERS))}"
        )
    tokens, types = metadata.texts("tokenizer.ggml.tokens"), metadata["tokenizer.ggml.token_type"]
    if not isinstance(types, list) or len(types) != len(tokens):
        raise ValueError(f"tokenizer.ggml.token_type must have one entry for each of {len(tokens)}")
    special = {tokens[i]: i for i, kind in enumerate(types) if kind == CONTROL}
    keys = [f"tokenizer.ggml.{name}_token_id" for name in ("bos", "eos", "eot")]
    bos, eos, turn = map(metadata.get, keys)
    for key, i in zip(keys, (bos, eos, turn), strict=True):
        if i is not None and not 0 <= i < len(tokens):
            raise ValueError(f"{key} must be one of the {len(tokens)} ids, got {i}")
    return BPETokenizer.from_gpt2_strings(
        tokens,
        metadata.texts("tokenizer.ggml.merges"),
        PRETOKENIZERS[pre],
        special_tokens=special,
        bos_token=None if bos is None else tokens[bos],
        eos_token=None if eos is None else tokens[eos],
        adds_bos=bool(metadata.get("tokenizer.ggml.add_bos_token")),
        other_stop_ids=() if turn in (None, eos) else (turn,),
        chat_template=metadata.get("tokenizer.chat_template"),
    )
