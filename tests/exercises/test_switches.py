"""Every sentence of a switch can be reached: each setting changes a result somewhere."""

import pytest

from lib.exercises.comparing import same
from lib.exercises.running import copy_of
from tests.exercises.answers import EXERCISES, collect, find_check
from tests.exercises.assertions import TEXTS, exercises_in

collect()
CHECKS = list(EXERCISES)
ALL = {  # those of the bank, and the capstones
    (path.stem, name): exercise
    for path in sorted(TEXTS.glob("*.md"))
    for name, exercise in exercises_in(path.stem).items()
}


def result(function, case, **settings):
    try:
        return function(*map(copy_of, case), **settings)
    except Exception as error:
        return error


def tells(a, b):
    """Whether two results differ, or only one of them leads a gradient on."""
    return not same(a, b) or getattr(a, "requires_grad", 0) != getattr(b, "requires_grad", 0)


@pytest.mark.parametrize("check", CHECKS)
def test_each_setting_of_a_switch_changes_a_result(check):
    """Alone, or on top of one setting of another switch: pairs are searched too."""
    exercise = find_check(check)
    cases = exercise.cases(exercise.seeds[0])
    cases = [*cases[-3:], *(probe.inputs for probe in exercise.probes), *cases]
    expected = [result(exercise.reference, case) for case in cases]
    assert not any(isinstance(value, Exception) for value in expected)
    for name, settings in exercise.switches.items():
        others = [
            {other: s} for other, of in exercise.switches.items() if other != name for s in of
        ]
        for setting, sentence in settings.items():
            assert any(
                tells(value, result(exercise.reference, case, **{name: setting}))
                for value, case in zip(expected, cases, strict=True)
            ) or any(
                tells(
                    result(exercise.reference, case, **other),
                    result(exercise.reference, case, **other, **{name: setting}),
                )
                for other in others
                for case in cases
            ), f"{name}: {sentence}"


@pytest.mark.parametrize("check", CHECKS)
def test_switches_and_probes_say_different_things(check):
    exercise = find_check(check)
    sentences = [probe.sentence for probe in exercise.probes]
    assert len(set(sentences)) == len(sentences)
    said = {s for settings in exercise.switches.values() for s in settings.values()}
    assert len(said) >= 3


# Under pytest jaxtyping checks every call of the library. A setting, or a case, of a type that the
# reference's annotations do not allow would fail there alone, and in silence: as if the slip that
# it stands for were never made.


def refuses(error):
    """Whether an error is one of jaxtyping's or beartype's."""
    return type(error).__module__.split(".")[0] in ("jaxtyping", "beartype")


@pytest.mark.parametrize(("chapter", "name"), ALL)
def test_annotations_allow_each_setting(chapter, name):
    exercise = ALL[chapter, name]
    cases = exercise.cases(exercise.seeds[0])
    cases = [*cases, *(probe.inputs for probe in exercise.probes)]
    settings = [{s: v} for s, values in exercise.switches.items() for v in values]
    refused = [
        (str(setting), str(error).splitlines()[:3])
        for setting in [{}, *settings]
        for case in (cases if not setting else [cases[0], cases[-1]])
        if refuses(error := result(exercise.reference, case, **setting))
    ]
    assert refused == []
