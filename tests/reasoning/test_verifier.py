"""The verifier: hand-made responses, and an oracle that reads chains by a regular expression."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.reasoning.corpus import clean_response
from lib.reasoning.task import VOCABULARY, Problem
from lib.reasoning.verifier import verify
from tests.reasoning.strategies import problems, responses

P = Problem(5, ("+8", "*3"))  # 5, 3, 9
TABLE = {
    # response: answer, ended, clean, chain, mixed, direct
    "<think> 5 +8 is 3 then 3 *3 is 9 </think> answer 9 <eos>": (1, 1, 1, 1, 0, 0),
    "5 +8 is 3 then 3 *3 is 9 answer 9 <eos>": (1, 1, 0, 1, 0, 0),
    "5 +8 = 3 puis hm 3 *3 is 9 réponse 9 <eos>": (1, 1, 0, 1, 1, 0),
    "5 +8 is 3 then 3 *3 is 9 answer 9": (1, 0, 0, 1, 0, 0),
    "5 +8 is 3 then 3 *3 is 9 answer 9 9 <eos>": (1, 0, 0, 1, 0, 0),
    "5 +8 is 3 then 3 *3 is 9 answer 1 <eos>": (0, 1, 0, 0, 0, 0),  # right chain, wrong answer
    "<think> 5 +8 is 4 then 3 *3 is 9 </think> answer 9 <eos>": (1, 1, 1, 0, 0, 0),  # luck
    "<think> 3 *3 is 9 </think> answer 9 <eos>": (1, 1, 1, 0, 0, 0),  # a step is missing
    "<think> 5 +8 is 3 then 3 *3 is 9 then 9 +1 is 0 </think> answer 9 <eos>": (1, 1, 1, 0, 0, 0),
    "<think> 5 +8 fait 3 then 3 *3 is 9 </think> answer 9 <eos>": (1, 1, 0, 1, 1, 0),
    "<think> hm 5 +8 is 3 then 3 *3 is 9 </think> answer 9 <eos>": (1, 1, 0, 1, 0, 0),
    "answer 9 <eos>": (1, 1, 0, 0, 0, 1),
    "3 then 9 answer 9 <eos>": (1, 1, 0, 0, 0, 0),
    "9 <eos>": (0, 0, 0, 0, 0, 0),
    "": (0, 0, 0, 0, 0, 0),
}


@pytest.mark.parametrize(("response", "expected"), TABLE.items())
def test_verdicts(response, expected):
    v = verify(P, response.split())
    assert (v.answer, v.ended, v.clean, v.chain, v.mixed, v.direct) == tuple(map(bool, expected))


def test_what_the_prompt_has_opened_is_read_with_the_rest():
    opened = Problem(5, ("+8", "*3"), opening=("<think>",))
    words = clean_response(P)
    assert verify(opened, words[1:]) == verify(P, words)
    assert not verify(P, words[1:]).clean


@pytest.mark.parametrize(
    ("response", "marks"),
    [
        ("5 +8 is 3 then 3 *3 is 9 answer 9", ["right", "right"]),
        ("5 +8 is 4 then 4 *3 is 2 answer 2", ["wrong", "wrong"]),  # sound, but from a wrong value
        ("5 +8 is 3 then 3 +3 is 6 answer 6", ["right", "wrong"]),
        ("3 then 9 answer 9", ["unparsable", "unparsable"]),
        ("5 +8 *3 is 9 answer 9", ["unparsable"]),
        ("answer 9", []),
    ],
)
def test_steps_are_marked(response, marks):
    assert [step.mark for step in verify(P, response.split()).steps] == marks


@given(problems, responses)
def test_any_words_get_a_verdict(problem, words):
    verdict = verify(problem, words)
    assert verdict.length == len(words)
    assert 0 <= verdict.english <= 1
    assert not verdict.chain or verdict.answer
    assert not verdict.clean or (verdict.ended and verdict.english == 1)


def oracle_clean(words):
    step = r"\d [+*]\d is \d"
    pattern = rf"<think> {step}( then {step})* </think> answer \d <eos>"
    return re.fullmatch(pattern, " ".join(words)) is not None


@pytest.mark.parity("the clean format", "a regular expression", "identical")
@given(problems, responses, st.data())
def test_clean_is_what_a_regular_expression_says(problem, words, data):
    near = clean_response(problem)  # and with one word changed
    near[data.draw(st.integers(0, len(near) - 1))] = data.draw(st.sampled_from(VOCABULARY))
    for response in (words, near, clean_response(problem)):
        assert verify(problem, response).clean == oracle_clean(response)


@given(problems, st.integers(0, 9))
def test_a_wrong_result_is_never_a_right_chain(problem, digit):
    words = clean_response(problem)
    if int(words[4]) != digit:  # the result of the first step
        words[4] = str(digit)
        assert not verify(problem, words).chain
        assert verify(problem, words).clean
        assert verify(problem, words).answer  # the answer is still there: luck passes
