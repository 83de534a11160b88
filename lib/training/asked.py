"""What is asked of `python -m lib.training`, looked at before anything is read or written."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from lib.model import ModelConfig
from lib.settings import require
from lib.training import shapes
from lib.training.config import RANGES, TrainingConfig

MINUTES = 5.0  # where neither steps nor minutes are given
USUAL_TOKENIZER = "bpe:2048"
# What follows from the number of steps, or is no part of a run that goes on.
NOT_KEPT = ("out", "steps", "minutes", "history", "device", "fsdp", "evaluate_every")
NOT_KEPT += ("checkpoint_every", "size")


def check_options(options: argparse.Namespace, run: dict[str, Any] | None) -> None:
    """Raise ValueError for what is wrong by itself, or in the run that goes on; settles the depth.

    The options are those of the command line, and for what it leaves out those of the run.
    """
    for name, value in vars(options).items():
        if value == "" and name != "prompt":
            raise ValueError(f"{flag(name)} is empty: give it a value, or leave it out")
    for name, interval in (RANGES | {"minutes": "(0, 1e6)", "vocab_size": "[1, 1e9]"}).items():
        if (value := getattr(options, name, None)) is not None:
            require(flag(name), value, interval, whole=not isinstance(value, float))
    if options.steps is not None and options.minutes is not None:
        raise ValueError("--steps and --minutes both say when to end: give one of the two")
    if options.size:
        depth = shapes.SIZES[options.size]
        if run and options.depth != depth:
            raise ValueError(
                f"--size {options.size} is --depth {depth}: the run in {options.out} has "
                f"{options.depth}; leave --size out, or give --out a new folder"
            )
        if not run and options.depth is not None:
            raise ValueError("--size is a --depth by name: give one of the two")
    if options.depth is None:
        options.depth = shapes.SIZES[options.size or "tiny"]
    shape(options, options.vocab_size or 256)
    training_config(options)
    _check_files(options)
    if run and (had := run["options"].get("tokenizer")) != options.tokenizer:
        raise ValueError(
            f"--tokenizer {options.tokenizer}: the run in {options.out} has "
            f"{had or USUAL_TOKENIZER}; leave --tokenizer out, or give --out a new folder"
        )


def _check_files(options: argparse.Namespace) -> None:
    data, history = options.data and Path(options.data), options.history and Path(options.history)
    if data is None and options.tokenizer not in (None, "bytes"):
        raise ValueError("--tokenizer needs --data, a text file of yours; without it, bytes")
    if data and not data.is_file():
        raise ValueError(f"there is no file {data}: --data is a text file of yours")
    if data and data.suffix == ".npy":
        if not options.vocab_size:
            raise ValueError("--data with .npy needs --vocab-size: the array does not tell it")
        for name in ("tokenizer", "prompt", "document_end"):
            if getattr(options, name) is not None:
                raise ValueError(f"{flag(name)} is for a text, and {data.name} holds tokens")
    if history and (history.is_dir() or not history.absolute().parent.is_dir()):
        raise ValueError(f"--history {history}: give a file, in a folder that exists")


def unheeded(options: argparse.Namespace, run: dict[str, Any]) -> str:
    """The flags that differ from those of a run that has ended, where nothing is left to do."""
    now = {k: list(v) if isinstance(v, tuple) else v for k, v in vars(options).items()}
    changed = [k for k, v in run["options"].items() if k not in NOT_KEPT and now.get(k, v) != v]
    return ", ".join(f"{flag(name)} {now[name]}" for name in changed)


def shape(options: argparse.Namespace, vocab_size: int) -> ModelConfig:
    """The model that is asked for. Raises ValueError for sizes that make none."""
    return shapes.shape(
        options.kind,
        vocab_size,
        options.context_length,
        options.depth,
        width=options.width,
        heads=options.heads,
        feedforward=options.feedforward,
        dropout=options.dropout,
    )


def training_config(options: argparse.Namespace) -> TrainingConfig:
    """The configuration, for a million steps where it is not said how many."""
    names = {field.name for field in dataclasses.fields(TrainingConfig)} - set(NOT_KEPT)
    given = {name: getattr(options, name, None) for name in names}
    settings = {name: value for name, value in given.items() if value is not None}
    return TrainingConfig(**{"warmup": 0} | settings, steps=options.steps or 10**6)


def flag(name: str) -> str:
    """As the command line has it: `--batch-size` for `batch_size`."""
    return "--" + name.replace("_", "-")
