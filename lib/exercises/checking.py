"""Check a reader's own function against the reference, and name the probable mistake.

An exercise is declared beside its chapter's others, e.g. in ``lib/exercises/attention.py``::

    check_scaled_scores = Exercise(
        title="Scaled scores",
        reference=lambda query, key: query @ key.mT / query.shape[-1] ** 0.5,
        cases=lambda seed: [...],  # tuples of arguments, of several sizes
        mistakes=[
            Mistake(lambda query, key: query @ key.mT / query.shape[-1], "Divide by √d, not d."),
            ...
        ],
        difficulty=1, minutes=5,
    )

and used in a notebook, after a stub that raises NotImplementedError, as::

    from lib.exercises.attention import check_scaled_scores
    check_scaled_scores(my_scaled_scores)

There is no registry of names: an exercise is an object that is imported, so that an editor finds it
and a wrong name is an ImportError. Calling it shows a report and never raises, whatever the answer
does. `exercise.report(answer)` returns the report. Tests: ``tests/exercises/assertions.py``.
"""

import dis
import inspect
import linecache
import re
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lib.display import publish
from lib.exercises.comparing import brief, difference, size
from lib.exercises.running import Outcome, TooSlow, run


@dataclass(frozen=True)
class Mistake:
    """A wrong implementation that readers write, and what to say to them."""

    wrong: Callable[..., Any]
    message: str


@dataclass(frozen=True)
class Report:
    """The result of a check: "open" (not answered), "wrong" or "right"."""

    status: Literal["open", "wrong", "right"]
    title: str
    message: str
    example: str = ""

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.status == "right"

    @property
    def heading(self) -> str:
        """What comes first, e.g. "Right: Scaled scores."."""
        words = {"open": "Not answered yet", "wrong": "Not yet", "right": "Right"}[self.status]
        return f"{words}: {self.title}{'' if self.title.endswith('?') else '.'}"

    def __str__(self) -> str:
        return f"{self.heading} {self.message}" + (f"\n\n{self.example}" if self.example else "")

    def show(self) -> None:
        """Show the report as the cell's output."""
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", self.example)), default=0))
        block = f"\n\n{fence}text\n{self.example}\n{fence}" if self.example else ""
        text = f"**{self.heading}** {_markdown(self.message)}{block}"
        publish({"text/markdown": text, "text/plain": str(self)})


