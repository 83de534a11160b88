"""The README's second picture: what the check of an exercise says to a wrong answer."""

import inspect
import textwrap

from matplotlib import pyplot as plt

from lib.display import GRAY, PALETTE, save_figure, use_course_style
from lib.exercises.attention import check_scaled_attention

COLUMNS = 76


def my_attention(query, key, value):
    scores = query @ key.T / query.shape[-1]
    weights = scores.softmax(dim=0)
    return weights @ value


def draw() -> None:
    """Ask the check itself, and set its words below the code."""
    use_course_style()
    report = check_scaled_attention.report(my_attention)
    code = f"{inspect.getsource(my_attention).strip()}\n\ncheck_scaled_attention(my_attention)"
    said = textwrap.fill(report.message, COLUMNS)
    figure, axes = plt.subplots(figsize=(6.6, 2.6))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")
    style = {"transform": axes.transAxes, "va": "top"}
    axes.add_patch(plt.Rectangle((0, 0.38), 1, 0.62, facecolor="#F5F5F5", edgecolor=GRAY, lw=0.6))
    axes.text(0.02, 0.95, code, family="DejaVu Sans Mono", fontsize=9, linespacing=1.35, **style)
    heading = {"fontsize": 10, "weight": "bold", "color": PALETTE["red"]}
    axes.text(0.02, 0.3, report.heading, **heading, **style)
    axes.text(0.02, 0.17, said, fontsize=9.5, linespacing=1.3, **style)
    save_figure(
        figure,
        "figures/exercise.png",
        alt=f"A cell with an answer to an exercise, and what the check says: {report.message}",
        data={"code": code, "heading": report.heading, "message": report.message},
    )
