"""Check of chapter 14: a rejection filter."""

import random
from collections.abc import Callable
from typing import Any

from lib.exercises.checking import Exercise, Probe

Drawn = tuple[str, str, bool, bool]


def select(
    drawn: list[Drawn],
    most: int,
    *,
    good: Callable = lambda right, clean: right and clean,
    new: Callable = lambda pair, kept: pair not in kept,
    room: Callable = lambda question, kept, most: sum(q == question for q, _ in kept) < most,
    counted: str = "kept",
    order: Callable = lambda drawn: drawn,
    limit: Callable = lambda most, drawn: most,
    result: Callable = lambda kept, drawn: kept,
) -> list[tuple[str, str]] | Any:
    """(question, response) of what is right and clean, each pair once, `most` to a question."""
    kept: list[tuple[str, str]] = []
    tried: list[tuple[str, str]] = []
    turned = order is _backward
    for question, response, right, clean in order(drawn):
        pair, used = (question, response), tried if counted != "kept" else kept
        free = room(question, used, limit(most, drawn))
        passes = bool(good(right, clean))
        if counted == "all" or (counted == "doubles" and passes):
            tried.append(pair)
        if counted in ("right", "clean") and {"right": right, "clean": clean}[counted]:
            tried.append(pair)
        if counted == "stop" and not room(question, kept, most):
            break
        if passes and free and new(pair, kept):
            kept.append(pair)
    return result(kept[::-1] if turned else kept, drawn)


def _backward(drawn: list[Drawn]) -> list[Drawn]:
    return drawn[::-1]


def _drawn_cases(seed: int) -> list[tuple]:
    dice = random.Random(seed)
    small = [
        ("a", "x", True, True), ("a", "x", True, True), ("a", "y", True, False),
        ("b", "x", False, True), ("a", "z", True, True), ("a", "w", True, True),
        ("b", "x", True, True),
    ]  # fmt: skip
    many = [
        (dice.choice("cba"), dice.choice("uvwxyz"), dice.random() < 0.7, dice.random() < 0.7)
        for _ in range(60)
    ]
    return [(small, 2), (small, 1), (many, 3), (many[:30], 2), (many, 50)]


PAIRS = "Return (question, response) pairs: "


def _never_bad(kept: list, drawn: list[Drawn]) -> list:
    return [p for p in kept if all(x[2] and x[3] for x in drawn if x[:2] == p)]


def _single(kept: list, drawn: list[Drawn]) -> list:
    return [p for p in kept if sum(x[:2] == p for x in drawn) == 1]


def _until_full(kept: list, drawn: list[Drawn]) -> list:
    """All up to the pair with which a question has as many as any has."""
    counts = [sum(q == kept[i][0] for q, _ in kept[: i + 1]) for i in range(len(kept))]
    return kept[: counts.index(max(counts)) + 1] if kept else kept


check_select = Exercise(
    title="A rejection filter",
    reference=select,
    cases=_drawn_cases,
    switches={
        "good": {
            lambda right, clean: right: (
                "It keeps right answers that nobody can read: ask for the clean format too."
            ),
            lambda right, clean: clean: "It keeps wrong answers in a clean format.",
            lambda right, clean: right or clean: "`or` suffices for neither: both are asked for.",
            lambda right, clean: True: "It keeps everything: right and clean are asked for.",
            lambda right, clean: not (right and clean): "It keeps what should go.",
            lambda right, clean: right and not clean: "It keeps what is not clean.",
        },
        "new": {
            lambda pair, kept: True: (
                "The same response to the same question is kept twice, and takes the place of "
                "others."
            ),
            lambda pair, kept: pair[1] not in [r for _, r in kept]: (
                "Two questions may have the same response: compare pairs, not responses."
            ),
            lambda pair, kept: pair[0] not in [q for q, _ in kept]: (
                "A question is kept once: it may have `most` responses."
            ),
            lambda pair, kept: not kept or kept[-1] != pair: "It compares with the last pair "
            "alone: a double may come later.",
        },
        "room": {
            lambda question, kept, most: True: (
                "A question may keep only `most` responses: else easy questions fill the data."
            ),
            lambda question, kept, most: len(kept) < most: "The limit is for each question, not "
            "for all together.",
            lambda question, kept, most: sum(q == question for q, _ in kept) <= most: (
                "It keeps one more than `most` for a question."
            ),
            lambda question, kept, most: sum(q == question for q, _ in kept) < most - 1: (
                "It keeps one less than `most` for a question."
            ),
        },
        "counted": {
            "all": "What is wrong or not clean uses up the limit: count what is kept.",
            "right": "What is right but not clean uses up the limit: count what is kept.",
            "clean": "What is clean but not right uses up the limit: count what is kept.",
            "stop": "It stops where a question is full: go on for the others.",
            "doubles": "Doubles use up the limit: count what is kept.",
        },
        "order": {
            _backward: "It goes from the end: the first ones are kept.",
            lambda drawn: sorted(drawn, key=lambda x: x[0]): "It goes question by question: keep "
            "the order in which they come.",
            lambda drawn: sorted(drawn): "It sorts first: keep the order in which they come.",
        },
        "limit": {
            lambda most, drawn: most or len(drawn): "A limit of 0 keeps nothing.",
            lambda most, drawn: 1: "It keeps one for a question: `most` is the limit.",
            lambda most, drawn: 2: "It keeps two for a question: `most` is the limit.",
        },
        "result": {
            lambda kept, drawn: [r for _, r in kept]: f"{PAIRS}questions are missing.",
            lambda kept, drawn: [q for q, _ in kept]: f"{PAIRS}responses are missing.",
            lambda kept, drawn: [(r, q) for q, r in kept]: f"{PAIRS}they are turned.",
            lambda kept, drawn: [(*p, True, True) for p in kept]: f"{PAIRS}two parts too many.",
            lambda kept, drawn: [next(x for x in drawn if x[:2] == p) for p in kept]: (
                f"{PAIRS}two parts too many."
            ),
            lambda kept, drawn: sorted(kept): "They are sorted: keep the order in which they come.",
            lambda kept, drawn: kept[::-1]: "They come in reverse order.",
            lambda kept, drawn: [
                p for q in dict.fromkeys(x[0] for x in drawn) for p in kept if p[0] == q
            ]: "They are grouped by question: keep the order.",
            lambda kept, drawn: {q: [r for p, r in kept if p == q] for q, _ in kept}: (
                "A dictionary is returned: return a list of pairs."
            ),
            lambda kept, drawn: set(kept): "A set has no order: return a list.",
            lambda kept, drawn: len(kept): "Their number is returned: return the pairs.",
            _never_bad: "A pair that was bad once is left out: its good ones count.",
            _single: "Pairs that come twice are left out altogether: keep each once.",
            _until_full: "It stops where one question is full: go on for the others.",
        },
    },
    probes=[
        Probe("A limit of 0 keeps nothing.", ([("q", "a", True, True)], 0)),
        Probe(
            "A pair that was wrong first may come right later.",
            ([("q", "a", False, True), ("q", "a", True, True)], 1),
            wrong=lambda expected, got: len(got) == 0,
        ),
        Probe(
            "The first ones are kept, not the last.",
            ([("q", "b", True, True), ("q", "a", True, True)], 1),
            wrong=lambda expected, got: tuple(got[0]) == ("q", "a"),
        ),
        Probe("Of nothing, nothing is kept: an empty list.", ([], 2)),
    ],
    difficulty=2,
    minutes=12,
)
