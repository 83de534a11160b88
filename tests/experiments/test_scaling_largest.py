"""The prediction follows from the committed runs; nothing is trained before it is committed."""

import subprocess

import numpy as np
import pytest

from lib.experiments import scaling, scaling_largest
from lib.experiments.scaling_largest import (
    CANDIDATES,
    PREDICTION,
    committed,
    predict,
    prediction_figure,
)
from lib.scaling import PowerLaw


def test_the_committed_prediction_follows_from_the_committed_runs():
    stored = scaling_largest.prediction()
    again = predict(scaling.table(), stored["fitted to"]["keys"])
    assert stored["runs to come"] == [scaling_largest.grid()[0].key]
    assert stored["fitted to"]["largest width"] < scaling_largest.WIDTH
    assert set(stored["predictions"]) == set(CANDIDATES)
    for name, prediction in stored["predictions"].items():
        for key in ("loss", "low", "high"):
            assert again["predictions"][name][key] == pytest.approx(prediction[key], rel=2e-3)


def test_the_loss_of_the_largest_is_what_the_stored_law_says():
    stored = scaling_largest.prediction()
    for name, (kind, _, count) in CANDIDATES.items():
        prediction = stored["predictions"][name]
        law = kind(**prediction["law"])
        assert law(stored[count]) == pytest.approx(prediction["loss"], rel=1e-3)
        assert prediction["low"] < prediction["loss"] < prediction["high"]
    assert isinstance(PowerLaw(**stored["predictions"]["power law"]["law"]), PowerLaw)


def repository(folder):
    for command in (
        ["init", "-q"],
        ["config", "user.email", "reader@example.com"],
        ["config", "user.name", "reader"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder / PREDICTION


def test_only_a_committed_and_unchanged_file_counts(tmp_path):
    file = repository(tmp_path)
    file.write_text("{}")
    assert not committed(file)
    subprocess.run(["git", "add", PREDICTION], cwd=tmp_path, check=True)
    assert not committed(file)
    subprocess.run(["git", "commit", "-q", "-m", "first"], cwd=tmp_path, check=True)
    assert committed(file)
    file.write_text("{ }")
    assert not committed(file)


def test_the_largest_is_trained_only_after_the_commit(tmp_path, monkeypatch):
    file = repository(tmp_path)
    trained = []
    monkeypatch.setattr(scaling_largest, "run_grid", lambda *a: trained.append(a) or [])
    with pytest.raises(SystemExit, match="Commit the prediction"):
        scaling_largest.run(tmp_path)
    assert file.exists()
    assert not trained
    subprocess.run(["git", "add", PREDICTION], cwd=tmp_path, check=True)
    subprocess.run(["git", "commit", "-q", "-m", "prediction"], cwd=tmp_path, check=True)
    scaling_largest.run(tmp_path)
    assert len(trained) == 1


def test_without_the_smaller_models_there_is_no_prediction():
    with pytest.raises(SystemExit, match="first run"):
        predict([])


def test_the_star_is_there_when_the_model_is_trained():
    law = PowerLaw(4, 0.1)
    sizes = np.geomspace(1e3, 1e5, 5)
    for reached in (np.array([]), np.array([1.2])):
        figure = prediction_figure(
            (sizes, law(sizes)),
            (np.full(len(reached), 1e6), reached),
            1e6,
            {"power law": law},
            {"power law": (1.0, 0.9, 1.3)},
            "title",
        )
        stars = [line for line in figure.axes[0].lines if line.get_marker() == "*"]
        assert len(stars) == len(reached)
