"""Each exercise of chapter 10: the stub is open, the solution passes, mistakes are named."""

import pytest

from lib.exercises import reasoning
from tests.exercises.assertions import answers_in, assert_exercise

EXERCISES = {
    "my_learned_targets": reasoning.check_learned_targets,
    "my_advantages": reasoning.check_advantages,
    "my_right_chain": reasoning.check_right_chain,
    "my_clipped": reasoning.check_clipped,
    "my_select": reasoning.check_select,
}


@pytest.fixture(scope="module")
def answers():
    return answers_in("10_sft_cold_start")


@pytest.mark.parametrize("name", EXERCISES)
def test_exercise(answers, name):
    stubs, solutions = answers
    assert_exercise(EXERCISES[name], stubs[name], solutions[name])


@pytest.mark.parametrize("name", EXERCISES)
def test_the_reference_passes(name):
    assert EXERCISES[name].report(EXERCISES[name].reference).passed
