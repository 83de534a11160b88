"""The grids of chapter 5: what they compare is equal but for what they name."""

import math

import numpy as np
import pytest
import torch

from lib.experiments import experts, feedforward
from lib.experiments.texts import BLOCK, LANGUAGES, in_turn, languages, mixture
from lib.model import LanguageModel
from lib.model.parameters import parameters_by_part
from lib.training.evaluation import evaluate


def test_all_layers_have_equally_many_parameters():
    runs = feedforward.grid()
    assert {parameters_by_part(run.model)["feed-forward"] for run in runs} == {61_440}
    assert len({run.key for run in runs}) == len(runs) == 48


def test_dense_models_match_the_experts():
    models = {name: config for name, (config, _) in experts.expert_models().items()}
    mixed = models["none"]
    router = 2 * mixed.n_experts * mixed.d_model
    for name, active in {"dense, equal FLOPs": True, "dense, equal parameters": False}.items():
        dense = parameters_by_part(models[name])["feed-forward"]
        assert parameters_by_part(mixed, active=active)["feed-forward"] == dense + router


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return LanguageModel(experts.expert_models()["none"][0])


def test_capacity_is_only_for_the_measurement(model):
    validation = mixture()[1]
    dropped, loss = experts.with_capacity(model, validation, 1.0)
    free, unlimited = experts.with_capacity(model, validation, 100.0)
    assert 0 < dropped < 1
    assert free == 0
    assert unlimited == pytest.approx(evaluate(model, validation, 64, 32, most=96), abs=1e-5)
    assert loss != unlimited
    assert all(block.feedforward.router.settings.capacity_factor is None for block in model.blocks)


def test_measures_of_experts_and_of_dense_models_have_the_same_columns(model):
    row = experts.routing_measures(model, mixture()[1])
    dense = LanguageModel(experts.expert_models()["dense, equal FLOPs"][0])
    assert list(experts.routing_measures(dense, mixture()[1])) == list(row)
    for language in LANGUAGES:
        shares = [float(share) for share in row[f"{language}, layer 1"].split()]
        assert len(shares) == 8
        assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert 0 < row["entropy, layer 0"] <= 1


def test_a_short_run_is_measured_along_the_way():
    _, rows = experts.short_run("loss", 0, steps=10)
    assert [row["step"] for row in rows] == [0, 10]
    assert rows[1]["loss"] < rows[0]["loss"]
    assert all(0 < row["entropy"] <= 1 for row in rows)
    assert math.isnan(experts.short_run("dense, equal FLOPs", 0, steps=1)[1][0]["entropy"])


def test_the_mixture_takes_languages_in_turn():
    training, validation = mixture()
    for i, name in enumerate(LANGUAGES):
        for whole, part in zip((training, validation), languages()[name], strict=True):
            assert np.array_equal(whole[i * BLOCK : (i + 1) * BLOCK], part[:BLOCK])
    assert len(in_turn((np.arange(1000), np.arange(1500)), block=512)) == 1024
    with pytest.raises(ValueError, match=r"block must be an integer in \[1, 500\], got 512"):
        in_turn((np.arange(1000), np.arange(500)), block=512)
