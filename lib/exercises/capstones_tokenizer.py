"""Capstone of chapter 1: the reader's own byte-level BPE, trained and encoding, on real text."""

import functools
import random
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from lib.corpora import english
from lib.display import claim
from lib.exercises.checking import Exercise, Probe
from lib.exercises.merging import COUNTS, TIES, pair_counts
from lib.tokenization.pretokenization import BYTE_TO_CHAR, count_words, spell, split

Ids = tuple[int, ...]
Encode = Callable[[str], list[int]]


def join(word: Ids, pair: Ids, new: int, places: str = "all") -> Ids:
    """The word with `new` in place of the pair, from the left, at all places or some of them."""
    if places == "right":
        return join(word[::-1], pair[::-1], new)[::-1]
    found, i = [], 0
    while i < len(word):
        here = word[i : i + 2] == pair and (places == "all" or new not in found)
        found.append(new if here else word[i])
        i += 2 if here else 1
    return tuple(found)


def _most_frequent(state: dict[Ids, int], count: str, tie: str, least: int) -> Ids | None:
    counts = pair_counts(state, count)
    return TIES[tie](counts) if max(counts.values(), default=0) >= least else None


def _longest(word: str, known: dict[str, int]) -> Ids:
    """Encode as WordPiece does: the longest known token from the left."""
    ids = []
    while word:
        n = next(n for n in range(len(word), 0, -1) if word[:n] in known)
        ids.append(known[word[:n]])
        word = word[n:]
    return tuple(ids)


def tokenizer(
    words: dict[str, int], letters: list[str], n_merges: int, *,
    count: str = "weighted", tie: str = "smallest", places: str = "all", recount: str = "each time",
    least: int = 1, more: int = 0, first: int = 0, order: str = "rank", result: str = "ids",
) -> Encode:  # fmt: skip
    """Train byte-pair encoding on counted words; the encoder, from a word to token ids."""
    number = {letter: i for i, letter in enumerate(letters)}
    begin = len(letters) + first
    state = {tuple(number[c] for c in word): n for word, n in words.items()}
    merges: dict[Ids, int] = {}
    if recount == "never":
        counts = pair_counts(state, count)
        ranked = sorted(counts, key=lambda pair: (-counts[pair], pair))
        merges = {pair: begin + i for i, pair in enumerate(ranked[: n_merges + more])}
    while recount == "each time" and len(merges) < n_merges + more:
        best = _most_frequent(state, count, tie, least)
        if best is None:
            break
        merges[best] = begin + len(merges)
        state = {join(word, best, merges[best], places): n for word, n in state.items()}
    texts = {**dict(enumerate(letters))}
    for (a, b), new in merges.items():
        texts[new] = texts[a] + texts[b]

    def encode(word: str) -> list[Any]:
        ids = tuple(number[c] for c in word)
        if order == "longest":
            ids = _longest(word, {text: i for i, text in texts.items()})
        while order not in ("never", "longest"):
            pairs = [pair for pair in pairwise(ids) if pair in merges]
            if not pairs:
                break
            if order == "place":
                pair = pairs[0]
            else:
                pair = (max if order == "last" else min)(pairs, key=merges.get)
            ids = join(ids, pair, merges[pair], places if places == "right" else "all")
            if order == "one":
                break
        if result == "ranks":
            return [i - begin if i >= begin else i for i in ids]
        return [texts[i] for i in ids] if result == "texts" else list(ids)

    return encode


def ids_of(
    answer: Callable[..., Encode], words: dict[str, int], letters: str, n_merges: int,
    texts: Iterable[str], **settings: Any,
) -> list[list[int]] | Any:  # fmt: skip
    """What a tokenizer that `answer` trains makes of `texts`."""
    encode = answer(dict(words), list(letters), n_merges, **settings)
    return [list(encode(text)) for text in texts]


