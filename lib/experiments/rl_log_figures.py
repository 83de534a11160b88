"""Figures of the RL logs: what practitioners watch, Dr. GRPO beside GRPO, a form found or not.

Each line is the mean over three seeds of RL, smoothed over five steps; the band is their span.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from lib.display import PALETTE, band, course_style, label_lines
from lib.experiments.tables import Row, curve
from lib.reasoning.grpo import group_advantages
from lib.reasoning.length_bias import mean_lengths

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMOOTH = 5  # steps
Style = tuple[str, str, str]  # label, color of the palette, dashes
UPDATES = {"GRPO": ("1 update", "blue", "-"), "4 updates": ("4 updates", "red", "--")}
DOCTOR = {"GRPO": ("GRPO", "blue", "-"), "Dr. GRPO": ("Dr. GRPO", "red", "--")}
FORMAT = {
    "10% and the prompt": ("10%, prompt opens the tag", "green", "-"),
    "30% of the web": ("30% of the web", "blue", "-."),
    "10% of the web": ("10% of the web", "red", "--"),
    "10% and the prompt, no reward": ("as the first, no reward", "purple", ":"),
}


def watched_figure(rows: Sequence[Row], title: str) -> "Figure":
    """Entropy, KL to the base, share of clipped tokens; length of right and of wrong responses."""
    panels = {
        "entropy": "entropy (nats a token)",
        "kl": "KL to the base (nats a token)",
        "clipped": "tokens clipped (share)",
    }
    drawn, axes = _panels(title, 2, 2)
    for ax, (column, name) in zip(axes, panels.items(), strict=False):
        draw_lines(ax, rows, column, UPDATES)
        ax.set_title(name)
    for column, label, color, dashes in (
        ("length_right", "right", "blue", "-"),
        ("length_wrong", "wrong", "red", "--"),
    ):
        draw_lines(axes[3], rows, column, {"GRPO": (label, color, dashes)})
    axes[3].set_title("length (words), 1 update")
    _finish(axes)
    return drawn


def doctor_figure(rows: Sequence[Row], title: str) -> "Figure":
    """Right answers, and words of wrong responses beyond what their chain needs."""
    drawn, axes = _panels(title, 1, 2)
    draw_lines(axes[0], rows, "answer", DOCTOR)
    axes[0].set_title("right answers (share)")
    draw_lines(axes[1], rows, "extra_wrong", DOCTOR)
    axes[1].set_title("wrong responses: words too many")
    _finish(axes)
    return drawn


def format_figure(rows: Sequence[Row], title: str) -> "Figure":
    """Share of clean responses over the steps, by how often the base draws the form."""
    drawn, axes = _panels(title, 1, 1)
    draw_lines(axes[0], rows, "clean", FORMAT)
    axes[0].set(ylabel="clean format (share)", ylim=(-0.1, 1.05))
    _finish(axes)
    return drawn


def bias_figure(title: str) -> "Figure":
    """Exact: how hard a group pushes, by how many are right; length of a policy that may stop."""
    right = range(1, 8)
    rewards = torch.tensor([[1.0] * n + [0.0] * (8 - n) for n in right])
    drawn, axes = _panels(title, 1, 2, share=False)
    for name, divided, color, dashes in (
        ("GRPO", True, "blue", "-"),
        ("Dr. GRPO", False, "red", "--"),
    ):
        push = group_advantages(rewards, divided).abs().sum(1).tolist()
        line = {"color": PALETTE[color], "linestyle": dashes}
        axes[0].plot(list(right), push, label=name, **line)
        for verdict, advantage in (("wrong", -1.0), ("right", 1.0)):
            lengths = mean_lengths(advantage, "response" if divided else "constant", rate=0.2)
            axes[1].plot(lengths, label=f"{verdict}, {name}", **line)
    axes[0].set(title="sum of |advantage| in a group", xlabel="right responses of 8", ylim=(0, 9))
    axes[1].set(title="mean length (tokens)", xlabel="gradient step", ylim=(0, 30))
    _finish(axes)
    return drawn


def draw_lines(ax: "Axes", rows: Sequence[Row], column: str, styles: Mapping[str, Style]) -> None:
    """A line for each variant in `styles`, over the span of its seeds."""
    there = [row for row in rows if row[column] != ""]
    for variant, (label, color, dashes) in styles.items():
        found = curve(there, column, variant=variant)
        low, middle, high = map(smoothed, (found.low, found.mean, found.high))
        band(ax, found.step, low, middle, high, PALETTE[color], linestyle=dashes, label=label)


def smoothed(values: Sequence[float | int], width: int = SMOOTH) -> list[float]:
    """The mean of each value and its neighbors, `width` in all; fewer at the ends."""
    half = width // 2
    return [float(np.mean(values[max(0, i - half) : i + half + 1])) for i in range(len(values))]


def _panels(
    title: str, rows: int, columns: int, share: bool = True
) -> tuple["Figure", list["Axes"]]:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(course_style()):
        drawn = Figure(figsize=(7.4 if columns > 1 else 6.4, 2.7 * rows + 0.5))
        axes = drawn.subplots(rows, columns, squeeze=False, sharex=share).flatten().tolist()
        for ax in axes[-columns:]:
            ax.set_xlabel("RL step")
        drawn.suptitle(title, x=0.01, ha="left")
    return drawn, axes


def _finish(axes: Sequence["Axes"]) -> None:
    for ax in axes:
        label_lines(ax)
