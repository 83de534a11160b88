import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.model import LanguageModel, ModelConfig
from lib.model.parameters import parameters_by_part
from lib.widgets.model_shape import PRESETS, memory, model_shape_explorer, size_text
from tools.bench.driving import drive


def test_every_control_of_the_widget():
    explorer = model_shape_explorer()
    totals = set()
    for frame in drive(explorer, per_control=8):
        parts = parameters_by_part(frame.state.config())
        assert f"{sum(parts.values()):,} parameters" in frame.caption
        assert f"{sum(parts.values()):,} parameters" in frame.picture
        totals.add(sum(parts.values()))
    assert len(totals) > 40


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("GPT-2", ModelConfig.gpt2()),
        ("SmolLM2 135M", ModelConfig.smollm2_135m()),
        ("Qwen3 0.6B", ModelConfig.qwen3_0_6b()),
        ("Llama 3 8B", ModelConfig.llama3_8b()),
    ],
)
def test_presets_are_the_models(name, config):
    with torch.device("meta"):
        count = LanguageModel(config).count_parameters()
    assert sum(parameters_by_part(PRESETS[name].config()).values()) == count
    assert memory(PRESETS[name].config())["training, AdamW, float32"] == 16 * count


def test_cache_of_published_models():
    """KiB for each token in bfloat16: GPT-2 36, Qwen3 0.6B 112, Llama 3 8B 128."""
    for name, kibibytes in {"GPT-2": 36, "Qwen3 0.6B": 112, "Llama 3 8B": 128}.items():
        config = PRESETS[name].config()
        assert memory(config)["KV cache, bfloat16"] == kibibytes * 1024 * config.context_length


@given(st.floats(1, 1e14))
def test_size_text_is_within_a_half_percent(count):
    number, letter = size_text(count, "B").split()
    factor = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[letter]
    assert float(number) * factor == pytest.approx(count, rel=0.006)
