"""Exercises of chapter 1: a merge, encoding by rank, the score (and `segmentation`, `threes`)."""

import random
from collections.abc import Callable
from itertools import pairwise

from lib.exercises.checking import Exercise, Probe
from lib.exercises.merging import (
    COUNTS,
    SEVERAL,
    Pair,
    Word,
    check_merge_once,
    merge_once,
    merge_pair,
    pair_counts,
    token_counts,
    word_counts,
)
from lib.exercises.segmentation import check_best_segmentation
from lib.exercises.threes import check_split_threes

__all__ = [
    "check_best_segmentation", "check_encode_by_rank", "check_merge_once", "check_split_threes",
    "check_wordpiece_scores", "encode_by_rank", "merge_once", "wordpiece_scores",
]  # fmt: skip

# Encode by rank

Merges = list[Pair]


def encode_by_rank(
    word: str, merges: Merges, *, by: str = "rank", place: str = "left", stop: str = "never",
    known: str = "pair",
) -> list[str]:  # fmt: skip
    """Merge the pair of lowest rank, the leftmost first, until no known pair is left."""
    if by == "longest":
        return _longest(word, {a + b for a, b in merges})
    tokens = list(word)
    if by in ("in turn", "in turn, one place"):
        for pair in merges:
            chosen = "all" if by == "in turn" else "first"
            tokens = list(
                merge_pair(tuple(tokens), pair, {"left": chosen, "right": "right"}[place])
            )
        return tokens
    rank = {pair: i for i, pair in reversed(list(enumerate(merges)))}
    texts = {a + b: i for (a, b), i in rank.items()}
    steps = 0
    while True:
        pairs = list(enumerate(pairwise(tokens)))
        pairs = pairs[:-1] if known == "but last" else pairs
        found = [
            (rank[p] if known != "text" else texts["".join(p)], i)
            for i, p in pairs
            if (p in rank if known != "text" else "".join(p) in texts)
        ]
        if not found or (stop == "one" and steps):
            return tokens
        r, i = min(found, key=lambda f: _order(by, place, *f))
        if stop in ("all places", "pass"):
            tokens = list(
                merge_pair(tuple(tokens), merges[r], "right" if place == "right" else "all")
            )
        else:
            tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
        steps += 1


def _order(by: str, place: str, rank: int, i: int) -> tuple:
    """What is to be smallest for the pair that is merged."""
    at = -i if place == "right" else i
    return {"rank": (rank, at), "last": (-rank, at), "place": (at,)}[by]


def _longest(word: str, pieces: set[str]) -> list[str]:
    tokens, at = [], 0
    while at < len(word):
        end = next((e for e in range(len(word), at + 1, -1) if word[at:e] in pieces), at + 1)
        tokens.append(word[at:end])
        at = end
    return tokens


def _words_and_merges(seed: int) -> list[tuple]:
    dice = random.Random(seed)
    merges = [("u", "g"), ("u", "n"), ("h", "ug"), ("p", "un"), ("b", "un"), ("hug", "s")]
    cases: list[tuple] = [(word, merges) for word in ("hugs", "bugs", "unhug", "", "x")]
    cases.append(("hugs", [("u", "g"), ("h", "u"), ("g", "s")]))
    cases.append(("abcab", [("b", "c"), ("a", "b"), ("a", "bc"), ("abc", "ab")]))
    for _ in range(4):
        tokens, learned = list("abc"), []
        for _ in range(8):
            left, right = dice.choice(tokens), dice.choice(tokens)
            if left + right not in tokens:
                tokens.append(left + right)
                learned.append((left, right))
        cases.append(("".join(dice.choices("abc", k=dice.randint(4, 14))), learned))
    return cases


check_encode_by_rank = Exercise(
    title="Encode by rank",
    reference=encode_by_rank,
    cases=_words_and_merges,
    switches={
        "by": {
            "place": "It merges whatever known pair comes first in the word. The order is that of "
            "the merges: look at all pairs and take the one that was learned earliest.",
            "longest": "It takes the longest token that fits: that is WordPiece. BPE replays its "
            "merges.",
            "last": "It takes the merge learned last; the earliest is due.",
            "in turn, one place": "It goes through the list once and merges each pair at one place:"
            " go on until no known pair is left.",
        },
        "place": {"right": "Of a pair that comes several times it merges the last place first."},
        "stop": {"one": "It stops after one merge: go on until no known pair is left."},
        "known": {
            "text": "It looks up the merged text: 'ab' + 'c' reads like 'a' + 'bc', but is another "
            "pair. Look up the pair.",
            "but last": "The last pair of the word is never looked at.",
        },
    },
    probes=[
        Probe("An empty word has no tokens: return [].", ("", [("a", "b")])),
        Probe(
            "Where no pair is known the letters stay: (a, b) is not (b, a).", ("ab", [("b", "a")])
        ),
        Probe("A known pair is merged.", ("ab", [("a", "b")])),
        Probe("The last pair of a word is a pair like others.", ("cab", [("a", "b")])),
        Probe("What a merge made can be merged again.", ("abc", [("a", "b"), ("ab", "c")])),
        Probe("A pair is merged at all its places.", ("abab", [("a", "b")])),
        Probe("In aaa the first two are merged.", ("aaa", [("a", "a")])),
        Probe(
            "'ha b' ends in 'a b', but has no such pair.",
            ("hab", [("h", "a"), ("a", "b")]),
            lambda e, g: g == ["hab"],
        ),
        Probe(
            "The pair learned earliest goes first, though another comes earlier in the word.",
            ("abc", [("b", "c"), ("a", "b")]),
        ),
        Probe(
            "It looks up the merged text: 'ab' + 'c' reads like 'a' + 'bc', but only the second is "
            "a merge here. Look up the pair.",
            ("abc", [("a", "b"), ("b", "c"), ("a", "bc")]),
            lambda e, g: g == ["abc"],
        ),
        Probe(
            "The pair learned earliest goes first, though it comes later in the list of pairs of "
            "the word and makes a shorter token.",
            ("abcd", [("c", "d"), ("a", "b"), ("ab", "c"), ("abc", "d")]),
        ),
    ],
    difficulty=2,
    minutes=15,
)

