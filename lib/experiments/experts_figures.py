"""Pictures of routing: loads over training, experts token by token, and loads by language.

They draw what chapter "feed-forward layers" measures in its small models with experts.
"""

import functools
from collections.abc import Callable, Mapping, Sequence

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lib.display import PALETTE, SEQUENTIAL, band, course_style, label_lines, text_color, visible
from lib.experiments.experts import BALANCING
from lib.experiments.tables import Row, curve
from lib.model import LanguageModel
from lib.model.experts import recorded_routing

COLORS = dict(zip(BALANCING, ("black", "blue", "orange", "green"), strict=True))


def in_course_style(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """`draw`, in the course's style whatever the style of the notebook."""

    @functools.wraps(draw)
    def drawn(*args, **kwargs) -> Figure:
        with matplotlib.rc_context(course_style()):
            return draw(*args, **kwargs)

    return drawn


@in_course_style
def entropies(rows: Sequence[Row], title: str, column: str = "entropy") -> Figure:
    """Entropy of loads over the steps by way of balancing; bands span the seeds."""
    ax = Figure(figsize=(6, 3.2)).subplots()
    for name, color in COLORS.items():
        line = curve(rows, column, model=name)
        band(ax, line.step, line.low, line.mean, line.high, PALETTE[color], label=name)
    ax.set(xlabel="training step", ylabel="entropy of loads (1: all alike)", ylim=(0.4, 1.02))
    ax.set_title(title)
    label_lines(ax)
    return ax.figure


@in_course_style
def who_goes_where(model: LanguageModel, lines: Sequence[str], title: str) -> Figure:
    """Each byte of some lines on the color of its first expert in the last layer, and its number.

    Raises ValueError for a line with anything but ASCII: its bytes are not its characters.
    """
    for line in lines:
        if not line.isascii():
            raise ValueError(f"lines must be ASCII, so that a byte is a character, got {line!r}")
    ax = Figure(figsize=(7.2, 2.4)).subplots()
    colors = matplotlib.colormaps["tab10"]
    for row, line in enumerate(lines):
        with torch.no_grad(), recorded_routing(model) as routings:
            model(torch.tensor([list(line.encode())]))
        for column, expert in enumerate(routings[-1].experts[:, 0].tolist()):
            ax.bar(column + 0.5, 0.8, 1, -row, color=colors(expert), alpha=0.45)
            letter = visible(line[column])
            ax.text(column + 0.5, 0.5 - row, letter, ha="center", va="center")
            ax.text(column + 0.5, 0.14 - row, str(expert), ha="center", va="center", fontsize=7)
    ax.set(xlim=(0, max(map(len, lines))), ylim=(1 - len(lines) - 0.1, 1))
    ax.axis("off")
    ax.set_title(title)
    return ax.figure


@in_course_style
def loads(shares: Mapping[str, Tensor], title: str) -> Figure:
    """Loads as a table of shades: a row for each kind of text, a column for each expert."""
    ax = Figure(figsize=(6, 2.3)).subplots()
    shades = matplotlib.colormaps[SEQUENTIAL]
    largest = max(values.max().item() for values in shares.values())
    image = torch.stack(list(shares.values()))
    ax.imshow(image, cmap=SEQUENTIAL, vmin=0, vmax=largest, aspect="auto")
    for row, values in enumerate(shares.values()):
        for expert, share in enumerate(values.tolist()):
            color = text_color(shades(share / largest))
            ax.text(expert, row, f"{share:.0%}", ha="center", va="center", color=color, fontsize=9)
    ax.set_yticks(range(len(shares)), list(shares))
    ax.set(xlabel="expert of the last layer", title=title)
    ax.grid(False)
    return ax.figure
