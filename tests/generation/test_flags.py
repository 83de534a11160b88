"""Every field of GenerationConfig is a flag, and takes from the command line what it may hold."""

import argparse
from dataclasses import fields

import pytest

from lib.generation import GenerationConfig
from lib.generation.flags import add_flags, given_settings
from lib.tokenization import BPETokenizer

# For each field a text of the command line and the value that it stands for.
EXAMPLES = {
    "do_sample": ([], True),
    "use_cache": ([], True),
    "top_h": (["0.5"], 0.5),
    "dry_penalty_last_n": (["7"], 7),
    "penalty_last_n": (["64"], 64),
    "p_less": ([], True),
    "dry_sequence_breakers": (["1,2"], (1, 2)),
    "sequence_bias": (["[[[3, 4], -2], [[5], 1.5]]"], {(3, 4): -2.0, (5,): 1.5}),
    "bad_words_ids": (["[[1], [2, 3]]"], ([1], [2, 3])),
    "early_stopping": (["never"], "never"),
    "dola_layers": (["0,1"], (0, 1)),
    "order": (["temperature", "top_k"], ("temperature", "top_k")),
    "eos_token_id": (["2,3"], (2, 3)),
    "pad_token_id": (["0"], 0),
    "stop_strings": (["a b", "c"], ("a b", "c")),
    "seed": (["5"], 5),
}


@pytest.mark.parametrize("field", fields(GenerationConfig), ids=lambda field: field.name)
def test_each_field_is_a_flag(field):
    parser = argparse.ArgumentParser()
    add_flags(parser)
    if field.name == "grammar":
        return
    if field.name in EXAMPLES:
        words, value = EXAMPLES[field.name]
    else:  # a number
        value = type(field.default)(2)
        words = [str(value)]
    options = parser.parse_args(["--" + field.name.replace("_", "-"), *words])
    assert given_settings(options) == {field.name: value}
    assert type(given_settings(options)[field.name]) is type(value)


def test_what_is_not_given_keeps_its_default():
    parser = argparse.ArgumentParser()
    add_flags(parser)
    assert given_settings(parser.parse_args([])) == {}
    assert given_settings(parser.parse_args(["--no-use-cache"])) == {"use_cache": False}


def test_a_grammar_is_an_expression_or_a_schema(tmp_path):
    tokenizer = BPETokenizer.train("aab abb bab " * 5, 260, pattern="gpt2")
    parser = argparse.ArgumentParser()
    add_flags(parser)

    def grammar(text):
        return given_settings(parser.parse_args(["--grammar", text]), tokenizer)["grammar"]

    assert grammar("regex:ab+").distance[0] == 2  # bytes
    (tmp_path / "s.json").write_text('{"type": "boolean"}')
    assert grammar(f"schema:{tmp_path / 's.json'}").distance[0] == 4
    with pytest.raises(ValueError, match="grammar must be regex:PATTERN or schema:FILE, got 'ab'"):
        grammar("ab")
    with pytest.raises(ValueError, match="there is no file nowhere"):
        grammar("schema:nowhere")
