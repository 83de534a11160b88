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

from lib.settings import require_kind
from lib.tokenization.decoding import usual_decoder
from lib.tokenization.oniguruma import from_oniguruma
from lib.tokenization.pretokenization import DROPS_GAPS, PATTERNS, SPACE, in_order, matches_nothing

Json = dict[str, Any]
OPTIONS = ("lstrip", "rstrip", "single_word", "normalized")
READERS = {
    "Unigram": ("T5", "UnigramTokenizer.load reads its .model file"),
    "WordPiece": ("BERT", "WordPieceTokenizer.load reads its vocab.txt"),
}


def read(path: str | os.PathLike) -> Json:
    """The settings of a BPETokenizer from a tokenizer.json.

    Raises FileNotFoundError, and ValueError for a damaged file or a part that is not supported.
    """
    file = Path(path)
    content = read_json(file)
    model = content.get("model")
    kind = model.get("type", "BPE") if isinstance(model, dict) else None
    if isinstance(kind, str) and kind in READERS:
        family, reader = READERS[kind]
        raise ValueError(f"{file}: model type {kind!r}, as {family} has it, not 'BPE': {reader}")
    if kind is not None and kind != "BPE":
        raise ValueError(f"{file}: model type {kind!r} is not supported, only 'BPE'")
    if kind is None or not isinstance(model.get("vocab"), dict):
        raise ValueError(f"{file}: not a tokenizer.json of a BPE model: no model with a vocab")
    for option in ("continuing_subword_prefix", "dropout"):
        if model.get(option):
            raise ValueError(f"{file}: model option {option}={model[option]!r} is not supported")
    for option in ("end_of_word_suffix", "unk_token"):
        require_kind(f"{file}: model option {option}", model.get(option) or "", str)
    try:
        special, added, options = _added_tokens(content)
        tokens, merges = _vocabulary(model, special | added)
        pattern, byte_level = _pattern(content.get("pre_tokenizer"))
        first, last = _template(content.get("post_processor"))
        return {
            "tokens": tokens,
            "merges": merges,
            "pattern": pattern,
            "special_tokens": special,
            "added_tokens": added,
            "token_options": options,
            "byte_level": byte_level,
            "end_of_word": model.get("end_of_word_suffix") or "",
            "decoder": _decoder(content.get("decoder"), byte_level, model),
            "unknown_token": model.get("unk_token") or None,
            "fuse_unknown": bool(model.get("fuse_unk") and model.get("unk_token")),
            "byte_fallback": bool(model.get("byte_fallback")),
            "normalization": _normalization(content.get("normalizer")),
            "ignore_merges": bool(model.get("ignore_merges")),
            "bos_token": first[0] if len(first) == 1 else None,
            "starts_with": first,
            "ends_with": last,
        }
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"{file}: damaged tokenizer.json ({error!r:.200})") from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def read_json(file: Path) -> Json:
    """The object in a JSON file; ValueError if it holds anything else."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"{file}: not a tokenizer's JSON: nested too deep") from error
    except ValueError as error:
        raise ValueError(f"{file}: not JSON, perhaps cut short ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file}: expected a JSON object, found {type(content).__name__}")
    return content


def _added_tokens(content: Json) -> tuple[dict[str, int], dict[str, int], dict[str, list[str]]]:
    special, added, options = {}, {}, {}
    for token in content.get("added_tokens") or []:
        text = token["content"]
        (special if token.get("special") else added)[text] = token["id"]
        if chosen := [option for option in OPTIONS if token.get(option)]:
            options[text] = chosen
    return special, added, options


def _vocabulary(model: Json, added: Mapping[str, int]) -> tuple[list[str], list[tuple[int, int]]]:
    ids = model["vocab"] | added
    merges = []
    for rank, merge in enumerate(model["merges"]):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        if left not in ids or right not in ids or left + right not in ids:
            raise ValueError(f"merge {rank} ({left!r}, {right!r}) needs a token that is not there")
        merges.append((ids[left], ids[right]))
    return in_order(ids), merges


def _parts(step: Json | None, key: str) -> list[Json]:
    """The steps of a Sequence, and of those in it, or the one step, or none."""
    if step is None:
        return []
    if step["type"] != "Sequence":
        return [step]
    return [part for inner in step[key] for part in _parts(inner, key)]


def _pattern(pre_tokenizer: Json | None) -> tuple[str | list[Json] | None, bool]:
    """(pattern or steps, whether the model is byte-level)."""
    steps = _parts(pre_tokenizer, "pretokenizers")
    byte_level = any(step["type"] == "ByteLevel" for step in steps)
    if byte_level and steps[-1]["type"] != "ByteLevel":
        raise ValueError(f"pre-tokenizer {steps[-1]['type']!r} after ByteLevel is not supported")
    plain = byte_level and not steps[-1].get("add_prefix_space", True)
    kinds = [step["type"] for step in steps[: len(steps) - byte_level]]
    if plain and steps[-1].get("use_regex", True):
        if not kinds:
            return "gpt2", True
        if kinds == ["Digits"] and steps[0].get("individual_digits"):
            return "smollm2", True
    elif plain or not byte_level:
        if not kinds:
            return None, byte_level
        if kinds == ["Split"] and (name := _split_pattern(steps[0])):
            return name, byte_level
        if kinds == ["WhitespaceSplit"] and not byte_level:
            return "whitespace", False
    return steps, byte_level


def _split_pattern(step: Json) -> str | None:
    """The name or expression of a Split that `split` does as it is."""
    expression = step["pattern"].get("Regex")
    names = {text: name for name, text in PATTERNS.items()}
    name = names.get(expression, expression)
    if name == expression and (not name or from_oniguruma(name) != name or matches_nothing(name)):
        return None
    drops = (step["behavior"], bool(step.get("invert"))) == ("Removed", True)
    keeps = (step["behavior"], bool(step.get("invert"))) == ("Isolated", False)
    return name if (drops if name in DROPS_GAPS else keeps) else None


def _normalization(step: Json | None) -> str | list[Json] | None:
    steps = _parts(step, "normalizers")
    if len(steps) == 1 and list(steps[0]) == ["type"] and isinstance(steps[0]["type"], str):
        return steps[0]["type"]
    return steps or None


def _decoder(step: Json | None, byte_level: bool, model: Json) -> list[Json] | None:
    """The steps of the decoder; None where they are the usual ones."""
    steps = _parts(step, "decoders")
    usual = usual_decoder(byte_level, model.get("end_of_word_suffix") or "")
    if byte_level and [part["type"] for part in steps] == ["ByteLevel"]:
        return None  # its settings are for the way to the tokens
    return None if steps == usual else steps


def _template(step: Json | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tokens that a post-processor puts before a text, and those after it."""
    first, last = (), ()
    for part in _parts(step, "processors"):
        if part["type"] in ("RobertaProcessing", "BertProcessing"):
            first, last = (part["cls"][0],), (part["sep"][0],)
        elif part["type"] == "TemplateProcessing":
            names = [next(iter(piece.values()))["id"] for piece in part["single"]]
            if names.count("A") != 1:
                raise ValueError(f"post-processor template {names}: it must hold 'A' once")
            tokens = {name: entry["tokens"] for name, entry in part["special_tokens"].items()}
            at = names.index("A")
            first = tuple(token for name in names[:at] for token in tokens[name])
            last = tuple(token for name in names[at + 1 :] for token in tokens[name])
        elif part["type"] != "ByteLevel":  # that one moves offsets, not ids
            raise ValueError(f"post-processor {part['type']!r} is not supported")
    return first, last


