"""The verifier: what is right in a response, and what is only luck.

A response can end in the right digit by a guess (one time in ten) or after a wrong chain. So the
verifier reads everything: the answer, each step, the format, the languages, the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from lib.reasoning.task import (
    DIGITS,
    END,
    HM,
    LANGUAGES,
    OPERATIONS,
    THINK,
    THOUGHT,
    Problem,
    Words,
    apply,
)

_VERBS, _JOINTS, _ANSWERS = (set(words) for words in zip(*LANGUAGES.values(), strict=True))
_LANGUAGE_OF = {word: name for name, words in LANGUAGES.items() for word in words}
_KIND = {  # one letter for each kind of word, so that a response can be read as a sentence
    **dict.fromkeys(DIGITS, "d"),
    **dict.fromkeys(OPERATIONS, "o"),
    **dict.fromkeys(_VERBS, "v"),
    **dict.fromkeys(_JOINTS, "j"),
    **dict.fromkeys(_ANSWERS, "a"),
    **{THINK: "<", THOUGHT: ">", END: ".", HM: "h"},
}
Mark = Literal["right", "wrong", "unparsable"]


@dataclass(frozen=True)
class Step:
    """A piece of the chain: its words, and whether it is the step that belongs there."""

    words: tuple[str, ...]
    mark: Mark


@dataclass(frozen=True)
class Verdict:
    """Everything that rewards, filters and tables ask of a response."""

    answer: bool  # the digit after "answer", or its like, is right
    ended: bool  # an answer, then the end, and nothing after
    clean: bool  # the cold start's format to the letter, right or wrong
    chain: bool  # the answer, and all steps: right, in order, none left out, in any language
    mixed: bool  # words of more than one language
    english: float  # share of English among the words of a language; 0 if there are none
    length: int  # words, the end among them
    direct: bool  # an answer without any step
    steps: tuple[Step, ...]


def verify(problem: Problem, words: Words) -> Verdict:
    """Judge a response: the words after the question, with
    the end if the model has ended it.

    What the prompt has opened is read before `words`.
    """
    words = [*problem.opening, *words]
    kinds = _kinds(words)
    answer, ended = _answer(words, kinds)
    steps = tuple(_steps(problem, words, kinds))
    right = answer == problem.answer
    languages = [_LANGUAGE_OF[word] for word in words if word in _LANGUAGE_OF]
    complete = len(steps) == len(problem.operations)
    chain = complete and all(s.mark == "right" for s in steps)
    return Verdict(
        answer=right,
        ended=ended,
        clean=_is_clean(words, kinds),
        chain=chain and right,
        mixed=len(set(languages)) > 1,
        english=languages.count("English") / len(languages) if languages else 0.0,
        length=len(words),
        direct=kinds.startswith("a"),
        steps=steps,
    )


def _kinds(words: Words) -> str:
    return "".join(_KIND.get(word, "#") for word in words)


def _answer(words: Words, kinds: str) -> tuple[int | None, bool]:
    """The digit after the first "answer", and whether the response ends right after it."""
    place = kinds.find("ad")
    if place < 0:
        return None, False
    return int(words[place + 1]), kinds[place + 2 :] == "."


def _is_clean(words: Words, kinds: str) -> bool:
    """`<think> 5 +8 is 3 then 3 *3 is 9 </think> answer 9 <eos>`, all words English, no `hm`."""
    if not (kinds.startswith("<dovd") and kinds.endswith(">ad.")):
        return False
    inside = kinds[1:-4]
    if inside != "j".join(["dovd"] * ((len(inside) + 1) // 5)):
        return False
    return all(_LANGUAGE_OF.get(word, "English") == "English" for word in words)


def _steps(problem: Problem, words: Words, kinds: str) -> Iterator[Step]:
    """Cut the part before the answer at its joints, and mark each piece.

    Piece i is right if it reads `value operation is result` with operation i of the problem, the
    value that the problem has there, and the right result; otherwise wrong; and unparsable if it
    does not have this form.
    """
    values = [problem.start, *problem.results]
    end = kinds.find("a") if "a" in kinds else len(kinds.rstrip("."))
    if end <= 0:
        return
    cuts = [-1, *(i for i in range(end) if kinds[i] == "j"), end]
    for i, (before, after) in enumerate(pairwise(cuts)):
        piece = tuple(
            word for word in words[before + 1 : after] if word not in (HM, THINK, THOUGHT)
        )
        if _kinds(piece) != "dovd":
            yield Step(piece, "unparsable")
            continue
        value, operation, _, result = piece
        expected = i < len(problem.operations) and operation == problem.operations[i]
        sound = int(value) == values[i] if expected else False
        right = sound and int(result) == apply(int(value), operation)
        yield Step(piece, "right" if right else "wrong")
