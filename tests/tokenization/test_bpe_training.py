"""Merges against Hugging Face's BpeTrainer, and the fast trainer against its specification."""

import json
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from lib import corpora
from lib.tokenization import BPETokenizer
from lib.tokenization.bpe_training import learn_merges, learn_merges_naive, merge_in_word
from lib.tokenization.pretokenization import count_words

HUGS = {"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5}  # a widely used example


def hugging_face_merges(text, vocab_size, min_frequency, byte_level=True):
    tokenizer = Tokenizer(models.BPE())
    byte_level_step = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = byte_level_step if byte_level else pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if byte_level else [],
    )
    tokenizer.train_from_iterator([text], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return [tuple(merge) for merge in model["merges"]], model["vocab"]


def spelled_merges(tokenizer):
    return [(tokenizer.tokens[a], tokenizer.tokens[b]) for a, b in tokenizer.merges]


@pytest.mark.parity("BPE merges on 1.1 MB of English", "tokenizers BpeTrainer", "identical")
def test_merges_on_a_megabyte():
    text = corpora.english(1_100_000)
    tokenizer = BPETokenizer.train(text, vocab_size=4096, min_frequency=2)
    merges, vocabulary = hugging_face_merges(text, 4096, 2)
    assert spelled_merges(tokenizer) == merges
    assert tokenizer.token_to_id == vocabulary


@pytest.mark.parametrize("sample", sorted(corpora.SAMPLES))
@pytest.mark.parametrize("min_frequency", [1, 2, 3])
def test_merges_on_samples(sample, min_frequency):
    text = corpora.SAMPLES[sample]
    tokenizer = BPETokenizer.train(text, 400, min_frequency=min_frequency)
    assert spelled_merges(tokenizer) == hugging_face_merges(text, 400, min_frequency)[0]


@given(st.lists(st.text("abcde", min_size=1, max_size=8), min_size=1, max_size=30))
def test_character_merges_are_hugging_faces(words):
    text = " ".join(words)
    tokenizer = BPETokenizer.train(text, 60, "whitespace", 2, byte_level=False)
    merges, vocabulary = hugging_face_merges(text, 60, 2, byte_level=False)
    # Where a merge spells a token that there is already, Hugging Face may list it twice.
    assert spelled_merges(tokenizer) == list(dict.fromkeys(merges))
    assert tokenizer.token_to_id == vocabulary


words_of_ids = st.dictionaries(
    st.lists(st.integers(0, 3), min_size=1, max_size=9).map(tuple), st.integers(1, 5), max_size=12
)


@given(words_of_ids, st.integers(4, 40), st.integers(1, 4))
def test_fast_trainer_is_the_naive_one(word_counts, vocab_size, min_frequency):
    fast_tokens, naive_tokens = list("abcd"), list("abcd")
    fast = learn_merges(word_counts, fast_tokens, vocab_size, min_frequency)
    naive = learn_merges_naive(word_counts, naive_tokens, vocab_size, min_frequency)
    assert fast == naive
    assert fast_tokens == naive_tokens


def test_fast_trainer_is_the_naive_one_on_english():
    text = corpora.english(30_000)
    fast = BPETokenizer.train(text, 500)
    naive = BPETokenizer.train(text, 500, learn=learn_merges_naive)
    assert (fast.tokens, fast.merges) == (naive.tokens, naive.merges)


@given(st.lists(st.integers(0, 2), max_size=12).map(tuple))
def test_merge_in_word_replaces_from_the_left(word):
    merged = merge_in_word(word, (1, 1), 9)
    assert [i for token in merged for i in ((1, 1) if token == 9 else (token,))] == list(word)
    text = "".join(map(str, word)).replace("11", "9")
    assert "".join(map(str, merged)) == text
    assert "".join(merge_in_word(tuple(map(str, word)), ("1", "1"), "9")) == text


def test_the_hugs_example_by_hand():
    """hug 10, pug 5, pun 12, bun 4, hugs 5: u+g 20 times, then u+n 16, then h+ug 15."""
    corpus = [word for word, n in HUGS.items() for _ in range(n)]
    tokenizer = BPETokenizer.train(corpus, 10, None, byte_level=False)
    assert spelled_merges(tokenizer) == [("u", "g"), ("u", "n"), ("h", "ug")]


def test_stops_at_the_vocabulary():
    assert BPETokenizer.train(corpora.english(50_000), vocab_size=300).vocab_size == 300


def test_stops_where_no_pair_is_left():
    tokenizer = BPETokenizer.train("ab ab cd", 1000, "whitespace", 1, byte_level=False)
    assert tokenizer.tokens == ["a", "b", "c", "d", "ab", "cd"]


@pytest.mark.parametrize("min_frequency", [2, 3, 5, 9])
def test_stops_below_min_frequency(min_frequency):
    text = corpora.english(20_000)
    tokenizer = BPETokenizer.train(text, 5000, min_frequency=min_frequency)
    more = BPETokenizer.train(text, 5000, min_frequency=min_frequency - 1)
    assert more.merges[: len(tokenizer.merges)] == tokenizer.merges
    assert len(more.merges) > len(tokenizer.merges)
    # The next merge would have been the first too rare one.
    left, right = more.merges[len(tokenizer.merges)]
    assert pair_frequency(tokenizer, text, left, right) == min_frequency - 1


def pair_frequency(tokenizer, text, left, right):
    counts = Counter()
    for word, n in count_words(text, tokenizer.pattern).items():
        ids = tokenizer.encode(word)
        for pair in pairwise(ids):
            counts[pair] += n
    return counts[left, right]


def test_end_of_word_tells_suffixes_from_stems():
    """Sennrich et al. 2016, section 3.2: "est</w>" ends a word, "est" need not."""
    text = "low " * 5 + "lower " * 2 + "newest " * 6 + "widest " * 3
    tokenizer = BPETokenizer.train(text, 24, "whitespace", 1, byte_level=False, end_of_word="</w>")
    assert "est</w>" in tokenizer.tokens
    assert "low</w>" in tokenizer.tokens
    assert tokenizer.decode(tokenizer.encode("lowest  newer")) == "lowest newer"


@given(st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=20))
def test_end_of_word_merges_are_the_naive_ones(words):
    settings = {"byte_level": False, "end_of_word": "</w>", "min_frequency": 1}
    fast = BPETokenizer.train(words, 30, "whitespace", **settings)
    naive = BPETokenizer.train(words, 30, "whitespace", **settings, learn=learn_merges_naive)
    assert (fast.tokens, fast.merges) == (naive.tokens, naive.merges)


