"""A grid of training runs, each with several seeds, and their results as one table.

A table is a CSV file with one row for each evaluation of each run. A run is known by a checksum of
all its settings; one that is in the table already is not run again, so a grid that was stopped is
taken up where it was, and a changed setting runs anew. Settings at their defaults are left out of
the checksum: an option that the library gains later changes no old run.
"""

import functools
import hashlib
import itertools
import json
import multiprocessing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import torch

from lib.experiments.tables import Row, read_table, write_table
from lib.experiments.texts import TEXTS, spread
from lib.model import LanguageModel, ModelConfig
from lib.training.batches import Tokens
from lib.training.config import TrainingConfig
from lib.training.evaluation import evaluate
from lib.training.loop import train
from lib.training.muon import Muon

Measure = Callable[[LanguageModel, Tokens], Row]  # further columns from model and validation text


@dataclass(frozen=True)
class Run:
    """One run: `labels` say what varies, `training_bytes` how much of which text it learns from.

    These bytes come from `pieces` places of the text: its beginning is not like all of it, which
    the validation text is taken from.
    """

    labels: tuple[tuple[str, str | int | float], ...]
    model: ModelConfig
    training: TrainingConfig
    training_bytes: int
    text: str = "english"
    pieces: int = 1
    optimizer: str = "adamw"  # or "muon"

    @property
    def key(self) -> str:
        """A checksum of all settings that are not at their defaults."""
        text = json.dumps(_settings(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


# Settings that follow another one unless they are given: then they say nothing new.
FOLLOWING = {"attention_output_bias": "attention_bias"}


def _settings(config) -> dict:
    """The fields of a dataclass that differ from their defaults, dataclasses in them too."""
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    usual = {f.name: [f.default] for f in fields(config)}
    for name in FOLLOWING.keys() & values.keys():
        usual[name].append(values[FOLLOWING[name]])
    changed = {name: value for name, value in values.items() if value not in usual[name]}
    return {k: _settings(v) if is_dataclass(v) else v for k, v in changed.items()}


def do_run(run: Run, measure: Measure | None = None) -> list[Row]:
    """Train one model on a text (Python's documentation), byte by byte; a row for each evaluation.

    Both losses are without dropout, in nats per byte: `training_loss` on text the model learns
    from, `validation_loss` on text it never sees. `measure` adds columns of its own.
    """
    torch.set_num_threads(1)  # small models gain nothing from two; two runs at a time do
    tokens, validation = TEXTS[run.text]()
    if run.training_bytes > len(tokens):
        raise ValueError(f"training_bytes must be at most {len(tokens)}, got {run.training_bytes}")
    tokens = spread(tokens, run.training_bytes, run.pieces)
    torch.manual_seed(run.training.seed)
    model = LanguageModel(run.model)
    rows: list[Row] = []

    def record(model: LanguageModel, row: dict) -> None:
        most = run.training.evaluation_sequences
        loss = evaluate(model, tokens, run.training.context_length, most=most)
        rows.append(
            dict(run.labels)
            | {
                "seed": run.training.seed,
                "parameters": model.count_parameters(),
                "step": row["step"],
                "passes": round(row["tokens"] / len(tokens), 3),
                "training_loss": round(loss, 5),
                "validation_loss": round(row["validation_loss"], 5),
            }
            | (measure(model, validation) if measure else {})
            | {"run": run.key}
        )

    muon = Muon(model, run.training.learning_rate) if run.optimizer == "muon" else None
    train(model, tokens, run.training, validation, on_evaluation=record, optimizer=muon)
    return rows


def run_grid(
    runs: Iterable[Run], table: Path, workers: int = 2, measure: Measure | None = None
) -> list[Row]:
    """Do the runs that the table lacks, `workers` at a time, and return the rows of all.

    The table is written anew after each run, in the grid's order; rows of runs that the grid does
    not have are dropped. `measure` (a function of a module, since it goes to other processes) adds
    columns.
    """
    runs = list(runs)
    old = read_table(table) if table.exists() else []
    done = {key: list(rows) for key, rows in _by_run(old)}
    missing = [run for run in runs if run.key not in done]

    def save() -> list[Row]:
        rows = [row for run in runs for row in done.get(run.key, [])]
        write_table(rows, table)
        return rows

    if missing:
        do = functools.partial(do_run, measure=measure)
        context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        with context.Pool(max(1, min(workers, len(missing)))) as pool:
            for i, rows in enumerate(pool.imap_unordered(do, missing)):
                done[rows[0]["run"]] = rows
                save()
                print(f"{i + 1} of {len(missing)}: {rows[-1]}", flush=True)
    return save()


def _by_run(rows: list[Row]) -> Iterable[tuple[str, Iterable[Row]]]:
    return itertools.groupby(rows, key=lambda row: row["run"])
