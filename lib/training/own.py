"""A model of one's own from a text file: what `python -m lib.training` does with its options."""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import torch

from lib.commands import command
from lib.files import write_file
from lib.model import LanguageModel
from lib.tokenization import BPETokenizer
from lib.training import asked, planning, shapes
from lib.training.checkpoints import NAME, checkpoints
from lib.training.config import TrainingConfig
from lib.training.corpus import english_tokens, make_tokenizer, own_tokens
from lib.training.distributed import Processes
from lib.training.loop import train
from lib.training.record import Record, read_run

EVALUATIONS = 20  # in a run, and as many checkpoints


def train_own(options: argparse.Namespace, processes: Processes) -> None:
    """Tokenizer, tokens, model, plan, training: as the options say, on all processes alike.

    Raises ValueError with a sentence for whatever does not fit.
    """
    started = time.perf_counter()
    folder = Path(options.out) if options.out else None
    before = read_run(folder) if folder else None
    late = asked.unheeded(options, before) if before else ""
    done = _done(folder) if folder else 0
    processes.wait()  # all have looked before anything is written
    if processes.first:
        print(f"reading {options.data or 'the documentation of Python'} ...", flush=True)
    tokenizer, training, validation = _read(options, folder if before else None, processes)
    vocab_size = options.vocab_size or (tokenizer.vocab_size if tokenizer else 256)
    if (most := max(int(part.max()) for part in (training, validation))) >= vocab_size:
        raise ValueError(f"a token is {most}, and --vocab-size is only {vocab_size}")
    if (least := min(int(part.min()) for part in (training, validation))) < 0:
        raise ValueError(f"a token is {least}: tokens are counted from 0")
    prompt = _prompt(options, tokenizer, validation)
    torch.manual_seed(options.seed)  # all processes begin with the same weights
    model = LanguageModel(asked.shape(options, vocab_size))
    config = _settle(options, model, processes)
    steps, speed, evaluations = _steps(
        options, before, done, config, model, training, processes, started
    )
    if steps is None:
        if late:
            raise ValueError(
                f"{folder} is trained: {done} steps, so {late} would change nothing; leave it out, "
                "or give --out a new folder"
            )
        if processes.first:
            print(f"{folder} is trained: {done} steps. Give more --steps or --minutes to go on")
        return
    options.warmup = min(100, steps // 10) if options.warmup is None else options.warmup
    config = dataclasses.replace(config, warmup=options.warmup)
    config = planning.with_steps(config, steps, evaluations)
    given = {name: getattr(options, name) for name in ("evaluate_every", "checkpoint_every")}
    config = dataclasses.replace(config, **{k: v for k, v in given.items() if v is not None})
    if processes.first:
        _tell(options, model, config, training, validation, tokenizer)
        if speed:
            print(
                planning.advice(steps * speed.seconds_per_step, speed, model, config, len(training))
            )
    record = None
    if folder and processes.first:
        record = Record(folder, tokenizer, prompt)
        kept = {k: v for k, v in vars(options).items() if k not in asked.NOT_KEPT}
        record.start(model, kept, steps)
    processes.wait()
    alone = record if record and not options.fsdp else None  # a sharded model is in no one's hands
    history = train(
        model,
        training,
        config,
        validation,
        folder=folder / "checkpoints" if folder else None,
        on_start=record and record.on_start,
        on_evaluation=alone and alone.on_evaluation,
        processes=processes,
        shard=options.fsdp,
    )
    if processes.first:
        if options.history:
            write_file(options.history, json.dumps(history))
        if record:
            _finish(record, model, history, options.fsdp)
        _report(history, options, record, tokenizer, validation)


def _read(
    options: argparse.Namespace, folder: Path | None, processes: Processes
) -> tuple[BPETokenizer | None, np.ndarray, np.ndarray]:
    """Tokenizer, training tokens and validation tokens; the first process makes what is kept."""
    if options.data is None:
        tokenizer = make_tokenizer("bytes", "")
        return tokenizer, *english_tokens(options.context_length)
    if not processes.first:
        processes.wait()  # the first encodes the text, the others read what it wrote
    tokenizer = None
    if folder and (folder / "tokenizer.json").is_file():
        tokenizer = BPETokenizer.load(folder)
    elif Path(options.data).suffix != ".npy":
        tokenizer = make_tokenizer(options.tokenizer or asked.USUAL_TOKENIZER, options.data)
    parts = own_tokens(options.data, tokenizer, options.context_length, options.document_end)
    if processes.first:
        processes.wait()
    return tokenizer, *parts


def _settle(
    options: argparse.Namespace, model: LanguageModel, processes: Processes
) -> TrainingConfig:
    """The configuration so far; what the dial sets goes into the options."""
    if options.batch_size is None:
        options.batch_size = shapes.batch_size(processes.count, options.accumulate)
    if options.learning_rate is None:
        tokens = options.batch_size * options.context_length
        options.learning_rate = shapes.learning_rate(model.config, tokens)
    if options.precision is None:
        options.precision = "float32" if processes.device.type == "cpu" else "bfloat16"
    return asked.training_config(options)


def _done(folder: Path) -> int:
    found = checkpoints(folder / "checkpoints")
    return int(NAME.fullmatch(found[-1].name)[1]) if found else 0


def _steps(
    options: argparse.Namespace,
    before: dict | None,
    done: int,
    config: TrainingConfig,
    model: LanguageModel,
    tokens: np.ndarray,
    processes: Processes,
    started: float,
) -> tuple[int | None, planning.Speed | None, int]:
    """Steps in all (None where none is left to do), what was measured for it, evaluations."""
    planned = before["steps"] if before else 0
    ended = before is not None and before.get("ended", True)  # a kill may come after the last step
    steps = options.steps
    if steps is None and (done < planned or (before and not ended)):
        steps = planned
        if options.minutes is not None and processes.first:
            print(f"going on to the {planned} steps that were planned, whatever --minutes says")
    if steps is not None or (before and options.minutes is None):
        left = None if steps is None or (ended and steps == done) else steps
        return left, None, EVALUATIONS
    seconds = 60 * (asked.MINUTES if options.minutes is None else options.minutes)
    if processes.first:
        print("measuring how long a step takes ...", flush=True)
    speed = planning.rehearse(model, tokens, config, processes, options.fsdp)
    spent = torch.tensor(time.perf_counter() - started, device=processes.device)
    seconds -= processes.mean(spent).item()
    kept = dataclasses.replace(config, steps=planned).plateau if planned else 0
    evaluations = planning.evaluations_for(seconds, speed, config, EVALUATIONS)
    steps = planning.steps_for(seconds, speed, config, evaluations)
    return (kept or 0) + steps, speed, evaluations


def _prompt(
    options: argparse.Namespace, tokenizer: BPETokenizer | None, validation: np.ndarray
) -> list[int]:
    """What samples begin with: the option's text, or the first tokens that are held out."""
    if options.prompt is None or tokenizer is None:
        return validation[:8].tolist()
    ids = tokenizer.encode(options.prompt)
    if not 0 < len(ids) < options.context_length:
        raise ValueError(f"--prompt must have 1 to {options.context_length - 1} tokens")
    return ids


def _finish(record: Record, model: LanguageModel, history: list[dict], sharded: bool) -> None:
    if sharded:  # its weights are in all processes; the last checkpoint has them whole
        from safetensors.torch import load_file

        weights = load_file(checkpoints(record.folder / "checkpoints")[-1] / "model.safetensors")
        model = LanguageModel(model.config)
        model.load_state_dict(weights, strict=False)  # a tied head is there once
        for row in history:
            if row is history[-1]:
                record.on_evaluation(model, row)
    record.finish(model.cpu(), history)


def _tell(
    options: argparse.Namespace,
    model: LanguageModel,
    config: TrainingConfig,
    training: np.ndarray,
    validation: np.ndarray,
    tokenizer: BPETokenizer | None,
) -> None:
    shape = model.config
    print(
        f"{options.kind}, {shape.n_layers} layers, {shape.d_model} wide, {shape.n_heads} heads: "
        f"{model.count_parameters():,} parameters, {shape.vocab_size:,} tokens in the vocabulary\n"
        f"text: {len(training):,} tokens to learn from, {len(validation):,} held out"
        + (f", {_bytes_per_token(tokenizer, validation):.2f} bytes each" if tokenizer else "")
        + f"\n{config.steps:,} steps of {config.batch_size} x {config.context_length} tokens, "
        f"learning rate {config.learning_rate:g}, {config.precision}",
        flush=True,
    )


def _bytes_per_token(tokenizer: BPETokenizer, tokens: np.ndarray) -> float:
    some = tokens[:50_000].tolist()
    return len(tokenizer.decode_bytes(some)) / len(some)


def _report(
    history: list[dict],
    options: argparse.Namespace,
    record: Record | None,
    tokenizer: BPETokenizer | None,
    validation: np.ndarray,
) -> None:
    last = history[-1]
    print(f"step {last['step']}: loss {last['loss']:.4f}, validation {last['validation_loss']:.4f}")
    if record:
        best = record.state["best"]
        words = f"best: step {best['step']}, {best['validation_loss']:.3f} nats per token"
        if tokenizer:
            per_byte = best["validation_loss"] / _bytes_per_token(tokenizer, validation)
            words += f", {per_byte:.3f} per byte"
        print(f'{words}\nNow: {command("lib.generation")} {options.out} "Once"')
