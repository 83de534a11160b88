"""Unigram: encoding against sentencepiece; probabilities against enumeration; training."""

import io
import math
import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import sentencepiece
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chisquare

from lib import corpora
from lib.tokenization import UnigramTokenizer
from lib.tokenization.pretokenization import split
from lib.tokenization.unigram_segmentation import log_forward, sample_segmentation, viterbi
from lib.tokenization.unigram_training import (
    Lattices,
    learn_pieces,
    removal_losses,
    replacement_probabilities,
    seed_pieces,
)
from tests.tokenization.strategies import any_text, is_old, mixed_text

LINES = [line for line in corpora.english(200_000).splitlines() if line.strip()]
LINES += [line for text in corpora.SAMPLES.values() for line in text.splitlines()]
SETTINGS = {
    "default": {},
    "identity": {"normalization_rule_name": "identity"},
    "bytes": {"byte_fallback": True},
    "identity, spaces kept": {
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
    },
    "identity, no prefix": {"normalization_rule_name": "identity", "add_dummy_prefix": False},
    "bare": {"remove_extra_whitespaces": False, "add_dummy_prefix": False},
    "phrases": {"split_by_whitespace": False, "normalization_rule_name": "nmt_nfkc_cf"},
}


@pytest.fixture(scope="module", params=sorted(SETTINGS))
def pair(request, tmp_path_factory):
    prefix = tmp_path_factory.mktemp("sentencepiece") / "model"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_prefix=str(prefix),
        vocab_size=1500,
        model_type="unigram",
        minloglevel=2,
        **SETTINGS[request.param],
    )
    theirs = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
    return UnigramTokenizer.load(f"{prefix}.model"), theirs


def same_up_to_ties(ours, theirs, text):
    """The same ids; or, where two segmentations are equally probable, the same pieces in another
    order (sentencepiece adds in float32, whose rounding then decides)."""
    mine, reference = ours.encode(text), theirs.encode(text)
    return mine == reference or sorted(mine) == sorted(reference)


@pytest.mark.parity("Unigram ids", "sentencepiece", "identical, exact ties aside")
def test_ids_on_real_text(pair):
    ours, theirs = pair
    lines = LINES[::8] + list(corpora.SAMPLES.values())
    assert all(same_up_to_ties(ours, theirs, line) for line in lines)
    identical = sum(ours.encode(line) == theirs.encode(line) for line in lines)
    assert identical / len(lines) > 0.99


@given(text=mixed_text)
def test_ids_on_any_text(pair, text):
    assume("\0" not in text)
    ours, theirs = pair
    assert ours.normalize(text) == theirs.normalize(text)
    assert same_up_to_ties(ours, theirs, text)
    assert ours.decode(theirs.encode(text)) == theirs.decode(theirs.encode(text))


@given(st.text("  ▁▁lowQ\t\u3000", max_size=8), st.data())
def test_spaces_and_underlines_at_the_ends(pair, text, data):
    ours, theirs = pair
    ids = theirs.encode(text)
    assert same_up_to_ties(ours, theirs, text)
    space = theirs.piece_to_id("▁")
    some = st.sampled_from([*ids, space, space, 0, 1, 2, 300, 301])
    ids = data.draw(st.lists(some, max_size=5))
    if not any(theirs.is_byte(i) for i in ids):
        assert ours.decode(ids) == theirs.decode(ids)


@given(ids=st.lists(st.integers(0, 1499), max_size=12))
def test_any_ids_are_read_as_sentencepiece_reads_them(pair, ids):
    """Bytes that are no UTF-8 among them."""
    ours, theirs = pair
    assert ours.decode(ids) == theirs.decode(ids)


@pytest.mark.parity("Unigram log-likelihood of the best segmentation", "sentencepiece", "1e-4")
def test_log_likelihoods(pair):
    ours, theirs = pair
    for line in LINES[:300]:
        ids = theirs.encode(line)
        if theirs.unk_id() not in ids and not any(theirs.is_byte(i) for i in ids):
            expected = sum(theirs.get_score(i) for i in ids)
            assert ours.log_likelihood(line, best_only=True) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parity("Unigram log-likelihood over all segmentations", "sentencepiece", "1e-4")
def test_log_likelihoods_over_all_segmentations(pair):
    """sentencepiece lists the n best; for a short text, all there are."""
    ours, theirs = pair
    total = 0
    for text in ("value", "return", "method", "class", "an o"):
        ways = theirs.nbest_encode(text, nbest_size=512)
        assert len(ways) < 512
        total += len(ways)
        scores = [sum(theirs.get_score(i) for i in way) for way in ways]
        assert ours.log_likelihood(text) == pytest.approx(np.logaddexp.reduce(scores), abs=1e-4)
    assert total > 10


# Segmentations against enumeration

pieces_and_scores = st.dictionaries(
    st.text("ab", min_size=1, max_size=3), st.floats(-8, -0.1), max_size=8
)


