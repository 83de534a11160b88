"""What every exercise must prove: the stub fails, the solution passes, wrong answers are named."""

from collections.abc import Callable, Sequence
from typing import Any

from lib.exercises.checking import Exercise


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
