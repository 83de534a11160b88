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
from urllib.parse import unquote

from lib.generation import json_text
from lib.generation.json_keywords import (
    KEYWORDS,
    KEYWORDS_OF,
    KINDS,
    MOST_NESTED,
    checked_constant,
    key_of,
    kind_of,
    meet_objects,
    nothing,
    schemas_of,
    types_of,
)
from lib.generation.json_text import add_constant, add_string, separator, text
from lib.generation.regular import Nfa
from lib.settings import require, shortened

MOST_ALTERNATIVES = 20_000
Alternative = tuple[str, dict[str, Any]]  # a kind and what holds of it; or "const" and its value


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
            if (held := KEYWORDS_OF.get(kind, nothing)(schema, types_of(schema))) is not None
        ]
        for name in ("enum", "const"):
            if name in schema:
                values = schema[name] if name == "enum" else [schema[name]]
                if name == "enum" and (not isinstance(values, list | tuple) or not values):
                    raise ValueError(f"enum needs at least one value, got {shortened(values)}")
                constants = [("const", {"value": checked_constant(value)}) for value in values]
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
            part = unquote(part).replace("~1", "/").replace("~0", "~")
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
            return "object", meet_objects(a, b)
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
        (low, over), (high, under) = json_text.bounds(held)
        if low > high or (low == high and (over or under)):
            return True
        if held.get("min", 0) > held.get("max", math.inf):
            return True
        return kind == "object" and any(
            all(
                self._is_empty(a, level + 1)
                for a in self.alternatives(schemas_of(held, n), level + 1)
            )
            for n in held.get("required", ())
        )

    def _holds(self, value: Any, alternative: Alternative, level: int) -> bool:
        """Whether a constant fits an alternative."""
        kind, held = alternative
        if kind == "const":
            return key_of(value) == key_of(held["value"])
        if kind != kind_of(value):
            return False
        if kind == "number":
            (low, over), (high, under) = json_text.bounds(held)
            inside = (value > low or (value == low and not over)) and (
                value < high or (value == high and not under)
            )
            return inside and not (held.get("integer") and value != int(value))
        if kind in ("string", "array") and not (
            held.get("min", 0) <= len(value) <= held.get("max", math.inf)
        ):
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

    def value(self, schemas: Sequence[Any], start: int, depth: int, level: int) -> int:
        """Any value that all schemas allow; the state after it."""
        end, seen = self.nfa.state(), set()
        anything = all(
            schema is True or (isinstance(schema, dict) and not schema) for schema in schemas
        )
        for kind, held in self.alternatives(schemas, level):
            if kind in ("array", "object") and depth == 0 and anything:
                continue
            own = self.nfa.state()
            if kind == "const":
                if (key := key_of(held["value"])) in seen:
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
        return json_text.add_number(self.nfa, held, start)

    def _string(self, held: dict, start: int, depth: int, level: int) -> int:
        automata = [json_text.pattern_moves(p) for p in dict.fromkeys(held.get("patterns", ()))]
        return add_string(self.nfa, start, automata, held.get("min", 0), held.get("max"))

    def _array(self, held: dict, start: int, depth: int, level: int) -> int | None:
        low, high = held.get("min", 0), held.get("max")
        json_text.limited("items", low, high)
        here, end = text(self.nfa, "[", start), self.nfa.state()
        if low == 0:
            text(self.nfa, "]", here, end)
        member = self.nfa.state()  # where a comma leads back to; an empty array ends before it
        self.nfa.free[here].append(member)
        here = member
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
        if others is None and not held.get("named"):
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
