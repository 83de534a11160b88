"""The sampling widget: every control driven, and what it shows is what `generate` would use."""

import math

import pytest
import torch

from lib.generation.decode import next_token
from lib.generation.logits import History
from lib.generation.measures import follow
from lib.widgets.sampling import PROMPTS, State, sampling_explorer
from lib.widgets.sampling_picture import ROWS
from tools.bench.driving import drive


@pytest.fixture(scope="module")
def explorer(smollm2):
    return sampling_explorer(*smollm2)


def texts(drawing):
    return [shape.text for shape in drawing.shapes if hasattr(shape, "text")]


def test_every_control(explorer):
    frames = list(drive(explorer, per_control=4, mixed=12))
    assert {frame.state.prompt for frame in frames} >= {*PROMPTS, ""}
    assert max(len(frame.state.new_ids) for frame in frames) >= 3
    assert len({frame.picture for frame in frames}) > 40
    assert all("equal tokens" in frame.caption for frame in frames)


def test_the_last_step_is_the_distribution_that_generate_draws_from(smollm2):
    model, tokenizer = smollm2
    state = State(temperature=1.4, top_k=40, top_p=0.8, repetition_penalty=1.2)
    ids = torch.tensor([tokenizer.encode(state.prompt)])
    logits = model(ids)[:, -1].detach()
    history = History(ids, ids.shape[1])
    last = follow(logits, state.config, history)[-1]
    probability = last.logits.softmax(-1)[0]
    generator = torch.Generator().manual_seed(0)
    drawn = [next_token(logits, state.config, generator, history).item() for _ in range(60)]
    assert (probability[drawn] > 0).all()
    assert last.tokens == int((probability > 0).sum())
    assert last.entropy == pytest.approx(torch.special.entr(probability).sum().item(), abs=1e-4)


def test_the_table_lists_the_steps_in_the_readers_order():
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    history = History(torch.tensor([[0]]), 1)
    names = [step.name for step in follow(logits, State(top_k=3, temperature=2.0).config, history)]
    assert names == ["model", "temperature", "top_k", "top_p"]
    order = ("typical_p", "min_p", "top_p", "top_k", "top_n_sigma", "temperature")
    config = State(top_k=3, temperature=2.0, order=order).config
    steps = follow(logits, config, history)
    assert [step.name for step in steps] == ["model", "top_p", "top_k", "temperature"]
    assert steps[0].tokens == 4
    assert steps[1].mass == pytest.approx(steps[0].logits.softmax(-1)[0, : steps[1].tokens].sum())


def test_stepping_adds_a_token_and_a_new_prompt_takes_all_away(explorer):
    explorer.set(explorer.initial)
    pairs = zip(explorer.controls, explorer.handles, strict=True)
    handles = {control.field: handle for control, handle in pairs}
    for n in (1, 2, 3):
        handles["forward"].click()
        assert len(explorer.state.new_ids) == n
    handles["back"].click()
    assert len(explorer.state.new_ids) == 2
    handles["prompt"].set_state({"value": "2 + 2 ="})
    assert explorer.state.new_ids == ()
    explorer.set(explorer.initial)


def test_the_ticks_come_nearer_with_more_draws(explorer):
    state = State(draws=5000)
    drawing = explorer.picture._drawing(state)
    ticks = [s for s in drawing.shapes if hasattr(s, "points") and s.width == 3]
    assert len(ticks) == ROWS
    blue = [s for s in drawing.shapes if hasattr(s, "fill") and s.height == 8]
    gaps = [abs(t.points[0][0] - (b.x + b.width)) for t, b in zip(ticks, blue, strict=True)]
    assert max(gaps) < 30  # pixels of 250
    assert sum(gaps) / len(gaps) < 10


def test_what_is_cut_says_so(explorer):
    drawing = explorer.picture._drawing(State(top_k=3, top_p=1.0, draws=0))
    assert texts(drawing).count("cut") == ROWS - 3
    assert "top_k" in texts(drawing)


def test_the_caption_gives_entropy_and_effective_vocabulary(explorer):
    caption = explorer.describe(State(top_k=1, top_p=1.0))
    assert "1 token, entropy 0.00, like 1.0" in caption
    first = caption.split("entropy ")[1].split()
    assert float(first[3]) == pytest.approx(math.exp(float(first[0])), rel=0.02)
