"""JSON schemas as regular expressions, for `lib.generation.grammar`.

JSON nests without limit and is therefore not regular. A schema that does not refer to itself nests
only as deep as it is written, so it is. For values without a schema a limit of depth stands in for
the stack that a pushdown automaton would have: the price is an automaton that grows with it, and
texts that nest deeper are not produced. In return every state is a number, and the allowed tokens
of a state are computed once.

Written as `json.dumps` writes: ", " and ": " between, members in the order of the schema.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

CHARACTER = r'(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))'
STRING = f'"{CHARACTER}*"'
INTEGER = r"-?(?:0|[1-9][0-9]{0,14})"
NUMBER = INTEGER + r"(?:\.[0-9]{1,15})?(?:[eE][+-]?[0-9]{1,2})?"
FIXED = {"integer": INTEGER, "number": NUMBER, "boolean": "(?:true|false)", "null": "null"}
KEYWORDS = {
    "type", "properties", "required", "items", "minItems", "maxItems", "enum", "const", "anyOf",
    "minLength", "maxLength", "pattern", "additionalProperties",
    "title", "description", "default", "examples", "$schema",  # these constrain nothing
}  # fmt: skip


def schema_regex(schema: Mapping[str, Any], depth: int = 2) -> str:
    """The regular expression of a schema's JSON texts.

    Understood: type, properties, required, items, minItems, maxItems, enum, const, anyOf,
    minLength, maxLength, pattern (of the whole string). Where a schema says nothing, values nest
    up to `depth` levels. Objects have only the properties named. Raises ValueError for a keyword
    that is not understood: to leave it out would break a promise.
    """
    if unknown := sorted(set(schema) - KEYWORDS):
        raise ValueError(f"the schema's {', '.join(unknown)}: not understood; leave it out")
    if "const" in schema:
        return re.escape(json.dumps(schema["const"]))
    if "enum" in schema:
        return _one_of(re.escape(json.dumps(value)) for value in schema["enum"])
    if "anyOf" in schema:
        return _one_of(schema_regex(part, depth) for part in schema["anyOf"])
    kind = schema.get("type")
    if isinstance(kind, list):
        return _one_of(schema_regex({**schema, "type": one}, depth) for one in kind)
    if kind is None:
        return json_value(depth)
    if kind in FIXED:
        return FIXED[kind]
    if kind == "string":
        return _string(schema)
    if kind == "array":
        items = schema.get("items", {})
        item = schema_regex(items, max(depth - 1, 0))
        return _list(item, schema.get("minItems", 0), schema.get("maxItems"))
    if kind == "object":
        if "properties" not in schema:
            return json_object(depth)
        return _object(schema, depth)
    raise ValueError(f"type must be one of JSON's seven, got {kind!r}")


def json_value(depth: int) -> str:
    """Any JSON value that nests at most `depth` levels: 0 is a string, number, or word."""
    if depth < 0:
        raise ValueError(f"depth must be at least 0, got {depth}")
    simple = [STRING, NUMBER, "true", "false", "null"]
    if depth == 0:
        return _one_of(simple)
    return _one_of([*simple, _list(json_value(depth - 1), 0, None), json_object(depth)])


def json_object(depth: int) -> str:
    """Any JSON object that nests at most `depth` levels, itself among them."""
    if depth < 1:
        return r"\{\}"
    member = f"{STRING}: {json_value(depth - 1)}"
    return rf"\{{(?:{member}(?:, {member})*)?\}}"


def _one_of(parts: Any) -> str:
    parts = list(parts)
    if not parts:
        raise ValueError("enum and anyOf need at least one value")
    return f"(?:{'|'.join(parts)})"


def _string(schema: Mapping[str, Any]) -> str:
    if "pattern" in schema:
        return f'"(?:{schema["pattern"].removeprefix("^").removesuffix("$")})"'
    low, high = schema.get("minLength", 0), schema.get("maxLength", "")
    return STRING if (low, high) == (0, "") else f'"{CHARACTER}{{{low},{high}}}"'


def _list(item: str, low: int, high: int | None) -> str:
    if high is not None and (high < low or high < 0):
        raise ValueError(f"maxItems must be at least minItems, got {high} < {low}")
    if high == 0:
        return r"\[\]"
    more = f"(?:, {item}){{{max(low - 1, 0)},{'' if high is None else high - 1}}}"
    return rf"\[{item}{more}\]" if low else rf"\[(?:{item}{more})?\]"


def _object(schema: Mapping[str, Any], depth: int) -> str:
    properties = schema["properties"]
    required = schema.get("required", [])
    if missing := sorted(set(required) - set(properties)):
        raise ValueError(f"required names {', '.join(missing)}, which properties does not have")
    if schema.get("additionalProperties") not in (None, False):
        raise ValueError("additionalProperties: only false is understood; name the properties")
    # From the last property on: the rest if a member stands before it, and if none does.
    later, first = "", ""
    for name, part in reversed(properties.items()):
        member = f"{re.escape(json.dumps(name))}: {schema_regex(part, max(depth - 1, 0))}"
        if name in required:
            later, first = f", {member}{later}", f"{member}{later}"
        else:
            later, first = f"(?:, {member})?{later}", f"(?:{member}{later}|{first})"
    return rf"\{{{first}\}}"
