"""From a text file to a chat by commands: train, stop, resume, go on, sample, fine-tune, export."""

import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from lib import commands
from lib.corpora import english
from lib.downloads import DownloadError
from lib.generation import GenerationConfig, generate
from lib.generation import __main__ as writing
from lib.pretrained import load_pretrained
from lib.reasoning.sft import __main__ as learning
from lib.training import __main__ as command
from lib.training import loop, planning, shapes
from lib.training.checkpoints import checkpoints
from lib.training.planning import Speed, evaluations_for, steps_for
from tests.library import ROOT

SMALL = ["--device", "cpu", "--depth", "1", "--context-length", "64", "--batch-size", "4",
         "--evaluation-sequences", "8", "--tokenizer"]  # fmt: skip
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "PYTHONPATH": str(ROOT)}


def python(*arguments, text=None):
    result = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        env=ENVIRONMENT, input=text, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module", autouse=True)
def _short():
    """Samples of a few tokens, and speed measured in half a second: most of the time goes there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lib.training.record.LENGTH", 12)
        patch.setattr("lib.training.planning.rehearse", partial(planning.rehearse, seconds=0.5))
        yield


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "my.txt"
    path.write_text(english(60_000))
    return path


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory):
    """A run that was killed in its midst and ended by the same command; and its output."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    arguments = ["lib.training", "--data", text, "--out", folder, *SMALL, "bpe:400"]
    arguments += [
        "--evaluate-every",
        20,
        "--checkpoint-every",
        6,
        "--steps",
        60,
        "--kind",
        "qwen3",
        "--prompt",
        "The ",
    ]
    command_line = [sys.executable, "-m", *map(str, arguments)]
    with subprocess.Popen(command_line, env=ENVIRONMENT, stdout=subprocess.DEVNULL) as process:
        while len(checkpoints(folder / "checkpoints")) < 2 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert command.main(list(map(str, arguments[1:]))) == 0
    return folder, printed.getvalue()


def test_a_killed_run_ends_as_if_it_had_not_been(trained, text, tmp_path):
    folder, printed = trained
    assert "1 layers, 32 wide, 1 heads" in printed
    whole = tmp_path / "whole"
    options = ["--data", str(text), "--out", str(whole), *SMALL, "bpe:400", "--steps", "60"]
    options += ["--evaluate-every", "20", "--checkpoint-every", "50"]
    assert command.main([*options, "--kind", "qwen3", "--prompt", "The "]) == 0
    for ours, theirs in zip(*map(load_weights, (folder, whole)), strict=True):
        torch.testing.assert_close(ours, theirs, atol=0, rtol=0)
    assert (folder / "curve.csv").read_text() == (whole / "curve.csv").read_text()


def load_weights(folder):
    return [w for part in (folder, folder / "last") for w in load_pretrained(part)[0].parameters()]


def test_it_leaves_a_model_a_curve_and_samples(trained):
    folder, printed = trained
    with (folder / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(61))
    measured = [float(row["validation_loss"]) for row in rows if row["validation_loss"]]
    assert measured[-1] < measured[0] - 0.5
    best = json.loads((folder / "run.json").read_text())["best"]
    assert best["validation_loss"] == min(measured)
    assert f"best: step {best['step']}" in printed
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "--- step 60" in (folder / "samples.txt").read_text()


@pytest.mark.parity("a folder trained by one command: logits, ids, text", "transformers", "1e-4")
@pytest.mark.parametrize("kind", ["trained", "bytes"])
def test_transformers_opens_it(kind, trained, text, tmp_path):
    folder = trained[0]
    if kind == "bytes":
        folder = tmp_path / "bytes"
        options = ["--data", str(text), "--out", str(folder), *SMALL, "bytes", "--steps", "5"]
        assert command.main([*options, "--kind", "gpt2"]) == 0
    model, tokenizer = load_pretrained(folder)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    prompt = "The naïve 🏔️ function\n  returns"
    ids = tokenizer.encode(prompt)
    assert their_tokenizer.encode(prompt) == ids
    assert their_tokenizer.decode(ids) == tokenizer.decode(ids) == prompt
    batch = torch.tensor([ids])
    with torch.no_grad():
        torch.testing.assert_close(theirs(batch).logits, model(batch), atol=1e-4, rtol=1e-4)


