"""The references of chapter 6's exercises, held to the library."""

import pytest
import torch

from lib.exercises import transformer
from lib.model import LanguageModel, ModelConfig
from lib.training.schedules import warmup_cosine


def test_references_agree_with_the_library():
    config = ModelConfig.smollm2_135m(n_layers=1)
    with torch.device("meta"):
        block = LanguageModel(config).blocks[0]
    sizes = (config.d_model, config.n_heads, config.n_kv_heads, config.d_head, config.d_ff)
    assert transformer.block_parameters(*sizes) == sum(w.numel() for w in block.parameters())
    rate = warmup_cosine(3.0, 20, 4)
    for step in range(20):
        assert transformer.learning_rate(step, 20, 4, 3.0) == pytest.approx(rate(step))
    model = LanguageModel(ModelConfig.gpt2(vocab_size=64, d_model=768, n_layers=8, n_heads=12))
    written = model.blocks[0].feedforward.down.weight.std().item()
    assert transformer.residual_scale(8) == pytest.approx(written, rel=0.02)
