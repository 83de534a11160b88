"""What experts tell of a token, against sums over tables of probabilities, and the pictures."""

import numpy as np
import pytest
import torch

from lib.experiments import experts_figures
from lib.experiments.experts import INFORMATION, shared_information, short_run, what_experts_tell


def by_table(one, other, given):
    """sum over c of p(c) sum over a, b of p(a, b | c) log(p(a, b | c) / (p(a | c) p(b | c)))."""
    total = 0.0
    for c in np.unique(given):
        a, b = one[given == c], other[given == c]
        joint = np.zeros((a.max() + 1, b.max() + 1))
        np.add.at(joint, (a, b), 1 / len(a))
        apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
        there = joint > 0
        total += len(a) / len(one) * (joint[there] * np.log(joint[there] / apart[there])).sum()
    return total


def test_shared_information_is_that_of_the_tables():
    random = np.random.default_rng(0)
    one, given = random.integers(0, 5, 500), random.integers(0, 3, 500)
    other = (one + given * random.integers(0, 2, 500)) % 4
    labels = [torch.from_numpy(x) for x in (one, other, given)]
    assert shared_information(*labels) == pytest.approx(by_table(one, other, given))
    assert shared_information(*labels[:2]) == pytest.approx(by_table(one, other, np.zeros(500)))
    assert shared_information(labels[0], labels[0], labels[0]) == pytest.approx(0, abs=1e-9)


@pytest.fixture(scope="module")
def model():
    return short_run("loss", 0, steps=10)[0]


def test_what_experts_tell_is_bounded(model):
    told = what_experts_tell(model, n_bytes=1024)
    assert tuple(told) == INFORMATION
    assert all(0 <= value <= np.log(8) for value in told.values())
    assert told["on languages"] <= np.log(3)


def test_the_pictures_show_what_they_are_given(model):
    drawn = experts_figures.who_goes_where(model, ["ab c", "12"], "A title").axes[0]
    assert [text.get_text() for text in drawn.texts][::2] == ["a", "b", "␣", "c", "1", "2"]
    assert drawn.get_title(loc="left") == "A title"
    shares = {"one": torch.tensor([0.25, 0.75]), "two": torch.tensor([1.0, 0.0])}
    drawn = experts_figures.loads(shares, "B").axes[0]
    assert [text.get_text() for text in drawn.texts] == ["25%", "75%", "100%", "0%"]
    rows = [
        {"model": name, "step": step, "seed": 0, "entropy": 0.9}
        for name in experts_figures.COLORS
        for step in (0, 10)
    ]
    assert len(experts_figures.entropies(rows, "C").axes[0].lines) == 4


def test_a_line_must_be_ascii(model):
    with pytest.raises(ValueError, match=r"lines must be ASCII.*'é'"):
        experts_figures.who_goes_where(model, ["é"], "A title")
