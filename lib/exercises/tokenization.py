"""Checks for the exercises of chapter 1, tokenization."""

import random
from collections import Counter
from itertools import pairwise

from lib.exercises.checking import Exercise, Mistake, Probe
from lib.exercises.segmentation import check_best_segmentation, check_split_threes

__all__ = [
    "check_best_segmentation",
    "check_encode_by_rank",
    "check_merge_once",
    "check_split_threes",
    "check_wordpiece_scores",
]

# Count pairs, merge the most frequent


def _merge(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged, i = [], 0
    while i < len(word):
        if word[i : i + 2] == pair:
            merged.append(word[i] + word[i + 1])
            i += 2
        else:
            merged.append(word[i])
            i += 1
    return tuple(merged)


def _pair_counts(words: dict[tuple[str, ...], int]) -> Counter:
    counts: Counter = Counter()
    for word, count in words.items():
        for pair in pairwise(word):
            counts[pair] += count
    return counts


def merge_once(words: dict[tuple[str, ...], int]) -> dict[tuple[str, ...], int]:
    """Merge the most frequent pair in all words; of equal ones the smallest."""
    counts = _pair_counts(words)
    best = min(counts, key=lambda pair: (-counts[pair], pair))
    return {_merge(word, best): count for word, count in words.items()}


def _merge_once_unweighted(words: dict) -> dict:
    counts = Counter(pair for word in words for pair in pairwise(word))
    best = min(counts, key=lambda pair: (-counts[pair], pair))
    return {_merge(word, best): count for word, count in words.items()}


def _merge_once_first_seen(words: dict) -> dict:
    best = _pair_counts(words).most_common(1)[0][0]
    return {_merge(word, best): count for word, count in words.items()}


def _merge_once_largest(words: dict) -> dict:
    counts = _pair_counts(words)
    best = max(counts, key=lambda pair: (counts[pair], pair))
    return {_merge(word, best): count for word, count in words.items()}


def _merge_once_first_place_only(words: dict) -> dict:
    counts = _pair_counts(words)
    best = min(counts, key=lambda pair: (-counts[pair], pair))
    merged = {}
    for word, count in words.items():
        at = next((i for i, pair in enumerate(pairwise(word)) if pair == best), None)
        new = word if at is None else (*word[:at], "".join(best), *word[at + 2 :])
        merged[new] = count
    return merged


def _word_counts(seed: int) -> list[tuple]:
    dice = random.Random(seed)
    hugs = {"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5}
    cases = [({tuple(word): count for word, count in hugs.items()},)]
    cases.append(({tuple("banana"): 2, tuple("bandana"): 1, tuple("zebra"): 2},))
    cases.append(({tuple("zy"): 3, tuple("ab"): 3, tuple("abzy"): 1},))
    cases.append(({tuple("mn"): 2, tuple("ab"): 2, tuple("yz"): 2},))
    for size in (3, 9, 20):
        words = {tuple(dice.choices("abc", k=dice.randint(2, 7))) for _ in range(size)}
        cases.append(({word: dice.randint(1, 9) for word in sorted(words)},))
    return cases


check_merge_once = Exercise(
    title="One merge",
    reference=merge_once,
    cases=_word_counts,
    mistakes=[
        Mistake(
            _merge_once_unweighted,
            "Each pair is counted once for each different word: multiply by the word's own count.",
        ),
        Mistake(
            _merge_once_first_seen,
            "Of equally frequent pairs it takes the one seen first; the smallest pair is asked "
            "for, so that the result does not depend on the order of the words.",
        ),
        Mistake(_merge_once_largest, "Of equally frequent pairs it takes the largest."),
        Mistake(
            _merge_once_first_place_only,
            "Only the first place in each word is merged: a pair may come again further on.",
        ),
    ],
    probes=[
        Probe(
            "A token may have several letters, and pairs are pairs of tokens: ('ha', 'b') ends in "
            "the letters a and b, but it is not the pair ('a', 'b').",
            ({("ha", "b"): 3, ("a", "b"): 5},),
        ),
        Probe(
            "Of equal pairs the smallest is that of the smaller first token: compare the pairs, "
            "not their joined texts.",
            ({("ab", "c"): 2, ("a", "bd"): 2},),
        ),
    ],
    difficulty=1,
    minutes=12,
)

# Encode by rank

Merges = list[tuple[str, str]]


def encode_by_rank(word: str, merges: Merges) -> list[str]:
    """Merge the pair of lowest rank, the leftmost first, until no known pair is left."""
    rank = {pair: i for i, pair in reversed(list(enumerate(merges)))}
    tokens = list(word)
    while True:
        known = [(rank[pair], i) for i, pair in enumerate(pairwise(tokens)) if pair in rank]
        if not known:
            return tokens
        _, i = min(known)
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]


def _encode_left_to_right(word: str, merges: Merges) -> list[str]:
    tokens, known = list(word), set(merges)
    while True:
        at = next((i for i, pair in enumerate(pairwise(tokens)) if pair in known), None)
        if at is None:
            return tokens
        tokens[at : at + 2] = [tokens[at] + tokens[at + 1]]


def _encode_longest_first(word: str, merges: Merges) -> list[str]:
    pieces, at = {a + b for a, b in merges}, 0
    tokens = []
    while at < len(word):
        end = next((e for e in range(len(word), at + 1, -1) if word[at:e] in pieces), at + 1)
        tokens.append(word[at:end])
        at = end
    return tokens


def _encode_last_rank_first(word: str, merges: Merges) -> list[str]:
    return encode_by_rank(word, merges[::-1])


def _encode_one_merge(word: str, merges: Merges) -> list[str]:
    tokens = list(word)
    known = [(merges.index(pair), i) for i, pair in enumerate(pairwise(tokens)) if pair in merges]
    if known:
        _, i = min(known)
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
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
    mistakes=[
        Mistake(
            _encode_left_to_right,
            "It merges whatever known pair comes first in the word. The order is that of the "
            "merges: look at all pairs and take the one that was learned earliest.",
        ),
        Mistake(
            _encode_longest_first,
            "It takes the longest token that fits: that is WordPiece. BPE replays its merges.",
        ),
        Mistake(_encode_last_rank_first, "It takes the merge learned last; the earliest is due."),
        Mistake(_encode_one_merge, "It stops after one merge: go on until no known pair is left."),
    ],
    probes=[
        Probe(
            "It looks up the merged text: 'ab' + 'c' reads like 'a' + 'bc', but only the second is "
            "a merge here. Look up the pair.",
            ("abc", [("a", "bc"), ("a", "b"), ("b", "c")]),
        ),
    ],
    difficulty=2,
    minutes=15,
)

