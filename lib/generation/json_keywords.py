"""What the keywords of a JSON schema say of each kind of value, read and checked one by one."""

import math
from collections.abc import Mapping
from typing import Any

from lib.generation import json_text
from lib.generation.regex_parsing import parse
from lib.settings import require, shortened

KINDS = ("null", "boolean", "number", "string", "array", "object")
KEYWORDS = {
    "type", "properties", "required", "items", "minItems", "maxItems", "enum", "const", "anyOf",
    "oneOf", "allOf", "$ref", "minLength", "maxLength", "pattern", "additionalProperties",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    # these constrain nothing
    "$defs", "definitions", "title", "description", "default", "examples", "$schema", "$id",
    "$comment", "deprecated", "readOnly", "writeOnly",
}  # fmt: skip
MOST_NESTED = 24  # levels, of a schema or a constant


def nothing(schema: Mapping[str, Any], types: set[str]) -> None:
    """No kind."""
    return None


def types_of(schema: Mapping[str, Any]) -> set[str]:
    """The kinds that `type` names, all without it."""
    types = schema.get("type", list(KINDS))
    types = types if isinstance(types, list | tuple) else [types]
    for one in types if len(types) else [None]:
        if not isinstance(one, str) or one not in (*KINDS, "integer"):
            raise ValueError(f"type must be one of JSON's seven, got {shortened(one)}")
    return set(types)


def _limits(schema: Mapping[str, Any], low: str, high: str) -> dict[str, int]:
    found = {}
    for name, key in ((low, "min"), (high, "max")):
        if name in schema:
            value = schema[name]
            if isinstance(value, float) and value == value // 1:  # 2.0 is a whole number in JSON
                value = int(value)
            require(name, value, "[0, inf)", whole=True)
            found[key] = value
    if found.get("min", 0) > found.get("max", math.inf):
        raise ValueError(f"{high} must be at least {low}, got {found['max']} < {found['min']}")
    return found


def _number_keywords(schema: Mapping[str, Any], types: set[str]) -> dict[str, Any] | None:
    held: dict[str, Any] = {} if "number" in types else {"integer": True}
    for name in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        if name in schema:
            require(name, schema[name], "(-inf, inf)")
            side, bound = "low" if "Min" in name or "min" in name else "high", schema[name]
            sign, new = (1 if side == "low" else -1), (bound, int(name.startswith("ex")))
            held[side] = max(held.get(side, new), new, key=lambda v: (sign * v[0], v[1]))
    return held if types & {"number", "integer"} else None


def _string_keywords(schema: Mapping[str, Any], types: set[str]) -> dict[str, Any] | None:
    held: dict[str, Any] = _limits(schema, "minLength", "maxLength")
    if "pattern" in schema:
        json_text.pattern_moves(parse(schema["pattern"], search=True) and schema["pattern"])
        held["patterns"] = [schema["pattern"]]
    return held if "string" in types else None


def _array_keywords(schema: Mapping[str, Any], types: set[str]) -> dict[str, Any] | None:
    held: dict[str, Any] = _limits(schema, "minItems", "maxItems")
    if "items" in schema:
        if isinstance(schema["items"], list):
            raise ValueError("items must be one schema for all items, got a list of schemas")
        held["items"] = [schema["items"]]
    return held if "array" in types else None


def _object_keywords(schema: Mapping[str, Any], types: set[str]) -> dict[str, Any] | None:
    held: dict[str, Any] = {}
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, Mapping) or not all(isinstance(n, str) for n in properties):
        raise ValueError(f"properties must be a dict of schemas, got {shortened(properties)}")
    if not isinstance(required, list | tuple) or not all(isinstance(n, str) for n in required):
        raise ValueError(f"required must be a list of names, got {shortened(required)}")
    for name in (*properties, *required):
        checked_constant(name)
    if "additionalProperties" in schema:
        held["additional"] = [schema["additionalProperties"]]
    held["named"] = "properties" in schema
    named = {name: [part] for name, part in properties.items()}
    held["properties"] = {**named, **{n: schemas_of(held, n) for n in required if n not in named}}
    held["required"] = list(required)
    return held if "object" in types else None


KEYWORDS_OF = {
    "null": lambda schema, types: {} if "null" in types else None,
    "boolean": lambda schema, types: {} if "boolean" in types else None,
    "number": _number_keywords,
    "string": _string_keywords,
    "array": _array_keywords,
    "object": _object_keywords,
}


def schemas_of(held: Mapping[str, Any], name: str) -> list[Any]:
    """The schemas of a member."""
    return held.get("properties", {}).get(name, held.get("additional") or [])


def meet_objects(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """What holds of an object if both do."""
    names = dict.fromkeys((*a.get("properties", {}), *b.get("properties", {})))
    found: dict[str, Any] = {
        "properties": {n: [*schemas_of(a, n), *schemas_of(b, n)] for n in names}
    }
    found["required"] = [*a.get("required", ()), *b.get("required", ())]
    found["named"] = bool(a.get("named") or b.get("named"))
    if a.get("additional") is not None or b.get("additional") is not None:
        found["additional"] = [*(a.get("additional") or []), *(b.get("additional") or [])]
    return found


def kind_of(value: Any) -> str:
    """Which of the six kinds a value is."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, int | float):
        return "number"
    return {str: "string", list: "array", dict: "object"}[type(value)]


def key_of(value: Any) -> Any:
    """Equal for what JSON Schema calls equal: 1 and 1.0, but not 1 and true."""
    if isinstance(value, list):
        return "array", *map(key_of, value)
    if isinstance(value, dict):
        return "object", frozenset((name, key_of(item)) for name, item in value.items())
    return kind_of(value), value


def checked_constant(value: Any, level: int = 0) -> Any:
    """A constant that JSON can write. Raises ValueError for another."""
    if level > MOST_NESTED:
        raise ValueError(f"a constant nests deeper than {MOST_NESTED} levels")
    if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        raise ValueError(f"a text in the schema holds half a surrogate pair: {shortened(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a constant must be finite, JSON has no {value}")
    if isinstance(value, list | tuple):
        return [checked_constant(item, level + 1) for item in value]
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {
            checked_constant(name): checked_constant(item, level + 1)
            for name, item in value.items()
        }
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"a constant must be a JSON value, got {shortened(value)}")
