"""Read models from a folder in Hugging Face format: GPT-2, Llama, Mixtral, Qwen3, Gemma 3 and more.

A folder holds config.json, one or more .safetensors files and tokenizer.json. How config.json is
read is in lib.pretrained.settings, what the tensors are called in lib.pretrained.tensor_names.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from lib.model import LanguageModel, ModelConfig
from lib.pretrained.settings import read_config
from lib.pretrained.tensor_names import BUFFERS, our_name
from lib.pretrained.weights import build_model, check_dtype, fitting_tokenizer
from lib.settings import shortened
from lib.tokenization import BPETokenizer

PACKED = ("gate_up_proj", "gate_up_proj_bias", "down_proj", "down_proj_bias")
CONVERT = """; weights are read from safetensors, since a pickle can run any code. To convert
pytorch_model.bin where you trust it, run once with transformers installed:
AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder)""".replace("\n", " ")


def load_folder(
    folder: str | Path, dtype: torch.dtype = torch.float32, *, tokenizer: bool = True
) -> tuple[LanguageModel, BPETokenizer | None]:
    """The model and, if the folder has one, the tokenizer; the model alone with `tokenizer=False`.

    Raises FileNotFoundError and ValueError with the name of what is missing or not supported.
    """
    folder = Path(folder)
    check_dtype(dtype)
    settings = _read_json(folder / "config.json")
    config = read_config(settings)
    found = None
    if tokenizer and any((folder / f"tokenizer.{end}").is_file() for end in ("json", "model")):
        found = fitting_tokenizer(lambda: BPETokenizer.load(folder), config, folder.name)
    weights: dict[str, Tensor] = {}
    for name, tensor in _read_weights(folder, settings["model_type"], config, dtype):
        if name in weights and not torch.equal(weights[name], tensor):
            raise ValueError(f"{folder.name} holds {name} twice, with different values")
        weights[name] = tensor
    return build_model(config, weights, folder.name), found


def _read_weights(
    folder: Path, kind: str, config: ModelConfig, dtype: torch.dtype
) -> Iterator[tuple[str, Tensor]]:
    """Every tensor in the folder, under our name and in our layout."""
    for theirs, tensor in _tensors(folder):
        if theirs.endswith(BUFFERS) or theirs.startswith(f"model.layers.{config.n_layers}."):
            continue  # DeepSeek-V3 has one more layer, which serves its training
        if kind == "gpt_oss" and ".experts." in theirs:
            yield from _unpacked_experts(theirs, tensor.to(dtype), config, folder.name)
            continue
        name = our_name(theirs, kind)
        if name is None:
            raise ValueError(f"{folder.name} holds a tensor that is not supported: {theirs}")
        if not tensor.is_floating_point() or tensor.itemsize < 2:  # 8 bits have scales elsewhere
            raise ValueError(f"{folder.name}: {theirs} holds {tensor.dtype}, no weights")
        if kind == "gpt2" and ".c_" in theirs and theirs.endswith("weight"):
            tensor = tensor.T.contiguous()  # GPT-2's Conv1D stores (in, out)
        if kind == "gpt_neox" and ".query_key_value." in theirs:
            if len(tensor) != 3 * config.n_heads * config.d_head:
                raise ValueError(f"{folder.name}: {theirs} has shape {tuple(tensor.shape)}")
            # Query, key and value of each head stand together: (H, 3, D) rows.
            heads = tensor.unflatten(0, (config.n_heads, 3, config.d_head))
            tensor = heads.transpose(0, 1).flatten(0, 2)
        yield name, tensor.to(dtype)


def _unpacked_experts(
    theirs: str, tensor: Tensor, config: ModelConfig, source: str
) -> Iterator[tuple[str, Tensor]]:
    """gpt-oss packs all experts of a layer into four tensors, gate and up in alternate columns."""
    start, _, part = theirs.rpartition(".experts.")
    layer = start.split(".")[2]
    kind = "bias" if part.endswith("_bias") else "weight"
    pieces = {"gate": tensor[..., ::2], "up": tensor[..., 1::2]}
    pieces = {"down": tensor} if part.startswith("down_proj") else pieces
    if part not in PACKED or tensor.dim() != (2 if kind == "bias" else 3):
        raise ValueError(f"{source} holds a tensor that is not supported: {theirs}")
    for name, all_experts in pieces.items():
        for expert, values in enumerate(all_experts):
            values = values.T if kind == "weight" else values  # stored (in, out)
            ours = f"blocks.{layer}.feedforward.experts.{expert}.{name}.{kind}"
            yield ours, values.contiguous()


def _tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    for name in _weight_files(folder):
        path = folder / name
        if not path.is_file():
            pickled = any(folder.glob("pytorch_model*.bin"))
            raise FileNotFoundError(f"{folder} has no {name}{CONVERT if pickled else ''}")
        try:
            with safe_open(path, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (not a mapping)
                    yield key, file.get_tensor(key)
        except GeneratorExit:
            raise
        except Exception as error:  # the parser raises whatever a broken file makes it stumble on
            raise ValueError(f"{name} is damaged or cut short ({error}); fetch it again") from error


def _weight_files(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        shards = list(folder.glob("model-*-of-*.safetensors"))
        if shards and not (folder / "model.safetensors").is_file():
            raise FileNotFoundError(
                f"{folder} has {len(shards)} shards and no {index.name}, which says what is in "
                "them: fetch that file too"
            )
        return ["model.safetensors"]
    files = _read_json(index).get("weight_map")
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        raise ValueError(f"{index.name} has no weight_map from tensors to files")
    for name in set(files.values()):
        if Path(name).name != name:
            raise ValueError(f"{index.name} names a file outside the folder: {name!r}")
    return sorted(set(files.values()))


def _read_json(path: Path) -> dict:
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} has no {path.name}: give the folder of a model")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or too deep
        raise ValueError(f"{path.name} is not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} must hold an object, got {shortened(content)}")
    return content
