import numpy as np
import pytest

from lib.scaling.kaplan import PF_DAY
from lib.widgets import compute_optimal
from lib.widgets.compute_optimal import PRESETS, compute_optimal_explorer, of_model, plan
from lib.widgets.power_law import LOSS, State, power_law_explorer
from tools.bench.driving import drive


def test_every_control_of_the_power_law_widget():
    captions = set()
    for frame in drive(power_law_explorer(), per_control=6):
        law = frame.state.laws()
        both = [law[name](np.array([1.0, frame.state.common])) for name in law]
        assert both[0] == pytest.approx(both[1], rel=1e-6)
        assert both[0][0] == pytest.approx(LOSS)
        assert f"x = {frame.state.at:.3g}" in frame.caption
        captions.add(frame.caption)
    assert len(captions) > 20


def test_the_caption_has_the_share_of_a_doubling():
    explorer = power_law_explorer()
    explorer.set(State(exponent=1.0, floor=0.0, common=8.0, at=4.0))
    caption = explorer.describe(explorer.state)
    assert "the power law stands at 1 and the next doubling takes 50.00% of it" in caption
    explorer.set(State(exponent=1.0, floor=2.0, common=8.0, at=1.0))
    assert "takes 25.00% of it" in explorer.describe(explorer.state)  # (4 - 3) / 4


def test_every_control_of_the_compute_optimal_widget():
    captions = set()
    for frame in drive(compute_optimal_explorer(), per_control=6):
        mine = frame.state.mine()
        assert 6 * mine.parameters * mine.tokens == pytest.approx(frame.state.flop)
        assert mine.loss >= plan("Besiroglu", frame.state.flop).loss - 1e-12
        captions.add(frame.caption)
    assert len(captions) > 20


def test_the_plans_are_those_of_the_papers():
    """Gopher's budget: Chinchilla's 70 B on 1.4 T is near the optimum; Kaplan's is far larger."""
    budget = 6 * 280e9 * 300e9
    assert plan("Besiroglu", budget).parameters == pytest.approx(67e9, rel=0.1)
    assert plan("Hoffmann", budget).parameters == pytest.approx(38e9, rel=0.1)
    assert plan("Kaplan", budget).parameters > 5 * plan("Besiroglu", budget).parameters
    assert plan("Kaplan", PF_DAY).parameters == pytest.approx(1.3e9)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_the_published_models(name):
    state = of_model(*PRESETS[name])
    parameters, tokens = PRESETS[name]
    assert state.flop == pytest.approx(6 * parameters * tokens, rel=0.02)
    assert state.mine().parameters == pytest.approx(parameters, rel=0.02)
    assert compute_optimal.LEAST < state.flop < compute_optimal.MOST
