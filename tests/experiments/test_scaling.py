"""Chapter 13's grids, their committed tables, and the rule for the learning rate."""

import itertools

import numpy as np
import pytest
import torch

from lib.corpora import english
from lib.experiments import isoflop, scaling, scaling_largest, scaling_pilot
from lib.experiments.scaling import SEEDS, WIDTHS
from lib.experiments.scaling_largest import WIDTH as LARGEST
from lib.experiments.scaling_pilot import STEPS, TRAINING_BYTES, exact_matches, sized, tuned_rate
from lib.experiments.small import BATCH, CONTEXT
from lib.generation import GenerationConfig, generate
from lib.model import LanguageModel
from lib.training import byte_tokens, split


def test_sizes_span_two_orders_of_magnitude_and_the_largest_is_beyond():
    counts = [LanguageModel(sized(width)).count_parameters(embeddings=False) for width in WIDTHS]
    assert counts[-1] / counts[0] > 100
    assert counts == sorted({row["non_embedding"] for row in scaling.table()})
    assert LARGEST not in WIDTHS
    config = sized(LARGEST)
    assert 3.5 < 2 * 12 * config.d_model**2 / counts[-1] < 4.5


def test_the_longest_runs_make_at_most_one_pass():
    training, _ = split(byte_tokens(english()))
    assert len(training) >= TRAINING_BYTES
    assert (TRAINING_BYTES - 1) // CONTEXT // BATCH >= STEPS  # whole steps of one pass
    passes = [row["passes"] for row in scaling.table() + scaling_largest.table()]
    assert max(passes) <= 1


def test_schedules_end_with_their_runs():
    for run in [
        *scaling.grid(),
        *scaling_pilot.grid(),
        *scaling_largest.grid(),
        *isoflop.grid(),
    ]:
        settings = run.training
        assert (settings.schedule, settings.steps) == ("cosine", dict(run.labels)["steps"])
    assert {run.training.seed for run in scaling.grid()} <= set(SEEDS)


def test_runs_of_a_budget_spend_it():
    """6 N D, with N counted on the built model and D from the training's own settings."""
    for run in isoflop.grid():
        n = LanguageModel(run.model).count_parameters(embeddings=False)
        settings = run.training
        flop = 6 * n * settings.steps * settings.batch_size * settings.context_length
        assert min(abs(flop / budget - 1) for budget in isoflop.BUDGETS) < 0.01
    for budget, widths in isoflop.BUDGETS.items():
        n, loss = isoflop.profile(isoflop.table(), budget)
        assert len(n) == len(loss) == len(widths) * len(isoflop.SEEDS)
        assert len(set(n)) == len(widths)


def test_the_best_size_of_a_budget_is_the_vertex_through_three_runs():
    """By Lagrange's formula for the vertex, on the runs of the table."""
    rows, found = isoflop.table(), []
    for budget, widths in isoflop.BUDGETS.items():
        least = {}
        for width in widths:
            ends = [r for r in rows if r["step"] == r["steps"] == isoflop.steps_for(budget, width)]
            ends = [r for r in ends if r["width"] == width]
            least[np.log(ends[0]["non_embedding"])] = min(r["validation_loss"] for r in ends)
        (a, b, c) = sorted(least)[(at := int(np.argmin([*least.values()]))) - 1 : at + 2]
        u, v, w = (least[x] for x in (a, b, c))
        top = (b**2 - c**2) * u + (c**2 - a**2) * v + (a**2 - b**2) * w
        found.append(np.exp(top / ((b - c) * u + (c - a) * v + (a - b) * w) / 2))
    assert isoflop.best_sizes(rows) == pytest.approx(found)
    exponent = np.polyfit(np.log([*isoflop.BUDGETS]), np.log(found), 1)[0]
    low, high = np.quantile(isoflop.resampled_exponents(rows, samples=200), (0.05, 0.95))
    assert low < exponent < high


def test_the_rule_for_the_rate_is_the_plane_through_the_pilots_best():
    """Parabolas in ln rate about each best, by numpy; then least squares for the plane."""
    ends = [row for row in scaling_pilot.table() if row["step"] == row["steps"]]
    design, best = [], []
    for (n, steps), group in itertools.groupby(
        ends, key=lambda r: (r["non_embedding"], r["steps"])
    ):
        rates, losses = np.array([(r["learning_rate"], r["validation_loss"]) for r in group]).T
        at = int(np.clip(losses.argmin(), 1, len(losses) - 2))
        near = slice(at - 1, at + 2)
        square, linear, _ = np.polyfit(np.log(rates[near]), losses[near], 2)
        design.append([1, np.log(n), np.log(steps)])
        best.append(-linear / (2 * square))
    plane = np.linalg.lstsq(np.array(design), np.array(best), rcond=None)[0]
    assert plane[1:] == pytest.approx([-0.49, 0.42], abs=0.01)
    assert np.exp(plane[0]) == pytest.approx(0.136, rel=0.02)
    for (_, ln_n, ln_steps), ln_best in zip(design, best, strict=True):
        width = round((np.exp(ln_n) / 24) ** 0.5)
        width = min((12, 32, 96), key=lambda w: abs(w - width))
        assert tuned_rate(width, round(np.exp(ln_steps))) == pytest.approx(np.exp(ln_best), rel=0.4)


def test_exact_match_is_what_greedy_decoding_gives():
    """Continue each window by `generate`, and compare with the text."""
    torch.manual_seed(0)
    model = LanguageModel(sized(12))
    with torch.no_grad():  # a model that says "a" after "b" and "b" after "a"
        for weight in model.parameters():
            weight.mul_(0.1)
    random = np.random.default_rng(0)
    validation = random.choice(np.frombuffer(b"ab", dtype=np.uint8), size=2 * CONTEXT + 1)
    found = exact_matches(model, validation)
    windows = [validation[i * CONTEXT :][: CONTEXT + 1].astype(int) for i in range(2)]
    for length in (1, 2, 4):
        hits = []
        for window in windows:
            for start in range(CONTEXT - length):
                prompt = torch.from_numpy(window[: start + 1])[None]
                settings = GenerationConfig(max_new_tokens=length, do_sample=False)
                out = generate(model, prompt, settings).new_ids[0].tolist()
                hits.append(out == window[start + 1 : start + 1 + length].tolist())
        places = 2 * (CONTEXT - length + 1)  # `generate` has no room for each window's last one
        assert sum(hits) <= round(found[f"exact_match_{length}"] * places, 2) <= sum(hits) + 2
