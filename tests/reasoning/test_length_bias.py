"""Length of a policy that only decides when to stop: the gradient against a sum in NumPy."""

import numpy as np
import pytest
import torch

from lib.reasoning.length_bias import MOST, mean_lengths, token_log_p


def by_hand(advantage, way, start=10.0, rate=1.0):
    """One step's mean lengths, from p(L) = q (1 - q)^(L - 1) and its derivatives."""

    def chances(q):
        p = q * (1 - q) ** (np.arange(1, MOST + 1) - 1)
        p[-1] = (1 - q) ** (MOST - 1)
        return p

    lengths = np.arange(1, MOST + 1)
    logit = -np.log(start - 1)
    q = 1 / (1 + np.exp(-logit))
    score = (1 - q) - q * (lengths - 1)  # d ln p(L) / d logit
    score[-1] = -q * (MOST - 1)
    divided = lengths if way == "response" else MOST
    push = (chances(q) * advantage * score / divided).sum()
    after = 1 / (1 + np.exp(-(logit + rate * push)))
    return [(chances(x) * lengths).sum() for x in (q, after)]


@pytest.mark.parametrize("way", ["response", "constant"])
@pytest.mark.parametrize("advantage", [1.0, -1.0, 0.3])
def test_one_step(advantage, way):
    got = mean_lengths(advantage, way, steps=1)
    assert got == pytest.approx(by_hand(advantage, way), abs=2e-3)


def test_all_lengths_together_are_certain():
    log_p, drawn = token_log_p(torch.tensor(-1.3))
    assert log_p.sum(1).exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert drawn.sum(1).tolist() == list(range(1, MOST + 1))


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be an integer at least 1, got 0"),
        ({"start": 1}, r"start must be in \(1, 60\], got 1"),
        ({"rate": 0}, "rate must be above 0, got 0"),
        ({"advantage": float("nan")}, "advantage must be a finite number, got nan"),
        ({"normalize_length": "word"}, "normalize_length must be one of"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(ValueError, match=message):
        mean_lengths(**{"advantage": 1.0, "normalize_length": "constant"} | changes)
