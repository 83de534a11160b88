import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from scipy.stats import entropy

from lib.widgets.routing import STEP, State, example_logits, routing_explorer
from tools.bench.driving import drive


def loads_by_hand(logits, state):
    """The loads in NumPy: scores, bias steps, the k best."""
    scaled = logits.numpy() / np.float32(state.temperature)
    scores = softmax(scaled, -1) if state.gate == "softmax" else expit(scaled)
    bias = np.zeros(scores.shape[1], dtype=np.float32)
    for step in range(state.steps + 1):
        chosen = np.argsort(-(scores + bias), axis=-1, kind="stable")[:, : state.k]
        counts = np.bincount(chosen.ravel(), minlength=scores.shape[1])
        if step < state.steps:
            bias = bias + np.float32(STEP) * np.sign(counts.mean() - counts).astype(np.float32)
    return counts / counts.sum()


def test_every_control_of_the_widget():
    logits = example_logits()
    explorer, captions = routing_explorer(logits), set()
    for frame in drive(explorer, per_control=6):
        shares = loads_by_hand(logits, frame.state)
        assert f"largest load, {shares.max():.0%}" in frame.caption
        found = float(frame.caption.split("Entropy of the loads ")[1].split(" ")[0])
        assert found == pytest.approx(entropy(shares) / np.log(8), abs=0.011)
        captions.add(frame.caption)
    assert len(captions) > 15


def test_temperature_moves_no_token_without_a_bias():
    explorer = routing_explorer()
    explorer.set(State(temperature=0.2))
    cool = explorer.describe(explorer.state).split("Entropy")[0]
    explorer.set(State(temperature=4.0))
    assert explorer.describe(explorer.state).split("Entropy")[0] == cool


def test_misfits_are_named():
    with pytest.raises(ValueError, match="12 or more, got 384 and 3"):
        routing_explorer(example_logits(), ["a", "b", "c"])
    with pytest.raises(ValueError, match="got 5 and 5"):
        routing_explorer(torch.zeros(5, 4))
