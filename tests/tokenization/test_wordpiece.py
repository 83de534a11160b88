"""WordPiece: encoding against BertTokenizer, training against exact arithmetic."""

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from transformers import BertTokenizer

from lib import corpora
from lib.tokenization import WordPieceTokenizer
from lib.tokenization.wordpiece import SPECIAL_TOKENS, split_letters
from lib.tokenization.wordpiece_training import (
    learn_wordpieces,
    learn_wordpieces_naive,
    pair_scores,
)
from tests.tokenization.strategies import is_old, mixed_text

HUGS = {"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5}
TEXT = [corpora.english(150_000), *corpora.SAMPLES.values()]


@pytest.fixture(scope="module", params=[True, False], ids=["uncased", "cased"])
def pair(request, tmp_path_factory):
    ours = WordPieceTokenizer.train(TEXT, 2500, lowercase=request.param)
    path = tmp_path_factory.mktemp("wordpiece") / "vocab.txt"
    ours.save(path)
    return WordPieceTokenizer.load(path, request.param), BertTokenizer(
        str(path), do_lower_case=request.param
    )


@pytest.mark.parity("WordPiece ids", "transformers BertTokenizer", "identical")
@given(text=mixed_text)
def test_ids(pair, text):
    ours, bert = pair
    assume(is_old(text))
    assume(not any(token in text for token in SPECIAL_TOKENS))
    assert ours.encode(text, add_special_tokens=True) == bert.encode(text)


@pytest.mark.parametrize("text", [*TEXT, "", "x" * 100, "y" * 101, "Über-Größe 東京 naïve ΣΑΣ"])
def test_ids_of_longer_texts(pair, text):
    ours, bert = pair
    assert ours.encode(text, add_special_tokens=True) == bert.encode(text)
    assert ours.encode(text) == bert.encode(text, add_special_tokens=False)


@given(st.text("abc ", max_size=40), st.sets(st.text("abc", min_size=1, max_size=4), max_size=12))
def test_longest_match_first_for_any_vocabulary(text, pieces):
    tokens = ["[UNK]", *sorted(pieces), *sorted("##" + piece for piece in pieces)]
    ours = WordPieceTokenizer(tokens)
    model = models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]")
    theirs = Tokenizer(model)
    expected = [i for word in text.split() for i in theirs.encode(word).ids]
    assert ours.encode(text) == expected


def test_decode_is_the_reference_decoders(pair):
    ours, _ = pair
    ids = ours.encode(corpora.english(5000), add_special_tokens=True)
    expected = decoders.WordPiece(cleanup=False).decode([ours.tokens[i] for i in ids])
    assert ours.decode(ids) == expected
    assert ours.decode(ours.encode("some plain words", True), True) == "some plain words"


# Training


def hugs():
    """The corpus of five words as ids, and its alphabet: b h p, then ##g ##n ##s ##u."""
    letters = sorted({letter for word in HUGS for letter in split_letters(word)})
    tokens = sorted(letters, key=lambda letter: (letter.startswith("##"), letter))
    ids = {token: i for i, token in enumerate(tokens)}
    return {tuple(ids[x] for x in split_letters(word)): n for word, n in HUGS.items()}, tokens


def test_scores_of_the_hugs_example():
    """By hand: u 36, g 20, s 5; (##u, ##g) 20 / (36 * 20), (##g, ##s) 5 / (20 * 5)."""
    counts, tokens = hugs()
    scores = {(tokens[a], tokens[b]): score for (a, b), score in pair_scores(counts).items()}
    assert scores["##u", "##g"] == Fraction(1, 36)
    assert scores["##g", "##s"] == Fraction(1, 20)
    assert set(scores.values()) == {Fraction(1, 36), Fraction(1, 20)}
    texts = {tuple(split_letters(word)): n for word, n in HUGS.items()}
    assert pair_scores(texts) == scores, "tokens may be given by their texts"


