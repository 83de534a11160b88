import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy import stats

import lib.display.claims
import lib.display.tables
from lib.display import (
    ClaimError,
    claim,
    compare_seeds,
    falling,
    mean_and_error,
    rising,
    seed_dots,
    show_table,
)

SEEDS = st.lists(st.floats(-100, 100), min_size=3, max_size=8)


@pytest.fixture
def published(monkeypatch):
    collected = []
    monkeypatch.setattr(lib.display.claims, "publish", collected.append)
    monkeypatch.setattr(lib.display.tables, "publish", collected.append)
    return collected


@pytest.mark.parametrize("true", [True, np.bool_(True), np.array([True]), torch.tensor(True)])
def test_a_true_sentence_is_shown_with_a_check_mark(published, true):
    claim("the loss of a_b falls by 2 * 3", true, loss=1.5)
    (bundle,) = published
    assert bundle["text/plain"] == "✓ The loss of a_b falls by 2 * 3."
    assert bundle["text/markdown"] == "✓ The loss of a&#95;b falls by 2 &#42; 3."


def test_a_claim_is_printed_outside_a_notebook(capsys):
    claim("Is it so?", True)
    assert capsys.readouterr().out == "✓ Is it so?\n"


@pytest.mark.parametrize("false", [False, np.bool_(False), torch.tensor([False])])
def test_a_false_sentence_raises_with_its_values(published, false):
    with pytest.raises(ClaimError) as caught:
        claim("the loss falls", false, before=1.5, after=[2, 3])
    assert isinstance(caught.value, AssertionError)
    assert str(caught.value) == "not true here: The loss falls.\n  before = 1.5\n  after = [2, 3]"
    assert published == []


@pytest.mark.parametrize(
    "truth",
    [
        torch.tensor([True, True]), np.ones((2, 1), bool), float("nan"), 1, 0, "True", None, [],
        [True], torch.tensor(1.0), np.float64("nan"), np.array([], bool), compare_seeds([1], [2]),
    ],
)  # fmt: skip
def test_what_is_not_one_bool_is_no_truth(published, truth):
    with pytest.raises(TypeError, match=r"(?s)the truth of a claim is .* The claim: It is so\."):
        claim("it is so", truth)
    assert published == []


@pytest.mark.parametrize(("sentence", "error"), [("", ValueError), (" \n", ValueError)])
def test_a_claim_has_a_sentence(sentence, error):
    with pytest.raises(error, match="needs a sentence"):
        claim(sentence, True)


@given(SEEDS, SEEDS, st.booleans())
def test_the_difference_over_seeds_is_judged_as_scipy_does(first, second, paired):
    if paired:
        n = min(len(first), len(second))
        first, second = first[:n], second[:n]
        error = stats.sem(np.subtract(first, second))
    else:
        error = np.hypot(stats.sem(first), stats.sem(second))
    found = compare_seeds(first, second, paired)
    assert found.difference == pytest.approx(np.mean(first) - np.mean(second), abs=1e-9)
    assert found.error == pytest.approx(error, abs=1e-9)
    assert found.lower == (found.difference < -2 * found.error)
    assert found.higher == (found.difference > 2 * found.error)
    assert found.differ == (found.lower or found.higher)


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [([1], [2, 3, 4], "one run"), ([1, 1], [5, 5], "two runs"), ([1, 2, 3], [9], "one run")],
)
def test_fewer_than_three_seeds_make_no_difference(first, second, text):
    found = compare_seeds(first, second)
    for name in ("lower", "higher", "differ"):
        with pytest.raises(ClaimError, match=f"{text} cannot be claimed as a difference"):
            getattr(found, name)
    assert text in str(found)


def test_a_comparison_names_its_seeds():
    assert str(compare_seeds([1, 2, 3], [3, 4, 5])) == "-2 ± 0.82 (3 seeds)"
    assert str(compare_seeds([1, 2, 3], [3, 4, 5, 4])).endswith("(3 and 4 seeds)")


@pytest.mark.parametrize(
    "bad", [[], [1.0, float("nan")], [float("inf")], ["1"], [[1, 2]], [True, False]]
)
def test_seeds_are_finite_numbers(bad):
    with pytest.raises(ValueError, match="first must be"):
        compare_seeds(bad, [1, 2, 3])


def test_pairs_match():
    with pytest.raises(ValueError, match="equally many, got 2 and 3"):
        compare_seeds([1, 2], [1, 2, 3], paired=True)


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=6))
def test_falling_and_rising(values):
    pairs = list(itertools.pairwise(values))
    assert falling(values) == all(b < a for a, b in pairs)
    assert rising(np.array(values)) == rising(torch.tensor(values)) == all(b > a for a, b in pairs)


@pytest.mark.parametrize("bad", [[], [1], [1, float("nan"), 0]])
def test_what_neither_falls_nor_rises(bad):
    with pytest.raises(ValueError, match="values must be"):
        falling(bad)


@pytest.mark.parametrize("horizontal", [False, True])
def test_seed_dots_are_the_seeds_the_mean_and_its_error(horizontal):
    ax = Figure().subplots()
    groups = [[1.0, 2.0, 4.0], [3.0]]
    seed_dots(ax, [0, 1], groups, "blue", horizontal=horizontal)
    along = 0 if horizontal else 1
    dots = [line.get_data()[along] for line in ax.lines if line.get_marker() == "o"]
    assert [list(map(float, d)) for d in dots] == groups
    (bar,) = ax.containers  # one seed has no spread
    ends = bar.lines[2][0].get_segments()[0][:, along]
    mean, error = mean_and_error(groups[0])
    assert ends == pytest.approx([mean - error, mean + error])


def test_a_table_has_a_title(published):
    show_table([{"a": 1}], title="Losses_1")
    (bundle,) = published
    assert bundle["text/markdown"].startswith("**Losses&#95;1**\n\n| a |")
    assert bundle["text/plain"].startswith("Losses_1\na")
