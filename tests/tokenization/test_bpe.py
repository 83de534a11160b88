"""Encoding and decoding against tokenizers and tiktoken, and their promises."""

import random
import warnings
from collections import Counter

import numpy as np
import pytest
import tiktoken
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiktoken_ext import openai_public
from tokenizers import Tokenizer, models

from lib import corpora
from lib.tokenization import BPETokenizer
from lib.tokenization.bpe_merging import LONG_WORD, MergeTable
from tests.tokenization.strategies import any_text, mixed_text

ENGLISH = corpora.english(1_100_000)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_start|>x"]


@pytest.fixture(scope="module")
def tokenizer():
    return BPETokenizer.train(ENGLISH[:200_000], 1000, special_tokens=SPECIAL)


@pytest.fixture(scope="module")
def trained():
    return BPETokenizer.train(ENGLISH, 4096)


@pytest.fixture(scope="module")
def hugging_face(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    trained.save(path)
    return Tokenizer.from_file(str(path))


@pytest.fixture(scope="module")
def encoding(trained):
    ranks = {trained.id_to_bytes(i): i for i in range(trained.vocab_size)}
    return tiktoken.Encoding(
        "ours", pat_str=openai_public.r50k_pat_str, mergeable_ranks=ranks, special_tokens={}
    )


@pytest.mark.parity("BPE ids on 1.1 MB of English", "tokenizers", "identical")
def test_ids_on_a_megabyte(trained, hugging_face):
    assert trained.encode(ENGLISH) == hugging_face.encode(ENGLISH).ids


@pytest.mark.parity("BPE ids on 1.1 MB of English", "tiktoken", "identical")
def test_ids_are_tiktokens_on_a_megabyte(trained, encoding):
    assert trained.encode(ENGLISH) == encoding.encode(ENGLISH, disallowed_special=())


@pytest.mark.parametrize("sample", sorted(corpora.SAMPLES))
def test_ids_on_samples(trained, hugging_face, encoding, sample):
    text = corpora.SAMPLES[sample]
    assert trained.encode(text) == hugging_face.encode(text).ids == encoding.encode(text)


@pytest.mark.parity("decode(encode(text)) for every Unicode text", "the text", "identical")
@given(any_text)
def test_every_text_comes_back(text):
    assert TINY.decode(TINY.encode(text)) == text
    assert TINY.decode(TINY.encode(text, allowed_special="all")) == text


@given(st.binary(max_size=80))
def test_all_bytes_come_back(data):
    assert TINY.decode_bytes(TINY.encode_bytes(data)) == data


@given(mixed_text, st.sampled_from(["gpt2", "gpt4", "smollm2", None, "[a-z]+|[0-9]"]))
def test_every_pattern_gives_the_text_back(text, pattern):
    tokenizer = BPETokenizer(TINY.tokens, TINY.merges, pattern, TINY.special_tokens)
    assert tokenizer.decode(tokenizer.encode(text)) == text


TINY = BPETokenizer.train(ENGLISH[:20_000], 400, special_tokens=SPECIAL)


@given(any_text)
def test_bytes_can_be_decoded_one_by_one(text):
    ids = TINY.encode(text)
    assert b"".join(TINY.decode_bytes([i]) for i in ids) == text.encode()
    assert b"".join(map(TINY.id_to_bytes, ids)).decode() == text


def test_a_cut_character_is_replaced_in_text_and_whole_in_bytes():
    ids = TINY.encode("é")
    assert len(ids) == 2
    assert TINY.decode(ids[:1]) == "\ufffd"
    assert TINY.decode_bytes(ids[:1]) == b"\xc3"


def test_the_cache_changes_nothing(trained):
    first = trained.encode(ENGLISH[:50_000])
    assert trained.encode(ENGLISH[:50_000]) == first
    fresh = BPETokenizer(trained.tokens, trained.merges)
    assert fresh.encode(ENGLISH[:50_000]) == first


def test_the_cache_is_bounded(monkeypatch):
    monkeypatch.setattr("lib.tokenization.bpe_merging.CACHE_SIZE", 10)
    tokenizer = BPETokenizer(TINY.tokens, TINY.merges)
    text = ENGLISH[:5000] + "x" * 1000
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer._cache) <= 10


# Merging


def merges_and_ids(draw_merges):
    merged, tokens = [], ["a", "b", "c"]
    for left, right in draw_merges:
        pair = (left % len(tokens), right % len(tokens))
        token = tokens[pair[0]] + tokens[pair[1]]
        if token not in tokens:
            tokens.append(token)
        merged.append((pair, tokens.index(token)))
    return tokens, merged


