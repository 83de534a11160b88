"""An exercise of chapter 1: count pairs of tokens, and merge the most frequent."""

import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

from lib.exercises.checking import Exercise, Probe

Word = tuple[str, ...]
Pair = tuple[str, str]


def merge_pair(word: Word, pair: Pair, places: str = "all") -> Word:
    """The word with a pair merged, at all its places from the left or at those chosen."""
    if places == "right":
        return tuple(t[::-1] for t in merge_pair(_reversed(word), _reversed(pair)))[::-1]
    at = [i for i, neighbors in enumerate(pairwise(word)) if neighbors == pair]
    chosen = at[:1] if places == "first" else at
    tokens, i = [], 0
    while i < len(word) - (places == "to the last"):
        length = 2 if i in chosen else 1
        tokens.append("".join(word[i : i + length]))
        i += 1 if places == "by one" else length
    return tuple(tokens)


def _reversed(word: Word) -> Word:
    return tuple(token[::-1] for token in word[::-1])


def pair_counts(words: dict[tuple, int], count: str = "weighted") -> Counter:
    """How often each pair of neighbors comes; `count` is a setting of `COUNTS`."""
    counts: Counter = Counter()
    for word, n in words.items():
        pairs = list(pairwise("".join(word) if count == "letters" else word))
        pairs = list(dict.fromkeys(pairs)) if count in ("presence", "word") else pairs
        for pair in pairs:
            counts[pair] += 1 if count in ("once", "presence") else n
    if count == "both ways":
        both = {p: n + counts[p[::-1]] for p, n in counts.items() if p[0] != p[1]}
        counts = Counter({**counts, **both})
    return counts


def token_counts(words: dict[Word, int], count: str = "weighted") -> Counter:
    """How often each token comes, weighted by the words' counts unless `count` says else."""
    tokens: Counter = Counter()
    for word, n in words.items():
        parts = {
            "presence": set(word),
            "pairs": word if len(word) > 1 else (), "left": word[:-1], "right": word[1:],
        }.get(count, word)  # fmt: skip
        for token in parts:
            tokens[token] += 1 if count == "once" else n
    return tokens


TIES: dict[str, Callable[[Counter], Pair]] = {
    "smallest": lambda counts: min(counts, key=lambda p: (-counts[p], p)),
    "largest": lambda counts: max(counts, key=lambda p: (counts[p], p)),
    "first": lambda counts: max(counts, key=counts.get),
    "text": lambda counts: min(counts, key=lambda p: (-counts[p], "".join(p))),
    "rarest": lambda counts: min(counts, key=lambda p: (counts[p], p)),
}


def merge_once(
    words: dict[Word, int],
    *,
    count: str = "weighted",
    tie: str = "smallest",
    places: str = "all",
    also: str = "none",
    counts_as: str = "kept",
) -> dict[Word, int]:
    """Merge the most frequent pair in all words; of equal ones the smallest."""
    counts = pair_counts(words, count)
    if also == "score":
        tokens = token_counts(words)
        best = min(counts, key=lambda p: (-counts[p] / (tokens[p[0]] * tokens[p[1]]), p))
    else:
        best = TIES[tie](counts)
    result: dict[Word, int] = {}
    for word, n in words.items():
        merged = merge_pair(word, best, places)
        if also == "changed" and merged == word:
            continue
        result[merged] = n if counts_as == "kept" else 1
    return merge_once(result) if also == "again" and pair_counts(result) else result


def word_counts(seed: int) -> list[tuple]:
    """Words with counts, for two exercises."""
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


COUNTS = {
    "once": "Each pair is counted once for each different word: multiply by the word's own count.",
    "presence": "Pairs are counted once for each word that has them, without its count.",
    "word": "A pair that comes twice in a word counts once: count each place.",
    "letters": "Letters are counted: a token may have several, and pairs are pairs of tokens.",
    "both ways": "Pairs are counted in both orders: (a, b) and (b, a) are different.",
}
SEVERAL = {("ha", "b"): 3, ("a", "b"): 5}

