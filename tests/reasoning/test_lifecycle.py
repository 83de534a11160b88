"""The life-cycle on a model of two thousand weights: who is trained from whom; what is recorded."""

import math
import statistics
from functools import partial

import pytest
import torch

from lib.experiments import cold_start as runs
from lib.experiments import cold_start_results as results
from lib.experiments.tables import read_table
from lib.model import LanguageModel
from lib.reasoning import base, lifecycle, measuring
from lib.reasoning.base import base_config, load_base, pretrain, save_model
from lib.reasoning.corpus import clean_response
from lib.reasoning.measuring import (
    by_answer,
    extra_words,
    facts_accuracy,
    measure,
    pass_at,
    respond,
    shares,
    verified,
)
from lib.reasoning.rejection import clean_examples
from lib.reasoning.task import Problem, draw_problems
from tests.reasoning.recorded import ROWS

TINY = base_config(d_model=16, n_layers=1, n_heads=2, d_ff=16)


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return LanguageModel(TINY).eval()


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_each_stage_trains_a_copy(tiny):
    before = [weight.clone() for weight in tiny.parameters()]
    cold = lifecycle.cold_start(tiny, n=8, steps=2)
    zero, history = lifecycle.reinforce(tiny, steps=2, problems=2, group=4, length=20)
    final = lifecycle.final_sft(tiny, clean_examples(draw_problems(4, 0)), steps=2)
    assert all(torch.equal(a, b) for a, b in zip(before, tiny.parameters(), strict=True))
    assert not same(cold, tiny)
    assert not same(final, tiny)
    assert len(history) == 2
    assert zero is not tiny


def test_stages_are_repeatable(tiny):
    first, second = (lifecycle.cold_start(tiny, seed=3, n=8, steps=3) for _ in range(2))
    assert same(first, second)
    one, two = (lifecycle.reinforce(tiny, seed=1, steps=1, problems=2)[0] for _ in range(2))
    assert same(one, two)


def test_measures_against_counting_by_hand(tiny):
    problem = Problem(5, ("+8", "*3"))
    broken = ["5", "+8", "fait", "3", "then"]
    said = [clean_response(problem), ["answer", "9", "<eos>"], broken, []]
    got = shares(verified([problem] * 4, said))
    assert got["answer"] == 0.5
    assert got["chain"] == got["clean"] == got["direct"] * 1 == 0.25
    assert got["mixed"] == 0.25
    assert got["length"] == statistics.mean(map(len, said))
    assert set(measure(tiny, 20)) == {*measuring.MEASURES, "facts"}
    assert len(respond(tiny, draw_problems(7, 0))) == 7


def test_means_of_right_and_wrong():
    problem = Problem(5, ("+8", "*3"))
    chain = clean_response(problem)
    chain = [word for word in chain if "think" not in word]
    judged = verified([problem] * 3, [chain, ["hm", *chain], ["answer", "1", "<eos>"]])
    assert [extra_words(response) for response in judged] == [0, 1, -9]
    assert by_answer(judged, extra_words) == (0.5, -9)
    right, wrong = by_answer(judged[:2], extra_words)
    assert right == 0.5
    assert math.isnan(wrong)


def test_pass_at_k():
    assert pass_at([0, 32], 32, 1) == 0.5
    assert pass_at([1], 4, 2) == pytest.approx(1 - math.comb(3, 2) / math.comb(4, 2))


def test_the_committed_base_reasons_now_and_then():
    model = load_base()
    assert facts_accuracy(model) == 1.0
    got = measure(model, 300)
    assert 0.03 < got["chain"] < 0.25  # enough for RL to find, and not much
    assert got["clean"] == 0


def test_a_base_is_written_and_read(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "BATCH", 4)
    path = tmp_path / "new" / "base.safetensors"
    model = pretrain(seed=1, steps=3)
    save_model(model, path)
    assert same(load_base(path), model)
    assert [file.name for file in path.parent.iterdir()] == ["base.safetensors"]


# The runs and their tables


@pytest.fixture
def small_runs(tiny, tmp_path, monkeypatch):
    """The experiments with a tiny base, one step of everything and few problems."""
    monkeypatch.setattr(base, "base_config", lambda **changes: TINY)
    monkeypatch.setattr(runs, "pretrain", lambda seed, steps: tiny)
    monkeypatch.setattr(runs, "measure", lambda model: measure(model, 5))
    monkeypatch.setattr(runs, "right_chains", lambda model: [0, 8])
    monkeypatch.setattr(lifecycle, "reinforce", partial(lifecycle.reinforce, steps=1, length=16))
    monkeypatch.setattr(lifecycle, "cold_start", partial(lifecycle.cold_start, steps=1))
    monkeypatch.setattr(lifecycle, "final_sft", partial(lifecycle.final_sft, steps=1))
    monkeypatch.setattr(lifecycle, "REJECTION_PROBLEMS", 3)
    monkeypatch.setattr(
        lifecycle, "kept_examples", lambda kept: clean_examples(draw_problems(3, 0))
    )
    monkeypatch.setattr(runs, "SEEDS", dict.fromkeys(runs.JOBS, (4,)))
    return runs.Runs(tmp_path / "table.csv", tmp_path / "cache")


def test_every_job_is_done_once_and_written_down(small_runs, tmp_path):
    jobs = small_runs.missing()
    assert len(jobs) == sum(map(len, runs.JOBS.values()))
    small_runs.do(jobs[4])  # the final model of the life-cycle needs all but R1-Zero
    assert {row["stage"] for row in read_table(tmp_path / "table.csv")} == {
        "base", "cold", "cold_rl", "final"
    }  # fmt: skip
    for job in small_runs.missing():
        if job in small_runs.missing():
            small_runs.do(job)
    assert small_runs.missing() == []
    rows = read_table(tmp_path / "table.csv")
    assert [(row["part"], row["stage"]) for row in rows if row["part"] == "controls"] == [
        ("controls", stage) for stage in runs.JOBS["controls"]
    ]
    assert rows[0]["chain_at_1"] == 0.125
    curves = read_table(tmp_path / runs.CURVES)
    assert {row["stage"] for row in curves} == {"zero", "cold_rl", *runs.JOBS["rewards"]}
    assert (tmp_path / runs.SAMPLES).read_text().count('"response"') == 5 * 24


def test_other_settings_are_other_runs(small_runs, monkeypatch):
    before = runs.key(("lifecycle", "zero", 0))
    monkeypatch.setattr(lifecycle, "FINAL_STEPS", 7)
    assert runs.key(("lifecycle", "zero", 0)) != before


def test_the_stage_table():
    table = results.stage_table(ROWS)
    assert [row["model"] for row in table] == list(results.STAGES.values())
    error = statistics.stdev([0.1, 0.12, 0.14]) / 3**0.5
    assert table[1]["right answer"] == f"0.120 ± {error:.3f}"
    gap, error = results.difference(ROWS, ("lifecycle", "base"), ("lifecycle", "cold"), "answer")
    assert gap == pytest.approx(0.2)
    assert error == pytest.approx(0, abs=1e-12)  # the seeds are paired
    with pytest.raises(ValueError, match="no rows of 'lifecycle' with the stage 'gold'"):
        results.values(ROWS, "lifecycle", "gold", "answer")


def test_the_papers_stages_are_told_in_order():
    assert list(results.PAPER) == ["zero", "cold", "cold_rl", "final", "R1"]
    assert results.PAPER["cold"]["AIME 2024"] < results.PAPER["cold_rl"]["AIME 2024"]
