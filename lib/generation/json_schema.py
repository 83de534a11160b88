"""JSON schemas as nodes of an automaton, for `lib.generation.grammar`; no expression in between.

A schema becomes a union of kinds, each with what holds of it: all keywords hold together, those of
`allOf`, `anyOf`, `$ref` and their siblings among them. JSON nests without limit and is therefore
not regular. A schema that does not refer to itself nests only as deep as it is written, so it is.
For values without a schema a limit of depth stands in for the stack that a pushdown automaton would
have: texts that nest deeper are not produced.

Members come in the order of the schema, and only those that it names, unless
`additionalProperties` says more. Source: JSON Schema 2020-12, validation.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from lib.generation import json_text
from lib.generation.json_text import LARGEST, add_constant, add_string, digits, separator, text
from lib.generation.regex_parsing import parse
from lib.generation.regular import Chain, Choice, Nfa
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
MOST_ALTERNATIVES = 20_000
Alternative = tuple[str, dict[str, Any]]  # a kind and what holds of it; or "const" and its value
FRACTION = parse(r"\.[0-9]{0,14}[1-9]")


def schema_regex(schema: Mapping[str, Any] | bool, depth: int = 2) -> Nfa:
    """The nodes of a schema's JSON texts; `compile_regex` makes them an automaton.

    Understood: type, enum, const, anyOf, allOf, oneOf (of parts that exclude each other), $ref into
    the schema, pattern (found anywhere, unless `^` and `$` say where), minLength, maxLength,
    minimum, maximum and the exclusive ones (whole numbers), items, minItems, maxItems, properties,
    required, additionalProperties. Where a schema says nothing, values nest up to `depth` levels.
    Raises ValueError for what is not understood, since to leave it out would break a promise, for
    a schema that refers to itself, and where no text fits.
    """
    require("depth", depth, "[0, 16]", whole=True)
    compiler = _Compiler(schema)
    compiler.nfa.end = compiler.value([schema], compiler.nfa.start, depth, 0)
    return compiler.nfa


def json_value(depth: int) -> Nfa:
    """Any JSON value that nests at most `depth` levels: 0 is a string, number, or word."""
    return schema_regex(True, depth)


class _Compiler:
    def __init__(self, root: Any):
        self.root, self.nfa = root, Nfa()

    # From schemas to alternatives ----------------------------------------------------------------

    def alternatives(self, schemas: Sequence[Any], level: int) -> list[Alternative]:
        """The kinds that all of `schemas` leave, with what holds of each."""
        found: list[Alternative] = [(kind, {}) for kind in KINDS]
        for schema in schemas:
            found = self._both(found, self._one(schema, level), level)
        return found

    def _both(self, a: list[Alternative], b: list[Alternative], level: int) -> list[Alternative]:
        if len(a) * len(b) > MOST_ALTERNATIVES * len(KINDS):
            raise ValueError("the schema's alternatives multiply to too many: write fewer of them")
        return [c for x in a for y in b if (c := self._meet(x, y, level)) is not None]

    def _one(self, schema: Any, level: int) -> list[Alternative]:
        if level > MOST_NESTED:
            raise ValueError(
                f"the schema nests deeper than {MOST_NESTED} levels, or refers to itself; write "
                "out as many levels as the text may have"
            )
        if isinstance(schema, bool):
            return [(kind, {}) for kind in KINDS] if schema else []
        if not isinstance(schema, Mapping):
            raise ValueError(f"a schema must be a dict or a bool, got {shortened(schema)}")
        if unknown := sorted(str(key) for key in set(schema) - KEYWORDS):
            raise ValueError(f"the schema's {', '.join(unknown)}: not understood; leave it out")
        found = [
            (kind, held)
            for kind in KINDS
            if (held := _KEYWORDS_OF.get(kind, _nothing)(schema, _types(schema))) is not None
        ]
        for name in ("enum", "const"):
            if name in schema:
                values = schema[name] if name == "enum" else [schema[name]]
                if name == "enum" and (not isinstance(values, list | tuple) or not values):
                    raise ValueError(f"enum needs at least one value, got {shortened(values)}")
                constants = [("const", {"value": _checked(value)}) for value in values]
                found = self._both(found, constants, level)
        for name in ("anyOf", "oneOf", "allOf"):
            if name not in schema:
                continue
            parts = schema[name]
            if not isinstance(parts, list | tuple) or not parts:
                raise ValueError(f"{name} needs at least one schema, got {shortened(parts)}")
            each = [self._one(part, level + 1) for part in parts]
            if name == "oneOf":
                self._check_apart([self._both(found, part, level) for part in each], level)
            for union in each if name == "allOf" else [[a for part in each for a in part]]:
                found = self._both(found, union, level)
        if "$ref" in schema:
            found = self._both(found, self._one(self._target(schema["$ref"]), level + 1), level)
        return found

    def _target(self, ref: Any) -> Any:
        here = self.root
        if not isinstance(ref, str) or not (ref == "#" or ref.startswith("#/")):
            raise ValueError(f"$ref must point into the schema (#/$defs/...), got {shortened(ref)}")
        for part in ref.split("/")[1:]:
            part = part.replace("~1", "/").replace("~0", "~")
            if isinstance(here, list) and part.isdecimal() and int(part) < len(here):
                here = here[int(part)]
            elif isinstance(here, Mapping) and part in here:
                here = here[part]
            else:
                raise ValueError(f"$ref points to nothing in the schema: {shortened(ref)}")
        return here

    def _meet(self, x: Alternative, y: Alternative, level: int) -> Alternative | None:
        """What holds if both do; None if they exclude each other."""
        if x[0] == "const" or y[0] == "const":
            constant, other = (x, y) if x[0] == "const" else (y, x)
            return constant if self._holds(constant[1]["value"], other, level) else None
        if x[0] != y[0]:
            return None
        a, b = x[1], y[1]
        if x[0] == "object":
            return "object", _meet_objects(a, b)
        found = {**a, **b}
        for name in set(a) & set(b):
            if name in ("low", "high"):  # (bound, whether it is excluded)
                sign = 1 if name == "low" else -1
                found[name] = max(a[name], b[name], key=lambda v: (sign * v[0], v[1]))
            elif name in ("patterns", "items"):
                found[name] = [*a[name], *b[name]]
            else:
                found[name] = max(a[name], b[name]) if name[:3] != "max" else min(a[name], b[name])
        return x[0], found

    def _check_apart(self, parts: list[list[Alternative]], level: int) -> None:
        for one, other in combinations(parts, 2):
            for x in one:
                for y in other:
                    if (both := self._meet(x, y, level)) and not self._is_empty(both, level):
                        raise ValueError(
                            "oneOf: its parts must exclude each other by type, constants or a "
                            "required constant member; where they need not, write anyOf"
                        )

    def _is_empty(self, alternative: Alternative, level: int) -> bool:
        """Whether surely nothing fits."""
        kind, held = alternative
        (low, over), (high, under) = (
            held.get("low", (-math.inf, 0)),
            held.get("high", (math.inf, 0)),
        )
        if low > high or (low == high and (over or under)):
            return True
        if held.get("min", 0) > held.get("max", math.inf):
            return True
        return kind == "object" and any(
            all(self._is_empty(a, level + 1) for a in self.alternatives(_of(held, n), level + 1))
            for n in held.get("required", ())
        )

    def _holds(self, value: Any, alternative: Alternative, level: int) -> bool:
        """Whether a constant fits an alternative."""
        kind, held = alternative
        if kind == "const":
            return _key(value) == _key(held["value"])
        if kind != _kind(value):
            return False
        if kind == "number":
            (low, over), (high, under) = (
                held.get("low", (-math.inf, 0)),
                held.get("high", (math.inf, 0)),
            )
            inside = (value > low or (value == low and not over)) and (
                value < high or (value == high and not under)
            )
            return inside and not (held.get("integer") and value != int(value))
        if kind in ("string", "array"):
            if not held.get("min", 0) <= len(value) <= held.get("max", math.inf):
                return False
        if kind == "string":
            return all(
                json_text.runs(json_text.pattern_moves(p), value) for p in held.get("patterns", ())
            )
        if kind == "array":
            return all(self._fits(item, held.get("items", []), level) for item in value)
        if kind == "object":
            others = held.get("additional") or []
            return set(held.get("required", ())) <= set(value) and all(
                self._fits(item, held.get("properties", {}).get(name, others), level)
                for name, item in value.items()
            )
        return True

    def _fits(self, value: Any, schemas: Sequence[Any], level: int) -> bool:
        return any(self._holds(value, a, level + 1) for a in self.alternatives(schemas, level + 1))

    # From alternatives to nodes ------------------------------------------------------------------

    def value(self, schemas: Sequence[Any], start: int, depth: int, level: int) -> int:
        """Any value that all schemas allow; the state after it."""
        end, seen = self.nfa.state(), set()
        for kind, held in self.alternatives(schemas, level):
            own = self.nfa.state()
            if kind == "const":
                if (key := _key(held["value"])) in seen:
                    continue
                seen.add(key)
            self.nfa.free[start].append(own)
            after = getattr(self, f"_{kind}")(held, own, depth, level)
            if after is not None:
                self.nfa.free[after].append(end)
        return end

    def _const(self, held: dict, start: int, depth: int, level: int) -> int:
        return add_constant(self.nfa, held["value"], start)

    def _null(self, held: dict, start: int, depth: int, level: int) -> int:
        return text(self.nfa, "null", start)

    def _boolean(self, held: dict, start: int, depth: int, level: int) -> int:
        return text(self.nfa, "false", start, text(self.nfa, "true", start))

    def _number(self, held: dict, start: int, depth: int, level: int) -> int | None:
        if "low" not in held and "high" not in held:
            whole = held.get("integer")
            return self.nfa.add(json_text.INTEGER if whole else json_text.NUMBER, start)
        (low, over), (high, under) = held.get("low", (-LARGEST, 0)), held.get("high", (LARGEST, 0))
        if held.get("integer"):
            low, high = (
                math.floor(low) + 1 if over else math.ceil(low),
                math.ceil(high) - 1 if under else math.floor(high),
            )  # noqa: E501
            over = under = 0
        elif low != int(low) or high != int(high):
            raise ValueError(f"bounds of a number must be whole, got {low} and {high}")
        low, high = max(int(low), -LARGEST), min(int(high), LARGEST)
        parts, point = [], Choice((Chain(()), parse(r"\.0")))
        for sign, a, b, first, last in (
            ("", low, high, over, under),
            ("-", -high, -low, under, over),
        ):
            sign_node = parse(sign)
            whole = digits(max(a + first, 1 if sign else 0), b - last)
            if whole.parts:
                tail = Chain(()) if held.get("integer") else point
                parts.append(Chain((sign_node, whole, tail)))
            broken = digits(max(a, 0), b - 1)
            if broken.parts and not held.get("integer"):
                parts.append(Chain((sign_node, broken, FRACTION)))
        return self.nfa.add(Choice(tuple(parts)), start) if parts else None

    def _string(self, held: dict, start: int, depth: int, level: int) -> int:
        automata = [json_text.pattern_moves(p) for p in dict.fromkeys(held.get("patterns", ()))]
        return add_string(self.nfa, start, automata, held.get("min", 0), held.get("max"))

    def _array(self, held: dict, start: int, depth: int, level: int) -> int | None:
        low, high = held.get("min", 0), held.get("max")
        here, end = text(self.nfa, "[", start), self.nfa.state()
        if low == 0:
            text(self.nfa, "]", here, end)
        member = self.nfa.state()  # where a comma leads back to; an empty array ends before it
        self.nfa.free[here].append(member)
        here = member
        if "items" not in held and depth == 0:
            return end if low == 0 else None
        place = 0
        while high is None or place < high:
            after = self.value(held.get("items", []), here, max(depth - 1, 0), level + 1)
            place += 1
            if place >= low:
                text(self.nfa, "]", after, end)
            if high is None and place >= max(low, 1):
                self.nfa.free[separator(self.nfa, ",", after)].append(here)
                break
            here = separator(self.nfa, ",", after)
        return end

    def _object(self, held: dict, start: int, depth: int, level: int) -> int | None:
        """`none`: no member so far, at this property; `some`: there is one, before a comma."""
        nfa, properties = self.nfa, held.get("properties", {})
        others = held.get("additional")
        if others is None and not held.get("named") and depth > 0:
            others = []
        none, some, end = text(nfa, "{", start), nfa.state(), nfa.state()
        for name in (*properties, *([] if others is None else [None])):
            member, after = nfa.state(), nfa.state()
            nfa.free[none].append(member)
            nfa.free[separator(nfa, ",", some)].append(member)
            if name is None:
                key = add_string(nfa, member, [json_text.other_than(list(properties))])
                schemas = others
            else:
                key, schemas = add_constant(nfa, name, member), properties[name]
            written = self.value(schemas, separator(nfa, ":", key), max(depth - 1, 0), level + 1)
            nfa.free[written].append(after)
            if name is None:
                nfa.free[after].append(some)
            if name in held.get("required", ()):
                none = nfa.state()  # no way to be here without a member
            else:
                nfa.free[some].append(after)
            some = after
        text(nfa, "}", none, end)
        return text(nfa, "}", some, end)


def _nothing(schema: Mapping[str, Any], types: set[str]) -> None:
    return None


def _types(schema: Mapping[str, Any]) -> set[str]:
    types = schema.get("type", list(KINDS))
    types = types if isinstance(types, list | tuple) else [types]
    for one in types or [None]:
        if one not in (*KINDS, "integer"):
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
        _checked(name)
    if "additionalProperties" in schema:
        held["additional"] = [schema["additionalProperties"]]
    held["named"] = "properties" in schema
    named = {name: [part] for name, part in properties.items()}
    held["properties"] = {**named, **{n: _of(held, n) for n in required if n not in named}}
    held["required"] = list(required)
    return held if "object" in types else None


_KEYWORDS_OF = {
    "null": lambda schema, types: {} if "null" in types else None,
    "boolean": lambda schema, types: {} if "boolean" in types else None,
    "number": _number_keywords,
    "string": _string_keywords,
    "array": _array_keywords,
    "object": _object_keywords,
}


def _of(held: Mapping[str, Any], name: str) -> list[Any]:
    """The schemas of a member."""
    return held.get("properties", {}).get(name, held.get("additional") or [])


def _meet_objects(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    names = dict.fromkeys((*a.get("properties", {}), *b.get("properties", {})))
    found: dict[str, Any] = {"properties": {n: [*_of(a, n), *_of(b, n)] for n in names}}
    found["required"] = [*a.get("required", ()), *b.get("required", ())]
    found["named"] = bool(a.get("named") or b.get("named"))
    if a.get("additional") is not None or b.get("additional") is not None:
        found["additional"] = [*(a.get("additional") or []), *(b.get("additional") or [])]
    return found


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, int | float):
        return "number"
    return {str: "string", list: "array", dict: "object"}[type(value)]


def _key(value: Any) -> Any:
    """Equal for what JSON Schema calls equal: 1 and 1.0, but not 1 and true."""
    if isinstance(value, list):
        return "array", *map(_key, value)
    if isinstance(value, dict):
        return "object", frozenset((name, _key(item)) for name, item in value.items())
    return _kind(value), value


def _checked(value: Any, level: int = 0) -> Any:
    """A constant that JSON can write. Raises ValueError for another."""
    if level > MOST_NESTED:
        raise ValueError(f"a constant nests deeper than {MOST_NESTED} levels")
    if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        raise ValueError(f"a text in the schema holds half a surrogate pair: {shortened(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a constant must be finite, JSON has no {value}")
    if isinstance(value, list | tuple):
        return [_checked(item, level + 1) for item in value]
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {_checked(name): _checked(item, level + 1) for name, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"a constant must be a JSON value, got {shortened(value)}")
