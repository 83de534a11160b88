"""Problems whose answer a program can check: `5 +8 *3 ?` is worked from left to right, mod 10.

A problem is a digit and a list of operations; after each one only the last digit is kept, so that
5 +8 is 3, and 3 *3 is 9. All operations are one-to-one on the digits: whatever comes before, a
guess at the answer is right one time in ten, and no shortcut exists.
"""

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lib.settings import require, shortened

DIGITS = tuple("0123456789")
OPERATIONS = (*(f"+{n}" for n in range(1, 10)), "*3", "*7", "*9")
# The words for "is", "then" and "answer" in three languages. The third is mathematicians' own.
LANGUAGES = {
    "English": ("is", "then", "answer"),
    "French": ("fait", "puis", "réponse"),
    "symbols": ("=", ";", "→"),
}
PAD, END, THINK, THOUGHT, ASK, HM = "<pad>", "<eos>", "<think>", "</think>", "?", "hm"
VOCABULARY = (
    *(PAD, END, THINK, THOUGHT, ASK, HM),
    *DIGITS,
    *OPERATIONS,
    *(word for words in LANGUAGES.values() for word in words),
)
_ID = {word: i for i, word in enumerate(VOCABULARY)}
PAD_ID, END_ID = _ID[PAD], _ID[END]

Words = Sequence[str]


def encode(words: Words | str) -> list[int]:
    """Ids of words, given as a list or as text with blanks between them.

    Raises ValueError for a word outside the vocabulary.
    """
    words = words.split() if isinstance(words, str) else words
    if not isinstance(words, Sequence):
        raise ValueError(f"words must be a text or a list of words, got {shortened(words)}")
    unknown = [word for word in words if not isinstance(word, str) or word not in _ID]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not a word of this task; see lib.reasoning.VOCABULARY")
    return [_ID[word] for word in words]


def decode(ids: Sequence[int]) -> list[str]:
    """Words of ids. Raises ValueError for an id that is no word of this task."""
    for i in ids:
        require("an id of this task", i, f"[0, {len(VOCABULARY) - 1}]", whole=True)
    return [VOCABULARY[i] for i in ids]


def apply(digit: int, operation: str) -> int:
    """The last digit of digit + n or digit * n."""
    n = int(operation[1])
    return (digit + n if operation[0] == "+" else digit * n) % 10


@dataclass(frozen=True)
class Problem:
    """A digit and the operations to apply to it, from left to right.

    `opening`: words that the prompt puts into the model's mouth, such as `<think>`; the verifier
    reads them as part of the response. Raises ValueError for anything that is no digit, no
    operation or no word of the task.
    """

    start: int
    operations: tuple[str, ...]
    opening: tuple[str, ...] = ()

    def __post_init__(self):
        if type(self.start) is not int or self.start not in range(10):
            raise ValueError(f"a problem starts with a digit, 0 to 9, got {shortened(self.start)}")
        if not isinstance(self.operations, Sequence):
            raise ValueError(f"operations must be a tuple, got {shortened(self.operations)}")
        wrong = [operation for operation in self.operations if operation not in OPERATIONS]
        if wrong or not self.operations:
            got = repr(wrong[0]) if wrong else "none"
            raise ValueError(f"operations must be of {', '.join(OPERATIONS)}, got {got}")
        encode(self.opening)

    @property
    def results(self) -> list[int]:
        """The digit after each operation; the last is the answer."""
        results, digit = [], self.start
        for operation in self.operations:
            digit = apply(digit, operation)
            results.append(digit)
        return results

    @property
    def answer(self) -> int:
        """The digit after the last operation."""
        return self.results[-1]

    @property
    def question(self) -> list[str]:
        """The words of the problem: `5 +8 *3 ?`."""
        return [str(self.start), *self.operations, ASK]

    @property
    def prompt(self) -> list[str]:
        """The words that a model is given: the question and, if there is one, the opening."""
        return [*self.question, *self.opening]

    @property
    def held_out(self) -> bool:
        """Whether this is a problem for testing: a tenth of all, chosen by a checksum."""
        return zlib.crc32(" ".join(self.question).encode()) % 10 == 0


def draw_problem(dice: random.Random, least: int, most: int) -> Problem:
    """A problem of `least` to `most` operations; additions are six in ten of them."""
    operations = [
        dice.choice(OPERATIONS[:9]) if dice.random() < 0.6 else dice.choice(OPERATIONS[9:])
        for _ in range(dice.randint(least, most))
    ]
    return Problem(dice.randrange(10), tuple(operations))


def draw_problems(
    n: int,
    seed: int,
    *,
    held_out: bool = False,
    least: int = 3,
    most: int = 8,
    opening: tuple[str, ...] = (),
) -> list[Problem]:
    """`n` problems for training, or for testing if `held_out`: the two never share one."""
    require("n", n, "[0, 1e9]", whole=True)
    dice = random.Random(f"problems {seed} {held_out}")
    problems = []
    while len(problems) < n:
        problem = draw_problem(dice, least, most)
        if problem.held_out == held_out:
            problems.append(replace(problem, opening=opening))
    return problems
