import dataclasses
import json
import math
import multiprocessing
import random
import shutil
import signal
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import lib.training.__main__
from lib.model import LanguageModel, ModelConfig
from lib.training import TrainingConfig, train
from lib.training.checkpoints import checkpoints, random_state, set_random_state
from lib.training.optimizer import make_optimizer

SMALL = dict(vocab_size=97, context_length=16, d_model=32, n_layers=2, n_heads=4, d_ff=64)

CONFIG = TrainingConfig(
    steps=14, batch_size=4, context_length=16, evaluate_every=4, checkpoint_every=3
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tokens):
    """The folder of a run that has ended."""
    folder = tmp_path_factory.mktemp("finished")
    train(LanguageModel(ModelConfig.gpt2(**SMALL)), tokens[0], CONFIG, folder=folder)
    return folder


class Stop(Exception):
    pass


def stop_at(step):
    def on_evaluation(_, row):
        if row["step"] == step:
            raise Stop

    return on_evaluation


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize(("step", "tie"), [(4, True), (8, False), (14, True)])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(new_model, tokens, tmp_path, step, tie):
    """With dropout, whose random numbers must go on too."""
    new = {"dropout": 0.1, "tie_embeddings": tie}
    model = new_model(**new)
    expected = train(model, tokens[0], CONFIG, tokens[1])
    with pytest.raises(Stop):
        train(
            new_model(**new), tokens[0], CONFIG, tokens[1],
            folder=tmp_path, on_evaluation=stop_at(step),
        )  # fmt: skip
    torch.rand(7)
    resumed = new_model(**new)
    assert train(resumed, tokens[0], CONFIG, tokens[1], folder=tmp_path) == expected
    assert same_weights(model, resumed)
    assert (resumed.head.weight is resumed.embedding.weight) == tie
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000012", "step-00000014"]
    assert train(new_model(**new), tokens[0], CONFIG, tokens[1], folder=tmp_path) == expected


def command(folder, history):
    arguments = {
        "steps": 20, "batch-size": 2, "context-length": 16, "evaluation-sequences": 4,
        "evaluate-every": 5, "checkpoint-every": 1, "dropout": 0.1, "device": "cpu",
        "out": folder, "history": history, "tokenizer": "bytes", "depth": 1,
    }  # fmt: skip
    flags = [text for name, value in arguments.items() for text in (f"--{name}", str(value))]
    return flags


def test_a_killed_process_loses_nothing(tmp_path, monkeypatch):
    """SIGKILL at arbitrary moments, most of them while a checkpoint is being written.

    The processes are forked from one that has imported all: that takes longer than the training.
    """
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    main, out = lib.training.__main__.main, tmp_path / "killed"
    assert main(command(tmp_path / "whole", tmp_path / "whole.json")) == 0
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["lib.training.__main__", "torch._dynamo", "matplotlib.figure"])
    again = command(out, tmp_path / "killed.json")
    kills, dice = 0, random.Random()
    folder = out / "checkpoints"
    for _ in range(8):  # a start, two kills at most, and one to spare for each
        if (tmp_path / "killed.json").exists():
            break
        done = len(list(folder.glob("step-*"))) and checkpoints(folder)[-1].name
        process = forks.Process(target=main, args=(again,))
        process.start()
        while process.is_alive() and kills < 2:
            if folder.exists() and checkpoints(folder) and checkpoints(folder)[-1].name != done:
                time.sleep(dice.uniform(0, 0.3))
                process.kill()
                process.join()
                kills += process.exitcode == -signal.SIGKILL
            time.sleep(0.01)
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
    assert kills
    histories = [json.loads((tmp_path / f"{n}.json").read_text()) for n in ("whole", "killed")]
    assert histories[0] == histories[1]
    for name in ("model.safetensors", "optimizer.safetensors"):
        whole, killed = (
            load_file(tmp_path / run / "checkpoints" / "step-00000020" / name)
            for run in ("whole", "killed")
        )
        assert whole.keys() == killed.keys()
        assert all(torch.equal(whole[key], killed[key]) for key in whole)


