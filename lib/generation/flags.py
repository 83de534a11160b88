"""Every field of GenerationConfig as a flag of a command line, made from the dataclass itself."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from lib.generation.config import RANGES, GenerationConfig
from lib.generation.grammar import Grammar
from lib.tokenization import BPETokenizer


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag for each field, `--top-p` for `top_p`; what is not given stays at its default."""
    group = parser.add_argument_group("settings of GenerationConfig")
    for field in fields(GenerationConfig):
        flag, kinds = "--" + field.name.replace("_", "-"), _kinds(field.type)
        words = [f"default {field.default}"] if not isinstance(field.default, tuple) else []
        words += [f"in {RANGES[field.name]}"] if field.name in RANGES else []
        more: dict[str, Any] = {"type": _reader(kinds), "metavar": "X"}
        if kinds == {bool}:
            more = {"action": argparse.BooleanOptionalAction}
        elif tuple[str, ...] in kinds:
            more = {"nargs": "+", "metavar": "TEXT"}
        elif Grammar in kinds:
            more = {"metavar": "X"}
            words = ["regex:PATTERN or schema:FILE, a JSON schema"]
        elif not isinstance(more["type"], type):
            words.append("ids as 1,2,3" if tuple[int, ...] in kinds else "JSON")
        help_text = "; ".join(words).replace("%", "%%")
        group.add_argument(flag, default=argparse.SUPPRESS, help=help_text, **more)


def given_settings(
    options: argparse.Namespace, tokenizer: BPETokenizer | None = None
) -> dict[str, Any]:
    """The fields that the command line gives, as GenerationConfig takes them.

    Raises ValueError for a grammar that cannot be read.
    """
    names = [field.name for field in fields(GenerationConfig)]
    found = {name: getattr(options, name) for name in names if hasattr(options, name)}
    found = {name: tuple(v) if isinstance(v, list) else v for name, v in found.items()}
    if "grammar" in found:
        found["grammar"] = _grammar(found["grammar"], tokenizer)
    if isinstance(biases := found.get("sequence_bias"), tuple):
        found["sequence_bias"] = {tuple(ids): float(bias) for ids, bias in biases}
    return found


def _kinds(annotation: Any) -> set:
    """The types that an annotation allows beside None."""
    if get_origin(annotation) in (Union, UnionType):
        return {kind for kind in get_args(annotation) if kind is not NoneType}
    return {annotation}


def _reader(kinds: set) -> Callable[[str], Any]:
    """What turns the text of a flag into a value of one of these types."""
    for kind in (int, float, str):
        if kinds == {kind}:
            return kind

    def read(text: str) -> Any:
        if tuple[int, ...] in kinds and text.replace(",", "").isdecimal():
            ids = tuple(int(part) for part in text.split(","))
            return ids[0] if len(ids) == 1 and int in kinds else ids
        if any(get_origin(kind) in (Mapping, Sequence) for kind in kinds):
            return json.loads(text)
        if bool in kinds and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if str in kinds:
            return text
        raise ValueError(text)  # argparse makes a sentence of it

    read.__name__ = "list of ids" if tuple[int, ...] in kinds else "value"
    return read


def _grammar(text: str, tokenizer: BPETokenizer | None) -> Grammar:
    kind, _, content = text.partition(":")
    if tokenizer is None or kind not in ("regex", "schema"):
        raise ValueError(f"grammar must be regex:PATTERN or schema:FILE, got {text!r}")
    if kind == "regex":
        return Grammar.regex(content, tokenizer)
    if not Path(content).is_file():
        raise ValueError(f"there is no file {content}: schema:FILE names a JSON schema")
    try:
        schema = json.loads(Path(content).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{content} holds no JSON: schema:FILE names a JSON schema") from error
    return Grammar.json_schema(schema, tokenizer)
