"""Check of chapter 14: a verifier that luck does not fool."""

from collections.abc import Callable
from typing import Any

from lib.exercises.checking import Exercise
from lib.reasoning.corpus import clean_response
from lib.reasoning.task import Problem, draw_problems
from lib.reasoning.verifier import verify


def right_chain(
    problem: Problem,
    words: list[str],
    *,
    answer: Callable = lambda v, words, due: v.answer,
    count: Callable = lambda steps, due: steps == due,
    marks: Callable = all,
    mark: Callable = lambda step: step.mark == "right",
    enough: Callable | None = None,
    join: Callable = lambda answer, whole: answer and whole,
    also: Callable = lambda v: True,
    result: Callable = lambda right, v: right,
) -> bool | Any:
    """Whether all steps are there, in order and right, and the answer too."""
    verdict = verify(problem, words)
    right = [mark(step) for step in verdict.steps]
    due = len(problem.operations)
    whole = count(len(right), due) and bool(marks(right))
    whole = whole if enough is None else enough(right, due, words)
    found = answer(verdict, words, str(problem.answer))
    return result(bool(join(found, whole) and also(verdict)), verdict)


def _texts(problem: Problem) -> list[list[str]]:
    """A problem of two steps, answered in every way in which a verdict differs."""
    start, (first, second), (one, two) = problem.start, problem.operations, problem.results
    off = (one + 3) % 10
    good, more = f"{start} {first} is {one}", f"{one} {second} is {two}"
    lines = [
        f"<think> {good} then {more} </think> answer {two} <eos>",
        f"{good} then {more} answer {two} <eos>",  # not clean
        f"{good} puis {one} {second} = {two} answer {two} <eos>",  # two languages
        f"{good} then {more} answer {two}",  # unended
        f"{good} then {more} then {two} {first} is {off} answer {two} <eos>",  # one more, wrong
        f"{good} then {more} then {two} +1 is {(two + 1) % 10} answer {two} <eos>",
        f"{good} answer {two} <eos>",  # one less
        f"{more} answer {two} <eos>",
        f"answer {two} <eos>",
        f"{good} then {more} answer {off} <eos>",
        f"{start} {first} is {off} then {more} answer {two} <eos>",  # the first wrong
        f"{good} then {one} {second} is {(two + 1) % 10} answer {two} <eos>",  # the last wrong
        f"{more} then {good} answer {two} <eos>",  # another order
        f"then then answer {two} <eos>",  # unparsable
        f"{good} then hm answer {two} <eos>",
        f"{good} then {more}",  # no answer
        f"{start} {first} is {off} then {more} answer {(two + 1) % 10} <eos>",  # all is wrong
        f"{good} answer {two} then {one} {second} is {two} <eos>",  # one less, and more after it
        f"{good} then {more} answer {off} then {two} <eos>",
    ]
    return [line.split() for line in lines]


def _chain_cases(seed: int) -> list[tuple]:
    cases: list[tuple] = []
    for problem in draw_problems(1, 100 + seed, least=2, most=2):
        cases += [(problem, words) for words in _texts(problem)]
    for problem in draw_problems(2, 200 + seed, least=3, most=5):
        good = clean_response(problem)
        third = [*good[:14], str((problem.results[2] + 3) % 10), *good[15:]]
        cases += [(problem, words) for words in (good, third, [good[0], *good[6:]], good[-3:])]
    return cases


MARKS = "each step's mark must be right."

check_right_chain = Exercise(
    title="A verifier that luck does not fool",
    reference=right_chain,
    cases=_chain_cases,
    switches={
        "result": {
            lambda right, v: v.answer: (
                "It looks at the answer alone: a guess is right one time in ten, and so is a chain "
                "with a wrong step."
            ),
            lambda right, v: v.clean and v.answer: (
                "A clean format says nothing about the steps: read each step's mark."
            ),
            lambda right, v: not right: "True and False are turned round.",
        },
        "answer": {
            lambda v, words, due: True: (
                "All steps are right, but the answer after them may still be another digit."
            ),
            lambda v, words, due: due in words: "The right digit may stand anywhere in the words: "
            "ask the verdict's `answer`.",
            lambda v, words, due: [w for w in words if w.isdigit()][-1:] == [due]: "The last digit "
            "need not be the answer: ask the verdict's `answer`.",
        },
        "count": {
            lambda steps, due: True: (
                "A response without any step has no wrong step either: there must be one for each "
                "operation."
            ),
            lambda steps, due: steps > 0: "One step is not enough: there must be one for each "
            "operation.",
            lambda steps, due: steps <= due: "Steps may be missing: there must be exactly one for "
            "each operation.",
            lambda steps, due: 0 < steps <= due: "Steps may be missing: there must be exactly one "
            "for each operation.",
            lambda steps, due: steps >= due - 1: "One step may be missing: there must be exactly "
            "one for each operation.",
            lambda steps, due: steps == due + 1: "It asks for one step more than operations.",
            lambda steps, due: steps == 2: "The number of steps is that of the operations, not "
            "always 2.",
        },
        "marks": {
            any: f"One right step suffices for it: {MARKS}",
            lambda right: True: f"The marks are not read: {MARKS}",
            lambda right: right[-1:] == [True]: f"It looks at the last step alone: {MARKS}",
            lambda right: right[:1] == [True]: f"It looks at the first step alone: {MARKS}",
            lambda right: all(right[:-1]): f"It leaves the last step out: {MARKS}",
            lambda right: all(right[1:]): f"It leaves the first step out: {MARKS}",
        },
        "mark": {
            lambda step: bool(step.mark): 'A mark is a word, which counts as True: ask == "right".',
            lambda step: step.mark != "wrong": "An unparsable step is not right either.",
            lambda step: step.mark != "unparsable": "A wrong step is not right either.",
        },
        "enough": {
            lambda right, due, words: sum(right) >= due: "Extra steps are let through, if as many "
            "are right as there are operations.",
            lambda right, due, words: sum(right) * 2 > due: f"Most right steps suffice: {MARKS}",
            lambda right, due, words: all(
                right[:due]
            ): "Steps may be missing, or too many, as with "
            "`zip`, which stops at the shorter: there must be exactly one for each operation.",
            lambda right, due, words: all(right) and sum(w[0] in "+*" for w in words) == due: (
                "It counts operations among the words: count the steps."
            ),
            lambda right, due, words: any(right): f"One right step suffices for it: {MARKS}",
            lambda right, due, words: all(right): "Steps may be missing or none at all: there must "
            "be exactly one for each operation.",
            lambda right, due, words: len(words) >= 5 * due: "It counts words: count the steps, "
            "and read their marks.",
            lambda right, due, words: words.count("is") == due: "It counts words: count the steps, "
            "and read their marks.",
            lambda right, due, words: right[-1:] == [True]: f"It looks at the last step: {MARKS}",
            lambda right, due, words: right[:1] == [True]: f"It looks at the first step: {MARKS}",
        },
        "join": {
            lambda a, b: a or b: "`or` lets a guess through: answer and steps must both be right.",
            lambda a, b: (
                a == b
            ): "`==` lets a response through in which both are wrong: take `and`.",
        },
        "also": {
            lambda v: v.clean: "A clean format is not asked for: steps and answer decide.",
            lambda v: not v.mixed: "One language is not asked for: steps and answer decide.",
            lambda v: v.ended: "An end is not asked for: steps and answer decide.",
        },
    },
    barred={"chain": "It asks the verdict's own `chain`: read the steps."},
    seeds=(0,),
    difficulty=2,
    minutes=12,
)
