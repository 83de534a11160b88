"""The figures of chapter 3's experiments, drawn from their tables."""

from typing import TYPE_CHECKING

from lib.display import GRAY, PALETTE, course_style, label_lines
from lib.training.experiments import Row, curve
from lib.training.normalization_grids import PLACEMENT_RATES, QK_RATES, WARMUP

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNIGRAM = 3.25  # nats per byte: the loss of byte frequencies alone (lib.training.ngrams)
LINES = {("post", 0): "red", ("post", WARMUP): "orange", ("pre", 0): "blue", ("pre", WARMUP): "sky"}
NAMES = {
    ("layernorm", 0.02): "LayerNorm",
    ("rmsnorm", 0.02): "RMSNorm",
    ("batchnorm", 0.02): "BatchNorm",
    ("dynamic_tanh", 0.02): "Dynamic Tanh",
    ("layernorm", "unit"): "LayerNorm,\nunit embeddings",
    ("dynamic_tanh", "unit"): "Dynamic Tanh,\nunit embeddings",
}


def last(rows: list[Row], column: str, **labels: str | int | float) -> list[float]:
    """The last value of a column for each seed of the runs with these labels."""
    wanted = {name.replace("_", " "): value for name, value in labels.items()}
    found = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    step = max(row["step"] for row in found)
    return [row[column] for row in found if row["step"] == step]


def span(values: list[float]) -> str:
    """The least and the greatest of several values."""
    return f"{min(values):.2f} to {max(values):.2f}"


def placement_figure(rows: list[Row]) -> "Figure":
    """Last validation loss by learning rate: medians as lines, a dot for each seed."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(course_style()):
        figure = Figure(figsize=(6.4, 3.6))
        ax = figure.subplots()
        asides = (0.985, 1.005, 0.995, 1.015)  # so that no dot hides another
        for aside, ((place, warmup), color) in zip(asides, LINES.items(), strict=True):
            ends = [
                last(rows, "validation_loss", placement=place, warmup=warmup, learning_rate=rate)
                for rate in PLACEMENT_RATES
            ]
            label = f"{place}-norm, " + (f"{warmup} steps of warmup" if warmup else "no warmup")
            style = "--" if warmup else "-"
            median = [sorted(end)[len(end) // 2] for end in ends]
            ax.plot(PLACEMENT_RATES, median, style, color=PALETTE[color], label=label)
            for rate, end in zip(PLACEMENT_RATES, ends, strict=True):
                ax.plot([rate * aside] * len(end), end, "o", color=PALETTE[color])
        ax.set(xscale="log", xlim=(2.6e-3, 2.6e-2), xlabel="learning rate (logarithmic)")
        ax.set_xticks(PLACEMENT_RATES, [f"{rate:g}" for rate in PLACEMENT_RATES])
        ax.minorticks_off()
        ax.set_ylabel("validation loss (nats per byte)")
        ax.set_title("At the higher rate post-norm fails without warmup")
        label_lines(ax, dx=9)  # clear of the dots
    return figure


def norms_figure(rows: list[Row]) -> "Figure":
    """Last validation loss of each norm, a dot for each seed."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(course_style()):
        figure = Figure(figsize=(6.4, 3.2))
        ax = figure.subplots()
        for place, (norm, start) in enumerate(NAMES):
            ends = last(rows, "validation_loss", norm=norm, embeddings=start)
            color = PALETTE["red" if norm in ("batchnorm", "dynamic_tanh") else "blue"]
            ax.plot(ends, [place] * len(ends), "o", color=color, alpha=0.8)
        ax.set_yticks(range(len(NAMES)), list(NAMES.values()))
        ax.invert_yaxis()
        ax.axvline(UNIGRAM, color=GRAY, linestyle=":", linewidth=1)
        ax.text(UNIGRAM - 0.01, 4.5, "byte frequencies only", color=GRAY, fontsize=9, ha="right")
        ax.set_title("LayerNorm's and RMSNorm's seeds overlap")
        ax.set_xlabel("validation loss after 200 steps (nats per byte), one dot for each seed")
    return figure


def qk_norm_figure(rows: list[Row]) -> "Figure":
    """The largest score over training, logarithmic, and the validation loss; bands span seeds."""
    import matplotlib
    from matplotlib.figure import Figure

    colors = {("without", QK_RATES[0]): "orange", ("without", QK_RATES[1]): "red"}
    colors |= {("with", QK_RATES[0]): "sky", ("with", QK_RATES[1]): "blue"}
    with matplotlib.rc_context(course_style()):
        figure = Figure(figsize=(7.2, 3.6))
        left, right = figure.subplots(1, 2)
        for (norm, rate), color in colors.items():
            for ax, column in ((left, "largest_score"), (right, "validation_loss")):
                _band(ax, rows, column, PALETTE[color], f"{norm}, rate {rate:g}", norm, rate)
        left.set(
            yscale="log", ylabel="largest score (logarithmic)", title="Scores with and without it"
        )
        right.set(ylabel="validation loss (nats per byte)", ylim=(2.6, 3.5), title="Loss")
        for ax in (left, right):
            ax.set(xlabel="step", xlim=(0, 360))
            ax.set_xticks((0, 100, 200))
            label_lines(ax)
        title = "QK-norm bounds the scores; without it a high rate holds learning back"
        figure.suptitle(title, x=0.01, ha="left")
    return figure


def _band(
    ax: "Axes", rows: list[Row], column: str, color: str, label: str, norm: str, rate: float
) -> None:
    line = curve(rows, column, qk_norm=norm, learning_rate=rate)
    ax.fill_between(line.step, line.low, line.high, color=color, alpha=0.25, linewidth=0)
    ax.plot(line.step, line.mean, "-" if norm == "with" else "--", color=color, label=label)
