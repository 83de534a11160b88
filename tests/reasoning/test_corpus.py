"""The web is as messy as it says, and the clean format is what the verifier calls clean."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.reasoning.corpus import Web, clean_response, fact_list, web_document
from lib.reasoning.task import ASK, END, THINK, THOUGHT, Problem, encode
from lib.reasoning.verifier import verify
from tests.reasoning.strategies import problems


@given(problems)
def test_the_clean_response_is_right_in_every_respect(problem):
    verdict = verify(problem, clean_response(problem))
    assert verdict.answer
    assert verdict.ended
    assert verdict.clean
    assert verdict.chain
    assert not verdict.mixed
    assert verdict.english == 1


@given(st.integers(0, 1000))
def test_fact_lists_are_right(seed):
    words = fact_list(random.Random(seed), n=3)
    assert words[-1] == END
    for i in range(0, 15, 5):
        digit, operation, verb, result = words[i : i + 4]
        assert verb == "is"
        assert Problem(int(digit), (operation,)).answer == int(result)


@pytest.fixture(scope="module")
def web():
    dice = random.Random(0)
    return [web_document(Web(), dice) for _ in range(6000)]


def judged(documents):
    for words in documents:
        if ASK in words:
            cut = words.index(ASK)
            problem = Problem(int(words[0]), tuple(words[1:cut]))
            yield problem, verify(problem, words[cut + 1 :])


def test_the_shares_of_the_web(web):
    verdicts = [verdict for _, verdict in judged(web)]
    assert len(verdicts) / len(web) == pytest.approx(0.75, abs=0.03)
    share = {name: sum(getattr(v, name) for v in verdicts) / len(verdicts)
             for name in ("direct", "clean", "ended", "mixed")}  # fmt: skip
    assert share["direct"] == pytest.approx(0.35, abs=0.03)
    assert share["clean"] == 0
    assert share["ended"] == 1
    assert 0.2 < share["mixed"] < 0.4


def test_the_web_never_has_the_tags_and_no_test_problem(web):
    assert not {THINK, THOUGHT} & {word for words in web for word in words}
    assert not any(problem.held_out for problem, _ in judged(web))


def test_the_web_fits_the_context(web):
    assert max(map(len, web)) <= 64
    assert Counter(words[-1] for words in web) == {END: len(web)}
    encode([word for words in web for word in words])  # all words are in the vocabulary
