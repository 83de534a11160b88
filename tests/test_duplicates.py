"""No two places of the library share six lines word for word: one of them should use the other.

White space is folded; blank lines, comments, imports and lines of punctuation alone do not count.
"""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from tests.library import ROOT, modules, tree

SHARED = 6  # lines


def lines_that_count(path: Path) -> list[tuple[int, str]]:
    """(number, text) of each line that can be a repetition."""
    imported = {
        number
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for number in range(node.lineno, node.end_lineno + 1)
    }
    return [
        (number, " ".join(line.split()))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if number not in imported
        and any(map(str.isalnum, line))
        and not line.lstrip().startswith("#")
    ]


def shared_lines(files: dict[str, Path], least: int = SHARED) -> list[tuple[str, ...]]:
    """The places ("module:line") at which the same `least` lines begin, for each such run."""
    places = defaultdict(list)
    for name, path in files.items():
        lines = lines_that_count(path)
        for start in range(len(lines) - least + 1):
            run = lines[start : start + least]
            places[tuple(text for _, text in run)].append((name, start, run[0][0]))
    found = []
    for starts in places.values():
        apart = [starts[0]]
        for place in starts[1:]:  # a run does not repeat itself by overlapping itself
            if place[0] != apart[-1][0] or place[1] >= apart[-1][1] + least:
                apart.append(place)
        if len(apart) > 1:
            found.append(tuple(f"{name}:{line}" for name, _, line in apart))
    return found


def test_no_two_places_share_six_lines():
    assert shared_lines(modules(ROOT)) == []


@pytest.mark.parametrize(
    ("first", "second", "places"),
    [
        ("a = 1\nb = 2\nc = 3\n", "a = 1\nb = 2\nc = 3\n", [("first:1", "second:1")]),
        # White space, blank lines, comments and punctuation do not make a difference.
        ("x = 0\na = 1\n\nb = (\n  2)\n", "a  = 1\n# why\nb = (\n2\n)\n", []),
        ("a = 1\n\nb = 2\nc = 3", "if a:\n a = 1\n # b\n b = 2\n c = 3", [("first:1", "second:2")]),
        # Names do; imports and what overlaps are no repetition.
        ("a = 1\nb = 2\nc = 3\n", "a = 1\nb = 2\nc = 4\n", []),
        ("from a import (\n b,\n c,\n d,\n)\n", "from a import (\n b,\n c,\n d,\n)\n", []),
        ("a = 1\n" * 5, "", []),
        ("a = 1\n" * 6, "", [("first:1", "first:4")]),
    ],
)  # fmt: skip
def test_what_counts_as_shared(tmp_path, first, second, places):
    files = {"first": tmp_path / "first.py", "second": tmp_path / "second.py"}
    for path, text in zip(files.values(), (first, second), strict=True):
        path.write_text(text)
    assert shared_lines(files, least=3) == places