check_merge_once = Exercise(
    title="One merge",
    reference=merge_once,
    cases=word_counts,
    switches={
        "count": COUNTS,
        "tie": {
            "first": "Of equally frequent pairs it takes the one seen first; the smallest pair is "
            "asked for, so that the result does not depend on the order of the words.",
            "largest": "Of equally frequent pairs it takes the largest.",
            "text": "Of equally frequent pairs it takes that of the smallest joined text: compare "
            "the pairs.",
            "rarest": "It merges the rarest pair: the most frequent is due.",
        },
        "places": {
            "first": "Only the first place in each word is merged: a pair may come again.",
            "right": "It merges from the right: in a a a the first two belong together.",
            "by one": "The second token of a merged pair stays behind it: go on by two places.",
            "to the last": "The last token of a word is lost where it is not merged.",
        },
        "also": {
            "score": "It merges the pair of the highest WordPiece score: BPE goes by frequency.",
            "again": "Two pairs are merged, one after the other: one step merges one pair.",
            "changed": "Words without the pair are lost: they stay as they are.",
        },
        "counts_as": {
            "one": "The words' counts are lost: they stay as they are.",
        },
    },
    probes=[
        Probe("The pair of a single word is merged, and the count stays.", ({("a", "b"): 3},)),
        Probe("A word without the pair stays as it is.", ({("a", "b"): 3, ("c", "d"): 1},)),
        Probe("A word of a single token stays as it is.", ({("a", "b"): 3, ("c",): 9},)),
        Probe("In a a a the first two are merged.", ({("a", "a", "a"): 1},)),
        Probe(
            "More than one pair is merged: one step merges the most frequent alone.",
            ({("a", "b"): 2, ("b", "c"): 5},),
            lambda e, g: {("ab",), ("bc",)} <= {*g},
        ),
        Probe(
            "A pair counts as often as its word: (b, c) comes 5 times here, (a, b) 2 times.",
            ({("a", "b"): 2, ("b", "c"): 5},),
            lambda e, g: ("ab",) in g,
        ),
        Probe(
            "A pair's counts in different words add up: (b, c) comes 2 + 2 times, (a, d) 3 times.",
            ({("b", "c"): 2, ("b", "c", "e"): 2, ("a", "d"): 3},),
        ),
        Probe(
            "A pair that comes twice in a word counts twice.",
            ({("b", "c", "b", "c"): 1, ("a", "b"): 1},),
        ),
        Probe(
            "Pairs are those within a word: the end of one and the start of the next are none.",
            ({("x", "b"): 1, ("a", "y"): 1, ("z", "b"): 1, ("a", "w"): 1},),
        ),
        Probe(
            "Of equally frequent pairs the smallest is merged.",
            ({("c", "d"): 2, ("a", "b"): 2},),
        ),
        Probe(
            "Of equally frequent pairs the smallest is merged, also where it comes first.",
            ({("a", "b"): 2, ("c", "d"): 2},),
        ),
        Probe(
            "A token may have several letters, and pairs are pairs of tokens: ('ha', 'b') ends in "
            "the letters a and b, but it is not the pair ('a', 'b').",
            (SEVERAL,),
        ),
        Probe(
            "Of equally frequent pairs the smallest is merged, however long another is.",
            ({("a", "b"): 2, ("xy", "z"): 2},),
        ),
        Probe(
            "Of equal pairs the smallest is that of the smaller first token: compare the pairs, "
            "not their joined texts.",
            ({("ab", "c"): 2, ("a", "bd"): 2},),
        ),
        Probe(
            "One pair is merged in one step, also where what it makes could be merged again.",
            ({("a", "b", "a", "b", "c"): 4},),
        ),
    ],
    difficulty=1,
    minutes=12,
)  # fmt: skip