def all_segmentations(word, scores, unknown):
    """Every segmentation by brute force, with its log-probability."""
    for cuts in range(2 ** max(len(word) - 1, 0)):
        places = [0, *(i + 1 for i in range(len(word) - 1) if cuts >> i & 1), len(word)]
        pieces = [word[a:b] for a, b in pairwise(places)]
        if all(piece in scores or len(piece) == 1 for piece in pieces):
            yield pieces, sum(scores.get(piece, unknown) for piece in pieces)


@given(st.text("ab", min_size=1, max_size=8), pieces_and_scores)
def test_viterbi_is_the_best_of_all(word, scores):
    pieces, score = viterbi(word, scores, 3, -20.0)
    assert "".join(pieces) == word
    assert score == pytest.approx(max(s for _, s in all_segmentations(word, scores, -20.0)))
    assert score == pytest.approx(sum(scores.get(piece, -20.0) for piece in pieces))


@given(st.text("ab", min_size=1, max_size=8), pieces_and_scores, st.floats(0, 2))
def test_forward_is_the_sum_of_all(word, scores, theta):
    total = sum(math.exp(theta * s) for _, s in all_segmentations(word, scores, -20.0))
    forward = log_forward(word, scores, 3, -20.0, theta)
    assert forward[-1] == pytest.approx(math.log(total), abs=1e-9)


@pytest.mark.parametrize("theta", [0.0, 0.3, 1.0])
def test_samples_have_their_probabilities(theta):
    scores = {"a": -1.0, "b": -2.0, "ab": -1.5, "ba": -2.5, "aba": -3.0}
    generator = random.Random(0)
    counts = Counter(
        tuple(sample_segmentation("abab", scores, 3, -20.0, theta, generator)) for _ in range(5000)
    )
    ways = {tuple(p): math.exp(theta * s) for p, s in all_segmentations("abab", scores, -20.0)}
    expected = np.array(list(ways.values())) / sum(ways.values()) * 5000
    assert set(counts) <= set(ways)
    assert chisquare([counts[way] for way in ways], expected).pvalue > 1e-4


# Training


@given(
    st.dictionaries(
        st.text("ab", min_size=1, max_size=6), st.integers(1, 5), min_size=1, max_size=4
    ),
    st.sets(st.text("ab", min_size=2, max_size=3), max_size=5),
    st.integers(0, 99),
)
def test_expected_counts_against_enumeration(word_counts, longer, seed):
    pieces = ["a", "b", *sorted(longer)]
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(len(pieces)))
    scores = dict(zip(pieces, np.log(probabilities), strict=True))
    expected, total = dict.fromkeys(pieces, 0.0), 0.0
    for word, count in word_counts.items():
        ways = [(p, math.exp(s)) for p, s in all_segmentations(word, scores, -99.0)]
        likelihood = sum(share for _, share in ways)
        total += count * math.log(likelihood)
        for way, share in ways:
            for piece in way:
                expected[piece] += count * share / likelihood
    lattices = Lattices(list(word_counts), pieces)
    counts, log_likelihood = lattices.expected_counts(
        probabilities, np.array(list(word_counts.values()), dtype=float)
    )
    np.testing.assert_allclose(counts, list(expected.values()), rtol=1e-9, atol=1e-12)
    assert log_likelihood == pytest.approx(total)


def word_counts_of(text):
    return Counter(word.replace(" ", "▁") for word in split(text, "gpt2"))


def test_em_never_lowers_the_likelihood():
    """The theorem behind EM; it fails if the E-step or the M-step is wrong."""
    word_counts = word_counts_of(corpora.english(30_000))
    pieces, counts = seed_pieces(word_counts, 3000, 8)
    lattices = Lattices(list(word_counts), pieces)
    repeats = np.array(list(word_counts.values()), dtype=float)
    history = []
    for _ in range(8):
        counts, log_likelihood = lattices.expected_counts(counts / counts.sum(), repeats)
        history.append(log_likelihood)
    assert all(b >= a - 1e-6 * abs(a) for a, b in pairwise(history))
    assert history[-1] > history[0]


def test_replacements_and_losses_by_hand():
    """abc is best spelled ab + c without itself; a, b and c cannot be spelled at all."""
    pieces = ["a", "b", "c", "ab", "abc"]
    probabilities = np.array([0.2, 0.2, 0.2, 0.3, 0.1])
    replacements = replacement_probabilities(Lattices(pieces, pieces), probabilities)
    np.testing.assert_allclose(replacements, [0, 0, 0, 0.04, 0.06])
    counts = np.array([1.0, 1, 1, 2, 5])
    losses = removal_losses(probabilities, counts, replacements)
    expected = [np.inf] * 3 + [2 * math.log(0.3 / 0.04), 5 * math.log(0.1 / 0.06)]
    np.testing.assert_allclose(losses, expected)


