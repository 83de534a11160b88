"""Grammars: automata against `re`, masks against every token, JSON against the json module."""

import functools
import json
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lib.generation import GenerationConfig, generate
from lib.generation.grammar import Grammar, TokenTrie, constrain
from lib.generation.json_schema import json_value, schema_regex
from lib.generation.regex_parsing import compile_regex
from lib.generation.regular import utf8_ranges
from lib.generation.voting import sample_many

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 12},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"enum": ["kind", "shy"]}, "maxItems": 2},
        "home": {"anyOf": [{"type": "null"}, {"type": "string", "pattern": "^[A-Z][a-z]+$"}]},
    },
    "required": ["name", "age"],
}
PATTERNS = [
    "", "a", "abc", "a|b|", "(?:ab)*", "(ab|c)+d?", "a{2}", "a{2,}", "a{0,3}b", "[a-c]+", "[^a]b",
    "[^a-c\\n]*", "\\d{1,3}(?:\\.\\d+)?", "\\w+\\s\\w+", "\\W\\D\\S", ".", ".*a", "é+", "[à-ü]{2}",
    "[^é]", "\\x41\\u00e9", "a\\.b\\\\", "[]a]", "[a\\]-]+", "(a*)*b",
    "(?:a|ab)(?:c|bcd)", "日本|[一-龥]",
]  # fmt: skip


@pytest.mark.parity("regular expressions over UTF-8 bytes", "re.fullmatch", "identical")
@settings(max_examples=300)
@given(
    st.sampled_from(PATTERNS),
    st.one_of(st.text("abcdé\n.1 ]-\\", max_size=6), st.text(max_size=3)),
)
def test_automata_match_as_re(pattern, text):
    expected = re.fullmatch(pattern, text, re.ASCII) is not None
    if any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        return
    assert automaton(pattern).matches(text) == expected


@settings(max_examples=60)
@given(st.data())
def test_random_expressions_match_as_re(data):
    node = st.recursive(
        st.sampled_from(["a", "b", "[ab]", "[^a]", ".", "\\d", "é"]),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map("".join),
            st.tuples(inner, inner).map(lambda p: f"(?:{p[0]}|{p[1]})"),
            st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,}"])).map(
                lambda p: f"(?:{p[0]}){p[1]}"
            ),
        ),
        max_leaves=6,
    )
    pattern = data.draw(node)
    dfa = compile_regex(pattern)
    for text in data.draw(st.lists(st.text("ab1é\n", max_size=6), min_size=5, max_size=5)):
        assert dfa.matches(text) == (re.fullmatch(pattern, text) is not None), (pattern, text)


_compiled: dict = {}


def automaton(pattern):
    if pattern not in _compiled:
        _compiled[pattern] = compile_regex(pattern)
    return _compiled[pattern]


@given(st.integers(0, 0x10FFFF), st.integers(0, 0x10FFFF), st.integers(0, 0x10FFFF))
@example(0, 0x10FFFF, 0xD7FF)
@example(0xD800, 0xDFFF, 0xE000)
def test_utf8_ranges_hold_what_lies_between(a, b, code):
    low, high = min(a, b), max(a, b)
    if 0xD800 <= code <= 0xDFFF:
        return
    data = chr(code).encode()
    inside = [
        sequence
        for sequence in utf8_ranges(low, high)
        if len(sequence) == len(data)
        and all(x <= byte <= y for byte, (x, y) in zip(data, sequence, strict=True))
    ]
    assert len(inside) == (low <= code <= high)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a)", "a parenthesis is closed that was not opened, at character 2"),
        ("(a", "a parenthesis is not closed"),
        ("[a", r"a class \[ is not closed"),
        ("*a", r"'\*' cannot stand here; for the character itself write \\\*"),
        ("a{2", "a repetition is written"),
        ("a{3,1}", "a repetition needs 0 <= m <= n"),
        ("a{5000}", "<= 1000, got 5000"),
        ("a*?", "lazy and possessive"),
        ("(?=a)", r"only \(\.\.\.\) and \(\?:\.\.\.\)"),
        ("\\b", r"the escape \\b is not understood"),
        ("\\", r"the escape \\ is not understood"),
        ("\\xZZ", "needs 2 hexadecimal digits"),
        ("[b-a]", "from a lower to a higher"),
        ("^a$", "cannot stand here"),
        ("(?:.{900}a){900}", "too large"),
        ("a{1000}{3}", "a repetition is repeated"),
        ("a" + "*" * 9000, "a repetition is repeated"),
        ("(" * 9000, "nest deeper than 50"),
        ("(a|b)*a(a|b){20}", "more than 50,000 states"),
        ("(.*a){400}", "or too much work"),
    ],
)
def test_expressions_that_are_not_understood(pattern, message):
    with pytest.raises(ValueError, match=message):
        compile_regex(pattern)


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=30), st.sampled_from(PATTERNS))
def test_the_trie_walks_as_each_token_alone(tokens, pattern):
    dfa = automaton(pattern)
    trie = TokenTrie(tokens)
    for state in range(min(dfa.n_states, 4)):
        after = trie.walk(dfa, state)
        expected = [dfa.read(token, state) if token else -1 for token in tokens]
        assert after.tolist() == expected
    n_nodes = sum(len(parents) for parents, *_ in trie.levels)
    assert n_nodes == len({t[:i] for t in tokens for i in range(1, len(t) + 1)})


