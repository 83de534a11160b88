"""Each exercise of chapter 4: the stub is open, the solution passes, mistakes are named."""

import pytest

from lib.exercises import feedforward
from tests.exercises.assertions import answers_in, assert_exercise

EXERCISES = {
    "my_swiglu": feedforward.check_swiglu,
    "my_gated_width": feedforward.check_gated_width,
    "my_routing_weights": feedforward.check_routing_weights,
    "my_balancing_loss": feedforward.check_balancing_loss,
    "my_biased_weights": feedforward.check_biased_weights,
    "my_kept": feedforward.check_kept,
}


@pytest.fixture(scope="module")
def answers():
    return answers_in("04_feedforward")


@pytest.mark.parametrize("name", EXERCISES)
def test_exercise(answers, name):
    stubs, solutions = answers
    assert_exercise(EXERCISES[name], stubs[name], solutions[name])


@pytest.mark.parametrize("name", EXERCISES)
def test_the_reference_passes(name):
    assert EXERCISES[name].report(EXERCISES[name].reference).passed
