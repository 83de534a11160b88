"""What the models read: a messy "web" to pretrain on, and the clean format of the cold start.

The web is as a web is. A quarter of its documents state facts (`3 +8 is 1 then ...`); the others
answer questions, some with the answer alone, some with the results only, some step by step, some
leaving steps out; in one language or, mostly, in all three at once; with errors. So a model that
has learned it can do what the chapter needs, but does it seldom.
"""

import random
from dataclasses import dataclass

from lib.reasoning.task import (
    DIGITS,
    END,
    HM,
    LANGUAGES,
    OPERATIONS,
    THINK,
    THOUGHT,
    Problem,
    apply,
    draw_problem,
)


@dataclass(frozen=True)
class Web:
    """How often each kind of document and of error occurs. Shares of each line sum to 1."""

    facts: float = 0.25
    direct: float = 0.35  # of the answers: `answer 7`
    terse: float = 0.15  # `3 then 7 then 1 answer 1`
    verbose: float = 0.30  # `5 +8 is 3 then 3 +4 is 7 ... answer 1`
    skipping: float = 0.20  # the same with some steps left out
    english: float = 0.15
    french: float = 0.15
    symbols: float = 0.10
    mixed: float = 0.60  # each word in a language of its own
    wrong_result: float = 0.08  # of each step
    wrong_answer: float = 0.03
    hesitation: float = 0.05  # `hm` before a step
    least: int = 1  # operations in a problem
    most: int = 8


class _Speaker:
    """Says "is", "then" and "answer" in one language, or each time in another."""

    def __init__(self, web: Web, dice: random.Random):
        shares = [web.english, web.french, web.symbols, web.mixed]
        self.dice, self.language = dice, dice.choices([*LANGUAGES, None], shares)[0]

    def say(self, meaning: int) -> str:
        language = self.language or self.dice.choice(list(LANGUAGES))
        return LANGUAGES[language][meaning]


IS, THEN, ANSWER = 0, 1, 2


def web_document(web: Web, dice: random.Random) -> list[str]:
    """One document of the web, with its end."""
    speaker = _Speaker(web, dice)
    if dice.random() < web.facts:
        return [*_facts(speaker, dice, 4), END]
    problem = draw_problem(dice, web.least, web.most)
    while problem.held_out:
        problem = draw_problem(dice, web.least, web.most)
    return [*problem.prompt, *_answer(problem, web, speaker, dice), END]


def fact_list(dice: random.Random, n: int = 4) -> list[str]:
    """A document of right facts in English: what "non-reasoning" data is in this world."""
    return [
        *_facts(_Speaker(Web(english=1.0, french=0.0, symbols=0.0, mixed=0.0), dice), dice, n),
        END,
    ]


def _facts(speaker: _Speaker, dice: random.Random, n: int) -> list[str]:
    words = []
    for _ in range(n):
        digit, operation = dice.choice(DIGITS), dice.choice(OPERATIONS)
        words += [digit, operation, speaker.say(IS), str(apply(int(digit), operation))]
        words.append(speaker.say(THEN))
    return words[:-1]


def _answer(problem: Problem, web: Web, speaker: _Speaker, dice: random.Random) -> list[str]:
    style = dice.choices(
        ["direct", "terse", "verbose", "skipping"],
        [web.direct, web.terse, web.verbose, web.skipping],
    )[0]
    words, digit = [], problem.start
    for i, operation in enumerate(problem.operations):
        before, digit = digit, apply(digit, operation)
        if style == "direct":
            continue
        if dice.random() < web.wrong_result:
            digit = dice.randrange(10)  # and the document goes on from there
        if style == "skipping" and i and dice.random() < 0.4:
            continue
        if dice.random() < web.hesitation:
            words.append(HM)
        if style != "terse":
            words += [str(before), operation, speaker.say(IS)]
        words += [str(digit), speaker.say(THEN)]
    if dice.random() < web.wrong_answer:
        digit = dice.randrange(10)
    return [*words[:-1], speaker.say(ANSWER), str(digit)]


def clean_response(problem: Problem) -> list[str]:
    """The format of the cold start: every step, in English, between <think> and </think>.

    The two tags never occur in the web.
    """
    verb, joint, answer = LANGUAGES["English"]
    words, digit = [THINK], problem.start
    for operation, result in zip(problem.operations, problem.results, strict=True):
        words += [str(digit), operation, verb, str(result), joint]
        digit = result
    return [*words[:-1], THOUGHT, answer, str(digit), END]
