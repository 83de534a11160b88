"""The figures of the two experiments, drawn from their tables."""

from typing import TYPE_CHECKING

from lib.display import GRAY, PALETTE, course_style, label_lines
from lib.training.experiments import Curve, Row, curve
from lib.training.grids import PASSES, SHAPES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DROPOUTS = {0: "blue", 0.1: "red", 0.2: "black"}


def dropout_figure(rows: list[Row]) -> "Figure":
    """Validation (solid) and training loss (dotted) by dropout; bands span the seeds."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(course_style()):
        figure = Figure(figsize=(7.2, 3.6))
        axes = figure.subplots(1, 2, sharey=True)
        for ax, passes in zip(axes, PASSES, strict=True):
            for dropout, color in DROPOUTS.items():
                kind = {"passes_over_the_text": passes, "dropout": dropout}
                valid = curve(rows, "validation_loss", **kind)
                band = {"color": PALETTE[color], "alpha": 0.25, "linewidth": 0}
                ax.fill_between(valid.step, valid.low, valid.high, **band)
                ax.plot(
                    valid.step, valid.mean, "-", color=PALETTE[color], label=f"dropout {dropout:g}"
                )
                training = curve(rows, "training_loss", **kind)
                ax.plot(training.step, training.mean, ":", color=PALETTE[color], linewidth=1.4)
            ax.set(title=passes.capitalize(), xlabel="step", xlim=(0, 690), ylim=(0.9, 3.3))
            ax.set_xticks(range(0, 500, 120))
            label_lines(ax)
        axes[0].set_ylabel("loss (nats per byte)")
        axes[0].text(20, 1.0, "dotted: training\nsolid: validation", color=GRAY, fontsize=9)
        figure.suptitle("Dropout hurts in a single pass and helps over many", x=0.01, ha="left")
    return figure


def best_by_shape(rows: list[Row]) -> dict[int, tuple[float, Curve]]:
    """For each number of layers the best learning rate and its curve of validation loss."""
    best = {}
    for layers in SHAPES:
        rates = sorted({row["learning rate"] for row in rows if row["layers"] == layers})
        curves = {
            rate: curve(rows, "validation_loss", layers=layers, learning_rate=rate)
            for rate in rates
        }
        rate = min(curves, key=lambda rate: curves[rate].mean[-1])
        best[layers] = (rate, curves[rate])
    return best


def shape_figure(rows: list[Row], title: str) -> "Figure":
    """The last validation loss by number of layers, at each shape's best learning rate."""
    import matplotlib
    from matplotlib.figure import Figure

    best = best_by_shape(rows)
    with matplotlib.rc_context(course_style()):
        figure = Figure(figsize=(6.0, 3.4))
        ax = figure.subplots()
        mean = [end.mean[-1] for _, end in best.values()]
        ax.plot(range(len(best)), mean, "-", color=PALETTE["blue"])
        for place, (layers, (_, end)) in enumerate(best.items()):
            seeds = [
                row["validation_loss"]
                for row in rows
                if row["layers"] == layers
                and row["learning rate"] == best[layers][0]
                and row["step"] == end.step[-1]
            ]
            ax.plot([place] * len(seeds), seeds, "o", color=PALETTE["red"])
        names = [f"{layers}\n{width}" for layers, width in SHAPES.items()]
        ax.set_xticks(range(len(best)), names)
        ax.set(xlabel="layers, and below them the width", ylabel="validation loss (nats per byte)")
        ax.set_title(title)
    return figure
