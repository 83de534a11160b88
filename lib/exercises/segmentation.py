"""An exercise of chapter 1: the best way to cut a word, by Viterbi."""

import math
import random
from collections.abc import Callable

from lib.exercises.checking import Exercise, Probe

# Viterbi

Scores = dict[str, float]


def _ends(word: str, at: int, scores: Scores) -> list[int]:
    return [e for e in range(at + 1, len(word) + 1) if word[at:e] in scores]


def _greedy(word: str, scores: Scores, key: Callable[[str], float]) -> list[str]:
    """The piece that is best by itself, again and again from the left."""
    pieces, at = [], 0
    while at < len(word):
        end = max(_ends(word, at, scores), key=lambda e: key(word[at:e]))
        pieces.append(word[at:end])
        at = end
    return pieces


def _from_the_end(word: str, scores: Scores) -> list[str]:
    pieces, end = [], len(word)
    while end:
        start = min(s for s in range(end) if word[s:end] in scores)
        pieces.append(word[start:end])
        end = start
    return pieces[::-1]


METHODS: dict[str, Callable[[str, Scores], list[str]]] = {
    "longest": lambda word, scores: _greedy(word, scores, len),
    "probable": lambda word, scores: _greedy(word, scores, scores.__getitem__),
    "shortest": lambda word, scores: _greedy(word, scores, lambda p: -len(p)),
    "from the end": _from_the_end,
    "uncut": lambda word, scores: [word][: len(word)],
}
POINTS: dict[str, Callable[[float, str], float]] = {
    "log": lambda s, piece: s,
    "negative": lambda s, piece: -s,
    "exp": lambda s, piece: math.exp(s),
    "count": lambda s, piece: -1.0,
    "per letter": lambda s, piece: s / len(piece),
    "times letters": lambda s, piece: s * len(piece),
}


def best_segmentation(
    word: str,
    log_probabilities: Scores,
    *,
    method: str = "all",
    points: str = "log",
    most: float | int = math.inf,
    keep: str = "best",
    order: str = "forward",
) -> list[str]:
    """The segmentation with the highest sum of log-probabilities, by dynamic programming."""
    if method != "all":
        pieces = METHODS[method](word, log_probabilities)
        return pieces if order == "forward" else pieces[::-1]
    best, last = [0.0] + [-math.inf] * len(word), [0] * (len(word) + 1)
    pieces_to = [0] * (len(word) + 1)
    for end in range(1, len(word) + 1):
        for start in range(end):
            piece = word[start:end]
            if piece not in log_probabilities or (len(piece) > most):
                continue
            if keep == "no_whole" and end - start == len(word) > 1:
                continue
            before = 0.0 if keep == "last" else best[start]
            score = before + POINTS[points](log_probabilities[piece], piece)
            if keep == "mean":
                score = before + (score - 2 * before) / (pieces_to[start] + 1)
            taken = best[end] > -math.inf if keep == "first" else keep != "any" and (
                score <= best[end])  # fmt: skip
            if not taken:
                best[end], last[end], pieces_to[end] = score, start, pieces_to[start] + 1
    pieces, end = [], len(word)
    while end:
        pieces.append(word[last[end] : end])
        end = last[end]
    return pieces[::-1] if order == "forward" else pieces


def _cases(seed: int) -> list[tuple]:
    dice = random.Random(seed)
    table = {"h": -3.0, "u": -2.0, "g": -2.5, "s": -3.5, "hu": -3.2, "ug": -2.8, "hug": -4.0}
    cases: list[tuple] = [("hugs", {**table, "gs": -3.0}), ("ughug", table), ("", table)]
    for length in (3, 6, 12, 12):
        pieces = {"".join(dice.choices("ab", k=dice.randint(2, 5))) for _ in range(9)}
        scores = {piece: -dice.uniform(1, 4) * len(piece) for piece in ["a", "b", *sorted(pieces)]}
        cases.append(("".join(dice.choices("ab", k=length)), scores))
    # where the mean over pieces and a sum weighted by lengths part
    cases.append(("abc", {"a": -1.0, "b": -9.0, "c": -3.5, "ab": -1.0, "bc": -3.0}))
    return cases


