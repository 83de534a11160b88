"""Check a reader's own function against the reference, and name the probable mistake.

An exercise is declared beside its chapter's others, e.g. in ``lib/exercises/attention.py``::

    def scaled_scores(query, key, *, scale="root"):
        return query @ key.mT / query.shape[-1] ** {"root": 0.5, "width": 1.0}[scale]

    check_scaled_scores = Exercise(
        title="Scaled scores",
        reference=scaled_scores,
        cases=lambda seed: [...],  # tuples of arguments, of several sizes
        switches={"scale": {"width": "The scores are divided by d, not by √d."}, ...},
        difficulty=1, minutes=5,
    )

Single settings of the switches and pairs are searched for one that gives the answer's results. A
notebook uses it, after a stub that raises NotImplementedError, as::

    from lib.exercises.attention import check_scaled_scores
    check_scaled_scores(my_scaled_scores)

An exercise is an object that is imported, so that a wrong name is an ImportError. Calling it shows
a report and never raises, whatever the answer does; in a capstone, the last of a chapter, a right
one then does the real job (`result`). `exercise.report(answer)` returns the report.
"""

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from lib.exercises.comparing import brief, difference, size
from lib.exercises.diagnosis import diagnose, diagnose_shown
from lib.exercises.failures import (
    failing_line,
    failure,
    is_empty,
    misfit,
    names_of,
    other_items,
    plain,
    slip_of_kind,
    uses,
)
from lib.exercises.progress import note
from lib.exercises.relations import Switches, Trial
from lib.exercises.reports import Report
from lib.exercises.running import FORGETS, NOT_NEW, Outcome, TooSlow, call_within, run
from lib.exercises.watching import Rule, Watch

UNREADABLE = "It returns a value that cannot be looked at: a method of its own fails or never ends."