def test_several_texts_are_counted_apart():
    """No merge crosses from one text to the next."""
    assert BPETokenizer.train(["ab", "cd"] * 9, 260, None).tokens[256:] == ["ab", "cd"]


def test_special_tokens_part_the_text_and_are_not_learned():
    text = "<|endoftext|>".join(["one two"] * 20)
    tokenizer = BPETokenizer.train(text, 300, None, special_tokens=["<|endoftext|>"])
    assert tokenizer.special_tokens == {"<|endoftext|>": 0}
    assert all("<" not in token for token in tokenizer.tokens[257:])


@pytest.mark.parametrize("text", ["", [], ["", ""]])
def test_empty_corpus(text):
    with pytest.raises(ValueError, match="training text is empty"):
        BPETokenizer.train(text)


def test_corpus_in_which_the_pattern_finds_nothing():
    with pytest.raises(ValueError, match="the pattern finds no word"):
        BPETokenizer.train("   ", pattern="whitespace", byte_level=False)


def test_vocabulary_below_the_alphabet():
    message = r"vocab_size must be at least 257 \(256 for the alphabet, 1 special tokens\), got 100"
    with pytest.raises(ValueError, match=message):
        BPETokenizer.train("text", vocab_size=100, special_tokens=["<s>"])


def test_special_token_that_is_a_letter():
    with pytest.raises(ValueError, match="special token 'a' is a letter of the alphabet"):
        BPETokenizer.train("text", special_tokens=["a"])


def test_surrogate_in_the_corpus():
    with pytest.raises(ValueError, match=r"lone surrogate, U\+D800, at position 2"):
        BPETokenizer.train("ab\ud800")
