"""The cold-start widget: every control driven, and what it shows is what was recorded."""

import pytest

from lib.experiments.cold_start_results import STAGES
from lib.reasoning.corpus import clean_response
from lib.reasoning.task import Problem
from lib.widgets.cold_start import COLUMN, State, cold_start_explorer, column, problem_of
from tests.reasoning.recorded import CURVES, PROBLEMS, SAMPLES
from tools.bench.driving import drive


@pytest.fixture(scope="module")
def explorer():
    return cold_start_explorer(SAMPLES, CURVES)


def test_every_control(explorer):
    frames = list(drive(explorer, per_control=6, mixed=20))
    assert {frame.state.problem for frame in frames} == set(PROBLEMS)
    assert {frame.state.run for frame in frames} == {"R1-Zero", "RL after the cold start"}
    assert {frame.state.base for frame in frames} == {0, 1}
    assert all("clean format" in frame.caption for frame in frames)


def test_the_caption_is_what_was_recorded(explorer):
    state = State(PROBLEMS[0], sample=1, base=1, run="RL after the cold start", step=2)
    (row,) = [r for r in CURVES if (r["seed"], r["stage"], r["step"]) == (1, "cold_rl", 2)]
    caption = explorer.describe(state)
    assert f"right answers {row['answer']:.0%}" in caption
    assert "final SFT: right answer, 3 right of 3 pieces" in caption
    assert "base: wrong answer, 0 right of 0 pieces" in caption


def test_every_stage_has_a_column(explorer):
    texts = [
        s.text
        for s in explorer.picture._drawing(State(PROBLEMS[0], step=0)).shapes
        if hasattr(s, "text")
    ]
    for title in ("base", "R1-Zero", "cold start", "cold start + RL", "final SFT"):
        assert title in texts
    assert len(STAGES) * COLUMN < 720


@pytest.mark.parametrize("n", [1, 8, 14])
def test_a_column_stays_inside(n):
    from lib.reasoning.verifier import verify

    problem = Problem(3, ("+9", "*7", "+8") * 5)
    words = clean_response(Problem(3, problem.operations[:n]))
    shapes = column(10, "title", words, verify(problem, words))
    boxes = [shape for shape in shapes if hasattr(shape, "fill") and hasattr(shape, "height")]
    assert len(boxes) == min(n, 10)
    assert all(box.x + box.width <= 10 + COLUMN for box in boxes)
    assert max(shape.y for shape in shapes) < 310


def test_a_prompt_is_read_back():
    problem = Problem(5, ("+8", "*3"))
    assert problem_of(" ".join(problem.prompt)) == problem


def test_nothing_recorded():
    with pytest.raises(ValueError, match="needs recorded samples and curves"):
        cold_start_explorer([], [])
