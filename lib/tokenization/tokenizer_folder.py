"""A tokenizer in a Hugging Face folder: tokenizer.json and the files beside it.

BOS and EOS have names in tokenizer_config.json (special_tokens_map.json in older folders) and ids
in config.json and generation_config.json, where EOS may be a list: Llama 3 Instruct and Gemma 3
end a text and a turn with tokens of their own. All of them stop.
"""

import json
import os
from pathlib import Path
from typing import Any

from lib.files import write_file
from lib.tokenization import sentencepiece_bpe, tokenizer_json
from lib.tokenization.tokenizer_json import Json, read_json

FILE, CONFIG, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
TEMPLATES, GENERATION = "additional_chat_templates", "generation_config.json"


def read(path: str | os.PathLike) -> Json:
    """The settings of a BPETokenizer from a tokenizer.json, a folder, or a .model file."""
    path = Path(path)
    if path.suffix == ".model":
        return sentencepiece_bpe.read(path)
    if not path.is_dir():
        return tokenizer_json.read(path)
    if not (path / FILE).is_file() and (path / "tokenizer.model").is_file():
        settings = sentencepiece_bpe.read(path / "tokenizer.model")
    else:
        settings = tokenizer_json.read(path / FILE)
    return settings | _beside(path, settings)


def _beside(folder: Path, settings: Json) -> Json:
    """BOS, EOS, stop ids and chat templates from the files beside tokenizer.json."""
    names = ("special_tokens_map.json", CONFIG, "config.json", GENERATION)
    older, config, model, generation = (
        read_json(folder / name) if (folder / name).is_file() else {} for name in names
    )
    tokens, found = settings["tokens"], {}
    if not isinstance(model.get("text_config", {}), dict):
        raise ValueError(f"{folder / 'config.json'}: text_config must be an object")
    places = [generation, model, model.get("text_config", {})]
    ids = {name: _ids(f"{name}_token_id", places, folder) for name in ("bos", "eos")}
    for name in ("bos", "eos"):
        key = f"{name}_token"
        token = config.get(key) or older.get(key) or settings.get(key)
        token = token.get("content") if isinstance(token, dict) else token
        if not isinstance(token, str | None):
            raise ValueError(f"{folder / CONFIG}: {key} must be a text, got {token!r}")
        if token is None and ids[name] and ids[name][0] < len(tokens):
            token = tokens[ids[name][0]] or None
        if token is not None and token not in tokens:
            raise ValueError(f"{folder / CONFIG}: {key} {token!r} is not in the vocabulary")
        found[key] = token
    own = tokens.index(found["eos_token"]) if found["eos_token"] else None
    found["other_stop_ids"] = tuple(i for i in ids["eos"] if i != own)
    return found | _templates(folder, config)


def _ids(key: str, places: list[Json], folder: Path) -> list[int]:
    """All ids under a key in several places: each an id, a list of ids, or null."""
    ids: dict[int, None] = {}
    for place in places:
        value = place.get(key)
        for i in value if isinstance(value, list) else [value] * (value is not None):
            if not isinstance(i, int) or isinstance(i, bool) or i < 0:
                raise ValueError(f"{folder}: {key} must be an id or a list of ids, got {value!r}")
            ids[i] = None
    return list(ids)


def _templates(folder: Path, config: Json) -> Json:
    """The chat template, and further ones by name; a file goes before tokenizer_config.json."""
    entry = config.get("chat_template")
    try:
        named = {e["name"]: e["template"] for e in entry} if isinstance(entry, list) else {}
        if isinstance(entry, dict):
            named = dict(entry)
        elif isinstance(entry, str):
            named = {"default": entry}
        for file in [folder / TEMPLATE, *sorted((folder / TEMPLATES).glob("*.jinja"))]:
            if file.is_file():
                name = "default" if file.name == TEMPLATE else file.stem
                named[name] = file.read_text(encoding="utf-8")
        if not all(isinstance(text, str) for text in [*named, *named.values()]):
            raise TypeError(f"a template must be a text, got {named}")
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{folder}: the chat template cannot be read: {error!r:.200}") from error
    default = named.pop("default", None)
    return {"chat_template": default, "chat_templates": named}


def write(tokenizer: Any, path: str | os.PathLike) -> None:
    """Write a BPETokenizer as tokenizer.json (`path` ends in .json), or as a folder.

    The folder also gets a tokenizer_config.json with BOS, EOS and the chat templates, and, where
    there are more stop ids than EOS, a generation_config.json. Each file is written whole or not
    at all.
    """
    path = Path(path)
    if path.suffix == ".json":
        _write_json(path, tokenizer_json.to_json(tokenizer))
        return
    path.mkdir(parents=True, exist_ok=True)
    _write_json(path / FILE, tokenizer_json.to_json(tokenizer))
    config = {name: getattr(tokenizer, name) for name in ("bos_token", "eos_token")}
    named = {"default": tokenizer.chat_template, **tokenizer.chat_templates}
    templates = [{"name": name, "template": text} for name, text in named.items() if text]
    config["chat_template"] = templates if tokenizer.chat_templates else tokenizer.chat_template
    config = {name: value for name, value in config.items() if value}
    _write_json(path / CONFIG, {"tokenizer_class": "PreTrainedTokenizerFast", **config})
    if tokenizer.other_stop_ids:
        file = path / GENERATION
        content = read_json(file) if file.is_file() else {}
        _write_json(file, content | {"eos_token_id": list(tokenizer.stop_ids)})


def _write_json(file: Path, content: Json) -> None:
    write_file(file, json.dumps(content, ensure_ascii=False))
