"""Each exercise of chapter 2: the stub is open, the solution passes, mistakes are named."""

import pytest
import torch

from lib.exercises import attention, attention_in_use
from tests.exercises.assertions import answers_in, assert_exercise

EXERCISES = {
    "my_attention": attention.check_scaled_attention,
    "my_causal_weights": attention.check_causal_weights,
    "my_split_heads": attention.check_split_heads,
    "my_merge_heads": attention.check_merge_heads,
    "my_rotate": attention_in_use.check_rotate,
    "my_cached_step": attention_in_use.check_cached_step,
    "my_online_attention": attention_in_use.check_online_attention,
}


@pytest.fixture(scope="module")
def answers():
    return answers_in("02_attention")


@pytest.mark.parametrize("name", EXERCISES)
def test_exercise(answers, name):
    stubs, solutions = answers
    assert_exercise(EXERCISES[name], stubs[name], solutions[name])


@pytest.mark.parametrize("name", EXERCISES)
def test_the_reference_passes_and_nothing_does_not(name):
    exercise = EXERCISES[name]
    assert exercise.report(exercise.reference).passed
    assert exercise.report(lambda *_: None).status == "open"
    for mistake in exercise.mistakes:
        report = exercise.report(mistake.wrong)
        assert report.status == "wrong"
        assert mistake.message in report.message, str(report)


def test_references_by_hand():
    half = torch.full((2, 2), 0.5)
    zeros, value = torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert torch.equal(attention.scaled_attention(zeros, zeros, value), half)
    assert attention.causal_weights(zeros).tolist() == [[1, 0], [0.5, 0.5]]
    x = torch.arange(4.0).view(1, 1, 4)
    assert attention.split_heads(x, 2).tolist() == [[[[0, 1]], [[2, 3]]]]
    assert torch.equal(attention.merge_heads(attention.split_heads(x, 2)), x)
    turned = attention_in_use.rotate(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), 10.0)
    torch.testing.assert_close(turned, torch.tensor([[1, 0], [0.5403, 0.8415]]), atol=1e-4, rtol=0)