@pytest.mark.parity("token masks of SmolLM2's vocabulary", "re, every token of 49,152", "identical")
def test_masks_are_right_for_every_token(smollm2, as_a_reader):
    _, tokenizer = smollm2
    pieces = [tokenizer.decode([i]) for i in range(tokenizer.vocab_size)]
    grammar = Grammar.regex("(yes|no|yesterday), [0-9]{1,3}!?", tokenizer)
    prefix = re.compile("(?:y(?:e(?:s(?:t(?:e(?:r(?:d(?:ay?)?)?)?)?)?)?)?|no?|(?:yes|no|yesterday)(?:,(?: (?:[0-9]{1,3}!?)?)?)?)")  # fmt: skip  # noqa: E501
    special = set(tokenizer.special_tokens.values())
    for text in ("", "yes", "no, 1"):
        ids = tuple(tokenizer.encode(text))
        mask = grammar.allowed(grammar.state(ids), 100, [tokenizer.eos_id]).tolist()
        for i, piece in enumerate(pieces):
            if i in special:
                assert mask[i] == (i == tokenizer.eos_id and text == "no, 1")
                continue
            assert mask[i] == (prefix.fullmatch(text + piece) is not None), (text, piece)


@functools.cache
def person():
    return compile_regex(schema_regex(PERSON))


def values(schema):
    """Random values that fit PERSON."""
    name = st.text(min_size=1, max_size=12)
    return st.fixed_dictionaries(
        {"name": name, "age": st.integers(-(10**14), 10**14)},
        optional={
            "tags": st.lists(st.sampled_from(["kind", "shy"]), max_size=2),
            "home": st.one_of(st.none(), st.from_regex(r"[A-Z][a-z]+", fullmatch=True)),
        },
    )


@given(values(PERSON), st.booleans())
def test_what_fits_the_schema_is_accepted(value, ascii_only):
    dfa = person()
    ordered = {key: value[key] for key in PERSON["properties"] if key in value}
    try:
        text = json.dumps(ordered, ensure_ascii=ascii_only)
        text.encode()
    except UnicodeEncodeError:
        return
    assert dfa.matches(text)
    assert not dfa.matches(text + " ")
    assert not dfa.matches(text[:-1])


VALUE_1 = compile_regex(json_value(1))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1000, 1000), st.text('ab"\\\n é', max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text("ab", max_size=2), inner, max_size=2)
    ),
    max_leaves=5,
)


def nesting(value):
    if isinstance(value, list | dict):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(nesting, inner), default=0)
    return 0


@given(json_values)
def test_values_up_to_the_depth(value):
    assert VALUE_1.matches(json.dumps(value)) == (nesting(value) <= 1)


@pytest.mark.parity("JSON by schema, 12 hot samples of SmolLM2", "json.loads", "all valid")
def test_every_sample_is_valid_and_ends_in_time(smollm2):
    model, tokenizer = smollm2
    grammar = Grammar.json_schema(PERSON, tokenizer)
    prompt = torch.tensor([tokenizer.encode("A person as JSON:\n")])
    config = GenerationConfig(
        max_new_tokens=30, do_sample=True, temperature=2.0, grammar=grammar, seed=1,
        eos_token_id=tokenizer.eos_id,
    )  # fmt: skip
    out = sample_many(model, prompt, 12, config)
    for ids in out.ids[0].tolist():
        assert tokenizer.eos_id in ids
        value = json.loads(tokenizer.decode(ids[: ids.index(tokenizer.eos_id)]))
        assert {"name", "age"} <= set(value) <= set(PERSON["properties"])
        assert 1 <= len(value["name"]) <= 12
        assert isinstance(value["age"], int)
        assert set(value.get("tags", [])) <= {"kind", "shy"}


def test_grammar_in_beam_search(smollm2, as_a_reader):
    model, tokenizer = smollm2
    config = GenerationConfig(
        num_beams=3, num_return_sequences=3, max_new_tokens=12, eos_token_id=tokenizer.eos_id,
        grammar=Grammar.regex(" (red|green|blue)", tokenizer), length_penalty=0.0,
    )  # fmt: skip
    out = generate(model, torch.tensor([tokenizer.encode("The sky is")]), config)
    texts = {tokenizer.decode([i for i in row if i != tokenizer.eos_id]) for row in out.new_ids.tolist()}  # fmt: skip  # noqa: E501
    assert texts <= {" red", " green", " blue"}
    assert len({tuple(row) for row in out.new_ids.tolist()}) == 3


