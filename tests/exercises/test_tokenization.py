"""Each exercise of chapter 1: the stub is open, the solution passes, mistakes are named.

The stubs and solutions are those that the notebook shows.
"""

import re

import pytest

from lib.exercises import tokenization as exercises
from lib.exercises.segmentation import best_segmentation, split_threes
from lib.exercises.tokenization import encode_by_rank, merge_once, wordpiece_scores
from tests.exercises.assertions import assert_exercise
from tests.library import ROOT

CHAPTER = ROOT / "notebooks" / "text" / "01_tokenization.md"


def code_with(name: str, text: str) -> list[str]:
    """The blocks of code in the chapter that define `name`: its stub, then its solution."""
    blocks = re.findall(r"```(?:\{code-cell\}|python)[^\n]*\n(.*?)```", text, re.DOTALL)
    return [block for block in blocks if f"def {name}(" in block]


def define(name: str, block: str):
    names: dict = {}
    body = block[: block.rindex("check_")] if "check_" in block else block
    body = "\n".join(line for line in body.splitlines() if not line.startswith(("---", ":")))
    exec(compile(body, name, "exec"), names)
    return names[name]


def returns_none(*_):
    return None


CASES = {
    "my_merge_once": (exercises.check_merge_once, []),
    "my_encode_by_rank": (
        exercises.check_encode_by_rank,
        [(lambda word, merges: encode_by_rank(word, merges)[::-1], "It")],
    ),
    "my_wordpiece_scores": (exercises.check_wordpiece_scores, []),
    "my_best_segmentation": (exercises.check_best_segmentation, []),
    "my_split_threes": (exercises.check_split_threes, []),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_exercise(name):
    exercise, more = CASES[name]
    stub, solution = code_with(name, CHAPTER.read_text(encoding="utf-8"))
    wrong = [*more, (returns_none, "return")]
    assert_exercise(exercise, define(name, stub), define(name, solution), wrong)


@pytest.mark.parametrize(
    ("reference", "argument", "expected"),
    [
        (merge_once, ({tuple("hug"): 10, tuple("pun"): 3},), {("h", "ug"): 10, tuple("pun"): 3}),
        (encode_by_rank, ("hugs", [("u", "g"), ("h", "ug")]), ["hug", "s"]),
        (wordpiece_scores, ({tuple("ab"): 2, tuple("b"): 2},), {("a", "b"): 2 / (2 * 4)}),
        (best_segmentation, ("ab", {"a": -1.0, "b": -1.0, "ab": -1.5}), ["ab"]),
        (split_threes, ("cost 1234567!",), ["cost ", "1", "234", "567", "!"]),
    ],
)
def test_references_by_hand(reference, argument, expected):
    assert reference(*argument) == expected