@dataclass(frozen=True)
class Probe:
    """An input that isolates one property, and what to say to an answer that fails on it.

    `wrong(expected, got)` tells whether a wrong result shows what the sentence says; without it
    each wrong result does. Probes are tried in order: let simple inputs come first. What is asked
    `alone` is told only of an answer that is right in all usual cases: a limit of floats, a tie.
    """

    sentence: str
    inputs: tuple
    wrong: Callable[[Any, Any], bool] | None = None
    alone: bool = False


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
    difficulty: Literal[1, 2, 3] = 1
    minutes: int = 10
    switches: Switches = field(default_factory=dict)
    probes: Sequence[Probe] = ()
    rule: Rule | None = None  # (name of a torch function, its result) -> the rule it breaks
    barred: dict[str, str] = field(default_factory=dict)  # name in the code -> the rule it breaks
    fresh: bool = False  # whether the result may not be an argument itself
    slow: str = ""  # what to say of an answer that is right on small inputs, but never ends
    call: Callable[..., Any] | None = None
    compare: Callable[[Any, Any], str | None] = difference
    result: Callable[[Any], Any] = lambda answer: None  # a capstone's: runs a right answer
    seeds: tuple[int, ...] = (0, 1)
    seconds: float | int = 5  # for one case; the first that takes longer ends the check
    _computed: dict = field(default_factory=dict, init=False, repr=False)  # by changed references

    def __call__(self, answer: Any) -> None:
        """Check `answer`, show the report, and put a right answer to use if there is one."""
        try:
            report = self.report(answer)
        except Exception as error:  # a fault of the check must not stop "run all"
            message = f"The check itself failed with {type(error).__name__}: {error}"
            report = Report("wrong", self.title, message)
        report.show()
        if report.passed:
            self.result(answer)

    @cached_property
    def _asked(self) -> tuple[list[tuple], list[Outcome]]:
        """All cases, those of the probes last, and what the reference does in each."""
        cases = [case for seed in self.seeds for case in self.cases(seed)]
        cases += [probe.inputs for probe in self.probes]
        return cases, [self._run(self.reference, case) for case in cases]

    def report(self, answer: Any) -> Report:
        """Check `answer` and return the report."""
        if answer is ... or answer is None or is_empty(answer):
            return self._open()
        if self.call is None and not callable(answer):
            return self._wrong(f"A function is asked for, got {self._brief(answer)}.", named=True)
        cases, expected = self._asked
        if self.call is None and (message := misfit(answer, cases[0])):
            return self._wrong(message, named=True)
        watch, outcomes = Watch(self.rule), []
        for case in cases:
            watch.begin(case)
            outcomes.append(self._run(answer, case, watch))
            if isinstance(outcomes[-1].error, NotImplementedError):
                return self._open()
            if isinstance(outcomes[-1].error, TooSlow):
                return self._too_slow(case, expected, outcomes)
            if not plain(outcomes[-1].value):
                return self._wrong(UNREADABLE, named=True)
        problems = [self._problem(e, o) for e, o in zip(expected, outcomes, strict=True)]
        if not any(problems):
            named = (sentence for name, sentence in self.barred.items() if name in uses(answer))
            if broken := watch.broken or next(named, None):
                return self._wrong(broken, named=True)
            return self._right(expected, outcomes)
        wrong = [i for i, problem in enumerate(problems) if problem]
        wrong.sort(key=lambda i: sum(map(size, cases[i])))
        if UNREADABLE in problems:
            return self._wrong(UNREADABLE, named=True)
        try:
            told, shown = self._mistake(answer, cases, expected, outcomes, problems, wrong, watch)
        except Exception:  # a hostile value: the bare difference is told
            told, shown = None, wrong[0]
        told = told or watch.broken
        message = told or problems[shown]
        if told is None and None in problems:
            message += f" It is right in {problems.count(None)} of {len(cases)} cases."
        example = self._example(cases[shown], expected[shown], outcomes[shown], answer)
        return self._wrong(message, example, named=told is not None)

    def _mistake(
        self,
        answer: Any,
        cases: list[tuple],
        expected: list[Outcome],
        outcomes: list[Outcome],
        problems: list[str | None],
        wrong: list[int],
        watch: Watch,
    ) -> tuple[str | None, int]:
        """What is done wrong, if it can be told, and the case that shows it."""
        regular = len(cases) - len(self.probes)
        first = wrong[0]
        usual = [i for i in wrong if i < regular]
        failed = [
            (i, probe) for i, probe in enumerate(self.probes, regular)
            if problems[i] and self._shows(probe, expected[i], outcomes[i])
        ]  # fmt: skip
        if message := watch.lost_digits(expected[:regular], outcomes[:regular]):
            return message, first
        if failed and not usual:
            return failed[0][1].sentence, failed[0][0]
        at_times = outcomes[first].value is None and None in problems  # there is a reason for None
        pairs = [expected[i] for i in wrong], [outcomes[i] for i in wrong]
        if not at_times and (message := slip_of_kind(answer, *pairs)):
            return message, first
        if any(self._forgets(answer, cases[i], outcomes[i]) for i in dict.fromkeys((first, 0))):
            return FORGETS, first
        if not usual:
            return None, first
        names = [] if self.call is not None else names_of(self.reference, len(cases[0]))
        trial = Trial(
            self.reference, self.switches, names, cases, expected, outcomes, wrong,
            lambda case: self._run(answer, case), self.seconds, self._computed,
        )  # fmt: skip
        if message := diagnose(trial) or other_items(*pairs):
            return message, first
        errors = [outcomes[i].error for i in usual]
        if all(errors) and (len(errors) == regular or isinstance(errors[0], RuntimeError)):
            failed = []  # it never gives a result, or torch says why: no matter for a probe
        failed = [(i, probe) for i, probe in failed if not probe.alone]
        if failed:
            return failed[0][1].sentence, failed[0][0]
        if message := failure(outcomes[first].error, expected[first].error, answer):
            return message, first
        if outcomes[first].value is None and expected[first].value is not None:
            return "It returns None: is a `return` reached on this input?", first
        return diagnose_shown(trial), first

    def _forgets(self, answer: Any, case: tuple, before: Outcome) -> bool:
        """Whether the answer, called again, gives what differs from what it gave before."""
        again = self._run(answer, case)
        if type(again.value).__eq__ is object.__eq__ or self._problem(before, before):
            return False
        return self._problem(before, again) is not None

    def _shows(self, probe: Probe, expected: Outcome, got: Outcome) -> bool:
        if probe.wrong is None:
            return True
        if got.error is not None or isinstance(got.value, Iterator):  # that may have no end
            return False
        return self._safely(lambda: bool(probe.wrong(expected.value, got.value)), False)

    def _too_slow(self, case: tuple, expected: list[Outcome], outcomes: list[Outcome]) -> Report:
        before = [self._problem(e, o) for e, o in zip(expected, outcomes[:-1], strict=False)]
        message = f"It was stopped after {self.seconds:g} s: does a loop never end?"
        if self.slow and before and not any(before):
            message = self.slow
        return self._wrong(message, self._inputs(case), named=True)

    def _open(self) -> Report:
        minutes = f"about {self.minutes} minutes."
        return Report("open", self.title, f"Difficulty {self.difficulty} of 3, {minutes}")

    def _wrong(self, message: str, example: str = "", *, named: bool = False) -> Report:
        return Report("wrong", self.title, message, example, message if named else None)

    def _right(self, expected: list[Outcome], outcomes: list[Outcome]) -> Report:
        for e, o in zip(expected, outcomes, strict=True):
            changed = set(o.changed) - set(e.changed)
            if changed:
                names = names_of(self.reference, 1 + max(changed))
                return self._wrong(
                    f"The result is right, but it changes its argument `{names[min(changed)]}` in "
                    "place, so that the caller's data is spoiled. Work on a copy.",
                    named=True,
                )
            if self.fresh and o.given:
                return self._wrong(NOT_NEW, named=True)
            if o.left:
                return self._wrong(
                    f"The result is right, but `{o.left}` stays as the answer set it, for "
                    "all that runs later: put it back.",
                    named=True,
                )
        note(self.title)
        return Report("right", self.title, f"It equals the reference in {len(outcomes)} cases.")

    def _run(self, function: Any, case: tuple, watch: Watch | None = None) -> Outcome:
        seconds = None if function is self.reference else self.seconds
        if self.call is None or function is self.reference:
            return run(function, case, seconds, watch)
        return run(lambda *arguments: self.call(function, *arguments), case, seconds, watch)

    def _problem(self, expected: Outcome, got: Outcome) -> str | None:
        if expected.error is not None:
            name = type(expected.error).__name__
            if got.error is None:
                return f"It returns a value where {name} must be raised."
            same = isinstance(got.error, type(expected.error))
            return None if same else f"It raises {type(got.error).__name__}, expected {name}."
        if got.error is not None:
            return f"It raises {type(got.error).__name__}."
        return self._safely(lambda: self.compare(expected.value, got.value), UNREADABLE)

    def _safely(self, function: Callable[[], Any], otherwise: Any) -> Any:
        """What a look at an answer's value gives, or `otherwise`: its methods may do anything."""
        try:
            return call_within(self.seconds, function)
        except KeyboardInterrupt:
            raise
        except BaseException:
            return otherwise

    def _inputs(self, case: tuple) -> str:
        if self.call is not None:  # the cases only say how the answer is called
            return ""
        names = names_of(self.reference, len(case))
        return "\n".join(
            f"{name} = {brief(value)}" for name, value in zip(names, case, strict=True)
        )

    def _brief(self, value: Any) -> str:
        return self._safely(lambda: brief(value), "a value that cannot be printed")

    def _example(self, case: tuple, expected: Outcome, got: Outcome, answer: Any) -> str:
        lines = [self._inputs(case)] if self._inputs(case) else []
        for word, outcome in (("expected", expected), ("got", got)):
            if outcome.error is None:
                lines.append(f"{word}: {self._brief(outcome.value)}")
            else:
                text = "".join(traceback.format_exception_only(outcome.error)).strip()
                lines.append(f"{word}: {text}")
        return "\n".join([*lines, *failing_line(got.error, answer)])
