"""The checks, asked with answers that were written without a look at them."""

import pytest

from tests.exercises.answers import EXERCISES, collect
from tests.exercises.answers.__main__ import judge
from tests.exercises.answers.verify import is_as_labelled

ANSWERS = collect()
# An answer meets lib as it is in a notebook; types are checked in test_switches.
pytestmark = pytest.mark.usefixtures("as_a_reader")


def of(check):
    return [answer for answer in ANSWERS if answer.check == check]


@pytest.mark.parametrize("check", list(EXERCISES))
def test_bank_has_enough_answers(check):
    kinds = [answer.kind for answer in of(check)]
    assert kinds.count("wrong") >= 10
    assert kinds.count("right") >= 3
    assert any(answer.label.startswith("both: ") for answer in of(check))
    assert len({answer.label for answer in of(check)}) == len(kinds)


@pytest.mark.parametrize("check", list(EXERCISES))
def test_answers_are_what_their_labels_say(check):
    assert [answer.label for answer in of(check) if not is_as_labelled(answer)] == []


@pytest.mark.parametrize("check", list(EXERCISES))
def test_check_tells_right_from_wrong_and_names_the_mistake(check):
    judged = judge(check, of(check))
    assert judged.passing == []
    assert judged.refused == []
    assert judged.named >= 0.8, judged.unnamed