SENTENCE = "The tokenizer has never seen hippopotamuses."
HUGS = {"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5}


def _cases(seed: int) -> list[tuple]:
    dice = random.Random(seed)
    cases: list[tuple] = [
        (HUGS, "bghnpsu", 3, ["hug", "bug", "hugs", "shun", "b"]),
        (HUGS | {"spun": 1}, "bghnpsu", 20, ["hug", "bug", "hugs", "punpun", "spun", ""]),
    ]
    for letters, size, n in (("cab", 8, 5), ("abcd", 30, 14), ("dcba", 60, 25)):
        draw = ["".join(dice.choices(letters, k=dice.randint(1, 7))) for _ in range(2 * size)]
        words = {word: dice.randint(1, 9) for word in sorted(draw[:size])}
        cases.append((words, letters, n, [*draw[size:], letters[0] * 5]))
    return cases


def on_real_text(my_tokenizer: Callable, n_merges: int = 500, n_letters: int = 60_000) -> None:
    """Train `my_tokenizer` on English; compare the ids of new English with those of tokenizers."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    train, new = (english(200_000)[i : i + n_letters] for i in (0, 100_000))
    letters = sorted(BYTE_TO_CHAR)
    words = {spell(word.encode()): n for word, n in count_words(train, "gpt2").items()}
    encode = functools.cache(my_tokenizer(words, letters, n_merges))

    def ids_of_text(text: str) -> list[int]:
        return [i for word in split(text, "gpt2") for i in encode(spell(word.encode()))]

    peer = Tokenizer(models.BPE())
    peer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=256 + n_merges, initial_alphabet=letters, show_progress=False
    )
    peer.train_from_iterator([train], trainer)
    ids = ids_of_text(new)
    pieces = [peer.id_to_token(i) or f"<{i}>" for i in ids_of_text(SENTENCE)]
    print(" · ".join(pieces).replace("Ġ", "␣"))
    print(f"{len(new.encode()) / len(ids):.2f} bytes per token on text that it has not seen")
    claim(
        f"all {len(ids):,} ids of the new text are those of Hugging Face's tokenizers, trained on "
        "the same text",
        ids == peer.encode(new).ids,
    )


check_my_tokenizer = Exercise(
    title="Your own tokenizer",
    reference=lambda *case, **settings: ids_of(tokenizer, *case, **settings),
    cases=_cases,
    call=ids_of,
    switches={
        "count": {name: COUNTS[name] for name in ("once", "word")},
        "tie": {
            "largest": "Of equally frequent pairs it takes the largest: take the smallest of ids.",
            "first": "Of equally frequent pairs it takes the one seen first: the smallest pair of "
            "ids is asked for.",
            "rarest": "It merges the rarest pair: the most frequent is asked for.",
        },
        "recount": {
            "never": "The pairs are counted once, before the first merge: count again after each.",
        },
        "places": {
            "first": "In training only one place of each word is merged: merge the pair everywhere "
            "before you count again.",
            "right": "Where places overlap, as in a a a, it merges from the right.",
        },
        "least": {2: "It stops at pairs that occur once: they are merged too."},
        "more": {-1: "It learns one merge too few.", 1: "It learns one merge too many."},
        "first": {
            1: "The ids of merges begin one too high: the first is len(letters).",
            -1: "The ids of merges begin one too low: the first is len(letters).",
        },
        "order": {
            "place": "In encoding it merges the first known pair from the left: the one of lowest "
            "rank comes first.",
            "longest": "In encoding it takes the longest token from the left, as WordPiece does: "
            "replay the merges.",
            "last": "In encoding it merges the pair learned last: the one of lowest rank comes "
            "first.",
            "one": "In encoding it stops after one merge: go on until no pair is known.",
            "never": "In encoding nothing is merged: these are the ids of letters.",
        },
        "result": {
            "texts": "The encoder returns the tokens' texts: their ids are asked for.",
            "ranks": "A merge's rank is taken for its id: the ids of letters come before them.",
        },
    },
    probes=[
        Probe(
            "A word of one letter has no pair, and its letter's place is its id.",
            ({"a": 1, "bb": 1}, "ab", 1, ["a", "b"]),
        ),
        Probe("An empty word has no ids.", ({"ab": 1}, "ab", 1, [""])),
        Probe(
            "One merge of two letters: its token has the id len(letters), here 2.",
            ({"ab": 2}, "ab", 1, ["ab"]),
        ),
        Probe("A merge is made at all its places.", ({"ab": 2}, "ab", 1, ["abab", "ababa"])),
        Probe(
            "A merge is made in words that were not in training, too.",
            ({"ab": 2}, "ab", 1, ["bab"]),
        ),
        Probe(
            "Of equally frequent pairs the smallest pair of ids is merged, whatever its letters: "
            "here ba, since b has the id 0.",
            ({"ab": 2, "ba": 2}, "ba", 1, ["ab", "ba"]),
        ),
        Probe(
            "In a a a the pair a a is merged from the left: two tokens, the joined one first.",
            ({"aaa": 2}, "a", 1, ["aaa"]),
        ),
        Probe(
            "Training stops early when no pair is left: one word of one token has none.",
            ({"ab": 2}, "ab", 5, ["ab", "ba"]),
        ),
    ],
    result=on_real_text,
    difficulty=3,
    minutes=35,
)  # fmt: skip
