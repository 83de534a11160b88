import dataclasses
import importlib
import shutil

import pytest

from lib.experiments import (
    curve,
    dropout,
    experts,
    feedforward,
    isoflop,
    norms,
    placement,
    qk_norm,
    read_table,
    scaling,
    scaling_largest,
    scaling_pilot,
    shape,
)
from lib.experiments.__main__ import EXPERIMENTS, main
from lib.experiments.grid import Run, do_run, run_grid
from lib.experiments.shape import BLOCK_PARAMETERS, SHAPES
from lib.experiments.tables import DATA, read_json, write_table
from lib.model import LanguageModel, ModelConfig
from lib.training import TrainingConfig


def tiny_run(seed=0, dropout=0.0):
    return Run(
        labels=(("dropout", dropout),),
        model=ModelConfig.gpt2(
            vocab_size=256,
            context_length=8,
            d_model=8,
            n_layers=1,
            n_heads=2,
            d_ff=8,
            dropout=dropout,
        ),
        training=TrainingConfig(
            steps=4,
            batch_size=2,
            context_length=8,
            evaluate_every=2,
            evaluation_sequences=4,
            seed=seed,
        ),
        training_bytes=500,
    )


def test_a_grid_is_run_once(tmp_path, monkeypatch):
    """In this process, so that the runs can be counted; a run in the table is not done again."""
    done = []

    class Pool:
        def __init__(self, workers):
            assert workers >= 1

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def imap_unordered(self, function, runs):
            for run in reversed(runs):
                done.append(run.key)
                yield function(run)

    monkeypatch.setattr("multiprocessing.get_context", lambda _: type("C", (), {"Pool": Pool}))
    table, runs = tmp_path / "table.csv", [tiny_run(0), tiny_run(1), tiny_run(0, 0.5)]
    first = run_grid(runs[:2], table)
    assert done == [runs[1].key, runs[0].key]
    assert [row["seed"] for row in first] == [0, 0, 0, 1, 1, 1]
    assert [row["step"] for row in first] == [0, 2, 4] * 2
    whole = run_grid(runs, table)
    assert done[2:] == [runs[2].key]
    assert whole[:6] == first
    assert read_table(table) == whole
    assert run_grid(runs[1:], table) == whole[3:]
    assert read_table(table) == whole[3:]


def test_a_run_can_be_repeated_and_seeds_differ():
    assert do_run(tiny_run(0)) == do_run(tiny_run(0))
    ends = [do_run(tiny_run(seed))[-1]["validation_loss"] for seed in (0, 1)]
    assert ends[0] != ends[1]


def test_the_key_holds_every_setting():
    run = tiny_run()
    others = [
        dataclasses.replace(run, training_bytes=501),
        dataclasses.replace(run, model=run.model.replace(d_ff=9)),
        dataclasses.replace(run, training=dataclasses.replace(run.training, learning_rate=0.5)),
        tiny_run(seed=1),
        tiny_run(dropout=0.1),
    ]
    assert len({run.key, *(other.key for other in others)}) == 6


def test_too_much_text_is_named():
    with pytest.raises(ValueError, match=r"training_bytes must be at most .* got 1000000000"):
        do_run(dataclasses.replace(tiny_run(), training_bytes=10**9))


def test_a_curve_spans_the_seeds(tmp_path):
    rows = [
        {"a b": "x", "step": step, "seed": seed, "loss": float(step + seed)}
        for seed in (0, 4)
        for step in (0, 1)
    ]
    write_table([*rows, rows[0] | {"a b": "y"}], tmp_path / "t.csv")
    found = curve(read_table(tmp_path / "t.csv"), "loss", a_b="x")
    assert (found.step, found.mean, found.low, found.high) == ([0, 1], [2, 3], [0, 1], [4, 5])
    with pytest.raises(ValueError, match="no runs with"):
        curve(rows, "loss", a_b="z")


def test_the_shapes_have_equal_blocks():
    for layers, width in SHAPES.items():
        count = LanguageModel(shape.shape(layers, width)).count_parameters(embeddings=False)
        assert count == pytest.approx(BLOCK_PARAMETERS, rel=0.01)


GRIDS = (
    *(placement, norms, qk_norm, feedforward, experts, dropout, shape),
    *(scaling_pilot, scaling, scaling_largest, isoflop),
)


@pytest.mark.parametrize("experiment", GRIDS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_the_committed_tables_are_those_of_the_grids(experiment):
    """Each run of the grid, to its last step, and nothing else: nothing would be run again."""
    rows, runs = experiment.table(), experiment.grid()
    keys = [run.key for run in runs]
    assert list(dict.fromkeys(row["run"] for row in rows)) == keys
    assert len(set(keys)) == len(keys)
    steps = {run.key: run.training.steps for run in runs}
    assert [row["run"] for row in rows if row["step"] == steps[row["run"]]] == keys


@pytest.mark.parametrize("experiment", [dropout, shape])
def test_each_run_is_measured_nine_times_with_three_seeds(experiment):
    rows = experiment.table()
    assert len(rows) == 9 * len(experiment.grid())
    assert {row["seed"] for row in rows} == {0, 1, 2}


def test_the_figures_can_be_drawn():
    drawn = dropout.figure()
    assert [ax.get_title(loc="left") for ax in drawn.axes] == [
        n.capitalize() for n in dropout.PASSES
    ]
    assert set(shape.best_by_shape(shape.table())) == set(SHAPES)
    assert len(shape.figure("A title").axes) == 1
    for experiment in (placement, norms, qk_norm, scaling_pilot, isoflop):
        assert experiment.figure().axes


def test_a_missing_table_is_an_error_with_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no table dropuot.csv .*dropout.*lib.experiments"):
        read_table("dropuot")
    with pytest.raises(FileNotFoundError, match=r"no table nothing\.csv"):
        read_table(tmp_path / "nothing.csv")
    with pytest.raises(FileNotFoundError, match=r"no table nothing\.json"):
        read_json("nothing")


def test_every_experiment_has_its_module_and_its_table():
    for name in EXPERIMENTS:
        module = importlib.import_module(f"lib.experiments.{name}")
        assert callable(module.run)
        assert module.table() == read_table(name) == read_table(DATA / f"{name}.csv")


def test_the_command_does_nothing_that_is_done(tmp_path, capsys):
    """The committed tables, copied: no run is missing, and the files stay byte for byte."""
    for name in ("dropout", "scaling"):
        shutil.copy(DATA / f"{name}.csv", tmp_path)
    assert main(["dropout", "scaling", "--folder", str(tmp_path)]) == 0
    assert "dropout: 162 rows" in capsys.readouterr().out
    for name in ("dropout", "scaling"):
        assert (tmp_path / f"{name}.csv").read_bytes() == (DATA / f"{name}.csv").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["dropuot"], "no experiment 'dropuot'"), (["--workers", "0"], "at least 1, got 0")],
)
def test_bad_arguments_are_named(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err