@dataclass(frozen=True)
class Exercise:
    """What is asked, the reference that answers it, and the mistakes that are known.

    `cases(seed)` lists tuples of arguments; use several sizes, none of them equal by accident, the
    first small enough to print. `call(answer, *arguments)` says how an answer is used, for answers
    that are not functions of the arguments. `compare(expected, got)` returns None or a sentence.
    """

    title: str
    reference: Callable[..., Any]
    cases: Callable[[int], Sequence[tuple]]
    mistakes: Sequence[Mistake]
    difficulty: Literal[1, 2, 3]
    minutes: int
    call: Callable[..., Any] | None = None
    compare: Callable[[Any, Any], str | None] = difference
    seeds: tuple[int, ...] = (0, 1)
    seconds: float | int = 5  # for one case; the first that takes longer ends the check

    def __call__(self, answer: Any) -> None:
        """Check `answer` and show the report."""
        try:
            report = self.report(answer)
        except Exception as error:  # a fault of the check must not stop "run all"
            message = f"The check itself failed with {type(error).__name__}: {error}"
            report = Report("wrong", self.title, message)
        report.show()

    def report(self, answer: Any) -> Report:
        """Check `answer` and return the report."""
        if answer is ... or answer is None or _is_empty(answer):
            return self._open()
        if self.call is None and not callable(answer):
            return self._wrong(f"A function is asked for, got {brief(answer)}.")
        cases = [case for seed in self.seeds for case in self.cases(seed)]
        misfit = _misfit(answer, cases[0]) if self.call is None else None
        if misfit:
            return self._wrong(misfit)
        expected = [self._run(self.reference, case) for case in cases]
        outcomes: list[Outcome] = []
        for case in cases:
            outcomes.append(self._run(answer, case))
            error = outcomes[-1].error
            if isinstance(error, NotImplementedError):
                return self._open()
            if isinstance(error, TooSlow):
                return self._wrong(
                    f"It was stopped after {self.seconds:g} s: does a loop never end?",
                    self._inputs(case),
                )
        problems = [self._problem(e, o) for e, o in zip(expected, outcomes, strict=True)]
        if not any(problems):
            return self._right(expected, outcomes)
        wrong = [i for i, problem in enumerate(problems) if problem]
        first = min(wrong, key=lambda i: sum(map(size, cases[i])))
        example = self._example(cases[first], expected[first], outcomes[first], answer)
        message = self._known_mistake(cases, expected, outcomes)
        if message is None:
            message = problems[first]
            if None in problems:
                right = problems.count(None)
                message += (
                    f" It is right in {right} of {len(cases)} cases: does it rest on one size, or"
                    " leave out a special case?"
                )
        return self._wrong(message, example)

    def _open(self) -> Report:
        text = f"Difficulty {self.difficulty} of 3, about {self.minutes} minutes."
        return Report("open", self.title, text)

    def _wrong(self, message: str, example: str = "") -> Report:
        return Report("wrong", self.title, message, example)

    def _right(self, expected: list[Outcome], outcomes: list[Outcome]) -> Report:
        for e, o in zip(expected, outcomes, strict=True):
            changed = set(o.changed) - set(e.changed)
            if changed:
                names = _names(self.reference, 1 + max(changed))
                return self._wrong(
                    f"The result is right, but it changes its argument `{names[min(changed)]}` in "
                    "place, so that the caller's data is spoiled. Work on a copy."
                )
        return Report("right", self.title, f"It equals the reference in {len(outcomes)} cases.")

    def _run(self, function: Any, case: tuple) -> Outcome:
        if self.call is None or function is self.reference:
            return run(function, case, self.seconds)
        return run(lambda *arguments: self.call(function, *arguments), case, self.seconds)

    def _problem(self, expected: Outcome, got: Outcome) -> str | None:
        if expected.error is not None:
            name = type(expected.error).__name__
            if got.error is None:
                return f"It returns a value where {name} must be raised."
            same = isinstance(got.error, type(expected.error))
            return None if same else f"It raises {type(got.error).__name__}, expected {name}."
        if got.error is not None:
            return f"It raises {type(got.error).__name__}."
        return self.compare(expected.value, got.value)

    def _known_mistake(
        self, cases: list[tuple], expected: list[Outcome], outcomes: list[Outcome]
    ) -> str | None:
        """Return the message of the first mistake that gives the answer's results in all cases."""
        for mistake in self.mistakes:
            alike = True
            for case, got in zip(cases, outcomes, strict=True):
                wrong = self._run(mistake.wrong, case)
                if wrong.error is not None or got.error is not None:
                    alike = repr(wrong.error) == repr(got.error)
                else:
                    alike = self.compare(wrong.value, got.value) is None
                if not alike:
                    break
            if alike:
                return mistake.message
        return None

    def _inputs(self, case: tuple) -> str:
        names = _names(self.reference, len(case))
        return "\n".join(
            f"{name} = {brief(value)}" for name, value in zip(names, case, strict=True)
        )

    def _example(self, case: tuple, expected: Outcome, got: Outcome, answer: Any) -> str:
        lines = [self._inputs(case)] if case else []
        for word, outcome in (("expected", expected), ("got", got)):
            if outcome.error is None:
                lines.append(f"{word}: {brief(outcome.value)}")
            else:
                text = "".join(traceback.format_exception_only(outcome.error)).strip()
                lines.append(f"{word}: {text}")
        return "\n".join([*lines, *_failing_line(got.error, answer)])


def _markdown(message: str) -> str:
    """Keep `code` as it is; elsewhere escape what Markdown or HTML would read as more than text."""
    return "".join(
        part
        if part.startswith("`")
        else re.sub(r"[<>&*_$\[\]\\]", lambda m: f"&#{ord(m[0])};", part)
        for part in re.split(r"(`[^`]+`)", message)
    )


def _is_empty(answer: Any) -> bool:
    """Tell whether a function's body is only `...`, `pass` or a docstring."""
    code = getattr(answer, "__code__", None)
    idle = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}
    if code is None or any(step.opname not in idle for step in dis.get_instructions(code)):
        return False
    returned = [s.argval for s in dis.get_instructions(code) if s.opname.endswith("_CONST")]
    return returned[-1] is None


def _misfit(answer: Any, case: tuple) -> str | None:
    """Return a sentence if the answer cannot be called with as many arguments as a case has."""
    try:
        signature = inspect.signature(answer)
    except (TypeError, ValueError):  # some built-in functions hide theirs
        return None
    try:
        signature.bind(*case)
    except TypeError:
        return f"It is called with {len(case)} arguments, but takes {signature}."
    return None


def _names(reference: Callable[..., Any], count: int) -> list[str]:
    """Return the names of the first `count` arguments."""
    names = list(inspect.signature(reference).parameters)
    return [names[i] if i < len(names) else f"argument {i + 1}" for i in range(count)]


def _failing_line(error: BaseException | None, answer: Any) -> list[str]:
    """Return the line of the reader's own code that raised, if it is known."""
    code = getattr(answer, "__code__", None)
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    mine = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    line = linecache.getline(mine[-1].filename, mine[-1].lineno).strip() if mine else ""
    return [f"in the line: {line}"] if line else []