def _letters(letters: str, **more: float) -> Scores:
    return {**dict.fromkeys(letters, -5.0), **more}


check_best_segmentation = Exercise(
    title="The best segmentation",
    reference=best_segmentation,
    cases=_cases,
    switches={
        "method": {
            "longest": "It takes the longest piece at each step: that is WordPiece.",
            "probable": "It takes the most probable piece at each step, which can force poor ones "
            "later: compare whole ways to each position.",
            "shortest": "It takes the shortest piece at each step.",
            "from the end": "It takes the longest piece from the end at each step: compare whole "
            "ways to each position.",
            "uncut": "The word comes back uncut, known or not. Does the best sum of each position "
            "begin at 0? No sum below 0 beats that: begin at minus infinity.",
        },
        "points": {
            "negative": "It finds the least probable segmentation: is a sign turned?",
            "exp": "Probabilities are added: they multiply, so that logarithms add up.",
            "count": "It finds the fewest pieces: their log-probabilities are to decide.",
            "per letter": "Log-probabilities are divided by lengths: add them as they are.",
            "times letters": "Log-probabilities are multiplied by lengths: add them as they are.",
        },
        "keep": {
            "first": "The first way to a position is kept: a later one may be better.",
            "any": "The last way to a position is kept: an earlier one may be better.",
            "last": "Only the last piece's score is compared: add that of the way before it.",
            "mean": "The mean over pieces is compared: the sum is asked for.",
            "no_whole": "The whole word is never taken as one piece.",
        },
        "most": {n: f"Pieces of more than {n} letters are never taken." for n in (2, 3, 4)},
        "order": {"backward": "The pieces come in reverse order: turn them at the end."},
    },
    probes=[
        Probe("An empty word has no pieces: return [].", ("", _letters("a"))),
        Probe("A single letter is its own piece.", ("a", _letters("a"))),
        Probe("Without longer pieces the word is cut into its letters.", ("aba", _letters("ab"))),
        Probe(
            "The whole word as one piece has the highest sum here: -6, not -5 - 5 - 5.",
            ("abc", _letters("abc", abc=-6.0)),
        ),
        Probe(
            "A long piece is not taken where its parts together are more probable.",
            ("ab", {"a": -1.0, "b": -1.0, "ab": -3.0}),
        ),
        Probe(
            "A good first piece can force poor ones: a + bcd is worth more than ab + c + d.",
            ("abcd", _letters("abcd", ab=-1.0, bcd=-1.0)),
        ),
        Probe(
            "A good last piece can force poor ones: abc + d is worth more than a + b + cd.",
            ("abcd", _letters("abcd", cd=-1.0, abc=-1.0)),
        ),
        Probe(
            "A probable short piece can force poor ones: ab + cd is worth more than a + b + cd.",
            ("abcd", {"a": -1.0, "b": -9.0, "c": -9.0, "d": -9.0, "ab": -2.0, "cd": -2.0}),
        ),
        Probe(
            "Pieces may be of any length: here one of 9 letters is the best.",
            ("abcdefghij", _letters("abcdefghij", abcdefghi=-1.0, ab=-4.0)),
        ),
        Probe(
            "A score may be 0, the logarithm of 1: ask whether a piece is known, not whether its "
            "score is true.",
            ("abc", _letters("abc", bc=0.0)),
        ),
        Probe(
            "In a long word the best way to each position must be kept.",
            ("ab" * 20, {"a": -2.0, "b": -2.5, "ab": -3.0, "ba": -4.0}),
        ),
    ],
    seeds=(1, 2),  # no two segmentations of a case have the same sum
    seconds=2,
    slow="Right on short words, but 40 letters take too long: are all segmentations tried? Each "
    "letter multiplies their number. Keep the best way to each position, and build on it.",
    difficulty=3,
    minutes=25,
)
