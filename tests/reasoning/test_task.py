"""The task: its arithmetic against Python's own, and what makes a guess worth one in ten."""

import pytest
from hypothesis import given

from lib.reasoning.task import (
    DIGITS,
    OPERATIONS,
    VOCABULARY,
    Problem,
    apply,
    decode,
    draw_problems,
    encode,
)
from tests.reasoning.strategies import problems, responses


@pytest.mark.parity("answers of the arithmetic task", "Python's eval", "identical")
@given(problems)
def test_the_answer_is_what_python_computes(problem):
    expression = str(problem.start)
    for operation in problem.operations:
        expression = f"({expression} {operation[0]} {operation[1:]}) % 10"
    assert problem.answer == eval(expression)
    assert len(problem.results) == len(problem.operations)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_is_one_to_one(operation):
    assert sorted(apply(digit, operation) for digit in range(10)) == list(range(10))


def test_the_vocabulary_has_no_word_twice():
    assert len(set(VOCABULARY)) == len(VOCABULARY) == 37
    assert set(DIGITS) < set(VOCABULARY)


def test_a_prompt_may_open_the_response():
    plain, opened = (draw_problems(3, 0, held_out=True, opening=o) for o in ((), ("<think>",)))
    for a, b in zip(plain, opened, strict=True):
        assert b.prompt == [*a.prompt, "<think>"]
        assert b.question == a.question == a.prompt
        assert b.held_out  # the opening makes no other problem of it
    with pytest.raises(ValueError, match="'<hm>' is not a word of this task"):
        Problem(1, ("+1",), opening=("<hm>",))


@given(responses)
def test_words_and_ids(words):
    assert decode(encode(words)) == words
    assert encode(" ".join(words)) == encode(words)


def test_training_and_test_problems_never_meet():
    training = draw_problems(3000, seed=0, least=1, most=3)
    test = draw_problems(300, seed=0, held_out=True, least=1, most=3)
    assert not set(training) & set(test)
    assert {len(p.operations) for p in test} == {1, 2, 3}
    assert draw_problems(5, seed=1) == draw_problems(5, seed=1) != draw_problems(5, seed=2)


def test_a_tenth_is_held_out():
    drawn = [Problem(d, (a, b, c)) for d in range(10) for a in OPERATIONS[:6] for b in OPERATIONS
             for c in OPERATIONS]  # fmt: skip
    share = sum(problem.held_out for problem in drawn) / len(drawn)
    assert 0.08 < share < 0.12


@pytest.mark.parametrize(
    ("start", "operations", "message"),
    [
        (10, ("+1",), "starts with a digit, 0 to 9, got 10"),
        (1, (), "operations must be of .*, got none"),
        (1, ("+1", "*2"), r"operations must be of .*, got '\*2'"),
    ],
)
def test_what_is_no_problem(start, operations, message):
    with pytest.raises(ValueError, match=message):
        Problem(start, operations)


def test_an_unknown_word_is_named():
    with pytest.raises(ValueError, match="'seven' is not a word of this task"):
        encode("5 +8 seven")
