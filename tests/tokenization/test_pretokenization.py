"""Splitters against Hugging Face's pre-tokenizers and tiktoken."""

import re

import pytest
import regex
import tiktoken
from hypothesis import assume, given
from hypothesis import strategies as st
from tiktoken_ext import openai_public
from tokenizers import Regex, pre_tokenizers
from tokenizers.normalizers import BertNormalizer

from lib import corpora
from lib.tokenization.pretokenization import (
    BYTE_TO_CHAR,
    PATTERNS,
    bert_words,
    compile_pattern,
    cut_out,
    spell,
    split,
    unspell,
)
from tests.tokenization.strategies import any_text, is_old, mixed_text

ISOLATED = {
    name: pre_tokenizers.Split(Regex(PATTERNS[name]), "isolated") for name in ("gpt4", "qwen2")
}
REFERENCES = {
    **ISOLATED,
    "gpt2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm2": pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    ),
    "whitespace": pre_tokenizers.WhitespaceSplit(),
    "bert": pre_tokenizers.BertPreTokenizer(),
}


TIKTOKEN_PATTERNS = {
    "gpt2": openai_public.r50k_pat_str,
    "gpt4": next(c for c in openai_public.cl100k_base.__code__.co_consts if "{1,3}" in str(c)),
}


def reference_words(name: str, text: str) -> list[str]:
    words = [word for word, _ in REFERENCES[name].pre_tokenize_str(text)]
    if name in ("gpt2", "smollm2"):
        return [unspell(word).decode("utf-8", "surrogateescape") for word in words]
    return words


@pytest.mark.parity("split patterns of GPT-2, GPT-4, Qwen, SmolLM2, BERT", "tokenizers", "equal")
@pytest.mark.parametrize("name", sorted(REFERENCES))
@given(mixed_text)
def test_words_are_the_references(name, text):
    assume(is_old(text))
    assert split(text, name) == reference_words(name, text)


@pytest.mark.parametrize("name", sorted(REFERENCES))
@pytest.mark.parametrize("sample", sorted(corpora.SAMPLES))
def test_samples_are_split_as_the_reference_does(name, sample):
    text = corpora.SAMPLES[sample]
    assert split(text, name) == reference_words(name, text)


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_a_megabyte_is_split_as_the_reference_does(name):
    text = corpora.english(300_000)
    assert split(text, name) == reference_words(name, text)


@pytest.mark.parity("GPT-2's and GPT-4's split patterns", "tiktoken", "equal")
@pytest.mark.parametrize("name", ["gpt2", "gpt4"])
@given(mixed_text)
def test_words_are_tiktokens(name, text):
    """With every word as a token, tiktoken gives one id for each word: if its cuts are ours.

    Its GPT-4 takes white space at the end whole, spaces after a line's end too: the same ids in the
    published vocabulary, which has no such token, but not in one that has only whole words.
    """
    assume(is_old(text))
    assume(name != "gpt4" or not re.search(r"[\r\n][^\S\r\n]+\Z", text))
    words = split(text, name)
    vocabulary = dict.fromkeys([bytes([byte]) for byte in range(256)])
    vocabulary |= dict.fromkeys(word.encode() for word in words)
    ranks = {word: rank for rank, word in enumerate(vocabulary)}
    pattern = TIKTOKEN_PATTERNS[name]
    encoding = tiktoken.Encoding("words", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    assert encoding.encode(text, disallowed_special=()) == [ranks[word.encode()] for word in words]


@pytest.mark.parametrize("name", [None, *sorted(set(PATTERNS) - {"bert", "whitespace"})])
@given(any_text)
def test_nothing_is_lost(name, text):
    assert "".join(split(text, name)) == text


@given(mixed_text, st.sampled_from(["a", "[0-9]+", "(b)(c)?", r"\s", "x|(?=y)y", "e(?!l)"]))
def test_own_pattern_keeps_what_lies_between_matches(text, pattern):
    assume(is_old(text))
    reference = pre_tokenizers.Split(Regex(pattern), "isolated")
    assert split(text, pattern) == [word for word, _ in reference.pre_tokenize_str(text)]


@pytest.mark.parametrize("pattern", ["(", "[a", r"\p{Nonsense}", "a{2,1}"])
def test_broken_pattern(pattern):
    with pytest.raises(ValueError, match=r"pattern .* is neither one of .*gpt2.* nor a valid"):
        split("text", pattern)


@pytest.mark.parametrize("pattern", ["", "a*", "x?", r"\s*"])
def test_pattern_that_matches_nothing(pattern):
    with pytest.raises(ValueError, match="matches the empty text"):
        compile_pattern(pattern)


def test_byte_alphabet_is_gpt2s():
    assert set(BYTE_TO_CHAR) == set(pre_tokenizers.ByteLevel.alphabet())
    data = bytes(range(128)).decode()
    for word, (start, end) in pre_tokenizers.ByteLevel(False, use_regex=False).pre_tokenize_str(
        data
    ):
        assert spell(data[start:end].encode()) == word


@given(st.binary())
def test_spelling_goes_both_ways(data):
    assert unspell(spell(data)) == data


def test_spelling_of_a_character_that_stands_for_no_byte():
    with pytest.raises(ValueError, match="'中' stands for no byte"):
        unspell("a中")


@given(mixed_text)
def test_cut_out_finds_the_longest_token(text):
    pieces = cut_out(f"<a> {text}<a>b<a", ["<a>", "<a>b"])
    assert "".join(pieces) == f"<a> {text}<a>b<a"
    assert pieces[0] == "<a>"
    assert pieces[-2:] == ["<a>b", "<a"]


@pytest.mark.parity("BERT's cleaning, lower case and word splitting", "tokenizers", "equal")
@pytest.mark.parametrize("lowercase", [True, False])
@given(mixed_text)
def test_bert_words(lowercase, text):
    assume(is_old(text))
    normal = BertNormalizer(lowercase=lowercase, strip_accents=lowercase).normalize_str(text)
    words = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(normal)
    assert bert_words(text, lowercase) == [word for word, _ in words]


def test_regex_knows_the_white_space_that_unicode_knows():
    """`re` would count U+001C to U+001F as white space, which none of the models does."""
    assert not regex.match(r"\s", "\x1c")
