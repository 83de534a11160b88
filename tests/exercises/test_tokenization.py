"""The references of chapter 1's exercises, by hand and by the library."""

import pytest

from lib.exercises import tokenization as exercises
from lib.exercises.segmentation import best_segmentation
from lib.exercises.threes import split_threes
from lib.exercises.tokenization import encode_by_rank, merge_once, wordpiece_scores
from lib.tokenization import BPETokenizer
from lib.tokenization.unigram_segmentation import viterbi


@pytest.mark.parametrize(
    ("reference", "argument", "expected"),
    [
        (merge_once, ({tuple("hug"): 10, tuple("pun"): 3},), {("hu", "g"): 10, tuple("pun"): 3}),
        (encode_by_rank, ("hugs", [("u", "g"), ("h", "ug")]), ["hug", "s"]),
        (wordpiece_scores, ({tuple("ab"): 2, tuple("b"): 2},), {("a", "b"): 2 / (2 * 4)}),
        (best_segmentation, ("ab", {"a": -1.0, "b": -1.0, "ab": -1.5}), ["ab"]),
        (split_threes, ("cost 1234567!",), ["cost ", "1", "234", "567", "!"]),
    ],
)
def test_references_by_hand(reference, argument, expected):
    assert reference(*argument) == expected


def test_references_are_what_the_library_does():
    words = ["hug"] * 10 + ["pug"] * 5 + ["pun"] * 12 + ["bun"] * 4 + ["hugs"] * 5
    tokenizer = BPETokenizer.train(words, 12, None, min_frequency=1, byte_level=False)
    merges = [(tokenizer.tokens[a], tokenizer.tokens[b]) for a, b in tokenizer.merges]
    for word in ("hugs", "bugs", "unhug", "hubs"):
        assert encode_by_rank(word, merges) == [tokenizer.tokens[i] for i in tokenizer.encode(word)]
    for word, scores in exercises.check_best_segmentation.cases(3):
        assert best_segmentation(word, scores) == viterbi(word, scores, 99)[0]
