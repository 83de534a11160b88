"""The life-cycle on a model of two thousand weights: who is trained from whom; what is recorded."""

import math
import statistics

import pytest
import torch

from lib.model import LanguageModel
from lib.reasoning import base, lifecycle, measuring, results, runs
from lib.reasoning.base import base_config, load_base, pretrain, save_model
from lib.reasoning.corpus import clean_response
from lib.reasoning.measuring import facts_accuracy, measure, pass_at, respond, shares, verified
from lib.reasoning.rejection import clean_examples
from lib.reasoning.task import Problem, draw_problems
from lib.training.experiments import read_table
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


def test_runs_are_recorded_and_not_repeated(tiny, tmp_path, monkeypatch):
    def part(seed, record):
        record.curve("zero")({"step": 0, "reward": 0.5}, [Problem(1, ("+1",))], [["answer", "2"]])
        record.texts({"base": tiny}, n=1, draws=2)
        yield "base", tiny, {"drawn": 3}

    monkeypatch.setattr(runs, "DO", {"lifecycle": part})
    monkeypatch.setattr(runs, "PARTS", ("lifecycle",))
    monkeypatch.setattr(runs, "measure", lambda model: {"answer": 0.25})
    done = []
    monkeypatch.setattr(
        runs, "each", lambda jobs, workers: map(runs.do_job, done.append(jobs) or jobs)
    )
    table = tmp_path / "cold_start_experiment.csv"
    runs.run(table)
    runs.run(table)
    assert [len(jobs) for jobs in done] == [3, 0]
    rows = read_table(table)
    assert [row["seed"] for row in rows] == [0, 1, 2]
    assert {row["answer"] for row in rows} == {0.25}
    curves = read_table(tmp_path / "cold_start_curves.csv")
    assert [row["answer"] for row in curves] == [1, 1, 1]
    assert (tmp_path / "cold_start_samples.json").read_text().count("response") == 6


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
