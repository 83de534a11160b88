"""Tables of experiments: the committed ones, which are part of the package, and any other CSV file.

A table has a row for each evaluation of each run, in long form: what varies, the seed, the step,
what was measured, and the run's checksum.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from lib.files import atomic_write

Row = dict[str, str | int | float]
DATA = Path(str(resources.files("lib.experiments") / "data"))


def read_table(table: str | Path) -> list[Row]:
    """The rows of a committed table ("dropout") or of a CSV file (a Path), numbers as numbers.

    Raises FileNotFoundError, with the command that makes it, if there is no such table.
    """
    path = committed(table)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # A checksum stays text, even one like 123e45678901.
    return [{k: v if k == "run" else _number(v) for k, v in row.items()} for row in rows]


def read_json(name: str) -> Any:
    """What a committed JSON file of the experiments holds; errors as `read_table`."""
    return json.loads(committed(name, ".json").read_text(encoding="utf-8"))


def committed(table: str | Path, suffix: str = ".csv") -> Path:
    """The file of a committed table by its name; a Path is looked for as it is."""
    path = table if isinstance(table, Path) else DATA / f"{table}{suffix}"
    if not path.is_file():
        there = ", ".join(sorted(file.stem for file in path.parent.glob(f"*{path.suffix}")))
        raise FileNotFoundError(
            f"there is no table {path.name} (there are: {there or 'none'}); "
            f"`python -m lib.experiments {path.stem}` makes it if it is an experiment's"
        )
    return path


def write_table(rows: list[Row], table: Path) -> None:
    """Write rows as CSV, whole or not at all."""
    table.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(table) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _number(text: str) -> str | int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def matching(rows: Sequence[Row], **labels: str | int | float) -> list[Row]:
    """The rows that carry these labels (spaces in names as underscores: `passes_over_the_text`).

    Raises ValueError if there are none.
    """
    names = {name.replace("_", " "): name for name in labels}
    found = [
        row
        for row in rows
        if all(row.get(name, row.get(own)) == labels[own] for name, own in names.items())
    ]
    if not found:
        raise ValueError(f"the table has no runs with {labels}")
    return found


def last(rows: Sequence[Row], column: str, **labels: str | int | float) -> list[float]:
    """The last value of a column for each seed of the runs with these labels."""
    found = matching(rows, **labels)
    step = max(row["step"] for row in found)
    return [row[column] for row in found if row["step"] == step]


@dataclass(frozen=True)
class Curve:
    """A column over the steps of training: its mean over seeds, and its least and greatest."""

    step: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]


def curve(rows: Sequence[Row], column: str, **labels: str | int | float) -> Curve:
    """The runs of a table that carry these labels, as one curve.  Errors as `matching`."""
    values: dict[int, list[float]] = {}
    for row in matching(rows, **labels):
        values.setdefault(row["step"], []).append(row[column])
    steps = sorted(values)
    return Curve(
        steps,
        [sum(values[s]) / len(values[s]) for s in steps],
        [min(values[s]) for s in steps],
        [max(values[s]) for s in steps],
    )


def span(values: Sequence[float]) -> str:
    """The least and the greatest of several values."""
    return f"{min(values):.2f} to {max(values):.2f}"
