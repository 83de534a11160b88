"""How the checks judge the answers of the bank: `python -m tests.exercises.answers` (`NAME ...`)."""

import contextlib
import io
import sys
import warnings
from typing import NamedTuple

from tests.exercises.answers import EXERCISES, Answer, collect, find_check


class Judged(NamedTuple):
    """What one check makes of the answers to its exercise."""

    wrong: int
    passing: list[str]  # labels of wrong answers that pass
    unnamed: list[str]  # labels of wrong answers that hear only of a difference
    refused: list[str]  # labels of right answers that do not pass

    @property
    def named(self) -> float:
        """The share of the wrong answers that hear what is wrong."""
        return (self.wrong - len(self.passing) - len(self.unnamed)) / self.wrong


def judge(check: str, answers: list[Answer]) -> Judged:
    judged = Judged(sum(a.kind == "wrong" for a in answers), [], [], [])
    for answer in answers:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = find_check(check).report(answer.function)
        if answer.kind == "right":
            if not report.passed:
                judged.refused.append(answer.label)
        elif report.passed:
            judged.passing.append(answer.label)
        elif not getattr(report, "mistake", None):
            judged.unnamed.append(answer.label)
    return judged


def main(names: list[str]) -> None:
    answers = collect()
    print(f"{'exercise':28}{'wrong':>6}{'passing':>9}{'named':>7}{'refused':>9}")
    for check in names or EXERCISES:
        judged = judge(check, [a for a in answers if a.check == check])
        counts = f"{judged.wrong:6}{len(judged.passing):9}{judged.named:7.0%}"
        print(f"{check:28}{counts}{len(judged.refused):9}", flush=True)
        if names:
            for title in ("passing", "refused", "unnamed"):
                for label in getattr(judged, title):
                    print(f"  {title}: {label}")


if __name__ == "__main__":
    main(sys.argv[1:])
