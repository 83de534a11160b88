"""Find what an answer does wrong: the smallest change of the reference that explains it.

A candidate is the reference with a switch, with an edited argument (`input_edits`) or with an
edited result (`output_edits`). One that gives the answer's results in all cases is named; else two
together are tried, `relations` before and after that, and at last the shown case alone.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from torch import Tensor

from lib.exercises.comparing import same
from lib.exercises.input_edits import input_edits
from lib.exercises.output_edits import output_edits
from lib.exercises.relations import Trial, relation
from lib.exercises.running import Outcome, TooSlow, copy_of
from lib.exercises.symptoms import symptom

KEPT = 10_000  # results of changed references, from one answer to the next
STALE = (
    "It gives the result of an earlier input again: does it keep something from one call to the "
    "next?"
)
MOST = 1000  # candidates of one kind: a pair too much is not worth the wait


@dataclass(frozen=True)
class Change:
    """One change of the reference, and what to say of an answer that makes it."""

    sentences: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    before: tuple[Callable[[tuple], tuple], ...] = ()
    after: tuple[Callable[[Any], Any], ...] = ()

    def __add__(self, other: "Change") -> "Change":
        return Change(
            self.sentences + other.sentences,
            self.settings | other.settings,
            self.before + other.before,
            self.after + other.after,
        )

    def __str__(self) -> str:
        return " And: ".join(self.sentences)

    def result(self, trial: Trial, i: int) -> Outcome:
        """What the changed reference does in case `i`. Errors of an edit are a failed Outcome."""
        try:
            outcome = self._computed(trial, i)
            if outcome.error is not None:
                return outcome
            value = outcome.value
            for edit in self.after:
                value = edit(value)
            return Outcome(value=value)
        except Exception:
            return Outcome(error=TooSlow())

    def _computed(self, trial: Trial, i: int) -> Outcome:
        """The changed reference, before its result is edited: computed once for all edits."""
        if not (self.before or self.settings):
            return trial.expected[i]
        key = (i, tuple(self.settings.items()), self.before)
        if key not in trial.computed:
            if len(trial.computed) >= KEPT:
                trial.computed.clear()
            try:
                case = trial.cases[i]
                for edit in self.before:
                    case = edit(case)
                value = trial.reference(*map(copy_of, case), **self.settings)
                trial.computed[key] = Outcome(value=value)
            except Exception as error:
                trial.computed[key] = Outcome(error=TooSlow() if self.before else error)
        return trial.computed[key]


def diagnose(trial: Trial) -> str | None:
    """Return what the answer does wrong, if a change of the reference explains it."""
    switches, before = _settings(trial), _edited(trial)
    values = [outcome.value for outcome in trial.expected if outcome.error is None]
    largest = max(values, key=lambda v: len(v) if isinstance(v, list | tuple) else 0, default=None)
    after = [Change((s,), after=(e,)) for s, e in output_edits(largest)]
    everywhere = range(len(trial.cases))
    if _stale(trial):
        return STALE
    for candidates in (switches, after, before):
        if found := _first(candidates, trial, everywhere):
            return found
    if found := relation(trial):
        return found
    pairs = [
        _pairs(switches, switches), _pairs(switches, after), _pairs(switches, before),
    ]  # fmt: skip
    for candidates in pairs:
        if found := _first(candidates, trial, everywhere):
            return found
    return symptom(trial)


def diagnose_shown(trial: Trial) -> str | None:
    """Return what explains the answer in the cases that differ, or in the shown one alone."""
    switches, before = _settings(trial), _edited(trial)
    first = trial.wrong[0]
    if _few(trial.expected[first].value):
        return None
    value = trial.expected[first].value
    after = [Change((s,), after=(e,)) for s, e in output_edits(value)]
    for candidates in (switches, after, before):
        if found := _first(candidates, trial, trial.wrong):
            return (
                f"In the cases that differ: {found}"
                if len(trial.wrong) > 1
                else f"On this input: {found}"
            )
    for candidates in (switches, after, before, _pairs(switches, switches)):
        if found := _first(candidates, trial, [first]):
            return f"On this input it does what this slip would: {found}"
    return None


def _stale(trial: Trial) -> bool:
    """Whether wrong results are right ones of earlier cases, for new tensors too."""
    for k in trial.wrong:
        value = trial.got[k].value
        before = (trial.expected[i].value for i in range(k) if i not in trial.wrong)
        if value is None or not any(same(earlier, value) for earlier in before):
            return False
    last = trial.wrong[-1]
    if _few(trial.got[last].value):
        return False
    case = [
        copy_of(v).detach().flip(0) * 1.5 + 0.25
        if isinstance(v, Tensor) and v.is_floating_point() else v for v in trial.cases[last]
    ]  # fmt: skip
    if not any(a is not b for a, b in zip(case, trial.cases[last], strict=True)):
        return False
    again = trial.again(tuple(case))
    return again.error is None and same(again.value, trial.got[last].value)


def _settings(trial: Trial) -> list[Change]:
    return [
        Change((sentence,), {name: value})
        for name, settings in trial.switches.items()
        for value, sentence in settings.items()
    ]


def _edited(trial: Trial) -> list[Change]:
    edits = input_edits(trial.cases[0], trial.names) if trial.names else ()
    return [Change((sentence,), before=(edit,)) for sentence, edit in edits]


def _pairs(left: list[Change], right: list[Change]) -> Iterator[Change]:
    both = ((a, b) for a in left for b in right)
    if left is right:  # the first settings with one another, before any with the last ones
        both = ((a, b) for i, b in enumerate(left) for a in left[:i])
    return (
        a + b for a, b in both
        if not (a.settings.keys() & b.settings.keys())
    )  # fmt: skip


def _first(candidates: Any, trial: Trial, where: Sequence[int]) -> str | None:
    """The first candidate that does what the answer does in the cases `where`."""
    order = [i for i in trial.wrong if i in where] + [i for i in where if i not in trial.wrong]
    if not _telling([trial.got[i] for i in order]):
        return None
    with warnings.catch_warnings():  # a slip's, not the reader's
        warnings.simplefilter("ignore")
        for candidate in islice(candidates, MOST):
            if all(_alike(candidate.result(trial, i), trial.got[i]) for i in order):
                return str(candidate)
    return None


def _alike(expected: Outcome, got: Outcome) -> bool:
    if expected.error is not None or got.error is not None:
        return repr(expected.error) == repr(got.error)
    return same(expected.value, got.value)


def _few(value: Any) -> bool:
    """Whether a value is so small that a slip could give it by chance: a number, three items."""
    if isinstance(value, Tensor):
        return len(value.detach().flatten().unique()) < 4
    return not isinstance(value, list | tuple | dict | str) or len(value) < 4


def _telling(outcomes: list[Outcome]) -> bool:
    """Whether the results are so many that agreement is no accident: bools and small integers."""
    values = [outcome.value for outcome in outcomes if outcome.error is None]
    if values and all(isinstance(v, Tensor) and v.isnan().all() for v in values):
        return False  # NaN comes from everywhere
    if len(values) == 1 and isinstance(values[0], int | bool | type(None)):
        return False
    return bool(outcomes)
