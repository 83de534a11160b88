"""Read models from a folder in Hugging Face format: GPT-2, Llama, Mixtral, Qwen3, Gemma 3 and more.

A folder holds config.json, one or more .safetensors files and tokenizer.json. How config.json is
read is in lib.pretrained.settings, what the tensors are called in lib.pretrained.tensor_names.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lib.model import LanguageModel
from lib.pretrained.settings import read_config
from lib.pretrained.tensor_names import BUFFERS, our_name
from lib.pretrained.weights import build_model
from lib.tokenization import BPETokenizer


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


def _read_weights(folder: Path, kind: str, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Every tensor in the folder, under our name and in our layout."""
    for theirs, tensor in _tensors(folder):
        if theirs.endswith(BUFFERS):
            continue
        name = our_name(theirs, kind)
        if name is None:
            raise ValueError(f"{folder.name} holds a tensor that is not supported: {theirs}")
        if kind == "gpt2" and ".c_" in theirs and theirs.endswith("weight"):
            tensor = tensor.T.contiguous()  # GPT-2's Conv1D stores (in, out)
        yield name, tensor.to(dtype)


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
