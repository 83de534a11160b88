"""Checks for two exercises of chapter 1 about where to cut: Viterbi, and numbers in threes."""

import math
import random

import regex

from lib.exercises.checking import Exercise, Mistake, Probe

# Viterbi


def best_segmentation(word: str, log_probabilities: dict[str, float]) -> list[str]:
    """The segmentation with the highest sum of log-probabilities, by dynamic programming."""
    best, last = [0.0] + [-math.inf] * len(word), [0] * (len(word) + 1)
    for end in range(1, len(word) + 1):
        for start in range(end):
            score = best[start] + log_probabilities.get(word[start:end], -math.inf)
            if score > best[end]:
                best[end], last[end] = score, start
    pieces, end = [], len(word)
    while end:
        pieces.append(word[last[end] : end])
        end = last[end]
    return pieces[::-1]


def _segment_longest(word: str, log_probabilities: dict) -> list[str]:
    pieces, at = [], 0
    while at < len(word):
        end = max(e for e in range(at + 1, len(word) + 1) if word[at:e] in log_probabilities)
        pieces.append(word[at:end])
        at = end
    return pieces


def _segment_greedy(word: str, log_probabilities: dict) -> list[str]:
    pieces, at = [], 0
    while at < len(word):
        ends = [e for e in range(at + 1, len(word) + 1) if word[at:e] in log_probabilities]
        end = max(ends, key=lambda e: log_probabilities[word[at:e]])
        pieces.append(word[at:end])
        at = end
    return pieces


def _segment_worst(word: str, log_probabilities: dict) -> list[str]:
    return best_segmentation(word, {piece: -s for piece, s in log_probabilities.items()})


def _segment_backward(word: str, log_probabilities: dict) -> list[str]:
    return best_segmentation(word, log_probabilities)[::-1]


def _words_and_probabilities(seed: int) -> list[tuple]:
    dice = random.Random(seed)
    table = {"h": -3.0, "u": -2.0, "g": -2.5, "s": -3.5, "hu": -3.2, "ug": -2.8, "hug": -4.0}
    cases: list[tuple] = [("hugs", {**table, "gs": -3.0}), ("ughug", table), ("", table)]
    for length in (3, 6, 12):
        pieces = {"".join(dice.choices("ab", k=dice.randint(2, 4))) for _ in range(7)}
        scores = {piece: -dice.uniform(1, 9) for piece in ["a", "b", *sorted(pieces)]}
        cases.append(("".join(dice.choices("ab", k=length)), scores))
    return cases


check_best_segmentation = Exercise(
    title="The best segmentation",
    reference=best_segmentation,
    cases=_words_and_probabilities,
    mistakes=[
        Mistake(_segment_longest, "It takes the longest piece at each step: that is WordPiece."),
        Mistake(
            _segment_greedy,
            "It takes the most probable piece at each step, which can force poor ones later: "
            "compare whole ways to each position.",
        ),
        Mistake(_segment_worst, "It finds the least probable segmentation: is a sign turned?"),
        Mistake(_segment_backward, "The pieces come in reverse order: turn them at the end."),
    ],
    probes=[
        Probe(
            "In a long word the best way to each position must be kept.",
            ("ab" * 20, {"a": -2.0, "b": -2.5, "ab": -3.0, "ba": -4.0}),
        ),
    ],
    seconds=2,
    slow="Right on short words, but 40 letters take too long: are all segmentations tried? Each "
    "letter multiplies their number. Keep the best way to each position, and build on it.",
    difficulty=3,
    minutes=25,
)

# Numbers in threes


def split_threes(text: str) -> list[str]:
    """Cut runs of digits into groups of three from the right; keep all else in one piece."""
    return regex.findall(r"\d{1,3}(?=(?:\d{3})*(?!\d))|\D+", text)


def _threes_from_left(text: str) -> list[str]:
    return regex.findall(r"\d{1,3}|\D+", text)


def _threes_drops_text(text: str) -> list[str]:
    return [piece for piece in split_threes(text) if piece.isdigit()]


def _threes_single_digits(text: str) -> list[str]:
    return regex.findall(r"\d|\D+", text)


def _threes_not_cut(text: str) -> list[str]:
    return regex.findall(r"\d+|\D+", text)


def _numbers(seed: int) -> list[tuple[str]]:
    dice = random.Random(seed)
    fixed = ["1234567", "12", "", "no digits", "1000 and 20000", "3.14159", "a1b22c333d4444"]
    drawn = ["".join(dice.choices("0123456789 x", k=k)) for k in (5, 15, 30)]
    return [(text,) for text in [*fixed, *drawn]]


check_split_threes = Exercise(
    title="Numbers in threes",
    reference=split_threes,
    cases=_numbers,
    mistakes=[
        Mistake(
            _threes_from_left,
            "It groups from the left, as GPT-4's pattern does: 1234567 becomes 123 456 7. Group "
            "from the right: how many digits follow must be a multiple of three.",
        ),
        Mistake(_threes_drops_text, "The text between the numbers is lost."),
        Mistake(_threes_single_digits, "Each digit stands alone: groups of three are asked for."),
        Mistake(_threes_not_cut, "Runs of digits are not cut at all."),
    ],
    difficulty=2,
    minutes=10,
)
