"""Applying learned merges to one word: the lowest rank first, wherever it stands.

Source: Sennrich et al. 2016, section 3.2; Provilkov et al. 2020 (arXiv 1910.13267) for dropout.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise, repeat

Pair = tuple[int, int]
NO_MERGE = 1 << 62
LONG_WORD = 200  # tokens; from about here on the heap is quicker than a scan for each merge
CACHE_SIZE = 1 << 17  # words; a full cache starts anew
CACHED_LENGTH = 64  # characters; longer words hardly ever come again


class MergeTable:
    """Ranks of pairs, and the token that each rank makes."""

    def __init__(
        self, merges: Sequence[Pair], merged_ids: Sequence[int], equal_ranks: bool = False
    ) -> None:
        self.merged_ids = list(merged_ids)
        # a pair that is listed twice keeps its first rank
        self.ranks = {merges[i]: i for i in range(len(merges) - 1, -1, -1)}
        if equal_ranks:  # of a token's merges each gets the first one's rank
            first = {token: i for i, token in reversed([*enumerate(self.merged_ids)])}
            self.ranks = {pair: first[self.merged_ids[i]] for pair, i in self.ranks.items()}

    def merge(self, ids: list[int]) -> list[int]:
        """Merge until no known pair is left; of equal ranks the leftmost goes first.

        `ranks` runs beside `ids` and holds the rank of each pair of neighbors, so that a
        merge looks up two pairs only.
        """
        if len(ids) > LONG_WORD:
            return self.merge_long(ids)
        rank_of, merged_ids = self.ranks.get, self.merged_ids
        ranks = list(map(rank_of, pairwise(ids), repeat(NO_MERGE)))
        while ranks:
            rank = min(ranks)
            if rank == NO_MERGE:
                break
            i = ranks.index(rank)
            ids[i : i + 2] = (merged_ids[rank],)
            del ranks[i]
            if i < len(ranks):
                ranks[i] = rank_of((ids[i], ids[i + 1]), NO_MERGE)
            if i:
                ranks[i - 1] = rank_of((ids[i - 1], ids[i]), NO_MERGE)
        return ids

    def steps(self, ids: list[int]) -> Iterator[tuple[int, list[int]]]:
        """(rank, ids after it) for each single merge of `merge`, in order: to watch it."""
        while True:
            pairs = enumerate(pairwise(ids))
            rank, i = min(
                ((self.ranks.get(pair, NO_MERGE), i) for i, pair in pairs), default=(NO_MERGE, 0)
            )
            if rank == NO_MERGE:
                return
            ids = [*ids[:i], self.merged_ids[rank], *ids[i + 2 :]]
            yield rank, ids

    def merge_long(self, ids: list[int]) -> list[int]:
        """The same result in O(n log n): a heap of (rank, position) over a linked list."""
        following = [*range(1, len(ids)), -1]
        previous = [*range(-1, len(ids) - 1)]
        pairs = enumerate(pairwise(ids))
        heap = [(self.ranks[pair], i) for i, pair in pairs if pair in self.ranks]
        heapify(heap)
        while heap:
            rank, i = heappop(heap)
            j = following[i]
            if j < 0 or ids[i] < 0 or self.ranks.get((ids[i], ids[j])) != rank:
                continue  # another merge has taken the pair apart since it was pushed
            ids[i], ids[j] = self.merged_ids[rank], -1
            following[i] = following[j]
            if following[j] >= 0:
                previous[following[j]] = i
            for left in (previous[i], i):
                right = following[left] if left >= 0 else -1
                if right >= 0 and (pair := (ids[left], ids[right])) in self.ranks:
                    heappush(heap, (self.ranks[pair], left))
        return [i for i in ids if i >= 0]

    def merge_with_dropout(
        self, ids: list[int], dropout: float, generator: random.Random
    ) -> list[int]:
        """Merge, but at each step overlook each possible merge with probability `dropout`.

        0 gives `merge`; 1 leaves the word unmerged (Provilkov et al. 2020, Algorithm 1).
        """
        while True:
            found = [
                (self.ranks[pair], i)
                for i, pair in enumerate(pairwise(ids))
                if pair in self.ranks and generator.random() >= dropout
            ]
            if not found:
                return ids
            rank, i = min(found)
            ids = [*ids[:i], self.merged_ids[rank], *ids[i + 2 :]]


class WordCache(dict):
    """Word → ids, filled as words are asked for: cold or warm, a text is one `map` over it."""

    def __init__(self, encode_word: Callable[[str], list[int]]) -> None:
        super().__init__()
        self.encode_word = encode_word

    def __missing__(self, word: str) -> list[int]:
        ids = self.encode_word(word)
        if len(word) <= CACHED_LENGTH:
            if len(self) >= CACHE_SIZE:
                self.clear()
            self[word] = ids
        return ids
