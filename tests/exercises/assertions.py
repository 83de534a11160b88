"""What every exercise must prove: the stub fails, the solution passes, wrong answers are named.

A chapter's test::

    @pytest.mark.parametrize(("exercise", "name"), [(check_scores, "my_scores"), ...])
    def test_exercise(exercise, name):
        stubs, solutions = answers_in("02_attention")
        assert_exercise(exercise, stubs[name], solutions[name])
"""

import ast
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
    message that it must get; the exercise's own mistakes are tried too, and with them there must be
    at least three different messages. No message may go to the solution or to another mistake.
    """
    assert exercise.report(stub).status == "open", str(exercise.report(stub))
    report = exercise.report(solution)
    assert report.passed, str(report)
    answers = [(mistake.wrong, mistake.message) for mistake in exercise.mistakes]
    messages = [message for _, message in answers]
    assert len(set(messages)) == len(messages), "two mistakes say the same"
    for answer, message in [*answers, *wrong]:
        report = exercise.report(answer)
        assert report.status == "wrong", f"this wrong answer passes: {message}"
        assert message in report.message, f"expected {message!r}, got: {report}"
    told = set(messages) | {message for _, message in wrong}
    assert len(told) >= 3, f"fewer than three wrong answers are told apart: {told}"
    assert 1 <= exercise.difficulty <= 3
    assert 1 <= exercise.minutes <= 60


def answers_in(chapter: str, folder: Path = TEXTS) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (stubs, solutions) by name, as the text of a chapter has them.

    A solution is a ```python block within <details>; a stub is a code cell that raises
    NotImplementedError. Both run after the chapter's import statements, without the calls of a
    check, so that what is proved is what the reader sees. Raises AssertionError for a stub without
    a solution.
    """
    cells = jupytext.read(folder / f"{chapter}.md").cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    folded = "\n".join(re.findall(r"<details>.*?</details>", prose, re.DOTALL))
    blocks = re.findall(r"^ *```python\n(.*?)^ *```$", folded, re.DOTALL | re.MULTILINE)
    imports = [
        node
        for source in code
        for node in _statements(source)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    stubs = _definitions([s for s in code if "raise NotImplementedError" in s], imports)
    solutions = _definitions(blocks, imports)
    missing = sorted(set(stubs) - set(solutions))
    assert not missing, f"{chapter} has no solution for {missing}"
    return stubs, solutions


def _statements(source: str) -> list[ast.stmt]:
    """Parse a cell, without its magics."""
    return ast.parse(re.sub(r"^[%!].*$", "", textwrap.dedent(source), flags=re.MULTILINE)).body


def _definitions(sources: list[str], imports: list[ast.stmt]) -> dict[str, Any]:
    """Run imports and sources, but for bare expressions (the check); return what is defined."""
    scope: dict[str, Any] = {}
    exec(compile(ast.Module(imports, []), "imports", "exec"), scope)
    before = set(scope)
    for source in sources:
        body = [node for node in _statements(source) if not isinstance(node, ast.Expr)]
        exec(compile(ast.Module(body, []), "answer", "exec"), scope)
    return {name: value for name, value in scope.items() if name not in before}
