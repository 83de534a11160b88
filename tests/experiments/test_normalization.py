"""What the experiments of chapter 4 measure, and the committed table of the leak."""

import pytest
import torch

from lib.experiments import leak
from lib.experiments.leak import loss_in_training_mode, losses_on_bits, random_bits
from lib.experiments.qk_norm import attention_scores
from lib.model import LanguageModel, ModelConfig
from lib.training.evaluation import evaluate

SMALL = dict(vocab_size=256, context_length=64, d_model=16, n_layers=2, n_heads=2, d_ff=32)


def test_training_mode_changes_nothing_without_batch_norm(tokens):
    model = LanguageModel(ModelConfig(**(SMALL | {"context_length": 16})))
    text = tokens[1] % 97
    expected = evaluate(model, text, 16, batch_size=4, most=8)
    assert loss_in_training_mode(model, text, 4, most=8) == pytest.approx(expected, rel=1e-5)


def test_measuring_leaves_batch_norm_as_it_was(tokens):
    model = LanguageModel(ModelConfig(**(SMALL | {"context_length": 16}), norm="batchnorm")).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    loss_in_training_mode(model, tokens[1], 4, most=8)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not model.training


def test_scores_by_hand(tokens):
    model = LanguageModel(ModelConfig(**SMALL, positions="none"))
    with torch.no_grad():
        for block in model.blocks:
            block.attention.query_key_value.weight.zero_()
    found = attention_scores(model, tokens[1])
    assert found["largest_score"] == 0.0  # all keys alike: 1 to 64 of them, equal weights
    expected = sum(torch.tensor(float(n)).log().item() for n in range(1, 65)) / 64
    assert found["entropy"] == pytest.approx(expected, abs=1e-3)


def test_random_bits_are_fair_and_repeatable():
    bits = random_bits(10_000, 3)
    assert (bits == random_bits(10_000, 3)).all()
    assert 0.48 < bits.mean() < 0.52


def test_layer_norm_cannot_predict_coin_tosses():
    row = losses_on_bits("layernorm", texts_at_once=8, seed=0, steps=10)
    assert row["training_mode_loss"] == pytest.approx(row["evaluation_mode_loss"], abs=0.02)
    assert row["evaluation_mode_loss"] > 0.69


def test_the_leak_table_says_what_the_chapter_says():
    rows = leak.table()
    for row in rows:
        alone = (row["norm"], row["texts at once"]) == ("batchnorm", 1)
        assert (row["training_mode_loss"] < 0.3) is alone
        assert (row["evaluation_mode_loss"] > 1) is alone
