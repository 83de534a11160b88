"""An exercise of chapter 1: numbers, cut into threes from the right."""

import random
from collections.abc import Callable
from typing import Any

import regex

from lib.exercises.checking import Exercise, Probe


def _from_the_left(number: str, size: int) -> list[str]:
    return [number[i : i + size] for i in range(0, len(number), size)]


def _from_the_right(number: str, size: int) -> list[str]:
    return [piece[::-1] for piece in _from_the_left(number[::-1], size)][::-1]


GROUPS: dict[str, Callable[[str], list[str]]] = {
    "right": lambda number: _from_the_right(number, 3),
    "left": lambda number: _from_the_left(number, 3),
    "two": lambda number: _from_the_right(number, 2),
    "four": lambda number: _from_the_right(number, 4),
    "single": list,
    "whole": lambda number: [number],
    "full": lambda number: [p for p in _from_the_right(number, 3) if len(p) == 3],
    "reverse": lambda number: _from_the_right(number, 3)[::-1],
    "empty first": lambda number: [""] * (len(number) % 3 == 0) + _from_the_right(number, 3),
    "four up": lambda number: _from_the_right(number, 3) if len(number) > 4 else [number],
    "joined": lambda number: [",".join(_from_the_right(number, 3))],
    "first": lambda number: [number[:3], number[3:]] if len(number) > 3 else [number],
    "last": lambda number: [number[:-3], number[-3:]] if len(number) > 3 else [number],
}
BETWEEN: dict[str, Callable[[str], list[str]]] = {
    "whole": lambda text: [text],
    "dropped": lambda text: [],
    "letters": list,
    "words": lambda text: regex.findall(r"\s+|\S+", text),
    "split": lambda text: text.split(),
    "stripped, not empty": lambda text: [text.strip()] if text.strip() else [],
    "word and rest": lambda text: regex.findall(r"\w+|\W+", text),
    "lines": lambda text: regex.findall(r"[^\n]+|\n", text),
    "lines dropped": lambda text: regex.findall(r"[^\n]+", text),
}
RUNS = {"digits": r"\d+|\D+", "words": r"(?<!\w)\d+(?!\w)|(?:(?<=\w)\d|\D|\d+(?=\w))+"}


def split_threes(
    text: str, *, group: str = "right", between: str = "whole", run: str = "digits",
    numbers: str = "each", end: str = "none",
) -> list[str] | Any:  # fmt: skip
    """Cut runs of digits into groups of three from the right; keep all else in one piece."""
    pieces, found = [], regex.findall(RUNS[run], text)
    last = max((i for i, run_ in enumerate(found) if run_[0].isdigit()), default=-1)
    for i, part in enumerate(found):
        chosen = {"each": True, "last": i == last, "end": i == len(found) - 1}[numbers]
        if not part[0].isdigit():
            pieces += BETWEEN[between](part)
        else:
            pieces += GROUPS[group](part) if chosen else [part]
    if end == "joined":
        digits = GROUPS[group]("".join(p for p in found if p[0].isdigit()))
        return (
            digits if between == "dropped" else [*digits, *(p for p in found if not p[0].isdigit())]
        )
    return pieces or ([""] if end == "not empty" else [])


def _digits_only(pieces: list) -> list:
    return [piece for piece in pieces if piece.isdigit()]


def _numbers(seed: int) -> list[tuple[str]]:
    dice = random.Random(seed)
    fixed = [
        "1234567",
        "12",
        "",
        "no digits",
        "1000 and 20000",
        "3.14159",
        "a1b22c333d4444",
        "two\nlines 12",
    ]
    drawn = ["".join(dice.choices("0123456789 x", k=k)) for k in (5, 15, 30)]
    return [(text,) for text in [*fixed, *drawn]]


check_split_threes = Exercise(
    title="Numbers in threes",
    reference=split_threes,
    cases=_numbers,
    switches={
        "group": {
            "left": "It groups from the left, as GPT-4's pattern does: 1234567 becomes 123 456 7. "
            "Group from the right: how many digits follow must be a multiple of three.",
            "two": "The groups have two digits: three are asked for.",
            "four": "The groups have four digits: three are asked for.",
            "single": "Each digit stands alone: groups of three are asked for.",
            "whole": "Runs of digits are not cut at all.",
            "full": "Groups of fewer than three digits are lost: the first may be shorter.",
            "reverse": "The groups of a number come in reverse order.",
            "empty first": "An empty piece stands before numbers whose groups are all full.",
            "four up": "Numbers of four digits are not cut.",
            "joined": "Commas are put in: return the groups as pieces.",
            "first": "Only the first three digits are cut off.",
            "last": "Only the last three digits are cut off: go on to the left.",
        },
        "between": {
            "dropped": "The text between the numbers is lost.",
            "letters": "The text between numbers is cut into characters: it stays in one piece.",
            "words": "The text between numbers is cut at spaces: it stays in one piece.",
            "split": "The text between numbers is split into words, and its spaces are lost.",
            "stripped, not empty": "Spaces around the text between numbers are lost.",
            "word and rest": "The text between numbers is cut into words and the rest: keep it in "
            "one piece.",
            "lines": "The text between numbers is cut at line breaks: it stays in one piece.",
            "lines dropped": "Line breaks are lost: a dot in a pattern does not match them.",
        },
        "run": {"words": "Digits beside letters are not cut: any run of digits is."},
        "numbers": {
            "last": "Only the last number is cut into groups.",
            "end": "Only a number at the end of the text is cut into groups.",
        },
        "end": {
            "joined": "All digits of the text are taken for one number: each run is its own.",
            "not empty": "An empty text has no pieces: return [].",
        },
    },
    probes=[
        Probe("An empty text has no pieces: return [].", ("",)),
        Probe("A text without digits is one piece.", ("no",)),
        Probe("A number of three digits is one piece.", ("123",)),
        Probe("A number of four digits is cut into one and three.", ("1234",)),
        Probe("A number of eight digits is cut into two, three and three.", ("12345678",)),
        Probe(
            "Text after a number stays as it is.",
            ("12 km",),
            lambda e, g: _digits_only(g) == _digits_only(e),
        ),
        Probe(
            "Text before a number stays as it is.",
            ("km 12",),
            lambda e, g: _digits_only(g) == _digits_only(e),
        ),
        Probe("A number before text is cut like one alone.", ("1234x",)),
        Probe("A number after text is cut like one alone.", ("x1234",)),
        Probe("A sign before a number is text, as all that is no digit.", ("a -1234",)),
        Probe("Zeros in front of a number or of a group are digits, too.", ("1000007",)),
        Probe("Two numbers are each cut by themselves.", ("1234x5678",)),
        Probe("What stands between two numbers stays in one piece.", ("1, 2",)),
        Probe("Digits after a point are a run like any other.", ("0.1234",)),
        Probe("A line break is text like any other.", ("1\n2",)),
        Probe("Spaces at the ends of the text are text too.", (" 12 ",)),
        Probe("Letters are those of any language, and so are signs.", ("1 µm – é 2",)),
    ],
    difficulty=2,
    minutes=10,
)
