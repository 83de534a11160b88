"""The tables of the chapter and the README, made from the committed runs."""

import math
from collections.abc import Sequence
from statistics import mean, stdev

from lib.training.experiments import Row

STAGES = {
    "base": "base",
    "zero": "base + RL (R1-Zero)",
    "cold": "base + cold start (Dev1)",
    "cold_rl": "cold start + RL (Dev2)",
    "final": "base + final SFT (Dev3)",
}
COLUMNS = {
    "answer": "right answer",
    "chain": "right chain",
    "clean": "clean format",
    "mixed": "mixed languages",
    "length": "length (words)",
    "facts": "facts",
}
# DeepSeek-AI (2025), results at each stage: Table 3 of arXiv version 2, Table 2 of the Nature
# version. AIME 2024 and MATH-500: pass@1; IF-Eval: strict prompts; all in percent. R1 is Dev3 after
# a second RL. Version 1 (January 2025) has 71.0 for R1-Zero on AIME, from an earlier checkpoint.
PAPER = {
    "zero": {"AIME 2024": 77.9, "MATH-500": 95.9, "IF-Eval": 46.6},
    "cold": {"AIME 2024": 59.0, "MATH-500": 94.2, "IF-Eval": 71.7},
    "cold_rl": {"AIME 2024": 74.0, "MATH-500": 95.9, "IF-Eval": 72.0},
    "final": {"AIME 2024": 78.1, "MATH-500": 95.4, "IF-Eval": 78.1},
    "R1": {"AIME 2024": 79.8, "MATH-500": 97.3, "IF-Eval": 83.3},
}


def values(rows: Sequence[Row], part: str, stage: str, column: str) -> list[float]:
    """One number for each seed. Raises ValueError if there is none."""
    found = [row[column] for row in rows if row["part"] == part and row["stage"] == stage]
    if not found:
        raise ValueError(f"the table has no rows of {part!r} with the stage {stage!r}")
    return [float(value) for value in found]


def mean_and_error(numbers: Sequence[float | int]) -> tuple[float, float]:
    """The mean over seeds and its standard error, s / sqrt(n); the error of one number is NaN."""
    if len(numbers) < 2:
        return float(numbers[0]), math.nan
    return mean(numbers), stdev(numbers) / math.sqrt(len(numbers))


def spread(rows: Sequence[Row], part: str, stage: str, column: str) -> str:
    """Mean and standard error as text: `0.954 ± 0.007`; of a single seed the number alone."""
    middle, error = mean_and_error(values(rows, part, stage, column))
    digits = 1 if column == "length" else 3
    if math.isnan(error):
        return f"{middle:.{digits}f} (1 seed)"
    return f"{middle:.{digits}f} ± {error:.{digits}f}"


def stage_table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """One row for each stage of the life-cycle, mean and standard error over the seeds."""
    return [
        {"model": name}
        | {title: spread(rows, "lifecycle", stage, column) for column, title in COLUMNS.items()}
        for stage, name in STAGES.items()
    ]


def difference(
    rows: Sequence[Row], first: tuple[str, str], second: tuple[str, str], column: str
) -> tuple[float, float]:
    """Mean over seeds of second minus first, both (part, stage), and its standard error.

    The seeds are paired: each has one base, from which both models come.
    """
    a, b = values(rows, *first, column), values(rows, *second, column)
    return mean_and_error([y - x for x, y in zip(a, b, strict=True)])