def test_a_run_goes_on_as_a_longer_one_would_have_gone(text, tmp_path):
    def train(folder, steps):
        options = ["--data", str(text), "--out", str(tmp_path / folder), *SMALL, "bytes"]
        history = tmp_path / f"{folder}.json"
        options += ["--steps", str(steps), "--warmup", "4", "--history", str(history)]
        options += ["--evaluate-every", "10"]
        assert command.main(options) == 0
        return json.loads(history.read_text())

    assert train("two", 20)[-1]["step"] == 20
    assert train("two", 40) == train("one", 40)  # from the end of the plateau, step 17


@pytest.mark.parametrize("killed_in", ["_finish", "_report"])
def test_a_run_killed_after_its_last_step_is_ended_by_the_same_command(
    text, tmp_path, monkeypatch, killed_in
):
    """Its checkpoints are all there, the last weights, curve and history perhaps not."""

    def run(name):
        options = ["--data", str(text), "--out", str(tmp_path / name), *SMALL, "bytes"]
        options += ["--steps", "4", "--history", str(tmp_path / f"{name}.json")]
        return command.main(options)

    def kill(*_):
        raise SystemExit

    assert run("whole") == 0
    with monkeypatch.context() as patch:
        patch.setattr(f"lib.training.own.{killed_in}", kill)
        with pytest.raises(SystemExit):
            run("killed")
    if killed_in == "_finish":
        (tmp_path / "killed.json").unlink()
        assert run("killed") == 0
    assert (tmp_path / "killed.json").read_text() == (tmp_path / "whole.json").read_text()
    for name in ("curve.csv", "curve.png", "last/model.safetensors"):
        whole, killed = (tmp_path / run / name for run in ("whole", "killed"))
        assert whole.read_bytes() == killed.read_bytes()


