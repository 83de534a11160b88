"""Each exercise of chapter 5: the stub is open, the solution passes, mistakes are named."""

import pytest
import torch

from lib.exercises import transformer
from lib.model import LanguageModel, ModelConfig
from lib.training.schedules import warmup_cosine
from tests.exercises.assertions import answers_in, assert_exercise

EXERCISES = {
    "my_block_parameters": transformer.check_block_parameters,
    "my_loss": transformer.check_language_model_loss,
    "my_learning_rate": transformer.check_learning_rate,
    "my_tie": transformer.check_tie,
    "my_residual_scale": transformer.check_residual_scale,
}


@pytest.fixture(scope="module")
def answers():
    return answers_in("05_transformer")


@pytest.mark.parametrize("name", EXERCISES)
def test_exercise(answers, name):
    stubs, solutions = answers
    assert_exercise(EXERCISES[name], stubs[name], solutions[name])


@pytest.mark.parametrize("name", EXERCISES)
def test_the_reference_passes_and_mistakes_are_named(name):
    exercise = EXERCISES[name]
    assert exercise.report(exercise.reference).passed
    for mistake in exercise.mistakes:
        report = exercise.report(mistake.wrong)
        assert report.status == "wrong"
        assert mistake.message in report.message, str(report)


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