def test_merges_of_the_hugs_example():
    """By hand: ##g ##s 1/20; then all pairs have 1/36 and b ##u is the smallest; bu ##n 1/16."""
    counts, tokens = hugs()
    learn_wordpieces(counts, tokens, 10)
    assert tokens[7:] == ["##gs", "bu", "bun"]


words_of_ids = st.dictionaries(
    st.lists(st.integers(0, 3), min_size=1, max_size=8).map(tuple), st.integers(1, 6), max_size=12
)


@given(words_of_ids, st.integers(4, 30), st.integers(1, 4))
def test_fast_trainer_is_the_naive_one(word_counts, vocab_size, min_frequency):
    alphabet = ["a", "##a", "b", "##b"]
    fast_tokens, naive_tokens = list(alphabet), list(alphabet)
    fast = learn_wordpieces(word_counts, fast_tokens, vocab_size, min_frequency)
    naive = learn_wordpieces_naive(word_counts, naive_tokens, vocab_size, min_frequency)
    assert fast == naive
    assert fast_tokens == naive_tokens


def test_fast_trainer_is_the_naive_one_on_english():
    text = corpora.english(8000)
    fast = WordPieceTokenizer.train(text, 260, min_frequency=2)
    words = {}
    for word in text_words(text):
        words[word] = words.get(word, 0) + 1
    tokens = [t for t in fast.tokens if len(t.removeprefix("##")) == 1 or t in SPECIAL_TOKENS]
    ids = {token: i for i, token in enumerate(tokens)}
    counts = {tuple(ids[x] for x in split_letters(word)): n for word, n in words.items()}
    assert learn_wordpieces_naive(counts, tokens, 260, 2) == fast.merges
    assert tokens == fast.tokens


def text_words(text):
    bert = BertTokenizer(vocab={token: i for i, token in enumerate(SPECIAL_TOKENS)})
    normal = bert.backend_tokenizer.normalizer.normalize_str(text)
    return [w for w, _ in bert.backend_tokenizer.pre_tokenizer.pre_tokenize_str(normal)]


def test_training_stops():
    assert WordPieceTokenizer.train(TEXT[0], 700).vocab_size == 700
    few = WordPieceTokenizer.train("abc abc", 100, special_tokens=["[UNK]"], min_frequency=1)
    assert few.encode("abc") == [few.token_to_id["abc"]]
    assert WordPieceTokenizer.train("abc abd", 100, min_frequency=3).merges == []


# Bad input


def test_empty_corpus():
    with pytest.raises(ValueError, match="training text is empty"):
        WordPieceTokenizer.train(" \n ")


def test_vocabulary_below_the_alphabet():
    with pytest.raises(
        ValueError, match=r"vocab_size must be at least 8 \(3 for the alphabet\), got 6"
    ):
        WordPieceTokenizer.train("abc", 6)


@pytest.mark.parametrize("ids", [[-1], [9999]])
def test_unknown_id(ids):
    with pytest.raises(ValueError, match=r"id -?\d+ is not in the vocabulary \(0 to 5\)"):
        WordPieceTokenizer([*SPECIAL_TOKENS, "a"]).decode(ids)


def test_lone_surrogate():
    with pytest.raises(ValueError, match=r"lone surrogate, U\+D800"):
        WordPieceTokenizer(["[UNK]"]).encode("\ud800")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[UNK]\na\na\n", r"vocab\.txt: the vocabulary holds a token twice"),
        (b"a\nb\n", r"vocab\.txt: unknown_token '\[UNK\]' is not in the vocabulary"),
        (b"", r"unknown_token"),
        (b"[UNK]\n\xff", r"vocab\.txt: not a vocab\.txt, which is UTF-8"),
    ],
)
def test_damaged_files(tmp_path, data, message):
    (tmp_path / "vocab.txt").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        WordPieceTokenizer.load(tmp_path / "vocab.txt")
