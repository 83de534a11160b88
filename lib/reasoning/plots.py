"""The figures of the chapter: RL step by step, and the stages of the life-cycle."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lib.display import GRAY, PALETTE, course_style, label_lines
from lib.reasoning.results import STAGES, mean_and_error, values
from lib.training.experiments import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHARES = {
    "answer": ("right answer", "blue", "-"),
    "chain": ("right chain", "sky", "--"),
    "clean": ("clean format", "green", "-."),
    "mixed": ("mixed languages", "red", ":"),
}


def rl_figure(runs: dict[str, Sequence[Row]], title: str) -> "Figure":
    """Shares over the steps of RL, one panel for each run; each row is one step's responses."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(course_style()):
        figure = Figure(figsize=(3.4 * len(runs) + 0.8, 3.2))
        axes = figure.subplots(1, len(runs), sharey=True, squeeze=False)[0]
        for ax, (name, rows) in zip(axes, runs.items(), strict=True):
            for column, (label, color, style) in SHARES.items():
                steps, shares = [r["step"] for r in rows], [r[column] for r in rows]
                ax.plot(steps, shares, style, color=PALETTE[color], label=label, linewidth=1.8)
            ax.set(xlabel="RL step", ylim=(-0.03, 1.03), title=name)
        axes[0].set_ylabel("share of the responses")
        label_lines(axes[-1])
        figure.suptitle(title, x=0.01, ha="left")
    return figure


def stages_figure(rows: Sequence[Row], title: str) -> "Figure":
    """Each seed as a dot and the mean with its standard error, for three shares at each stage."""
    import matplotlib
    from matplotlib.figure import Figure

    places = range(len(STAGES))
    with matplotlib.rc_context(course_style()):
        figure = Figure(figsize=(7.4, 3.2))
        for ax, column in zip(
            figure.subplots(1, 3, sharey=True), ("answer", "clean", "mixed"), strict=True
        ):
            label, color, _ = SHARES[column]
            for place, stage in zip(places, STAGES, strict=True):
                numbers = values(rows, "lifecycle", stage, column)
                middle, error = mean_and_error(numbers)
                ax.plot([place] * len(numbers), numbers, "o", color=PALETTE[color], alpha=0.6)
                ax.errorbar(place, middle, error, fmt="_", color="black", capsize=4, markersize=12)
            ax.set_xticks(places, ["base", "R1-Zero", "cold", "cold + RL", "final"], rotation=40)
            ax.set(ylim=(-0.05, 1.05), title=label.capitalize())
        figure.axes[0].set_ylabel("share of 1,000 responses")
        figure.axes[0].text(1.4, 0.1, "dots: seeds\nbars: s.e.", color=GRAY, fontsize=8)
        figure.suptitle(title, x=0.01, ha="left")
    return figure
