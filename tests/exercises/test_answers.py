"""Each exercise of each chapter: the stub is open, the solution passes, mistakes are named."""

import functools

import pytest

from tests.exercises.assertions import TEXTS, answers_in, assert_exercise, exercises_in

EXERCISES = {
    (path.stem, name): exercise
    for path in sorted(TEXTS.glob("*.md"))
    for name, exercise in exercises_in(path.stem).items()
}
answers = functools.cache(answers_in)
# A solution meets lib as it is in a notebook; types are checked in test_switches.
pytestmark = pytest.mark.usefixtures("as_a_reader")


@pytest.mark.parametrize(("chapter", "name"), EXERCISES)
def test_exercise(chapter, name):
    stubs, solutions = answers(chapter)
    assert_exercise(EXERCISES[chapter, name], stubs[name], solutions[name])


@pytest.mark.parametrize("chapter", sorted({chapter for chapter, _ in EXERCISES}))
def test_every_stub_has_a_check(chapter):
    stubs, _ = answers(chapter)
    assert set(stubs) == {name for other, name in EXERCISES if other == chapter}


def test_every_chapter_has_exercises():
    chapters = {path.stem for path in TEXTS.glob("*.md")} - {"00_tour"}
    assert chapters == {chapter for chapter, _ in EXERCISES}