def test_a_longer_run_killed_before_its_next_evaluation_goes_on_to_its_new_end(
    text, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    options = ["--data", str(text), "--out", str(folder), *SMALL, "bytes"]
    options += ["--evaluate-every", "100", "--checkpoint-every", "2", "--schedule", "constant"]
    assert command.main([*options, "--steps", "4"]) == 0

    def killed(*arguments):
        if not left.pop():
            raise KeyboardInterrupt
        return step(*arguments)

    left, step = [False, True, True, True], loop.training_step
    with monkeypatch.context() as patch:
        patch.setattr("lib.training.loop.training_step", killed)
        assert command.main([*options, "--steps", "10"]) == 130
    assert command.main(options) == 0
    assert checkpoints(folder / "checkpoints")[-1].name == "step-00000010"
    assert json.loads((folder / "run.json").read_text())["steps"] == 10


def test_minutes_choose_the_steps(text, tmp_path, capsys):
    folder = tmp_path / "run"
    options = ["--data", str(text), "--out", str(folder), *SMALL, "bytes", "--minutes", "0.05"]
    assert command.main(options) == 0
    assert "Chinchilla's law" in capsys.readouterr().out
    steps = json.loads((folder / "run.json").read_text())["steps"]
    assert checkpoints(folder / "checkpoints")[-1].name == f"step-{steps:08d}"
    assert command.main(["--out", str(folder)]) == 0
    assert f"is trained: {steps} steps" in capsys.readouterr().out


def test_steps_fill_the_time_beside_evaluations():
    config = command.TrainingConfig(steps=1, batch_size=16, evaluation_sequences=40)
    # 21 evaluations of 40 sequences cost as much as 21 * 40 / 16 * 0.4 = 21 steps
    assert steps_for(100.0, Speed(0.1, 1e9), config, 20) == 950 - 21
    # one of them takes a second here: a fifth of the time, less the one before the first step
    assert evaluations_for(100.0, Speed(1.0, 1e9), config, 30) == 19
    assert evaluations_for(9.0, Speed(1.0, 1e9), config, 20) == 2
    assert evaluations_for(1e4, Speed(1.0, 1e9), config, 20) == 20
    with pytest.raises(ValueError, match="evaluating 42 s, so that only 0 steps fit into 1 s"):
        steps_for(1.0, Speed(2.0, 1e9), config, 20)


def test_the_dial_makes_models_of_its_size_and_slower_rates():
    small, large = (shapes.shape("llama", 256, 64, depth) for depth in (2, 6))
    assert (small.d_model, small.n_heads, large.d_model, large.n_heads) == (64, 2, 192, 6)
    assert shapes.learning_rate(large, 1024) < shapes.learning_rate(small, 1024)
    assert shapes.learning_rate(small, 4096) == pytest.approx(2 * shapes.learning_rate(small, 1024))
    assert [shapes.batch_size(n) for n in (1, 2, 3, 5)] == [16, 16, 18, 20]
    by_hand = shapes.shape("gpt2", 256, 64, 3, width=40, heads=4, feedforward=80)
    assert (by_hand.n_layers, by_hand.d_model, by_hand.d_ff) == (3, 40, 80)


def test_it_writes_and_chats(trained, tmp_path, capsys):
    folder = trained[0]
    assert writing.main([str(folder), "The", "--max-new-tokens", "12", "--no-do-sample"]) == 0
    once = capsys.readouterr().out
    tokenizer = load_pretrained(folder)[1]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
    ids = torch.tensor([tokenizer.encode("The")])
    expected = theirs.generate(ids, max_new_tokens=12, do_sample=False)
    assert once.rstrip("\n") == tokenizer.decode(expected[0].tolist()).rstrip("\n")

    chat = [{"role": "system", "content": "Add."}]
    chat += [{"role": "user", "content": "1+1"}, {"role": "assistant", "content": "two"}]
    chat += [{"role": "user", "content": "sure?"}, {"role": "assistant", "content": "yes"}]
    (tmp_path / "chats.jsonl").write_text(f"{json.dumps({'messages': chat})}\n" * 8)
    out = tmp_path / "chat"
    arguments = [
        folder,
        "--chats",
        tmp_path / "chats.jsonl",
        "--out",
        out,
        "--passes",
        120,
        "--learning-rate",
        "5e-3",
    ]
    assert learning.main(list(map(str, arguments))) == 0
    assert "8 chats to learn from" in capsys.readouterr().out
    options = ["--chat", "--system", "Add.", "--no-do-sample", "--max-new-tokens", 8]
    said = python("lib.generation", out, *options, text="1+1\n\nsure?\n")
    assert said.split() == ["two", "yes"]
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    rendered = their_tokenizer.apply_chat_template(chat, tokenize=False)
    assert rendered.count("<|im_end|>") == 5


def test_a_setting_of_a_draw_is_a_wish_to_draw(trained, capsys):
    model, tokenizer = load_pretrained(trained[0])
    arguments = [str(trained[0]), "The", "--temperature", "0.5", "--seed", "1"]
    assert writing.main([*arguments, "--max-new-tokens", "9"]) == 0
    ids = torch.tensor([tokenizer.encode("The")])
    drawn = GenerationConfig(
        do_sample=True, temperature=0.5, seed=1, max_new_tokens=9, eos_token_id=tokenizer.stop_ids
    )
    new = [i for i in generate(model, ids, drawn).new_ids[0].tolist() if i not in drawn.stop_ids]
    assert capsys.readouterr().out == "The" + tokenizer.decode(new) + "\n"
    assert writing.main([*arguments, "--no-do-sample"]) == 2
    assert "temperature: no effect without do_sample=True" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tokenizer", "bpe"], "tokenizer 'bpe' is neither 'bytes' nor like 'bpe:2048'"),
        (["--tokenizer", "bpe:12"], r"bpe:SIZE must be an integer in \[300, 1e6\], got 12"),
        (["--tokenizer", "bpe:99999"], r"too little text for bpe:99999: it gives \d+ tokens"),
        (["--data", "latin1.txt", "--tokenizer", "bpe:300"], "latin1.txt is not UTF-8: byte 0xe9"),
        (["--data", "empty.txt", "--tokenizer", "bpe:300"], "empty.txt is empty; give a text of"),
        (["--data", "."], "there is no file .: --data is a text file of yours"),
        (["--context-length", "9999"], r"Give a text of at least 99,\d+ tokens"),
        (["--depth", "2", "--width", "65"], "heads must divide the width 65 into even parts"),
        (["--depth", "2", "--size", "tiny"], "--size is a --depth by name"),
        (["--minutes", "1", "--steps", "9"], "--steps and --minutes both say when to end"),
        (["--minutes", "1e-9"], "the time is over before training begins"),
        (["--minutes", "0"], r"--minutes must be .*got 0"),
        (["--minutes", "nan"], r"--minutes must be .*got nan"),
        (["--depth", "0"], "got 0"),
        (["--steps", "9", "--learning-rate", "1e30"], "training stopped at step"),
        (["--steps", "9", "--out", "note.txt"], "--out note.txt is a file: give a folder"),
        (["--steps", "9", "--out", "note.txt/new"], "note.txt/new: note.txt is a file"),
        (["--steps", "9", "--history", "new/h.json"], "--history new/h.json: give a file, in a"),
        (["--tokenizer", "."], r"tokenizer '\.' is neither 'bytes' nor like 'bpe:2048'"),
        (["--tokenizer", ""], "--tokenizer is empty: give it a value, or leave it out"),
        (["--batch-size", "-1"], "--batch-size must be an integer at least 1, got -1"),
        (["--seed", "9" * 20], "--seed must be an integer at least 0, got 999"),
        (["--steps", "-1"], r"--steps must be an integer in \[1, 1e8\), got -1"),
        (["--vocab-size", "0"], r"--vocab-size must be an integer in \[1, 1e9\], got 0"),
        (
            ["--data", "tokens.npy", "--vocab-size", "9"],
            "--tokenizer is for a text, and tokens.npy",
        ),
        (["--steps", "9", "--out", "."], r"holds other files, and no run\.json"),
        (["--prompt", "", "--out", "new", "--steps", "9"], "--prompt must have 1 to 255 tokens"),
    ],
)
def test_each_refusal_is_a_sentence(text, tmp_path, monkeypatch, capsys, arguments, message):
    (tmp_path / "note.txt").write_text("mine")
    (tmp_path / "latin1.txt").write_bytes(b"caf\xe9 " * 9000)
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "tokens.npy").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    usual = [] if "--depth" in arguments else ["--depth", "1"]
    tokens = [] if "--tokenizer" in arguments else ["--tokenizer", "bytes"]
    options = ["--device", "cpu", "--data", str(text), *usual, *tokens, *arguments]
    assert command.main(options) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "new").exists()