# The WordPiece score


def wordpiece_scores(words: dict[tuple[str, ...], int]) -> dict[tuple[str, str], float]:
    """count(pair) / (count(first) * count(second)) for each pair of neighbors."""
    pairs, tokens = _pair_counts(words), _token_counts(words)
    return {(a, b): count / (tokens[a] * tokens[b]) for (a, b), count in pairs.items()}


def _token_counts(words: dict) -> Counter:
    tokens: Counter = Counter()
    for word, count in words.items():
        for token in word:
            tokens[token] += count
    return tokens


def _scores_frequency(words: dict) -> dict:
    return {pair: float(count) for pair, count in _pair_counts(words).items()}


def _scores_one_sided(words: dict) -> dict:
    tokens = _token_counts(words)
    return {(a, b): count / tokens[a] for (a, b), count in _pair_counts(words).items()}


def _scores_unweighted(words: dict) -> dict:
    return wordpiece_scores(dict.fromkeys(words, 1))


def _scores_sum(words: dict) -> dict:
    tokens = _token_counts(words)
    return {
        (a, b): count / (tokens[a] + tokens[b]) for (a, b), count in _pair_counts(words).items()
    }


check_wordpiece_scores = Exercise(
    title="The WordPiece score",
    reference=wordpiece_scores,
    cases=_word_counts,
    mistakes=[
        Mistake(_scores_frequency, "This is the pair's frequency, which is what BPE goes by."),
        Mistake(
            _scores_one_sided,
            "It divides by the count of the first token only: divide by both counts.",
        ),
        Mistake(_scores_unweighted, "The words' own counts are left out."),
        Mistake(_scores_sum, "It divides by the sum of the two counts, not by their product."),
    ],
    probes=[
        Probe(
            "A token may have several letters: count tokens and their pairs, not letters.",
            ({("ha", "b"): 3, ("a", "b"): 5},),
        ),
    ],
    difficulty=1,
    minutes=8,
)
