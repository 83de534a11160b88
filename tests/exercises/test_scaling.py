"""Each exercise of chapter 9: the stub is open, the solution passes, mistakes are named."""

import pytest

from lib.exercises import scaling
from tests.exercises.assertions import answers_in, assert_exercise

EXERCISES = {
    "my_gain": scaling.check_gain,
    "my_through": scaling.check_through,
    "my_huber": scaling.check_huber,
    "my_lowest": scaling.check_lowest,
    "my_optimal": scaling.check_optimal,
}


@pytest.fixture(scope="module")
def answers():
    return answers_in("09_scaling_laws")


@pytest.mark.parametrize("name", EXERCISES)
def test_exercise(answers, name):
    stubs, solutions = answers
    assert_exercise(EXERCISES[name], stubs[name], solutions[name])


@pytest.mark.parametrize("name", EXERCISES)
def test_the_reference_passes(name):
    assert EXERCISES[name].report(EXERCISES[name].reference).passed