def test_an_unfinished_checkpoint_is_not_seen(new_model, tokens, tmp_path, monkeypatch):

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("lib.training.checkpoints.save_file", fail)
    with pytest.raises(OSError, match="no space"):
        train(new_model(), tokens[0], CONFIG, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []  # what was begun is gone
    assert checkpoints(tmp_path) == []


def test_random_numbers_go_on():
    device = torch.device("cpu")
    state = json.loads(json.dumps(random_state(device)))
    expected = torch.rand(5)
    torch.rand(99)
    set_random_state(state, device)
    assert torch.equal(torch.rand(5), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.5}, "learning_rate was 0.001, is 0.5"),
        ({"steps": 15}, r"would have given step 2 a learning rate of .*, not .*Keep steps=14"),
        ({"steps": 13}, "has done 14 steps, more than steps=13"),
        ({"accumulate": 2}, "accumulate was 1, is 2"),
    ],
)
def test_another_run_is_not_continued(finished, new_model, tokens, changes, message):
    with pytest.raises(ValueError, match=message):
        train(new_model(), tokens[0], TrainingConfig(**vars(CONFIG) | changes), folder=finished)
    with pytest.raises(ValueError, match=r"model\.d_ff was 64, is 48"):
        train(new_model(d_ff=48), tokens[0], CONFIG, folder=finished)
    with pytest.raises(ValueError, match="tokens was "):
        train(new_model(), tokens[0][::-1].copy(), CONFIG, folder=finished)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["cut", "removed", "garbage"])
def test_a_damaged_checkpoint_is_named(finished, new_model, tokens, tmp_path, name, damage):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    file = checkpoints(tmp_path)[-1] / name
    content = file.read_bytes()
    file.unlink()
    if damage != "removed":
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"\x80\x04garbage")
    with pytest.raises(ValueError, match="checkpoint step-00000014 is damaged"):
        train(new_model(), tokens[0], CONFIG, folder=tmp_path)


def test_a_checkpoint_holds_adam(new_model, tokens, tmp_path):
    """Its two means and its count, under the names of the weights, and no pickle."""
    model = new_model()
    train(model, tokens[0], CONFIG, folder=tmp_path)
    names = {name for name, _ in model.named_parameters()}
    tensors = load_file(checkpoints(tmp_path)[-1] / "optimizer.safetensors")
    assert {key.split("/")[0] for key in tensors} == names
    assert {key.split("/")[1] for key in tensors} == {"exp_avg", "exp_avg_sq", "step"}
    assert all(tensors[f"{name}/step"] == 14 for name in names)
    assert np.isfinite(tensors["embedding.weight/exp_avg"]).all()
    assert isinstance(make_optimizer(model, 1e-3), torch.optim.AdamW)


@pytest.mark.parametrize("schedule", ["constant", "stable_decay"])
def test_a_finished_run_goes_on(new_model, tokens, tmp_path, schedule):
    """With more steps, it is the run that had them from the start; other rhythms are welcome."""
    short = TrainingConfig(**vars(CONFIG) | {"schedule": schedule, "steps": 4})
    long = TrainingConfig(
        **vars(short)
        | {"steps": 9, "evaluate_every": 2, "checkpoint_every": 7, "checkpoint_activations": True}
    )
    train(new_model(dropout=0.1), tokens[0], short, tokens[1], folder=tmp_path)
    gone_on, whole = new_model(dropout=0.1), new_model(dropout=0.1)
    history = train(gone_on, tokens[0], long, tokens[1], folder=tmp_path)
    expected = train(whole, tokens[0], long, tokens[1])
    loss = [[row["loss"] for row in rows[1:]] for rows in (history, expected)]
    assert loss[0] == loss[1]
    assert same_weights(gone_on, whole)


def test_a_run_cannot_go_on_after_its_decay(new_model, tokens, tmp_path):
    """Where the checkpoint at the end of its plateau is gone; with it, the run goes on."""
    config = dict(batch_size=4, context_length=16, schedule="stable_decay")
    train(new_model(), tokens[0], TrainingConfig(10, **config), folder=tmp_path)
    for path in checkpoints(tmp_path)[:-1]:
        shutil.rmtree(path)
    with pytest.raises(ValueError, match=r"step 10 a learning rate of 0\.001, not 0\.0005"):
        train(new_model(), tokens[0], TrainingConfig(20, **config), folder=tmp_path)
    with pytest.raises(ValueError, match="take a checkpoint of step 9 or before"):
        train(new_model(), tokens[0], TrainingConfig(20, **config), folder=tmp_path)


