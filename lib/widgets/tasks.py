"""Guided tasks: a question, a field for a guess, and a button that moves the widget to the answer.

The button waits until something was written: a prediction made before teaches more than a result
that is only seen. What is written goes nowhere.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets


@dataclass(frozen=True)
class Task:
    """`moves` holds the fields of the State that differ from the widget's first state."""

    question: str
    moves: Mapping[str, Any]


def task_box(tasks: Sequence[Task], show: Callable[[Mapping[str, Any]], str]) -> ipywidgets.VBox:
    """The tasks below each other; `show(moves)` moves the widget and returns what it says then."""
    box = ipywidgets.VBox([_row(task, show) for task in tasks], layout={"overflow": "visible"})
    box.add_class("course-tasks")
    return box


def _row(task: Task, show: Callable[[Mapping[str, Any]], str]) -> ipywidgets.VBox:
    question = ipywidgets.HTML(f'<div style="line-height:1.3">{html.escape(task.question)}</div>')
    guess = ipywidgets.Text(description="your guess", layout={"width": "60%"})
    button = ipywidgets.Button(description="Show", disabled=True)
    button.tooltip, answer = "Moves the widget there, once a guess is written.", ipywidgets.HTML()

    def written(change: Any) -> None:
        button.disabled = not change["new"].strip()

    def pressed(_: Any) -> None:
        said = f"You wrote: “{guess.value.strip()}”. {show(task.moves)}"
        answer.value = f'<div role="status" style="line-height:1.3">{html.escape(said)}</div>'

    guess.observe(written, "value")
    button.on_click(pressed)
    line = ipywidgets.HBox([guess, button], layout={"flex_flow": "row wrap"})
    return ipywidgets.VBox([question, line, answer], layout={"overflow": "visible"})