def test_a_finished_run_refuses_what_would_change_its_steps(trained, capsys):
    folder = trained[0]
    before = (folder / "run.json").read_text()
    for arguments, message in (
        (["--steps", "65", "--seed", "3"], "seed was 0, is 3"),
        (["--steps", "65", "--tokenizer", "bpe:401"], "--tokenizer bpe:401: the run in"),
        (["--steps", "65", "--width", "64"], "model.d_model was 32, is 64"),
        (["--steps", "50"], "has done 60 steps, more than steps=50"),
        (["--size", "small"], "--size small is --depth 6: the run in"),
        (["--width", "64"], "60 steps, so --width 64 would change nothing"),
    ):
        assert command.main(["--device", "cpu", "--out", str(folder), *arguments]) == 2
        assert message in capsys.readouterr().err
    assert (folder / "run.json").read_text() == before
    assert np.isfinite(json.loads(before)["best"]["validation_loss"])


@pytest.mark.parametrize("main", [command.main, writing.main, learning.main])
def test_a_wrong_flag_is_said_in_a_line_with_the_right_one(main, capsys):
    flag, near = ("--chatz", "--chats") if main is learning.main else ("--seedd", "--seed")
    given = ["m", "--chats", "c"] if main is learning.main else []
    with pytest.raises(SystemExit, match="2"):
        main([*(["m"] if main is writing.main else given), flag, "3"])
    said = capsys.readouterr().err
    assert f"{flag} 3 (did you mean {near}?); --help lists all flags" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [["--batch-size", "0"], ["--tokenizer", "bytes", "--out", "."], ["--weight-decay", "nan"]],
)
def test_what_the_options_say_is_checked_before_the_text_is_read(
    text, tmp_path, monkeypatch, capsys, options
):
    monkeypatch.chdir(text.parent)
    arguments = ["--data", "my.txt", "--out", str(tmp_path / "new"), *options]
    assert command.main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--passes", "inf"], r"--passes must be in \(0, 1e6\], got inf"),
        (["--passes", "0"], r"--passes must be in \(0, 1e6\], got 0"),
        (["--batch-size", "0"], "batch_size must be an integer at least 1, got 0"),
        (["--out", "chats.jsonl/new"], "chats.jsonl is a file, so give a name beside it"),
        (["--out", ""], "exists already: give --out a new folder"),
        (["--chats", "latin1.jsonl"], "latin1.jsonl is not UTF-8: byte 0xe9"),
        (["--chats", "robot.jsonl"], "line 1 is no chat .role must be one of system, user, assis"),
    ],
)
def test_each_refusal_of_fine_tuning_is_a_sentence_before_any_work(
    trained, tmp_path, monkeypatch, capsys, arguments, message
):
    chat = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    (tmp_path / "chats.jsonl").write_text(json.dumps(chat))
    (tmp_path / "robot.jsonl").write_text(json.dumps(chat).replace("user", "robot"))
    (tmp_path / "latin1.jsonl").write_bytes(b"caf\xe9")
    monkeypatch.chdir(tmp_path)
    given = [str(trained[0]), "--chats", "chats.jsonl", "--out", "new", *arguments]
    assert learning.main(given) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert re.search(message, said.err)
    assert not (tmp_path / "new").exists()


