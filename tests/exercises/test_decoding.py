"""Each exercise of chapter 7: the stub is open, the solution passes, mistakes are named."""

import pytest

from lib.exercises import decoding
from tests.exercises.assertions import answers_in, assert_exercise

EXERCISES = {
    "my_beam_step": decoding.check_beam_step,
    "my_winner": decoding.check_winner,
    "my_contrastive": decoding.check_contrastive,
    "my_rejection": decoding.check_rejection,
    "my_allowed": decoding.check_allowed,
}


@pytest.fixture(scope="module")
def answers():
    return answers_in("07_decoding")


@pytest.mark.parametrize("name", EXERCISES)
def test_exercise(answers, name):
    stubs, solutions = answers
    assert_exercise(EXERCISES[name], stubs[name], solutions[name])


@pytest.mark.parametrize("name", EXERCISES)
def test_the_reference_passes(name):
    assert EXERCISES[name].report(EXERCISES[name].reference).passed