def to_json(tokenizer: Any) -> Json:
    """The content of the tokenizer.json of a BPETokenizer."""
    tokens, normalization = tokenizer.tokens, tokenizer.normalization
    if isinstance(normalization, str):
        normalization = [{"type": normalization}]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_json(tokenizer),
        "normalizer": _sequence(normalization or [], "normalizers"),
        "pre_tokenizer": _sequence(
            _pre_tokenizer_json(tokenizer.pattern, tokenizer.byte_level), "pretokenizers"
        ),
        "post_processor": _template_json(tokenizer),
        "decoder": _sequence(_decoder_json(tokenizer), "decoders"),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": tokenizer.unknown_token,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": tokenizer.end_of_word or None,
            "fuse_unk": tokenizer.fuse_unknown,
            "byte_fallback": tokenizer.byte_fallback,
            "ignore_merges": tokenizer.ignore_merges,
            "vocab": {token: i for i, token in enumerate(tokens) if token},
            "merges": [[tokens[left], tokens[right]] for left, right in tokenizer.merges],
        },
    }


def _sequence(steps: list[Json], key: str) -> Json | None:
    if len(steps) > 1:
        return {"type": "Sequence", key: steps}
    return steps[0] if steps else None


def _template_json(tokenizer: Any) -> Json | None:
    if not tokenizer.starts_with and not tokenizer.ends_with:
        return None
    first, last = (
        [{"SpecialToken": {"id": token, "type_id": 0}} for token in side]
        for side in (tokenizer.starts_with, tokenizer.ends_with)
    )
    a, b = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    ids = {t: tokenizer.token_to_id[t] for t in (*tokenizer.starts_with, *tokenizer.ends_with)}
    return {
        "type": "TemplateProcessing",
        "single": [*first, a, *last],
        "pair": [*first, a, *last, b, *last],
        "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for t, i in ids.items()},
    }


def _decoder_json(tokenizer: Any) -> list[Json]:
    if tokenizer.byte_level and tokenizer.decoder is None:
        return [_byte_level_step(use_regex=True)]
    steps = tokenizer.decoder_steps
    if [step["type"] for step in steps] != ["SentencePiece"]:
        return steps
    # what comes nearest, as Llama 2's converted files have it
    replace = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    made = [replace, {"type": "ByteFallback"}, {"type": "Fuse"}]
    return [*made, strip] if steps[0]["add_dummy_prefix"] else made


def _added_json(tokenizer: Any) -> list[Json]:
    whole = [(i, token, True) for token, i in tokenizer.special_tokens.items()]
    whole += [(i, token, False) for token, i in tokenizer.added_tokens.items()]
    chosen = tokenizer.token_options
    return [
        {"id": i, "content": token, "special": is_special}
        | {option: option in chosen.get(token, ()) for option in OPTIONS}
        for i, token, is_special in sorted(whole)
    ]


def _byte_level_step(use_regex: bool) -> Json:
    flags = {"add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}
    return {"type": "ByteLevel", **flags}


def _pre_tokenizer_json(pattern: str | list[Json] | None, byte_level: bool) -> list[Json]:
    if isinstance(pattern, list):
        return pattern
    last = [_byte_level_step(use_regex=False)] if byte_level else []
    if pattern is None:
        return last
    if byte_level and pattern in ("gpt2", "smollm2"):
        digits = [{"type": "Digits", "individual_digits": True}] if pattern == "smollm2" else []
        return [*digits, _byte_level_step(use_regex=True)]
    split = {"type": "Split", "pattern": {"Regex": PATTERNS.get(pattern, pattern)}}
    drops = pattern in DROPS_GAPS
    return [split | {"behavior": "Removed" if drops else "Isolated", "invert": drops}, *last]
