"""The last exercise of a chapter: the reader's own code, once its parts are right, does the job.

A capstone is an exercise; where the answer is right, `result(answer)` runs it on the real thing and
shows what comes out. It is declared in `capstones_training` and its neighbors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lib.exercises.checking import Exercise
from lib.exercises.reports import Report


def _nothing(answer: Any) -> None:
    """No result to look at."""


@dataclass(frozen=True)
class Capstone(Exercise):
    """An exercise whose right answer is put to use: `result` shows what it does."""

    result: Callable[[Any], Any] = _nothing

    def __call__(self, answer: Any) -> None:
        """Check `answer`, show the report, and show the result of a right one."""
        try:
            report = self.report(answer)
        except Exception as error:  # a fault of the check must not stop "run all"
            text = f"The check itself failed with {type(error).__name__}: {error}"
            report = Report("wrong", self.title, text)
        report.show()
        if report.passed:
            self.result(answer)
