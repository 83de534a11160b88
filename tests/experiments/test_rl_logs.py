"""The logs of RL: a short run is the committed one's beginning; means and ends by hand."""

import pytest

from lib.experiments import rl_log_figures as figures
from lib.experiments import rl_logs
from lib.experiments.rl_logs import LOGGED, SEEDS, VARIANTS, ends, log_run, over
from lib.reasoning.base import load_base
from lib.reasoning.lifecycle import RL_STEPS


def test_the_committed_table_is_complete():
    rows = rl_logs.table()
    runs = {(row["variant"], row["seed"]) for row in rows}
    assert runs == {(name, seed) for name in VARIANTS for seed in SEEDS}
    assert len(rows) == len(runs) * RL_STEPS
    assert list(rows[0]) == ["variant", "seed", "step", *LOGGED]


def test_a_short_run_begins_as_the_committed_one():
    got = log_run("the prompt alone", load_base(), 1, steps=1)
    committed = [r for r in rl_logs.table() if (r["variant"], r["seed"]) == ("the prompt alone", 1)]
    assert got[0]["step"] == 0
    for column in ("answer", "clean", "length"):
        assert got[0][column] == pytest.approx(committed[0][column], abs=0.1)  # of 128 draws
    assert got[0]["kl"] == 0  # the reference is the model itself


def test_means_by_hand():
    rows = [
        {"variant": "a", "seed": seed, "step": step, "clean": 100 * seed + step, "some": ""}
        for seed in (1, 0)
        for step in range(RL_STEPS)
    ]
    rows[-1]["some"] = 7.0
    assert over(rows, "a", "clean", range(4)) == [1.5, 101.5]
    assert over(rows, "a", "some", range(RL_STEPS)) == [7.0]  # of what is there
    assert ends(rows, "a", "clean") == [54.5, 154.5]
    with pytest.raises(ValueError, match="no runs with"):
        ends(rows, "b", "clean")


def test_smoothing():
    assert figures.smoothed([0, 0, 5, 0, 0], 5) == pytest.approx([5 / 3, 5 / 4, 1, 5 / 4, 5 / 3])


@pytest.mark.parametrize(
    ("draw", "lines"),
    [(figures.watched_figure, 8), (figures.doctor_figure, 4), (figures.format_figure, 4)],
)
def test_figures_draw_the_means(draw, lines):
    rows = rl_logs.table()
    drawn = draw(rows, "What was found")
    found = [line for ax in drawn.axes for line in ax.get_lines()]
    assert len(found) == lines
    first = found[0].get_ydata()
    assert len(first) == RL_STEPS


def test_the_exact_bias_is_drawn():
    drawn = figures.bias_figure("Two divisions")
    assert [len(ax.get_lines()) for ax in drawn.axes] == [2, 4]
