"""JSON schemas against `jsonschema`: what the grammar takes parses and is valid, and is enough."""

import json
import random

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.generation.json_schema import schema_regex
from lib.generation.regex_parsing import compile_regex

WORD = {"type": "string", "pattern": "^[a-c]{1,2}$"}
SCHEMAS = [
    {"type": "string", "pattern": ".*"},
    {"type": "string", "pattern": "[^x]+"},
    {"type": "string", "pattern": r"a\\b"},
    {"type": "string", "pattern": r"^\S+@\S+$", "maxLength": 6},
    {"type": "string", "pattern": "^a$|^b$"},
    {"type": "string", "pattern": r"\d+\$"},
    {"pattern": "a*", "maxLength": 2, "minLength": 1},
    {"allOf": [{"pattern": "a"}, {"pattern": "b"}, {"type": "string", "maxLength": 3}]},
    {"type": "string", "minLength": 2, "maxLength": 2},
    {
        "type": "object", "properties": {"a": {"type": "integer"}, "b": WORD},
        "additionalProperties": False, "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
    {"items": {"type": "integer"}, "minItems": 2.0},
    {"type": "array", "items": True, "maxItems": 2},
    {"type": "array", "maxItems": 0},
    {"type": "object", "required": ["a"]},
    {"maxLength": 1},
    {"type": "integer", "enum": [1, "x", 2.0, True]},
    {"type": "object", "properties": {"a": True, "b": False}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": WORD},
    {"type": "integer", "minimum": -12, "maximum": 1034},
    {"type": "integer", "exclusiveMinimum": 0.5},
    {"type": "number", "exclusiveMinimum": 0, "maximum": 30},
    {"type": "number", "minimum": -3, "exclusiveMaximum": -1},
    {"const": {"é": ["\U0001f600", 1.5, None, "\n/"]}},
    {"oneOf": [{"type": "null"}, {"type": "array", "items": {"const": "é"}}]},
    {
        "oneOf": [
            {"properties": {"k": {"const": "a"}, "n": {"type": "integer"}}, "required": ["k", "n"]},
            {"properties": {"k": {"const": "b"}, "s": WORD}, "required": ["k"]},
        ],
        "type": "object",
    },
    {
        "$defs": {"point": {"type": "object", "properties": {"x": {"type": "number"}}}},
        "type": "array", "items": {"$ref": "#/$defs/point"},
    },
    {"type": ["string", "null"], "maxLength": 3},
    {"type": "object"},
    True,
]  # fmt: skip
AUTOMATA = [(schema, compile_regex(schema_regex(schema))) for schema in SCHEMAS]


def walk(automaton, generator, distance, n=30):
    """A random text of the automaton: anywhere at first, then the shortest way to the end."""
    state, data = 0, b""
    while not (automaton.accepts[state] and (len(data) >= n or generator.random() < 0.1)):
        row = automaton.table[state]
        usable = [b for b in range(256) if row[b] >= 0]
        if not usable:
            break
        if len(data) > n:
            nearest = min(distance[row[b]] for b in usable)
            usable = [b for b in usable if distance[row[b]] == nearest]
        borders = [b for b in usable if row[b] != row[b - 1] or b in (b'\\"{[,:')]
        byte = generator.choice(borders or usable) if generator.random() < 0.5 else None
        byte = generator.choice(usable) if byte is None else byte
        data, state = data + bytes([byte]), row[byte]
    return data.decode()


@pytest.mark.parity("JSON schemas, random texts of the grammar", "jsonschema", "all valid")
@pytest.mark.parametrize("place", range(len(SCHEMAS)))
def test_what_the_grammar_takes_is_valid(place):
    schema, automaton = AUTOMATA[place]
    generator, distance = random.Random(place), automaton.distance()
    for _ in range(12):
        text = walk(automaton, generator, distance)
        jsonschema.validate(json.loads(text), schema)
        text.encode()
        json.dumps(json.loads(text), ensure_ascii=False).encode()  # no half of a pair


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-1500, 1500)
    | st.text("abé\U0001f600\n\"@1$", max_size=3)
    | st.sampled_from([0.5, -1.25, 29.75, "é", 1.5]),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["a", "b", "k", "n", "s", "x"]), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(plain, st.booleans(), st.booleans())
def test_the_grammar_judges_as_jsonschema(value, ascii_only, compact):
    """Not the other way round for objects, whose members are those named, in order."""
    separators = (",", ":") if compact else (", ", ": ")
    text = json.dumps(value, ensure_ascii=ascii_only, separators=separators)
    for schema, automaton in AUTOMATA:
        valid = jsonschema.Draft202012Validator(schema).is_valid(value)
        taken = automaton.matches(text)
        assert valid or not taken, (schema, text)
        if not isinstance(value, dict | list) and valid and not isinstance(value, float):
            assert taken, (schema, text)


def test_valid_objects_are_taken():
    taken = {
        9: ['{"a": 1}', '{"b":"ab"}', '{"a": 1,"b": "c"}'],
        10: ['{"a":3}', "5", "[1]"],
        17: ['{"a": [1, null]}'],
        18: ['{"a": null, "c": "a"}', '{"b":"bb"}', "{}"],
        23: [r'{"\u00e9": ["\uD83D\uDE00", 1.5, null, "\n/"]}', '{"é":["😀",1.5,null,"\\n/"]}'],
        25: ['{"k": "a", "n": 3}', '{"k": "b"}'],
        26: ['[{"x": 1.5}, {}]'],
    }
    for place, texts in taken.items():
        schema, automaton = AUTOMATA[place]
        for text in texts:
            jsonschema.validate(json.loads(text), schema)
            assert automaton.matches(text), (schema, text)


@pytest.mark.parametrize("bounds", [(0, 9), (7, 1203), (-45, 12), (-1000, -3), (99, 101), (5, 5)])
def test_bounds_of_integers(bounds):
    low, high = bounds
    shape = {"type": "integer", "minimum": low, "maximum": high}
    automaton = compile_regex(schema_regex(shape))
    assert all(automaton.matches(str(i)) == (low <= i <= high) for i in range(-1300, 1300))
    assert not automaton.matches("05")


def test_n_optional_properties_cost_n():
    def nodes(n):
        shape = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(n)}}
        made = schema_regex(shape)
        return len(made), compile_regex(made).n_states

    ten, forty = nodes(10), nodes(40)
    assert forty[0] < 4.1 * ten[0]
    assert forty[1] < 4.1 * ten[1]


def test_work_is_bounded():
    twice = {"a": {"$ref": "#"}, "b": {"$ref": "#"}}
    for schema in (
        {"type": "object", "properties": twice},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"type": "array", "minItems": 10**9},
        {"type": "string", "maxLength": 10**6},
        {"allOf": [{"enum": list(range(n, n + 900))} for n in range(3)]},
    ):
        with pytest.raises(ValueError, match=r"refers to itself|too large|too many|no text fits"):
            compile_regex(schema_regex(schema))
