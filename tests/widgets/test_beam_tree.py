"""The beam tree widget: every control driven, and what it shows is what the search did."""

import pytest
import torch

from lib.generation.beam import BeamStep
from lib.generation.drafts import first_layers
from lib.generation.measures import surprise
from lib.widgets.ahead import Ahead
from lib.widgets.beam_tree import (
    MOST_STEPS,
    PROMPTS,
    Search,
    State,
    beam_explorer,
    finished,
    reachable,
)
from tools.bench.driving import drive


@pytest.fixture(scope="module")
def explorer(smollm2):
    return beam_explorer(*smollm2)


@pytest.fixture(scope="module")
def short(smollm2):
    """SmolLM2's first two layers: for what does not depend on which texts are found."""
    return first_layers(smollm2[0], 2), smollm2[1]


def texts(drawing):
    return [shape.text for shape in drawing.shapes if hasattr(shape, "text")]


def test_every_control(short):
    frames = list(drive(beam_explorer(*short), per_control=3, mixed=8))
    assert {frame.state.prompt for frame in frames} >= {*PROMPTS, ""}
    assert {frame.state.step for frame in frames} >= {1, MOST_STEPS}
    assert len({frame.picture for frame in frames}) > 20
    assert all("the best text is" in frame.caption for frame in frames)


def test_scores_are_those_of_the_texts(smollm2, explorer):
    model, tokenizer = smollm2
    state = State(step=5, num_beams=3, length_penalty=0.0)
    drawing = explorer.picture._drawing(state)
    caption = explorer.describe(state)
    assert "After 5 steps with 3 beams" in caption
    start = tokenizer.encode(state.prompt)
    shown = [t for t in texts(drawing) if t.startswith("-")]
    best = max(float(t) for t in shown[-5:])
    assert f"score {best:.2f}" in caption
    text = caption.split("“")[1].split("”")[0].replace("␣", " ").replace("·", " ")
    ids = tokenizer.encode(text)
    total = -surprise(model, torch.tensor([[*start, *ids]]), len(start)).sum().item()
    assert total == pytest.approx(best, abs=0.02)


def test_the_model_has_run_for_what_one_move_leads_to(short):
    """Once the reader has rested, such a move runs it no more, and shows the same picture."""
    model, _ = short
    runs = []
    hook = model.blocks[0].register_forward_hook(lambda *_: runs.append(1))
    explorer, other = beam_explorer(*short), beam_explorer(*short)
    explorer.worker = Ahead(rest=0)
    state = State(step=2, num_beams=3)
    explorer.set(state)
    explorer.worker.join()
    explorer.worker = None
    moves = list(reachable(state))
    moves += [State(step=1, num_beams=3), State(step=2, num_beams=3, length_penalty=0.0)]
    for near in moves:
        before = len(runs)
        explorer.set(near)
        assert len(runs) == before, near
        assert explorer.picture.current() == other.frame(near)
    hook.remove()
    assert {near.num_beams for near in moves} == {2, 3, 4}
    assert {near.prompt for near in moves} == set(PROMPTS)


def test_a_search_raises_again_and_ends_once():
    one = BeamStep(torch.zeros(1, 2, 5, dtype=torch.long), torch.zeros(1, 2), [[]], [[]])

    def broken():
        yield one
        raise ValueError("too long")

    search = Search(broken())
    assert search.first(1) == [one]
    for _ in range(2):
        with pytest.raises(ValueError, match="too long"):
            search.first(2)
    assert Search(iter([one, one])).first(9) == [one, one]


def test_buttons_step(explorer):
    explorer.set(explorer.initial)
    pairs = zip(explorer.controls, explorer.handles, strict=True)
    handles = {control.field: handle for control, handle in pairs}
    handles["forward"].click()
    assert explorer.state.step == explorer.initial.step + 1
    for _ in range(9):
        handles["back"].click()
    assert explorer.state.step == 1
    explorer.set(explorer.initial)


def test_finished_texts_end_with_the_stop_token(smollm2):
    from lib.generation import GenerationConfig
    from lib.generation.beam import beam_steps

    model, tokenizer = smollm2
    (stop,) = tokenizer.encode(".")
    ids = torch.tensor([tokenizer.encode("The capital of France is")])
    config = GenerationConfig(
        num_beams=3, max_new_tokens=6, eos_token_id=stop, early_stopping="never", length_penalty=0.0
    )
    steps = list(beam_steps(model, ids, config))[:5]
    found = finished(steps)
    assert found
    for new, log_p in found:
        assert new[-1] == stop
        whole = torch.tensor([[*ids[0].tolist(), *new]])
        total = -surprise(model, whole, ids.shape[1]).sum().item()
        assert total == pytest.approx(log_p, abs=1e-3)
