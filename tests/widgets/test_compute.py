import math

import pytest
import torch

from lib import scaling
from lib.model import LanguageModel, ModelConfig
from lib.widgets.compute import MODELS, Serving, compute_explorer, time_text
from lib.widgets.model_shape import size_text
from tools.bench.driving import drive


def test_every_control_of_the_widget():
    seen = set()
    short = compute_explorer(Serving("Qwen3 0.6B", "T4", 1.0, 16.0))
    for frame in [*drive(compute_explorer(), per_control=6), *drive(short, per_control=6)]:
        state = frame.state
        step = scaling.decode_step(
            MODELS[state.model],
            scaling.DEVICES[state.device],
            state.sequences,
            state.tokens,
            state.weight_bytes,
        )
        assert time_text(step.seconds) in frame.caption
        assert f"{size_text(step.tokens_per_second)} tokens/s" in frame.picture
        assert f"bound by {step.bound}" in frame.picture
        total = scaling.serving_bytes(
            MODELS[state.model], state.sequences, state.tokens, state.weight_bytes
        )
        fits = "does not fit" not in frame.picture
        assert fits == (total <= scaling.DEVICES[state.device].memory)
        seen.add((fits, step.bound))
    assert {bound for _, bound in seen} == {"memory", "compute"}
    assert {fits for fits, _ in seen} == {True, False}


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("Llama 3 8B", 8_030_261_248),
        ("Llama 3 70B", 70_553_706_496),
        ("Mixtral 8x7B", 46_702_792_704),
    ],
)
def test_the_models_have_their_published_sizes(name, count):
    assert scaling.parameters(MODELS[name]) == count


def test_the_caption_names_the_crossover():
    caption = compute_explorer().describe(Serving("Llama 3 8B", "A100 40GB", 1.0, 16.0))
    crossover = scaling.crossover_batch(MODELS["Llama 3 8B"], scaling.DEVICES["A100 40GB"], 16)
    assert f"compute-bound at a batch of {crossover}." in caption
    long = compute_explorer().describe(Serving(context=131_072.0))
    assert "no batch makes decoding compute-bound" in long


def test_time_text():
    assert [time_text(s) for s in (2.5, 0.0123, 4.56e-6)] == ["2.5 s", "12.3 ms", "4.56 µs"]


def test_the_preset_is_a_model_that_can_be_built():
    with torch.device("meta"):
        assert LanguageModel(ModelConfig.llama3_8b()).count_parameters() == 8_030_261_248
    assert math.isfinite(Serving().step("decode").seconds)