def test_only_our_own_folders_are_pruned_or_resumed(new_model, tokens, tmp_path):
    others = ["step-00000003-best", "step-best", "step-1", "step-000000999", "step-0000000x"]
    others += ["step-\uff10\uff10\uff10\uff10\uff10\uff10\uff10\uff11", "step-0000000\u0661"]
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / "step-00000099").write_text("a file")
    train(new_model(), tokens[0], CONFIG, folder=tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {*others, "step-00000099", "step-00000012", "step-00000014"}
    assert len(train(new_model(), tokens[0], CONFIG, folder=tmp_path)) == 14


def test_a_checkpoint_that_lies_elsewhere_stays(new_model, tokens, tmp_path):
    steady = dataclasses.replace(CONFIG, schedule="constant", warmup=0)
    train(new_model(), tokens[0], steady, folder=tmp_path / "run")
    old = checkpoints(tmp_path / "run")[0]
    old.rename(tmp_path / "elsewhere")
    old.symlink_to(tmp_path / "elsewhere")
    more = dataclasses.replace(steady, steps=20)
    train(new_model(), tokens[0], more, folder=tmp_path / "run")
    assert old.is_symlink()
    assert (tmp_path / "elsewhere" / "state.json").is_file()


def rewrite(change, name):
    def edit(path):
        tensors = load_file(path / name)
        change(tensors)
        save_file(tensors, path / name)

    return edit


def edit_state(change):
    def edit(path):
        state = json.loads((path / "state.json").read_text())
        (path / "state.json").write_text(json.dumps(change(state)))

    return edit


WEIGHT = "embedding.weight"
MEAN = f"{WEIGHT}/exp_avg"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            rewrite(lambda t: t.pop("embedding.weight"), "model.safetensors"),
            "weight is missing",
        ),
        (
            rewrite(lambda t: t.update(other=torch.ones(2)), "model.safetensors"),
            "other is unknown",
        ),
        (
            rewrite(
                lambda t: t.update({"embedding.weight": torch.ones(97, 31)}), "model.safetensors"
            ),
            r"of shape \(97, 31\), not torch.float32 of \(97, 32\)",
        ),
        (
            rewrite(lambda t: t["embedding.weight"][5, 5].fill_(math.nan), "model.safetensors"),
            "embedding.weight has a NaN",
        ),
        (rewrite(lambda t: t.pop(MEAN), "optimizer.safetensors"), f"{MEAN} is missing"),
        (rewrite(lambda t: t[MEAN].fill_(math.inf), "optimizer.safetensors"), f"{MEAN} has a NaN"),
        *(
            (
                rewrite(
                    lambda t, part=part, value=value: t[f"{WEIGHT}/{part}"].fill_(value),
                    "optimizer.safetensors",
                ),
                f"damaged .{WEIGHT}/{part} has a value outside 0 .. {most}",
            )
            for part, value, most in [
                ("exp_avg_sq", -1e-9, "inf"),
                ("step", -1, 14),
                ("step", 15, 14),
            ]
        ),
        *(
            (
                edit_state(lambda state, key=key: {k: v for k, v in state.items() if k != key}),
                f"state.json needs '{key}'",
            )
            for key in ("step", "settings", "optimizer", "random", "history")
        ),
        (edit_state(lambda state: [1]), "state.json needs 'step'"),
        (edit_state(lambda state: state | {"step": 13}), "state.json says step 13"),
        (edit_state(lambda state: state | {"history": "none"}), "needs 'history', a JSON list"),
        (edit_state(lambda state: state | {"random": [{}]}), "damaged"),
        (edit_state(lambda state: state | {"optimizer": [{"lr": 1}]}), "damaged"),
        (edit_state(lambda state: state | {"history": [1]}), "no rows under 'history'"),
        (edit_state(lambda state: state | {"random": [{"cpu": [300] * 5056}]}), "no generator's"),
        *(
            (edit_state(lambda state, c=change: state["optimizer"][0].update(c) or state), message)
            for change, message in [
                ({"betas": [2, 3]}, "another betas"),
                ({"eps": math.nan}, "another eps"),
                ({"params": ["embedding.weight"]}, "another params"),
            ]
        ),
        (lambda path: (path / "state.json").write_text("[" * 100_000), "damaged"),
        (edit_state(lambda state: state | {"settings": {}}), "belongs to another run: .* was None"),
    ],
)
def test_a_checkpoint_that_lacks_something_is_refused(
    finished, new_model, tokens, tmp_path, damage, message
):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    damage(checkpoints(tmp_path)[-1])
    model = new_model()
    before = [weight.clone() for weight in model.parameters()]
    with pytest.raises(ValueError, match=message):
        train(model, tokens[0], CONFIG, folder=tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
