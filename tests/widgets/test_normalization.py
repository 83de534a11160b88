"""The normalization widget: every control driven, and its numbers are those of torch."""

import pytest
import torch
import torch.nn.functional as F

from lib.widgets.normalization import OTHERS, State, describe, draw, normalized, vector
from lib.widgets.normalization import normalization_explorer as make
from tools.bench.driving import drive


def test_every_control():
    frames = list(drive(make(), per_control=6, mixed=10))
    assert len({frame.picture for frame in frames}) > 20
    assert all("Root mean square after" in frame.caption for frame in frames)
    assert {frame.state.batch for frame in frames} == {"still", "moved"}


def test_what_it_shows_equals_torch():
    state = State(shift=0.7, scale=2.0, outlier=9.0, alpha=1.3)
    x, got = vector(state), normalized(state)
    torch.testing.assert_close(got["LayerNorm"], F.layer_norm(x, (8,)))
    torch.testing.assert_close(got["RMSNorm"], F.rms_norm(x, (8,), eps=1e-5))
    torch.testing.assert_close(got["Dynamic Tanh"], torch.tanh(1.3 * x))
    batch = torch.cat([x[None], torch.tensor(OTHERS)])
    torch.testing.assert_close(got["BatchNorm"], F.batch_norm(batch, None, None, training=True)[0])


def test_the_words_say_what_the_invariances_are():
    def words(state):
        texts = [shape.text for shape in draw(state).shapes if hasattr(shape, "text")]
        return [text for text in texts if text in ("as before", "changed")]

    assert words(State(shift=0.0)) == ["as before"] * 4
    assert words(State(shift=3.0)) == ["as before", "changed", "changed", "changed"]
    assert words(State(shift=0.0, scale=3.0))[:2] == ["as before", "as before"]
    assert words(State(shift=3.0, batch="moved"))[2] == "as before"


def test_the_caption_gives_the_share_of_the_mean():
    x = vector(State(shift=2.0))
    share = (x.mean() ** 2 / x.square().mean()).item()
    assert f"its mean is {share:.0%} of its square" in describe(State(shift=2.0))
    assert float(describe(State()).split("LayerNorm ")[1].split(",")[0]) == pytest.approx(1.0)
