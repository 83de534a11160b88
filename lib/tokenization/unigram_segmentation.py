"""Ways to cut a word into pieces, when each piece has a probability of its own.

A unigram model takes pieces as independent: a segmentation has the product of its pieces'
probabilities. `scores` are their natural logarithms. Source: Kudo 2018 (arXiv 1804.10959),
sections 3.2 and 3.3.
"""

import math
import random
from collections.abc import Iterator, Mapping

UNKNOWN_PENALTY = 10.0  # SentencePiece's: an unknown character scores this much below any piece


def edges(
    word: str, scores: Mapping[str, float], longest: int, unknown_score: float
) -> Iterator[tuple[int, int, float]]:
    """(start, end, score) of each piece that fits in `word`, in order of end, then of start.

    A character that is no piece is an edge too, at `unknown_score`, so that a way to the end is
    always there.
    """
    for end in range(1, len(word) + 1):
        for start in range(max(0, end - longest), end):
            score = scores.get(word[start:end])
            if score is not None:
                yield start, end, score
            elif start == end - 1:
                yield start, end, unknown_score


def viterbi(
    word: str,
    scores: Mapping[str, float],
    longest: int,
    unknown_score: float = -math.inf,
) -> tuple[list[str], float]:
    """The most probable segmentation and its log-probability.

    The best way to each position is the best way to some earlier one and one more
    piece. Of equal ways the one whose last piece is longest is kept, as in
    SentencePiece.
    """
    best = [0.0] + [-math.inf] * len(word)
    origin = list(range(-1, len(word)))
    for start, end, score in edges(word, scores, longest, unknown_score):
        if best[start] + score > best[end]:
            best[end], origin[end] = best[start] + score, start
    pieces, end = [], len(word)
    while end:
        pieces.append(word[origin[end] : end])
        end = origin[end]
    return pieces[::-1], best[-1]


def log_forward(
    word: str,
    scores: Mapping[str, float],
    longest: int,
    unknown_score: float = -math.inf,
    theta: float = 1.0,
) -> list[float]:
    """For each position, the log of the summed probability of all ways to get there.

    The last entry is the log-likelihood of the word over all its segmentations. With `theta` each
    probability is raised to that power first.
    """
    forward = [0.0] + [-math.inf] * len(word)
    for start, end, score in edges(word, scores, longest, unknown_score):
        forward[end] = _log_add(forward[end], forward[start] + theta * score)
    return forward


def sample_segmentation(
    word: str,
    scores: Mapping[str, float],
    longest: int,
    unknown_score: float,
    theta: float,
    generator: random.Random,
) -> list[str]:
    """Draw a segmentation with probability proportional to its own, to the power `theta`.

    Walk back from the end: a last piece is drawn by the share of the probability that goes through
    it, then the one before it. Theta 0 draws all segmentations alike; a large theta, the best one.
    """
    forward = log_forward(word, scores, longest, unknown_score, theta)
    arriving: list[list[tuple[int, float]]] = [[] for _ in range(len(word) + 1)]
    for start, end, score in edges(word, scores, longest, unknown_score):
        arriving[end].append((start, forward[start] + theta * score))
    pieces, end = [], len(word)
    while end:
        shares = [math.exp(score - forward[end]) for _, score in arriving[end]]
        start = generator.choices([start for start, _ in arriving[end]], shares)[0]
        pieces.append(word[start:end])
        end = start
    return pieces[::-1]


def _log_add(a: float, b: float) -> float:
    high, low = max(a, b), min(a, b)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
