import dataclasses

import pytest
import torch

from lib.model import LanguageModel, ModelConfig

SMALL = dict(vocab_size=11, context_length=16, d_model=12, n_layers=2, n_heads=3, d_ff=20)

# Counts that the models' publishers state, or that follow from their published shapes.
PUBLISHED = {
    "gpt2": 124_439_808,
    "llama3_8b": 8_030_261_248,
    "qwen3_0_6b": 596_049_920,
    "smollm2_135m": 134_515_008,
}


@pytest.mark.parity(
    "parameter counts of GPT-2, Llama 3 8B, Qwen3 0.6B, SmolLM2", "published", "equal"
)
@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_counts(name):
    with torch.device("meta"):  # shapes only: no memory for eight billion numbers
        model = LanguageModel(getattr(ModelConfig, name)())
    assert model.count_parameters() == PUBLISHED[name]


def test_counts_without_embeddings():
    with torch.device("meta"):
        model = LanguageModel(ModelConfig.gpt2())
    embeddings = 50257 * 768 + 1024 * 768
    assert model.count_parameters(embeddings=False) == PUBLISHED["gpt2"] - embeddings


def test_defaults_are_resolved():
    config = ModelConfig(**SMALL)
    assert (config.n_kv_heads, config.d_head) == (3, 4)
    assert config.replace(n_kv_heads=1).n_kv_heads == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.d_model = 1


def test_presets_take_changes():
    config = ModelConfig.gpt2(n_layers=2, vocab_size=100)
    assert (config.n_layers, config.vocab_size, config.d_model) == (2, 100, 768)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_heads": 5}, "n_heads must divide d_model .* got d_model=12, n_heads=5"),
        ({"n_heads": 0}, r"n_heads must be an integer in \[1, 1e6\], got 0"),
        ({"n_kv_heads": 2}, "n_kv_heads must divide n_heads, got n_heads=3, n_kv_heads=2"),
        ({"vocab_size": 0}, r"vocab_size must be an integer in \[1, 1e9\], got 0"),
        ({"d_head": 5}, "d_head must be even for rotary positions, got 5"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1\.0"),
    ],
)
def test_impossible_shapes_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**(SMALL | changes))
