"""Experiments: a grid of runs, each with several seeds, and their results as one table.

A table is a CSV file with one row for each evaluation of each run. A run is known by a checksum of
all its settings; one that is in the table already is not run again, so a grid that was stopped is
taken up where it was, and a changed setting runs anew. Settings at their defaults are left out of
the checksum: an option that the library gains later changes no old run.

The grids of chapter 5 are in lib.training.grids, the command that runs them is `make experiments`.
"""

import csv
import functools
import hashlib
import itertools
import json
import multiprocessing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import torch

from lib.corpora import english
from lib.files import atomic_write
from lib.model import LanguageModel, ModelConfig
from lib.training.batches import Tokens, split
from lib.training.config import TrainingConfig
from lib.training.evaluation import evaluate
from lib.training.loop import train
from lib.training.mixture import mixture
from lib.training.tokens import byte_tokens

Row = dict[str, str | int | float]
Measure = Callable[[LanguageModel, Tokens], Row]  # further columns from model and validation text


@dataclass(frozen=True)
class Run:
    """One run: `labels` say what varies, `training_bytes` how much of which text it learns from."""

    labels: tuple[tuple[str, str | int | float], ...]
    model: ModelConfig
    training: TrainingConfig
    training_bytes: int
    text: str = "english"

    @property
    def key(self) -> str:
        """A checksum of all settings that are not at their defaults."""
        text = json.dumps(_settings(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _settings(config) -> dict:
    """The fields of a dataclass that differ from their defaults, dataclasses in them too."""
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    changed = {f.name: values[f.name] for f in fields(config) if values[f.name] != f.default}
    return {k: _settings(v) if is_dataclass(v) else v for k, v in changed.items()}


# Training and validation bytes by the name of a text.
TEXTS = {"english": lambda: split(byte_tokens(english())), "mixture": mixture}


def do_run(run: Run, measure: Measure | None = None) -> list[Row]:
    """Train one model on a text (Python's documentation), byte by byte; a row for each evaluation.

    Both losses are without dropout, in nats per byte: `training_loss` on text the model learns
    from, `validation_loss` on text it never sees. `measure` adds columns of its own.
    """
    torch.set_num_threads(1)  # small models gain nothing from two; two runs at a time do
    tokens, validation = TEXTS[run.text]()
    if run.training_bytes > len(tokens):
        raise ValueError(f"training_bytes must be at most {len(tokens)}, got {run.training_bytes}")
    tokens = tokens[: run.training_bytes]
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

    train(model, tokens, run.training, validation, on_evaluation=record)
    return rows


def run_grid(
    runs: Iterable[Run], table: str | Path, workers: int = 2, measure: Measure | None = None
) -> list[Row]:
    """Do the runs that the table lacks, `workers` at a time, and return the rows of all.

    The table is written anew after each run, in the grid's order; rows of runs that the grid does
    not have are dropped. `measure` (a function of a module, since it goes to other processes) adds
    columns.
    """
    runs, table = list(runs), Path(table)
    done = {key: list(rows) for key, rows in _by_run(read_table(table)) if table.exists()}
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


def read_table(table: str | Path) -> list[Row]:
    """The rows of a table, numbers as numbers; none if there is no such file."""
    if not Path(table).exists():
        return []
    with Path(table).open(newline="") as file:
        rows = list(csv.DictReader(file))
    # A checksum stays text, even one like 123e45678901.
    return [{k: v if k == "run" else _number(v) for k, v in row.items()} for row in rows]


def write_table(rows: list[Row], table: Path) -> None:
    """Write rows as CSV, whole or not at all."""
    table.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(table) as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _by_run(rows: list[Row]) -> Iterable[tuple[str, Iterable[Row]]]:
    return itertools.groupby(rows, key=lambda row: row["run"])


def _number(text: str) -> str | int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


@dataclass(frozen=True)
class Curve:
    """A column over the steps of training: its mean over seeds, and its least and greatest."""

    step: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]


def curve(rows: list[Row], column: str, **labels: str | int | float) -> Curve:
    """The runs of a table that carry these labels (spaces in names as underscores), as one curve.

    Raises ValueError if there are none.
    """
    wanted = {name.replace("_", " "): value for name, value in labels.items()}
    values: dict[int, list[float]] = {}
    for row in rows:
        if all(row.get(name) == value for name, value in wanted.items()):
            values.setdefault(row["step"], []).append(row[column])
    if not values:
        raise ValueError(f"the table has no runs with {wanted}")
    steps = sorted(values)
    return Curve(
        steps,
        [sum(values[s]) / len(values[s]) for s in steps],
        [min(values[s]) for s in steps],
        [max(values[s]) for s in steps],
    )