@pytest.mark.parametrize("options", [{}, {"num_beam_groups": 2, "diversity_penalty": 1.0}])
def test_beams_stay_in_a_schema_where_one_text_may_follow(babbler, options, as_a_reader):
    """`"name"` admits few next tokens, so some beams have no candidate: they must not break out."""
    model, tokenizer = babbler
    ids = torch.tensor([tokenizer.encode("List: a b c a b c\nJSON:")] * 2)
    config = GenerationConfig(
        num_beams=4, max_new_tokens=24, eos_token_id=tokenizer.eos_id, num_return_sequences=2,
        grammar=Grammar.json_schema(PERSON, tokenizer), **options,
    )  # fmt: skip
    for row in generate(model, ids, config).new_ids.tolist():
        value = json.loads(tokenizer.decode(row[: row.index(tokenizer.eos_id)]))
        assert {"name", "age"} <= set(value)


@pytest.mark.parity("token masks, 5 grammars, random walks", "llguidance", "identical")
def test_masks_equal_llguidance(smollm2, as_a_reader):
    llguidance = pytest.importorskip("llguidance", reason="a dev dependency: run make setup")
    _, tokenizer = smollm2
    special = set(tokenizer.special_tokens.values())
    tokens = [tokenizer.decode_bytes([i]) for i in range(tokenizer.vocab_size)]

    class Wrapped:
        eos_token_id, bos_token_id = tokenizer.eos_id, None
        tokens_list = tokens
        special_token_ids = sorted(special)

        def __call__(self, text):
            return tokenizer.encode(text.decode() if isinstance(text, bytes) else text)

    Wrapped.tokens = tokens
    peer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Wrapped()))
    generator = np.random.default_rng(0)
    for pattern in (
        "(yes|no|yesterday), [0-9]{1,3}!?",
        "[a-z]+@[a-z]+\\.(com|org)",
        "[^\\n]{5,20}\\.",
        "(?:é|日本)*!",
    ):
        grammar = Grammar.regex(pattern, tokenizer)
        # Without this it lets through only the usual spelling in tokens where the text is forced.
        free = '%llguidance {"no_forcing": true}'
        rule = f"{free}\nstart: /{pattern.replace('/', chr(92) + '/')}/"
        rule = llguidance.LLMatcher.grammar_from_lark(rule)
        for _ in range(3):
            matcher, state, ids = llguidance.LLMatcher(peer, rule), 0, ()
            for _ in range(25):
                theirs = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
                theirs = np.unpackbits(theirs, bitorder="little")[: tokenizer.vocab_size] > 0
                ours = grammar.allowed(state, 10**6, [tokenizer.eos_id]).numpy()
                assert not matcher.is_error(), matcher.get_error()
                assert (ours == theirs).all(), (pattern, ids)
                choices = np.flatnonzero(ours)
                choices = choices[choices != tokenizer.eos_id]
                if not len(choices):
                    break
                token = int(generator.choice(choices))
                assert matcher.consume_token(token)
                ids += (token,)
                state = grammar.state(ids)


def test_what_cannot_be_is_refused(smollm2, as_a_reader):
    _, tokenizer = smollm2
    grammar = Grammar.regex("abc", tokenizer)
    with pytest.raises(ValueError, match="a grammar needs eos_token_id"):
        GenerationConfig(grammar=grammar)
    with pytest.raises(ValueError, match=r"max_new_tokens must be at least 4, .* got 3"):
        GenerationConfig(grammar=grammar, eos_token_id=2, max_new_tokens=3)
    with pytest.raises(ValueError, match="no text that this tokenizer can spell"):
        Grammar.regex("\\x04", tokenizer)  # SmolLM2 has no token for this byte
    logits = torch.zeros(1, tokenizer.vocab_size)
    wrong = torch.tensor([tokenizer.encode("xyz")])
    with pytest.raises(ValueError, match="not the beginning of any valid text"):
        constrain(logits, wrong, grammar, 10, [2])
    for schema, message in (
        ({"type": "string", "format": "date"}, "the schema's format: not understood"),
        ({"$ref": "#"}, "refers to itself"),
        ({"$ref": "#/$defs/a"}, r"points to nothing in the schema: '#/\$defs/a'"),
        ({"minLength": "2"}, "minLength must be an integer at least 0, got '2'"),
        ({"maxItems": True}, "maxItems must be an integer at least 0, got True"),
        ({"minimum": math.nan}, "minimum must be a finite number, got nan"),
        ({"minimum": 0.5, "type": "number"}, "bounds of a number must be whole"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 3}]}, "oneOf: its parts must exclude"),
        ({"type": "integer", "enum": ["x"]}, "no text fits"),
        ({"pattern": "(?=a)"}, "only"),
        ({"const": "\ud800"}, "half a surrogate pair"),
        ({"type": "tuple"}, "type must be one of JSON's seven, got 'tuple'"),
        ({"enum": []}, "needs at least one value"),
        ({"type": "array", "minItems": 3, "maxItems": 1}, "maxItems must be at least minItems"),
    ):
        with pytest.raises(ValueError, match=message):
            compile_regex(schema_regex(schema))
    with pytest.raises(ValueError, match=r"depth must be an integer in \[0, 16\], got -1"):
        json_value(-1)
