"""Rewards: sums of what the verdict says."""

import pytest
from hypothesis import given

from lib.reasoning.corpus import clean_response
from lib.reasoning.rewards import ACCURACY, ACCURACY_AND_FORMAT, ACCURACY_AND_LANGUAGE, weighted
from lib.reasoning.task import Problem
from lib.reasoning.verifier import verify
from tests.reasoning.strategies import problems, responses

P = Problem(5, ("+8", "*3"))


@given(problems, responses)
def test_a_reward_is_a_weighted_sum(problem, words):
    v = verify(problem, words)
    assert ACCURACY(problem, words) == pytest.approx(v.answer + 0.1 * v.ended)
    assert ACCURACY_AND_FORMAT(problem, words) == pytest.approx(
        v.answer + 0.1 * v.ended + 0.2 * v.clean
    )
    assert ACCURACY_AND_LANGUAGE(problem, words) == pytest.approx(
        v.answer + 0.1 * v.ended + 0.3 * v.english
    )


@pytest.mark.parametrize(
    ("response", "accuracy", "with_format"),
    [
        (" ".join(clean_response(P)), 1.1, 1.3),
        ("answer 9 <eos>", 1.1, 1.1),  # luck is paid like work
        ("answer 9", 1.0, 1.0),
        ("<think> 5 +8 is 3 then 3 *3 is 9 </think> answer 8 <eos>", 0.1, 0.3),
        ("", 0.0, 0.0),
    ],
)
def test_rewards_by_hand(response, accuracy, with_format):
    words = response.split()
    assert ACCURACY(P, words) == pytest.approx(accuracy)
    assert ACCURACY_AND_FORMAT(P, words) == pytest.approx(with_format)


def test_an_unknown_name():
    with pytest.raises(ValueError, match="no verdict has 'beauty'; there are: answer, chain"):
        weighted(beauty=1)