def test_the_prompt_is_printed_once_whatever_comes(trained, monkeypatch, capsys):
    for pieces in ((), ("", "", "x")):
        monkeypatch.setattr(writing, "stream_text", lambda *_, pieces=pieces: iter(pieces))
        assert writing.main([str(trained[0]), "The", "--quiet"]) == 0
        assert capsys.readouterr().out == "The" + "".join(pieces) + "\n"


def test_what_is_refused_is_not_begun_to_be_written(trained, capsys):
    assert writing.main([str(trained[0]), "The", "--max-new-tokens", "999"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "shorten the prompt or max_new_tokens" in said.err
    with pytest.raises(SystemExit, match="2"):
        writing.main([str(trained[0]), "The", "--temperature"])
    assert "did you mean" not in capsys.readouterr().err


def test_the_command_that_is_named_runs_where_the_reader_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(Path.cwd() / ".venv" / "bin" / "python"))
    assert commands.command("lib.generation") == ".venv/bin/python -m lib.generation"
    monkeypatch.setattr(sys, "executable", "/elsewhere/python")
    assert commands.command("lib.generation") == "python -m lib.generation"


def test_a_near_name_of_a_folder_is_named(trained, monkeypatch, capsys):
    def nothing(*_, **__):
        raise OSError

    monkeypatch.setattr("huggingface_hub.snapshot_download", nothing)
    folder = trained[0]
    monkeypatch.chdir(folder.parent.parent)
    wrong = f"{folder.parent.name}/{folder.name}x"
    for name, right in ((wrong, wrong[:-1]), ("smolm2-135m-instruct", "smollm2-135m-instruct")):
        with pytest.raises((ValueError, DownloadError), match=f"did you mean {right}"):
            load_pretrained(name)
    Path("chats.jsonl").write_text('[{"role": "user", "content": "a"}]')
    assert learning.main([wrong, "--chats", "chats.jsonl"]) == 2
    assert f"did you mean {wrong[:-1]}" in capsys.readouterr().err
