"""The query-key-value widget: every control driven, and its numbers are the model's."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.corpora import SAMPLES, english
from lib.model import LanguageModel, ModelConfig
from lib.model.toy import color_toy
from lib.tokenization import BPETokenizer
from lib.training.shapes import shape
from lib.training.tokens import byte_tokenizer
from lib.widgets.qkv import MOST_TOKENS, Source, qkv_explorer
from lib.widgets.qkv_drawing import qkv_drawing, short
from lib.widgets.qkv_steps import State, attend
from tools.bench.driving import drive

START = State(text="the name of the class", layer=1, head=2, query=3, component=0)


@pytest.fixture(scope="module")
def parts():
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=400, context_length=64, d_model=32, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=16
    )
    model = LanguageModel(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.5)
    return model, BPETokenizer.train(english(60_000), 400)


def test_every_control(parts):
    frames = list(drive(qkv_explorer(*parts, START), per_control=6, mixed=12))
    assert {frame.state.source for frame in frames} == {"model", "toy"}
    assert {frame.state.layer for frame in frames} == {0, 1}
    assert {frame.state.step for frame in frames} == set(range(1, 7))
    assert all("of its weight on" in frame.caption for frame in frames)


@pytest.mark.parametrize("layer", [0, 1])
def test_numbers_are_the_models(parts, layer):
    model, tokenizer = parts
    ids = torch.tensor([tokenizer.encode(START.text)[:MOST_TOKENS]])
    steps = model.attention_steps(ids, layer)
    for head in range(4):
        for query in range(4):
            state = replace(START, layer=layer, head=head, query=query)
            row, weights = attend(Source(*parts).layer(state), state)
            for name in ("scores", "scaled", "masked", "weights"):
                expected = getattr(steps, name)[0, head, query].detach().numpy()
                np.testing.assert_allclose(getattr(row, name), expected, atol=1e-4)
            expected = steps.head_output[0, head, query].detach().numpy()
            np.testing.assert_allclose(row.output, expected, atol=1e-4)
            np.testing.assert_allclose(weights, steps.weights[0].detach().numpy(), atol=1e-4)


def test_knobs_do_what_they_say(parts):
    layer = Source(*parts).layer(START)
    row, _ = attend(layer, START)
    half, _ = attend(layer, replace(START, scale=0.5))
    np.testing.assert_allclose(half.scaled, row.scaled / 2)
    uniform, _ = attend(layer, replace(START, scale=0.0))
    np.testing.assert_allclose(uniform.weights[:4], 0.25)
    near, _ = attend(layer, replace(START, window=2))
    assert (near.weights > 0).nonzero()[0].tolist() == [2, 3]
    open_, _ = attend(layer, replace(START, causal=False))
    assert (open_.weights > 0).all()
    moved, _ = attend(layer, replace(START, component=5, shift=1.5))
    np.testing.assert_allclose(
        moved.scores - row.scores, 1.5 * layer.key[2, :, 5].numpy(), atol=1e-5
    )


def test_the_toy_by_hand(parts):
    state = State(source="toy", layer=0, head=0, query=3, component=0)
    row, _ = attend(Source(*parts).layer(state), state)
    assert row.scores.tolist() == [4, 0, 4, 0]
    assert row.scaled.tolist() == [2, 0, 2, 0]
    weight = math.e**2 / (2 * math.e**2 + 2)
    np.testing.assert_allclose(row.weights, [weight, 0.5 - weight, weight, 0.5 - weight], rtol=1e-6)
    np.testing.assert_allclose(row.output, [weight, weight, 0, 0], rtol=1e-6)
    assert color_toy().words == ("red", "car", "blue", "bike")


@pytest.mark.parametrize("step", range(1, 7))
def test_a_step_shows_what_it_unfolds(parts, step):
    state = State(source="toy", layer=0, head=0, query=1, step=step, component=0)
    text = qkv_drawing(Source(*parts).layer(state), state).svg()
    weight = math.e**2 / (math.e**2 + 1)
    assert ("−∞" in text) == (step >= 4)
    assert (f"{weight:.1%}" in text) == (step >= 5)
    assert ("output" in text) == (step >= 6)


@pytest.mark.parametrize("text", [*SAMPLES.values(), "", "word " * 30])
def test_any_text(parts, text):
    state = replace(START, text=text, query=0)
    layer = Source(*parts).layer(state)
    assert 1 <= len(layer.tokens) <= MOST_TOKENS
    assert layer.left_out == max(0, len(parts[1].encode(text)) - MOST_TOKENS)
    assert qkv_drawing(layer, state).png().startswith(b"\x89PNG")


def test_long_names_are_cut():
    assert short("word", 100, 12) == "word"
    assert short("a very long token", 60, 12).endswith("…")


@pytest.mark.parametrize(
    "change", [{"window": 3}, {"learned_sinks": True}, {"attention_softcap": 5.0}]
)
def test_other_attention_is_refused(parts, change):
    model = LanguageModel(parts[0].config.replace(**change))
    with pytest.raises(ValueError, match="attention without windows, sinks and soft-caps"):
        qkv_explorer(model, parts[1])


def test_it_opens_on_a_small_model_of_one_s_own():
    model = LanguageModel(shape("llama", 259, 64, 2)).eval()
    state = qkv_explorer(model, byte_tokenizer()).state
    assert (state.layer, state.head, state.component) == (1, 1, 31)
