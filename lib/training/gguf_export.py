"""Save a model as one GGUF file, which llama.cpp and what is built on it open.

python -m lib.training.gguf_export runs/mine mine.gguf
"""

import os
import sys
from pathlib import Path

import gguf
from torch import Tensor

from lib.files import atomic_write
from lib.model import LanguageModel
from lib.model.positions import interleaved_to_half_split
from lib.pretrained import load_pretrained
from lib.pretrained.gguf_file import NAMES
from lib.tokenization import BPETokenizer
from lib.training.saving import config_json

SPLITS = {"gpt2": "gpt-2", "qwen2": "qwen2", "smollm2": "smollm"}  # llama.cpp's names of patterns
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4  # kinds of tokens


def save_gguf(path: str | os.PathLike, model: LanguageModel, tokenizer: BPETokenizer) -> None:
    """Write a model of Llama's or Qwen3's kind, float32, with its tokenizer; whole or not at all.

    Raises ValueError for another kind of model, and for a tokenizer whose split llama.cpp lacks.
    """
    config, kind = model.config, config_json(model.config)["model_type"]
    if kind not in ("llama", "qwen3"):
        raise ValueError(f"GGUF is written for the kinds llama and qwen3, and this model is {kind}")
    if tokenizer.pattern not in SPLITS or not tokenizer.byte_level:
        raise ValueError(
            f"llama.cpp has no split like {tokenizer.pattern!r}: train with --tokenizer bpe:2048"
        )
    with atomic_write(path) as unfinished:
        writer = gguf.GGUFWriter(unfinished, kind)
        writer.add_context_length(config.context_length)
        writer.add_embedding_length(config.d_model)
        writer.add_block_count(config.n_layers)
        writer.add_feed_forward_length(config.d_ff)
        writer.add_head_count(config.n_heads)
        writer.add_head_count_kv(config.n_kv_heads)
        writer.add_key_length(config.d_head)
        writer.add_value_length(config.d_head)
        writer.add_rope_dimension_count(config.d_head)
        writer.add_rope_freq_base(config.rope_base)
        writer.add_layer_norm_rms_eps(config.norm_eps)
        _add_tokenizer(writer, tokenizer)
        for name, tensor in their_tensors(model, kind).items():
            writer.add_tensor(name, tensor.float().numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def their_tensors(model: LanguageModel, kind: str) -> dict[str, Tensor]:
    """Every weight under GGUF's name; of Llama's heads the rotary pairs stand side by side."""
    config, found = model.config, {}
    theirs = {ours: name for name, ours in NAMES.items()}
    heads = (config.n_heads, config.n_kv_heads, config.n_kv_heads)
    for name, weight in model.state_dict().items():
        if name == "head.weight" and config.tie_embeddings:
            continue
        module, _, suffix = name.rpartition(".")
        layer = module.split(".")[1] if module.startswith("blocks.") else ""
        pattern = module.replace(f"blocks.{layer}.", "blocks.{}.", 1)
        parts = {pattern: weight}
        if pattern.endswith("query_key_value"):
            start = pattern.removesuffix("query_key_value")
            pieces = weight.split([n * config.d_head for n in heads])
            parts = dict(zip((start + n for n in ("query", "key", "value")), pieces, strict=True))
        for part, piece in parts.items():
            if kind == "llama" and part.endswith((".query", ".key")):
                n_heads = heads[part.endswith(".key")]
                piece = piece[interleaved_to_half_split(n_heads, config.d_head).argsort()]
            found[f"{theirs[part].format(layer)}.{suffix}"] = piece.detach().cpu().contiguous()
    return found


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: BPETokenizer) -> None:
    tokens = tokenizer.tokens
    types = [NORMAL] * len(tokens)
    for ids, kind in ((tokenizer.special_tokens, CONTROL), (tokenizer.added_tokens, USER_DEFINED)):
        for i in ids.values():
            types[i] = kind
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(SPLITS[tokenizer.pattern])
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([f"{tokens[a]} {tokens[b]}" for a, b in tokenizer.merges])
    writer.add_add_bos_token(tokenizer.adds_bos)
    if tokenizer.bos_id is not None:
        writer.add_bos_token_id(tokenizer.bos_id)
    if tokenizer.stop_ids:
        writer.add_eos_token_id(tokenizer.stop_ids[0])
    if len(tokenizer.stop_ids) > 1:
        writer.add_eot_token_id(tokenizer.stop_ids[1])
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def main(arguments: list[str] | None = None) -> int:
    """Convert a folder; the exit status is 2 for what cannot be converted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if len(arguments) != 2:
            raise ValueError("give a folder and a file: lib.training.gguf_export runs/mine m.gguf")
        model, tokenizer = load_pretrained(arguments[0])
        if tokenizer is None:
            raise ValueError(f"{arguments[0]} has no tokenizer")
        save_gguf(Path(arguments[1]), model, tokenizer)
        print(f"{arguments[1]}: written")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