# The WordPiece score


DIVISORS: dict[str, Callable[[int, int, int], float]] = {
    "product": lambda a, b, n: a * b,
    "one": lambda a, b, n: 1,
    "first": lambda a, b, n: a,
    "second": lambda a, b, n: b,
    "sum": lambda a, b, n: a + b,
    "root": lambda a, b, n: (a * b) ** 0.5,
    "all": lambda a, b, n: a * b / n,
    "share": lambda a, b, n: n,
    "over": lambda a, b, n: a / b,
    "smaller": lambda a, b, n: min(a, b) ** 2,
    "larger": lambda a, b, n: max(a, b) ** 2,
}


def wordpiece_scores(
    words: dict[Word, int], *, count: str = "weighted", tokens: str = "weighted",
    divisor: str = "product",
) -> dict[Pair, float]:  # fmt: skip
    """count(pair) / (count(first) * count(second)) for each pair of neighbors."""
    pairs = pair_counts(words, count)
    single, right = token_counts(words, tokens), token_counts(words, tokens)
    if tokens == "sides":
        single, right = token_counts(words, "left"), token_counts(words, "right")
    total = sum(single.values())
    return {
        (a, b): n / DIVISORS[divisor](single[a], right[b], total) for (a, b), n in pairs.items()
    }


check_wordpiece_scores = Exercise(
    title="The WordPiece score",
    reference=wordpiece_scores,
    cases=word_counts,
    switches={
        "divisor": {
            "one": "This is the pair's frequency, which is what BPE goes by.",
            "first": "It divides by the count of the first token only: divide by both counts.",
            "second": "It divides by the count of the second token only: divide by both counts.",
            "sum": "It divides by the sum of the two counts, not by their product.",
            "root": "It divides by the root of the product: divide by the product.",
            "all": "It multiplies by the number of all tokens: the score is without it.",
            "share": "It divides by the number of all tokens: divide by the counts of the two.",
            "over": "It divides by one count and multiplies by the other: put parentheses.",
            "smaller": "It divides by the square of the smaller count: take the two counts.",
            "larger": "It divides by the square of the larger count: take the two counts.",
        },
        "count": COUNTS,
        "tokens": {
            "once": "The words' counts are left out for tokens: a token counts with its word.",
            "presence": "A token that comes twice in a word counts once: count each place.",
            "pairs": "Tokens of words without a pair are left out: they count too.",
            "sides": "A token is counted only where it stands on the same side of a pair: count it "
            "wherever it stands.",
        },
    },
    probes=[
        Probe("A single pair in a word of count 1 has the score 1 / (1 · 1).", ({("a", "b"): 1},)),
        Probe("A word of count 2: the score is 2 / (2 · 2).", ({("a", "b"): 2},)),
        Probe(
            "A word of one token has no pair, but its token counts.",
            ({("a", "b"): 2, ("b",): 3, ("a",): 5},),
            lambda e, g: 2 / 4 in g.values() or len(g) != 1,
        ),
        Probe(
            "Here (a, b) comes 2 times, a 7 times and b 5 times: the score is 2 / (7 · 5).",
            ({("a", "b"): 2, ("b",): 3, ("a",): 5},),
        ),
        Probe(
            "A token counts wherever it stands, first or second.", ({("a", "b"): 1, ("b", "c"): 1},)
        ),
        Probe("The pairs (a, b) and (b, a) are different.", ({("a", "b"): 1, ("b", "a"): 2},)),
        Probe("A pair that comes twice in a word counts twice.", ({("a", "b", "a", "b"): 1},)),
        Probe("A pair of two equal tokens is a pair.", ({("a", "a"): 1},)),
        Probe(
            "A token may have several letters: count tokens and their pairs, not letters.",
            (SEVERAL,),
        ),
    ],
    difficulty=1,
    minutes=8,
)
