"""Learning byte-pair merges: the algorithm in twenty lines, and the same made fast.

Source: Sennrich, Haddow and Birch 2016 (arXiv 1508.07909), Algorithm 1; Gage 1994 for the
compression method that it comes from. Ties between pairs of equal count go to the smaller pair of
token ids, first token first, as in Hugging Face's BpeTrainer.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import chain, pairwise
from operator import add
from typing import TypeVar

from lib.tokenization.pretokenization import BYTE_TO_CHAR

Word = tuple[int, ...]  # a word as token ids
Pair = tuple[int, int]
Token = TypeVar("Token", int, str)  # a token by its id or by its text


def learn_merges_naive(
    word_counts: Mapping[Word, int],
    tokens: list[str],
    vocab_size: int,
    min_frequency: int = 2,
) -> list[Pair]:
    """The specification: count all pairs, merge the most frequent, start again.

    Appends each new token to `tokens` and returns the merges in the order learned.
    """
    counts, merges = dict(word_counts), []
    ids = {token: i for i, token in enumerate(tokens)}
    while len(tokens) < vocab_size:
        pair_counts: Counter[Pair] = Counter()
        for word, count in counts.items():
            for pair in pairwise(word):
                pair_counts[pair] += count
        if not pair_counts:
            break  # every word is one token
        best = min(pair_counts, key=lambda pair: (-pair_counts[pair], pair))
        if pair_counts[best] < min_frequency:
            break
        new = ids.setdefault(tokens[best[0]] + tokens[best[1]], len(tokens))
        if new == len(tokens):
            tokens.append(tokens[best[0]] + tokens[best[1]])
        if best not in merges:
            merges.append(best)
        merged: Counter[Word] = Counter()
        for word, count in counts.items():
            merged[merge_in_word(word, best, new)] += count
        counts = merged
    return merges


def merge_in_word(
    word: tuple[Token, ...], pair: tuple[Token, Token], new: Token
) -> tuple[Token, ...]:
    """Replace each occurrence of `pair`, from the left, by the token `new`; ids or texts alike."""
    merged, i = [], 0
    while i < len(word):
        if word[i : i + 2] == pair:
            merged.append(new)
            i += 2
        else:
            merged.append(word[i])
            i += 1
    return tuple(merged)


def learn_merges(
    word_counts: Mapping[Word, int],
    tokens: list[str],
    vocab_size: int,
    min_frequency: int = 2,
) -> list[Pair]:
    """The same merges as `learn_merges_naive`, without counting again.

    A word is a string whose characters are token ids (chr(id)), so that merging a pair
    is `str.split` and `str.join` at C speed, and a pair is a string of two characters,
    which sorts as the pair of ids does. Only words that hold the pair are visited
    (`places`), only their neighboring pairs change count, and a heap finds the most
    frequent pair; an entry whose count has changed since it was pushed is pushed back
    with the present count.
    """
    words = ["".join(map(chr, word)) for word in word_counts]
    counts = list(word_counts.values())
    ids = {token: i for i, token in enumerate(tokens)}
    pair_counts: defaultdict[str, int] = defaultdict(int)
    places: defaultdict[str, list[int]] = defaultdict(list)
    for index, word in enumerate(words):
        for pair in map(add, word, word[1:]):
            pair_counts[pair] += counts[index]
            places[pair].append(index)
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapify(heap)

    merges: dict[Pair, None] = {}
    while len(tokens) < vocab_size and heap:
        negative_count, pair = heappop(heap)
        count = pair_counts.get(pair, 0)
        if count != -negative_count:
            if count > 0:
                heappush(heap, (-count, pair))
            continue
        if count < min_frequency:
            break
        left, right = pair
        token = tokens[ord(left)] + tokens[ord(right)]
        new = chr(ids.setdefault(token, len(tokens)))
        if ord(new) == len(tokens):
            tokens.append(token)
        merges[ord(left), ord(right)] = None
        before, after, between = merge_everywhere(words, places.pop(pair), pair, new)
        for lost, gained, where in (
            *((char + left, char + new, where) for char, where in before.items()),
            *((right + char, new + char, where) for char, where in after.items()),
            *([(right + left, new + new, between)] if between else []),
        ):
            change = sum(map(counts.__getitem__, where))
            pair_counts[lost] -= change
            pair_counts[gained] += change
            places[gained] += where
            heappush(heap, (-pair_counts[gained], gained))
        del pair_counts[pair]
    return list(merges)


def merge_everywhere(
    words: list[str], where: list[int], pair: str, new: str
) -> tuple[dict[str, list[int]], dict[str, list[int]], list[int]]:
    """Merge `pair` in the words at `where`.

    Returns, once for each occurrence, the index of its word: by the character before the pair, by
    the character after it, and for two occurrences side by side.
    """
    before: defaultdict[str, list[int]] = defaultdict(list)
    after: defaultdict[str, list[int]] = defaultdict(list)
    between = []
    for index in where:
        parts = words[index].split(pair)
        if len(parts) == 1:
            continue  # another merge has taken the pair apart since
        words[index] = new.join(parts)
        if parts[0]:
            before[parts[0][-1]].append(index)
        for part in parts[1:-1]:
            if part:
                after[part[0]].append(index)
                before[part[-1]].append(index)
            else:
                between.append(index)
        if parts[-1]:
            after[parts[-1][0]].append(index)
    return before, after, between


def learn_vocabulary(
    words: Mapping[str, int],
    vocab_size: int,
    min_frequency: int = 2,
    special_tokens: Sequence[str] = (),
    byte_level: bool = True,
    end_of_word: str = "",
    learn: Callable[..., list[Pair]] = learn_merges,
) -> tuple[list[str], list[Pair]]:
    """Tokens and merges from counted words: special tokens first, then the alphabet, then merges.

    The alphabet is the 256 bytes (in GPT-2's spelling), or the characters that the words have,
    where a word's last character carries `end_of_word`.
    """
    if byte_level:
        alphabet = sorted(BYTE_TO_CHAR)
        spelled = {tuple(BYTE_TO_CHAR[b] for b in word.encode()): n for word, n in words.items()}
    else:
        spelled = {(*word[:-1], word[-1] + end_of_word): n for word, n in words.items()}
        letters = set(chain.from_iterable(spelled))
        alphabet = sorted(letters, key=lambda letter: (len(letter), letter))
    clash = set(alphabet) & set(special_tokens)
    if clash:
        raise ValueError(f"special token {min(clash)!r} is a letter of the alphabet")
    tokens = [*special_tokens, *alphabet]
    if vocab_size < len(tokens):
        raise ValueError(
            f"vocab_size must be at least {len(tokens)} ({len(alphabet)} for the alphabet, "
            f"{len(special_tokens)} special tokens), got {vocab_size}"
        )
    ids = {token: i for i, token in enumerate(tokens)}
    word_counts = {tuple(map(ids.__getitem__, word)): n for word, n in spelled.items()}
    return tokens, learn(word_counts, tokens, vocab_size, max(min_frequency, 1))