def test_narrowing_lattices_is_building_them_anew():
    words, pieces = ["abab", "ba", "b"], ["a", "b", "ab", "ba", "bab"]
    narrowed, kept = Lattices(words, pieces), np.array([0, 1, 3])
    narrowed.keep(kept)
    anew = Lattices(words, [pieces[i] for i in kept])
    weights = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(
        narrowed.forward(weights[narrowed.piece]), anew.forward(weights[anew.piece])
    )
    np.testing.assert_allclose(
        narrowed.backward(weights[narrowed.piece]), anew.backward(weights[anew.piece])
    )


def test_training_against_sentencepiece():
    """On the same words the model explains the text as well as sentencepiece's: within 2 %."""
    text = corpora.english(150_000)
    word_counts = word_counts_of(text)
    pieces, probabilities = learn_pieces(word_counts, 1500)
    assert len(pieces) == len(set(pieces)) == 1500
    assert probabilities.sum() == pytest.approx(1)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(word for word in word_counts.elements() if "\n" not in word),
        model_writer=model,
        vocab_size=1503,
        model_type="unigram",
        normalization_rule_name="identity",
        character_coverage=1.0,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        split_by_unicode_script=False,
        minloglevel=2,
    )
    theirs = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    size = theirs.get_piece_size()
    their_scores = {theirs.id_to_piece(i): theirs.get_score(i) for i in range(3, size)}
    our_scores = dict(zip(pieces, np.log(probabilities), strict=True))

    def log_likelihood(scores):
        return sum(
            count * log_forward(word, scores, 16)[-1]
            for word, count in word_counts.items()
            if "\n" not in word
        )

    assert log_likelihood(our_scores) > 1.02 * log_likelihood(their_scores)  # both are negative


@pytest.fixture(scope="module")
def trained():
    return UnigramTokenizer.train(LINES[:2000], 1000, byte_fallback=True)


@given(text=any_text)
def test_every_text_comes_back_with_byte_fallback(trained, text):
    assume("▁" not in text)  # stands for a space in the pieces
    assert trained.decode(trained.encode(text)) == text
    assert trained.decode(trained.sample(text, 0.2)) == text


def test_sentencepiece_reads_what_we_write(trained, tmp_path):
    trained.save(tmp_path / "ours.model")
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "ours.model"))
    again = UnigramTokenizer.load(tmp_path / "ours.model")
    assert again.pieces == trained.pieces
    for line in LINES[::10]:
        assert same_up_to_ties(again, theirs, line)
        assert theirs.decode(trained.encode(line)) == line


def test_sampling_has_a_seed_and_theta(trained):
    text = "The method returns a sequence of characters."
    assert trained.sample(text, 1.0, seed=1) == trained.sample(text, 1.0, seed=1)
    assert len({tuple(trained.sample(text, 0.1, seed)) for seed in range(20)}) == 20
    assert trained.sample(text, 1e6) == trained.encode(text)


def test_likelihood_of_all_is_at_least_that_of_the_best(trained):
    for line in LINES[:100]:
        best = trained.log_likelihood(line, best_only=True)
        assert trained.log_likelihood(line) >= best - 1e-9


def test_unknown_characters_without_fallback():
    tokenizer = UnigramTokenizer.train("a plain text, plainly a text", 40)
    assert tokenizer.encode("中国") == [tokenizer.piece_to_id["▁"], tokenizer.unknown_id]
    assert "⁇" in tokenizer.decode(tokenizer.encode("中国"))


# Bad input


def test_empty_corpus():
    with pytest.raises(ValueError, match="training text is empty"):
        UnigramTokenizer.train([])


def test_vocabulary_below_the_alphabet():
    with pytest.raises(ValueError, match=r"leave room for 3 pieces, one for each .* it leaves 1"):
        UnigramTokenizer.train("abc", 2)


@pytest.mark.parametrize("theta", [-1.0, float("nan")])
def test_theta_out_of_range(trained, theta):
    with pytest.raises(ValueError, match="theta must be at least 0, got"):
        trained.sample("text", theta)


@pytest.mark.parametrize("ids", [[-1], [10**6]])
def test_unknown_id(trained, ids):
    with pytest.raises(ValueError, match=r"id -?\d+ is not in the vocabulary"):
        trained.decode(ids)


def test_lone_surrogate(trained):
    with pytest.raises(ValueError, match=r"lone surrogate, U\+DFFF"):
        trained.encode("\udfff")


@given(text=mixed_text)
def test_words_are_cut_where_no_piece_reaches_across(trained, text):
    """Word by word gives what the text as a whole would give, up to ties."""
    assume(is_old(text))
    whole = trained.normalize(text)
    settings = (trained.scores, 16, trained.unknown_score)
    if whole:
        _, score = viterbi(whole, *settings)
        assert trained.log_likelihood(text, best_only=True) == pytest.approx(score)
