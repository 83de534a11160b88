"""Results of the capstones of chapters 9 to 13, from the chapters' solutions: the real job."""

import functools

import pytest

from lib.exercises import capstones_beams, capstones_generation, capstones_scaling
from tests.exercises.assertions import answers_in

GUESSES = functools.partial(capstones_generation.speculate_greedily, tokens=8)
RESULTS = [
    ("09_sampling", "my_sampler", functools.partial(capstones_generation.stream, tokens=4), 1),
    ("10_decoding", "my_beam", functools.partial(capstones_beams.search, steps=3), 2),
    ("11_faster_decoding", "my_draft", GUESSES, 2),
    ("12_compute", "my_report", capstones_scaling.bills, 1),
    ("13_scaling_laws", "my_fit", capstones_scaling.predict_largest, 1),
]


@pytest.mark.parametrize(("chapter", "name", "result", "claims"), RESULTS)
def test_a_solution_does_the_real_job(chapter, name, result, claims, capsys):
    result(answers_in(chapter)[1][name])
    assert capsys.readouterr().out.count("✓") == claims