merge_lists = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=15)


@given(merge_lists, st.lists(st.integers(0, 2), max_size=40))
def test_merging_is_hugging_faces_for_any_merges(draw_merges, letters):
    """Also for merges that no training would give, such as a token made in two ways."""
    tokens, merged = merges_and_ids(draw_merges)
    merges = list(dict(merged))
    table = MergeTable(merges, [dict(merged)[pair] for pair in merges])
    vocabulary = {token: i for i, token in enumerate(tokens)}
    model = models.BPE(vocabulary, [(tokens[a], tokens[b]) for a, b in merges])
    text = "".join("abc"[i] for i in letters)
    expected = Tokenizer(model).encode(text).ids
    assert table.merge(list(letters)) == expected
    assert table.merge_long(list(letters)) == expected
    steps = [letters, *(ids for _, ids in table.steps(letters))]
    assert steps[-1] == expected
    assert [len(ids) for ids in steps] == list(range(len(letters), len(expected) - 1, -1))


@pytest.mark.parametrize("length", [LONG_WORD - 1, LONG_WORD, LONG_WORD + 1, 5000])
def test_long_words(trained, hugging_face, length):
    generator = random.Random(length)
    for word in ("a" * length, "".join(generator.choices("etaoin", k=length))):
        assert trained.encode(word) == hugging_face.encode(word).ids


def test_a_word_of_a_megabyte_takes_seconds_not_hours(trained):
    word = "ab" * 250_000
    assert trained.decode(trained.encode(word)) == word


# Dropout


def test_dropout_zero_is_encode_and_one_is_letters():
    text = ENGLISH[:2000]
    assert TINY.encode_with_dropout(text, 0.0) == TINY.encode(text)
    letters = TINY.encode_with_dropout(text, 1.0)
    assert [TINY.decode_bytes([i]) for i in letters] == [bytes([b]) for b in text.encode()]


@given(any_text, st.floats(0, 1), st.integers(0, 1000))
def test_dropout_keeps_the_text_and_its_seed(text, dropout, seed):
    ids = TINY.encode_with_dropout(text, dropout, seed)
    assert TINY.decode(ids) == text
    assert TINY.encode_with_dropout(text, dropout, seed) == ids


def test_dropout_has_the_probabilities_of_the_paper():
    """ "ab" with one merge stays apart with probability p; "abc" with ab, abc by hand."""
    table = MergeTable([(0, 1), (3, 2)], [3, 4])
    generator = random.Random(0)
    counts = Counter(
        tuple(table.merge_with_dropout([0, 1, 2], 0.3, generator)) for _ in range(20_000)
    )
    expected = {(0, 1, 2): 0.3, (3, 2): 0.7 * 0.3, (4,): 0.7 * 0.7}
    for outcome, probability in expected.items():
        error = np.sqrt(probability * (1 - probability) / 20_000)
        assert abs(counts[outcome] / 20_000 - probability) < 5 * error


@pytest.mark.parametrize("dropout", [-0.1, 1.5, float("nan")])
def test_dropout_out_of_range(dropout):
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\], got"):
        TINY.encode_with_dropout("text", dropout)


# Special tokens


def test_text_that_looks_like_a_special_token_is_text(tokenizer):
    ids = tokenizer.encode("<|endoftext|>")
    assert 0 not in ids
    assert tokenizer.decode(ids) == "<|endoftext|>"


def test_allowed_special_tokens_are_one_token(tokenizer):
    text = "<|im_start|>user<|endoftext|>"
    assert tokenizer.encode(text, allowed_special="all")[0] == 1
    assert tokenizer.encode(text, allowed_special=["<|endoftext|>"])[-1] == 0
    assert 1 not in tokenizer.encode(text, allowed_special=["<|endoftext|>"])
    assert tokenizer.encode("<|im_start|>x", allowed_special="all") == [2]  # the longest


def test_allowed_special_that_is_not_there(tokenizer):
    with pytest.raises(ValueError, match="allowed_special has '<s>', which is no special token"):
        tokenizer.encode("text", allowed_special=["<s>"])


def test_skip_special_tokens(tokenizer):
    ids = tokenizer.encode("<|im_start|>hello<|endoftext|>", allowed_special="all")
    assert tokenizer.decode(ids, skip_special_tokens=True) == "hello"
    assert tokenizer.decode(ids) == "<|im_start|>hello<|endoftext|>"


