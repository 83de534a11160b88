"""The tour's widget: its numbers are the model's own."""

import pytest
import torch

from lib.widgets.tour import MOST_TOKENS, State, run, tour_explorer
from tools.bench.driving import drive

PROMPT = "The capital of France is"


@pytest.fixture(scope="module")
def found(smollm2):
    return run(*smollm2, PROMPT)


def test_the_last_layer_is_the_model(smollm2, found):
    model, tokenizer = smollm2
    ids = torch.tensor([tokenizer.encode(PROMPT)])
    with torch.inference_mode():
        p = model(ids)[0, -1].softmax(dim=-1)
    values, best = p.topk(5)
    assert [rank[-1] for rank in found.ranks] == [1, 2, 3, 4, 5]
    assert [q for _, q in found.best[-1]] == pytest.approx(values.tolist(), rel=1e-3)
    assert tokenizer.decode([int(best[0])]) == " Paris"
    assert found.followed[0].endswith("Paris")


def test_weights_are_those_of_the_attention_steps(smollm2, found):
    model, tokenizer = smollm2
    ids = torch.tensor([tokenizer.encode(PROMPT)])
    expected = model.attention_steps(ids, 23).weights[0, 4, -1]
    torch.testing.assert_close(found.weights[23, 4], expected, atol=1e-5, rtol=1e-4)


def test_every_control(smollm2):
    frames = list(drive(tour_explorer(*smollm2), per_control=4, mixed=4))
    assert {frame.state.layers for frame in frames} >= {0, 30}
    assert all("of the last token's weight to" in frame.caption for frame in frames)


def test_a_long_prompt_is_cut_and_says_so(smollm2):
    explorer = tour_explorer(*smollm2, State(prompt="word " * 30))
    assert f"Only the last {MOST_TOKENS} tokens are read." in explorer.notes[0].value
