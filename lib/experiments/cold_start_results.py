"""Tables and figures of the life-cycle, made from its runs: RL step by step, the stages."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lib.display import GRAY, PALETTE, course_style, label_lines, mean_and_error, seed_dots
from lib.experiments.tables import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
SHARES = {
    "answer": ("right answer", "blue", "-"),
    "chain": ("right chain", "sky", "--"),
    "clean": ("clean format", "green", "-."),
    "mixed": ("mixed languages", "red", ":"),
}


def values(rows: Sequence[Row], part: str, stage: str, column: str) -> list[float]:
    """One number for each seed. Raises ValueError if there is none."""
    found = [row[column] for row in rows if row["part"] == part and row["stage"] == stage]
    if not found:
        raise ValueError(f"the table has no rows of {part!r} with the stage {stage!r}")
    return [float(value) for value in found]


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


def rl_figure(runs: dict[str, Sequence[Row]], title: str) -> "Figure":
    """Shares over the steps of RL, one panel for each run; each row is one step's responses."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(course_style()):
        drawn = Figure(figsize=(3.4 * len(runs) + 0.8, 3.2))
        axes = drawn.subplots(1, len(runs), sharey=True, squeeze=False)[0]
        for ax, (name, rows) in zip(axes, runs.items(), strict=True):
            for column, (label, color, style) in SHARES.items():
                steps, shares = [r["step"] for r in rows], [r[column] for r in rows]
                ax.plot(steps, shares, style, color=PALETTE[color], label=label, linewidth=1.8)
            ax.set(xlabel="RL step", ylim=(-0.03, 1.03), title=name)
        axes[0].set_ylabel("share of the responses")
        label_lines(axes[-1])
        drawn.suptitle(title, x=0.01, ha="left")
    return drawn


def stages_figure(rows: Sequence[Row], title: str) -> "Figure":
    """Each seed as a dot and the mean with its standard error, for three shares at each stage."""
    import matplotlib
    from matplotlib.figure import Figure

    places = range(len(STAGES))
    with matplotlib.rc_context(course_style()):
        drawn = Figure(figsize=(7.4, 3.2))
        for ax, column in zip(
            drawn.subplots(1, 3, sharey=True), ("answer", "clean", "mixed"), strict=True
        ):
            label, color, _ = SHARES[column]
            seeds = [values(rows, "lifecycle", stage, column) for stage in STAGES]
            seed_dots(ax, places, seeds, PALETTE[color])
            ax.set_xticks(places, ["base", "R1-Zero", "cold", "cold + RL", "final"], rotation=40)
            ax.set(ylim=(-0.05, 1.05), title=label.capitalize())
        drawn.axes[0].set_ylabel("share of 1,000 responses")
        drawn.axes[0].text(1.4, 0.1, "dots: seeds\nbars: s.e.", color=GRAY, fontsize=8)
        drawn.suptitle(title, x=0.01, ha="left")
    return drawn