def test_bos_and_eos():
    tokenizer = BPETokenizer.train("text", 300, special_tokens=["<s>"], eos_token="</s>")
    assert (tokenizer.bos_id, tokenizer.eos_id) == (None, 1)
    settings = {"bos_token": "<s>", "adds_bos": True}
    with_bos = BPETokenizer(
        tokenizer.tokens, tokenizer.merges, "gpt2", tokenizer.special_tokens, **settings
    )
    assert with_bos.bos_id == 0
    assert with_bos.encode("a", add_special_tokens=True)[0] == 0
    assert with_bos.encode("a") == with_bos.encode("a", add_special_tokens=True)[1:]


# Characters


def test_plain_characters_do_not_cover_new_text():
    """The guarantee that nothing is unknown comes from bytes, not from BPE."""
    settings = {"byte_level": False, "pattern": "whitespace", "min_frequency": 1}
    tokenizer = BPETokenizer.train("low lower", 30, **settings)
    with pytest.warns(UserWarning, match="left out what the vocabulary has no token for, in 'löw'"):
        ids = tokenizer.encode("löw")
    assert tokenizer.decode(ids) == "lw"
    tokenizer = BPETokenizer.train("low lower", 30, **settings, unknown_token="[UNK]")
    assert [tokenizer.tokens[i] for i in tokenizer.encode("löw")] == ["l", "[UNK]", "w"]
    with pytest.raises(ValueError, match="alphabet is characters"):
        tokenizer.encode_bytes(b"low")


# From a GGUF file's parts


def test_from_gpt2_strings():
    merges = [f"{TINY.tokens[a]} {TINY.tokens[b]}" for a, b in TINY.merges]
    again = BPETokenizer.from_gpt2_strings(
        TINY.tokens, merges, "gpt2", TINY.special_tokens, eos_token=SPECIAL[0], chat_template="{}"
    )
    assert again.encode(ENGLISH[:10_000]) == TINY.encode(ENGLISH[:10_000])
    assert (again.eos_id, again.chat_template) == (0, "{}")
    with pytest.raises(ValueError, match="merge 1 'a zzz' needs a token that the vocabulary lacks"):
        BPETokenizer.from_gpt2_strings(TINY.tokens, [merges[0], "a zzz"])


def test_a_vocabulary_without_all_bytes_says_so():
    """SmolLM2's lacks 21 bytes: Hugging Face's library drops them without a word."""
    keep = [token for token in TINY.tokens if token != "Ń"]  # byte 0xAD
    tokenizer = BPETokenizer.from_gpt2_strings(keep, [], "gpt2")
    with pytest.warns(UserWarning, match="left out"):
        assert tokenizer.decode_bytes(tokenizer.encode("a\u00adb")) == b"a\xc2b"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer.encode("a plain text")


# Bad input


@pytest.mark.parametrize("ids", [[400], [0, -1], [10**9], np.array([500]), torch.tensor([-7])])
def test_unknown_id(ids):
    with pytest.raises(ValueError, match=r"id -?\d+ is not in the vocabulary \(0 to 399\)"):
        TINY.decode(ids)


def test_ids_may_be_arrays_and_tensors():
    ids = TINY.encode("some text")
    assert TINY.decode(np.array(ids)) == TINY.decode(torch.tensor(ids)) == "some text"


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "ab\udc80c"])
def test_lone_surrogates(text):
    with pytest.raises(ValueError, match=r"lone surrogate, U\+D[8-F][0-9A-F]{2}, at position"):
        TINY.encode(text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokens": ["a", "a"], "merges": []}, "stand in the vocabulary twice: ['a']"),
        ({"tokens": ["a", "b"], "merges": [(0, 1)]}, "a merge needs a token that the vocabulary"),
        ({"tokens": ["a", "b"], "merges": [(0, 5)]}, "a merge needs a token that the vocabulary"),
        ({"tokens": ["a"], "merges": [], "special_tokens": {"b": 0}}, "'b' is not the token at id"),
        ({"tokens": ["a"], "merges": [], "eos_token": "b"}, "eos_token 'b' is not in the vocab"),
        ({"tokens": ["a"], "merges": [], "pattern": "("}, "pattern '(' is neither one of"),
        ({"tokens": ["中"], "merges": []}, "'中' is not in GPT-2's byte spelling"),
    ],
)
def test_parts_that_do_not_fit(settings, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        BPETokenizer(**settings)
    assert message in str(error.value)
