"""Read a Llama-family model and its tokenizer from a GGUF file (llama.cpp's format)."""

from pathlib import Path

import torch
from torch import Tensor

from lib.model import LanguageModel, ModelConfig
from lib.model.positions import interleaved_to_half_split
from lib.pretrained.weights import build_model
from lib.tokenization import BPETokenizer

# GGUF's tensor names, and ours. {} is the number of the layer.
NAMES = {
    "token_embd.weight": "embedding.weight",
    "output_norm.weight": "final_norm.weight",
    "output.weight": "head.weight",
    "blk.{}.attn_norm.weight": "blocks.{}.attention_norm.weight",
    "blk.{}.attn_q.weight": "blocks.{}.attention.query.weight",
    "blk.{}.attn_k.weight": "blocks.{}.attention.key.weight",
    "blk.{}.attn_v.weight": "blocks.{}.attention.value.weight",
    "blk.{}.attn_output.weight": "blocks.{}.attention.output.weight",
    "blk.{}.ffn_norm.weight": "blocks.{}.feedforward_norm.weight",
    "blk.{}.ffn_gate.weight": "blocks.{}.feedforward.gate.weight",
    "blk.{}.ffn_up.weight": "blocks.{}.feedforward.up.weight",
    "blk.{}.ffn_down.weight": "blocks.{}.feedforward.down.weight",
}
PRETOKENIZERS = {"smollm": "smollm2"}  # tokenizer.ggml.pre → our name of the split pattern
CONTROL = 3  # the token type of special tokens


def load_gguf(
    path: str | Path, dtype: torch.dtype = torch.float32, *, tokenizer: bool = True
) -> tuple[LanguageModel, BPETokenizer | None]:
    """The model and tokenizer of one GGUF file, weights dequantized to `dtype`.

    Raises ValueError if the file is not GGUF, is cut short, or holds another kind of model.
    """
    import gguf

    path = Path(path)
    try:
        reader = gguf.GGUFReader(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # the parser raises whatever a broken file makes it stumble on
        raise ValueError(f"{path.name} is not a complete GGUF file ({error})") from error
    metadata = _Metadata(path.name, dict(reader.fields))
    tied = all(tensor.name != "output.weight" for tensor in reader.tensors)
    model = _build(_read_config(metadata, tied), reader.tensors, dtype, path.name)
    return model, _read_tokenizer(metadata) if tokenizer else None


class _Metadata:
    """The key/value part of the file; a missing key is an error that names it."""

    def __init__(self, filename, fields):
        self.filename, self.fields = filename, fields

    def __getitem__(self, key: str):
        if key not in self.fields:
            raise ValueError(f"{self.filename} lacks the field {key!r}")
        return self.fields[key].contents()

    def get(self, key: str, default=None):
        return self.fields[key].contents() if key in self.fields else default


def _read_config(metadata: _Metadata, tied: bool) -> ModelConfig:
    architecture = metadata["general.architecture"]
    if architecture != "llama":
        raise ValueError(
            f"{metadata.filename} holds a {architecture!r} model; only 'llama' is supported in GGUF"
        )
    for key in metadata.fields:
        if key.startswith("llama.rope.scaling") or key == "llama.expert_count":
            raise ValueError(f"{metadata.filename} uses {key!r}, which is not supported in GGUF")
    return ModelConfig(
        vocab_size=len(metadata["tokenizer.ggml.tokens"]),
        context_length=metadata["llama.context_length"],
        d_model=metadata["llama.embedding_length"],
        n_layers=metadata["llama.block_count"],
        n_heads=metadata["llama.attention.head_count"],
        n_kv_heads=metadata["llama.attention.head_count_kv"],
        d_head=metadata["llama.rope.dimension_count"],
        d_ff=metadata["llama.feed_forward_length"],
        rope_base=metadata.get("llama.rope.freq_base", 10_000.0),
        norm_eps=metadata["llama.attention.layer_norm_rms_epsilon"],
        tie_embeddings=tied,
    )


def _build(config: ModelConfig, tensors, dtype: torch.dtype, filename: str) -> LanguageModel:
    """Read the tensors one by one, so that no second copy of the weights is ever in memory."""
    weights = {}
    for tensor in tensors:
        name = _our_name(tensor.name)
        if name is None:
            raise ValueError(f"{filename} holds an unknown tensor {tensor.name!r}")
        weight = _dequantize(tensor, dtype)
        if tensor.name.endswith(("attn_q.weight", "attn_k.weight")):
            # GGUF keeps the rotary pairs of a head side by side.
            rows = interleaved_to_half_split(weight.shape[0] // config.d_head, config.d_head)
            weight = weight[rows]
        weights[name] = weight
    return build_model(config, weights, filename)


def _our_name(name: str) -> str | None:
    layer = name.split(".")[1] if name.startswith("blk.") else ""
    pattern = name.replace(f"blk.{layer}.", "blk.{}.", 1)
    return NAMES[pattern].format(layer) if pattern in NAMES else None


def _dequantize(tensor, dtype: torch.dtype) -> Tensor:
    """The values of a tensor, a few thousand rows at a time: the parser needs room to work in."""
    import gguf

    shape = tuple(int(size) for size in reversed(tensor.shape))
    values = torch.empty(shape, dtype=dtype)
    for start in range(0, shape[0], 4096):
        block = gguf.quants.dequantize(tensor.data[start : start + 4096], tensor.tensor_type)
        values[start : start + 4096] = torch.from_numpy(block.copy())
    return values


def _read_tokenizer(metadata: _Metadata) -> BPETokenizer:
    model, pre = metadata["tokenizer.ggml.model"], metadata["tokenizer.ggml.pre"]
    if model != "gpt2" or pre not in PRETOKENIZERS:
        raise ValueError(
            f"{metadata.filename} has a tokenizer {model!r} with split {pre!r}; supported is "
            f"'gpt2' with {', '.join(map(repr, PRETOKENIZERS))}"
        )
    tokens, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    special = {
        token: i
        for i, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind == CONTROL
    }
    tokenizer = BPETokenizer.from_gpt2_strings(
        tokens, metadata["tokenizer.ggml.merges"], PRETOKENIZERS[pre], special_tokens=special
    )
    tokenizer.bos_id = metadata.get("tokenizer.ggml.bos_token_id")
    tokenizer.eos_id = metadata.get("tokenizer.ggml.eos_token_id")
    tokenizer.chat_template = metadata.get("tokenizer.chat_template")
    return tokenizer
