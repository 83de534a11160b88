"""Learning WordPiece merges by likelihood: which pair comes together more often than chance?

Score of a pair: n(ab) / (n(a) n(b)), with n the number of occurrences among the current tokens.
Up to a constant it is p(ab) / (p(a) p(b)), a likelihood ratio; its logarithm is the pointwise
mutual information of the two tokens. The original trainer was never published; the score is that of
Schuster and Nakajima 2012 (merge what raises the likelihood of the training data most), in the form
in which it is usually given.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from fractions import Fraction
from itertools import chain, pairwise
from operator import add

import numpy as np

from lib.tokenization.bpe_training import Pair, Token, Word, merge_everywhere, merge_in_word

PREFIX = "##"  # marks a token that continues a word


def join(left: str, right: str) -> str:
    """The token that two neighbors make: "h" and "##u" make "hu"."""
    return left + right.removeprefix(PREFIX)


def pair_scores(
    word_counts: Mapping[tuple[Token, ...], int],
) -> dict[tuple[Token, Token], Fraction]:
    """n(ab) / (n(a) n(b)) for each pair of neighbors, exactly."""
    token_counts: Counter[Token] = Counter()
    pair_counts: Counter[tuple[Token, Token]] = Counter()
    for word, count in word_counts.items():
        for token in word:
            token_counts[token] += count
        for pair in pairwise(word):
            pair_counts[pair] += count
    return {
        (a, b): Fraction(count, token_counts[a] * token_counts[b])
        for (a, b), count in pair_counts.items()
    }


def learn_wordpieces_naive(
    word_counts: Mapping[Word, int], tokens: list[str], vocab_size: int, min_frequency: int = 1
) -> list[Pair]:
    """The specification: score all pairs, merge the best, start again. Ties: the smaller pair.

    Appends each new token to `tokens` and returns the merges. Pairs that come fewer than
    `min_frequency` times are left alone.
    """
    counts, merges = dict(word_counts), []
    while len(tokens) < vocab_size:
        scores = pair_scores(counts)
        frequent = Counter()
        for word, count in counts.items():
            for pair in pairwise(word):
                frequent[pair] += count
        scores = {pair: s for pair, s in scores.items() if frequent[pair] >= min_frequency}
        if not scores:
            break
        best = min(scores, key=lambda pair: (-scores[pair], pair))
        token = join(tokens[best[0]], tokens[best[1]])
        if token not in tokens:
            tokens.append(token)
        merges.append(best)
        merged: Counter[Word] = Counter()
        for word, count in counts.items():
            merged[merge_in_word(word, best, tokens.index(token))] += count
        counts = merged
    return merges


def learn_wordpieces(
    word_counts: Mapping[Word, int], tokens: list[str], vocab_size: int, min_frequency: int = 1
) -> list[Pair]:
    """The same merges as `learn_wordpieces_naive`, with counts kept up to date.

    As in `learn_merges`, a word is a string of chr(id). A merge changes the count of both its
    tokens and with it the score of every pair that they are in, so no heap can hold the scores:
    NumPy computes them all at each step.
    """
    words = ["".join(map(chr, word)) for word in word_counts]
    counts = list(word_counts.values())
    ids = {token: i for i, token in enumerate(tokens)}
    token_counts = np.zeros(vocab_size)
    places: defaultdict[str, list[int]] = defaultdict(list)
    table = _PairTable()
    for index, (word, count) in enumerate(zip(words, counts, strict=True)):
        np.add.at(token_counts, list(map(ord, word)), count)
        for pair in map(add, word, word[1:]):
            table.change(pair, count)
            places[pair].append(index)

    merges = []
    while len(tokens) < vocab_size:
        pair = table.best(token_counts, min_frequency)
        if pair is None:
            break
        left, right = map(ord, pair)
        token = join(tokens[left], tokens[right])
        new = ids.setdefault(token, len(tokens))
        if new == len(tokens):
            tokens.append(token)
        merges.append((left, right))
        where = places.pop(pair)
        merged = sum(words[i].count(pair) * counts[i] for i in set(where))
        np.add.at(token_counts, [left, right, new], [-merged, -merged, merged])
        before, after, between = merge_everywhere(words, where, pair, chr(new))
        for lost, gained, at in chain(
            ((char + pair[0], char + chr(new), at) for char, at in before.items()),
            ((pair[1] + char, chr(new) + char, at) for char, at in after.items()),
            [(pair[1] + pair[0], chr(new) * 2, between)] if between else [],
        ):
            change = sum(map(counts.__getitem__, at))
            table.change(lost, -change)
            table.change(gained, change)
            places[gained] += at
        table.remove(pair)
    return merges


class _PairTable:
    """Counts of pairs in arrays, so that all scores are one division."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.ids = np.zeros((1024, 2), dtype=np.int64)
        self.counts = np.zeros(1024)

    def change(self, pair: str, by: int) -> None:
        row = self.rows.setdefault(pair, len(self.rows))
        if row == len(self.counts):
            self.ids = np.concatenate([self.ids, np.zeros_like(self.ids)])
            self.counts = np.concatenate([self.counts, np.zeros_like(self.counts)])
        if not self.counts[row]:
            self.ids[row] = ord(pair[0]), ord(pair[1])
        self.counts[row] += by

    def remove(self, pair: str) -> None:
        self.counts[self.rows[pair]] = 0

    def best(self, token_counts: np.ndarray, min_frequency: int) -> str | None:
        """The pair with the highest score; of equal ones the smallest pair of ids."""
        live = np.flatnonzero(self.counts >= max(min_frequency, 1))
        if not len(live):
            return None
        left, right = self.ids[live].T
        scores = self.counts[live] / (token_counts[left] * token_counts[right])
        return min(chr(a) + chr(b) for a, b in self.ids[live[scores == scores.max()]])
