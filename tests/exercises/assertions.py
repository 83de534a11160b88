"""What every exercise must prove: the stub fails, the solution passes, wrong answers are named.

tests/exercises/test_answers.py asks it of every exercise of every chapter.
"""

import ast
import dataclasses
import functools
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jupytext

from lib.exercises.checking import Exercise

TEXTS = Path(__file__).parents[2] / "notebooks" / "text"


def assert_exercise(
    exercise: Exercise,
    stub: Any,
    solution: Any,
    wrong: Sequence[tuple[Callable[..., Any], str]] = (),
) -> None:
    """Prove an exercise.

    `stub` and `solution`: as in the notebook. `wrong`: more wrong answers, each with a part of the
    message that it must get; some of the exercise's switches are tried too, and with them there
    must be at least three different messages.
    """
    assert exercise.report(stub).status == "open", str(exercise.report(stub))
    for answer in (solution, exercise.reference):
        report = exercise.report(answer)
        assert report.passed, str(report)
    for answer, message in wrong:
        report = exercise.report(answer)
        assert report.status == "wrong", f"this wrong answer passes: {message}"
        assert message in report.message, f"expected {message!r}, got: {report}"
    told = {message for _, message in wrong} | set(slips_named(exercise))
    assert len(told) >= 3, f"fewer than three wrong answers are told apart: {told}"
    assert 1 <= exercise.difficulty <= 3
    assert 1 <= exercise.minutes <= 60


def slips_named(exercise: Exercise, most: int = 4) -> list[str]:
    """What is said to the reference with some of its switches set wrong: always a mistake."""
    slips = [(name, value) for name, values in exercise.switches.items() for value in values]
    found = []
    for name, value in slips[:: max(1, len(slips) // most)]:
        answer = functools.partial(exercise.reference, **{name: value})
        report = dataclasses.replace(exercise, call=None).report(answer)
        assert report.status == "wrong", f"the slip {name} = {value!r} passes"
        assert report.mistake, f"the slip {name} = {value!r} hears only of a difference: {report}"
        found.append(report.mistake)
    return found


def answers_in(chapter: str, folder: Path = TEXTS) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (stubs, solutions) by name, as the text of a chapter has them.

    A solution is a ```python block within <details>; a stub is a code cell that raises
    NotImplementedError. Both run after the chapter's import statements, without the calls of a
    check, so that what is proved is what the reader sees. Raises AssertionError for a stub without
    a solution.
    """
    code, prose = _cells(chapter, folder)
    folded = "\n".join(re.findall(r"<details>.*?</details>", prose, re.DOTALL))
    blocks = re.findall(r"^ *```python\n(.*?)^ *```$", folded, re.DOTALL | re.MULTILINE)
    imports = _imports(code)
    stubs = _definitions([s for s in code if "raise NotImplementedError" in s], imports)
    solutions = _definitions(blocks, imports)
    missing = sorted(set(stubs) - set(solutions))
    assert not missing, f"{chapter} has no solution for {missing}"
    return stubs, solutions


def exercises_in(chapter: str, folder: Path = TEXTS) -> dict[str, Exercise]:
    """Return the check of each answer by the answer's name, from calls such as check_x(my_x)."""
    code, _ = _cells(chapter, folder)
    scope = _run(_imports(code), {})
    calls = (
        node.value
        for source in code
        for node in _statements(source)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    )
    return {
        call.args[0].id: eval(ast.unparse(call.func), scope)
        for call in calls
        if [type(a) for a in call.args] == [ast.Name] and call.args[0].id.startswith("my_")
    }


def _cells(chapter: str, folder: Path) -> tuple[list[str], str]:
    """The code cells of a chapter, and its prose."""
    cells = jupytext.read(folder / f"{chapter}.md").cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    return code, "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def _imports(code: list[str]) -> list[ast.stmt]:
    statements = (node for source in code for node in _statements(source))
    return [node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]


def _run(statements: list[ast.stmt], scope: dict[str, Any]) -> dict[str, Any]:
    exec(compile(ast.Module(statements, []), "chapter", "exec"), scope)
    return scope


def _statements(source: str) -> list[ast.stmt]:
    """Parse a cell, without its magics."""
    return ast.parse(re.sub(r"^[%!].*$", "", textwrap.dedent(source), flags=re.MULTILINE)).body


def _definitions(sources: list[str], imports: list[ast.stmt]) -> dict[str, Any]:
    """Run imports and sources, but for bare expressions (the check); return what is defined."""
    scope = _run(imports, {})
    before = set(scope)
    for source in sources:
        _run([node for node in _statements(source) if not isinstance(node, ast.Expr)], scope)
    return {name: value for name, value in scope.items() if name not in before}
