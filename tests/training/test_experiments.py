import dataclasses

import pytest

from lib.model import LanguageModel, ModelConfig
from lib.training import TrainingConfig
from lib.training.experiments import Run, curve, do_run, read_table, run_grid, write_table
from lib.training.grids import BLOCK_PARAMETERS, GRIDS, PASSES, SEEDS, SHAPES, shape
from lib.training.plots import best_by_shape, dropout_figure, shape_figure
from tests.library import ROOT


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
        count = LanguageModel(shape(layers, width)).count_parameters(embeddings=False)
        assert count == pytest.approx(BLOCK_PARAMETERS, rel=0.01)


@pytest.mark.parametrize("name", GRIDS)
def test_the_committed_tables_are_those_of_the_grids(name):
    """Each run of the grid, with all its evaluations, and nothing else."""
    rows = read_table(ROOT / "figures" / f"{name}_experiment.csv")
    runs = GRIDS[name]()
    assert list(dict.fromkeys(row["run"] for row in rows)) == [run.key for run in runs]
    assert len(rows) == 9 * len(runs)
    assert {row["seed"] for row in rows} == set(SEEDS)
    assert len(SEEDS) >= 3


def test_the_figures_can_be_drawn():
    rows = read_table(ROOT / "figures" / "dropout_experiment.csv")
    assert [ax.get_title(loc="left") for ax in dropout_figure(rows).axes] == [
        name.capitalize() for name in PASSES
    ]
    rows = read_table(ROOT / "figures" / "shape_experiment.csv")
    assert set(best_by_shape(rows)) == set(SHAPES)
    assert len(shape_figure(rows, "A title").axes) == 1
