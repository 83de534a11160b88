"""Each exercise of chapter 6: the stub is open, the solution passes, mistakes are named."""

import pytest

from lib.exercises import sampling
from tests.exercises.assertions import answers_in, assert_exercise

EXERCISES = {
    "my_effective_vocabulary": sampling.check_effective_vocabulary,
    "my_top_p": sampling.check_top_p,
    "my_min_p": sampling.check_min_p,
    "my_penalize": sampling.check_penalize,
    "my_vote": sampling.check_vote,
}


@pytest.fixture(scope="module")
def answers():
    return answers_in("06_sampling")


@pytest.mark.parametrize("name", EXERCISES)
def test_exercise(answers, name):
    stubs, solutions = answers
    assert_exercise(EXERCISES[name], stubs[name], solutions[name])


@pytest.mark.parametrize("name", EXERCISES)
def test_the_reference_passes(name):
    assert EXERCISES[name].report(EXERCISES[name].reference).passed
