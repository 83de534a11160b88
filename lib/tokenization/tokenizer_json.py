"""BPE tokenizers as files: Hugging Face's tokenizer.json.

A tokenizer.json describes a pipeline (normalizer, pre-tokenizer, model, post-processor, decoder).
`read` turns the pipelines of byte-level and character-level BPE into the settings of
`BPETokenizer`; a part that it does not know is an error that names the part.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.files import write_file
from lib.tokenization.pretokenization import DROPS_GAPS, PATTERNS

Json = dict[str, Any]
FILE, CONFIG, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
NORMALIZERS = ("NFC", "NFD", "NFKC", "NFKD")


def read(path: str | os.PathLike) -> Json:
    """The settings of a BPETokenizer from a tokenizer.json or a folder with one.

    From a folder, tokenizer_config.json and chat_template.jinja are read too where they are there.
    Raises FileNotFoundError, and ValueError for a damaged file or a part that is not supported.
    """
    path = Path(path)
    file = path / FILE if path.is_dir() else path
    content = _read_json(file)
    model = content.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
        raise ValueError(f"{file}: not a tokenizer.json of a BPE model: no model with a vocab")
    if model.get("type", "BPE") != "BPE":
        raise ValueError(f"{file}: model type {model['type']!r} is not supported, only 'BPE'")
    for option in ("continuing_subword_prefix", "byte_fallback", "dropout"):
        if model.get(option):
            raise ValueError(f"{file}: model option {option}={model[option]!r} is not supported")
    if model.get("fuse_unk") and model.get("unk_token"):
        raise ValueError(f"{file}: model option fuse_unk=True is not supported")
    try:
        special, added = _added_tokens(content)
        tokens, merges = _vocabulary(model, special | added)
        pattern, byte_level = _pattern(content.get("pre_tokenizer"))
        settings = {
            "tokens": tokens,
            "merges": merges,
            "pattern": pattern,
            "special_tokens": special,
            "added_tokens": added,
            "byte_level": byte_level,
            "end_of_word": model.get("end_of_word_suffix") or "",
            "unknown_token": model.get("unk_token") or None,
            "normalization": _normalization(content.get("normalizer")),
            "ignore_merges": bool(model.get("ignore_merges")),
        }
        bos = _bos(content.get("post_processor"))
        settings |= {"bos_token": bos, "adds_bos": bos is not None}
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"{file}: damaged tokenizer.json ({error!r})") from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    return settings | (_read_config(path, settings) if path.is_dir() else {})


def _read_json(file: Path) -> Json:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not JSON, perhaps cut short ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file}: expected a JSON object, found {type(content).__name__}")
    return content


def _added_tokens(content: Json) -> tuple[dict[str, int], dict[str, int]]:
    special, added = {}, {}
    for token in content.get("added_tokens") or []:
        for option in ("lstrip", "rstrip", "single_word"):
            if token.get(option):
                raise ValueError(f"added token {token['content']!r}: {option} is not supported")
        (special if token.get("special") else added)[token["content"]] = token["id"]
    return special, added


def _vocabulary(model: Json, added: Mapping[str, int]) -> tuple[list[str], list[tuple[int, int]]]:
    ids = model["vocab"] | added
    by_id = {i: token for token, i in ids.items()}
    if sorted(by_id) != list(range(len(ids))):
        missing = next((i for i in range(len(ids)) if i not in by_id), None)
        raise ValueError(f"the ids do not run from 0 to {len(ids) - 1}: none or two for {missing}")
    merges = []
    for rank, merge in enumerate(model["merges"]):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        if left not in ids or right not in ids or left + right not in ids:
            raise ValueError(f"merge {rank} ({left!r}, {right!r}) needs a token that is not there")
        merges.append((ids[left], ids[right]))
    return [by_id[i] for i in range(len(ids))], merges


def _parts(step: Json | None, key: str) -> list[Json]:
    """The steps of a Sequence, or the one step, or none."""
    if step is None:
        return []
    return list(step[key]) if step["type"] == "Sequence" else [step]


def _pattern(pre_tokenizer: Json | None) -> tuple[str | None, bool]:
    """(pattern, whether the model is byte-level)."""
    steps = _parts(pre_tokenizer, "pretokenizers")
    last = steps.pop() if steps and steps[-1]["type"] == "ByteLevel" else None
    if last and last.get("add_prefix_space"):
        raise ValueError("pre-tokenizer ByteLevel: add_prefix_space is not supported")
    kinds = [step["type"] for step in steps]
    if last and last.get("use_regex", True):
        if not kinds:
            return "gpt2", True
        if kinds == ["Digits"] and steps[0].get("individual_digits"):
            return "smollm2", True
    elif not kinds:
        return None, last is not None
    elif kinds == ["Split"]:
        return _split_pattern(steps[0]), last is not None
    elif kinds == ["WhitespaceSplit"] and last is None:
        return "whitespace", False
    raise ValueError(f"pre-tokenizer {pre_tokenizer} is not supported")


def _split_pattern(step: Json) -> str:
    expression = step["pattern"].get("Regex")
    names = {text: name for name, text in PATTERNS.items()}
    name = names.get(expression, expression)
    drops = step["behavior"] == "Removed" and step.get("invert", False) and name in DROPS_GAPS
    keeps = step["behavior"] == "Isolated" and not step.get("invert") and name not in DROPS_GAPS
    if expression is None or not (drops or keeps):
        raise ValueError(f"pre-tokenizer {step} is not supported")
    return name


def _normalization(step: Json | None) -> str | None:
    kinds = [part["type"] for part in _parts(step, "normalizers")]
    if not kinds:
        return None
    if len(kinds) > 1 or kinds[0] not in NORMALIZERS:
        raise ValueError(f"normalizer {kinds} is not supported, only one of {NORMALIZERS}")
    return kinds[0]


def _bos(step: Json | None) -> str | None:
    """The token that a post-processor puts first, if any."""
    first = None
    for part in _parts(step, "processors"):
        if part["type"] == "ByteLevel":
            continue  # it moves offsets, not ids
        if part["type"] != "TemplateProcessing":
            raise ValueError(f"post-processor {part['type']!r} is not supported")
        names = [next(iter(piece.values()))["id"] for piece in part["single"]]
        if names == ["A"]:
            continue
        if len(names) != 2 or names[0] == "A" or names[1] != "A":
            raise ValueError(f"post-processor template {names} is not supported, only [BOS, 'A']")
        first = part["special_tokens"][names[0]]["tokens"][0]
    return first


def _read_config(folder: Path, settings: Json) -> Json:
    """bos_token, eos_token and chat_template, from the files beside a tokenizer.json."""
    config = _read_json(folder / CONFIG) if (folder / CONFIG).exists() else {}
    found: Json = {}
    for name in ("bos_token", "eos_token"):
        token = config.get(name)
        found[name] = token["content"] if isinstance(token, dict) else token
    found["bos_token"] = found["bos_token"] or settings["bos_token"]
    template = config.get("chat_template")
    if isinstance(template, list):  # several, each with a name
        template = {entry["name"]: entry["template"] for entry in template}.get("default")
    if (folder / TEMPLATE).exists():
        template = (folder / TEMPLATE).read_text(encoding="utf-8")
    return found | {"chat_template": template}


def write(tokenizer: Any, path: str | os.PathLike) -> None:
    """Write a BPETokenizer as tokenizer.json (`path` ends in .json), or as a folder.

    The folder also gets a tokenizer_config.json with BOS, EOS and the chat template. Each file is
    written beside its place first, so that a failure leaves nothing half-written.
    """
    path = Path(path)
    if path.suffix == ".json":
        _write_json(path, to_json(tokenizer))
        return
    path.mkdir(parents=True, exist_ok=True)
    _write_json(path / FILE, to_json(tokenizer))
    names = ("bos_token", "eos_token", "chat_template")
    config = {name: getattr(tokenizer, name) for name in names if getattr(tokenizer, name)}
    _write_json(path / CONFIG, {"tokenizer_class": "PreTrainedTokenizerFast", **config})


def _write_json(file: Path, content: Json) -> None:
    write_file(file, json.dumps(content, ensure_ascii=False))


def to_json(tokenizer: Any) -> Json:
    """The content of the tokenizer.json of a BPETokenizer."""
    decoder: Json = {"type": "Fuse"}
    if tokenizer.byte_level:
        decoder = _byte_level_step(use_regex=True)
    elif tokenizer.end_of_word:
        decoder = {"type": "BPEDecoder", "suffix": tokenizer.end_of_word}
    template = None
    if tokenizer.adds_bos:
        token, i = tokenizer.bos_token, tokenizer.bos_id
        text = {"Sequence": {"id": "A", "type_id": 0}}
        bos = {"SpecialToken": {"id": token, "type_id": 0}}
        template = {
            "type": "TemplateProcessing",
            "single": [bos, text],
            "pair": [bos, text, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {token: {"id": token, "ids": [i], "tokens": [token]}},
        }
    tokens = tokenizer.tokens
    normalization = tokenizer.normalization
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_json(tokenizer),
        "normalizer": {"type": normalization} if normalization else None,
        "pre_tokenizer": _pre_tokenizer_json(tokenizer.pattern, tokenizer.byte_level),
        "post_processor": template,
        "decoder": decoder,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": tokenizer.unknown_token,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": tokenizer.end_of_word or None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": tokenizer.ignore_merges,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [[tokens[left], tokens[right]] for left, right in tokenizer.merges],
        },
    }


def _added_json(tokenizer: Any) -> list[Json]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    whole = [(i, token, True) for token, i in tokenizer.special_tokens.items()]
    whole += [(i, token, False) for token, i in tokenizer.added_tokens.items()]
    return [
        {"id": i, "content": token, **flags, "special": is_special}
        for i, token, is_special in sorted(whole)
    ]


def _byte_level_step(use_regex: bool) -> Json:
    flags = {"add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}
    return {"type": "ByteLevel", **flags}


def _pre_tokenizer_json(pattern: str | None, byte_level: bool) -> Json | None:
    last = [_byte_level_step(use_regex=False)] if byte_level else []
    if pattern is None:
        steps = last
    elif byte_level and pattern in ("gpt2", "smollm2"):
        digits = [{"type": "Digits", "individual_digits": True}] if pattern == "smollm2" else []
        steps = [*digits, _byte_level_step(use_regex=True)]
    else:
        split = {"type": "Split", "pattern": {"Regex": PATTERNS.get(pattern, pattern)}}
        drops = pattern in DROPS_GAPS
        steps = [split | {"behavior": "Removed" if drops else "Isolated", "invert": drops}, *last]
    if len(steps) > 1:
        return {"type": "Sequence", "pretokenizers": steps}
    return steps[0] if steps else None
