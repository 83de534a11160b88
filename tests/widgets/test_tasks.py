"""A guided task waits for a guess, moves the widget, and shows the guess beside what is there."""

import ipywidgets
import pytest

from lib.widgets.compute import TASKS, compute_explorer
from lib.widgets.explorer import Explorer
from lib.widgets.tasks import Task
from tests.widgets.examples import Panels, three_panels


def parts(explorer, kind):
    """The widgets of one kind below the picture and the controls, in order."""
    rows = explorer.children[1].children
    return [
        w
        for row in rows
        for line in (row, *row.children)
        for w in getattr(line, "children", ())
        if type(w) is kind
    ]


def test_a_guess_comes_before_the_answer():
    explorer = compute_explorer()
    guesses, buttons = parts(explorer, ipywidgets.Text), parts(explorer, ipywidgets.Button)
    assert len(guesses) == len(buttons) == len(TASKS)
    assert buttons[0].disabled
    guesses[0].value = "  "
    assert buttons[0].disabled
    guesses[0].value = "64 <times>"
    assert not buttons[0].disabled
    assert buttons[1].disabled
    assert explorer.state == explorer.initial
    explorer.handles[0].set_state({"index": 0})  # whatever the reader did before
    buttons[0].click()
    assert (explorer.state.batch, explorer.state.model) == (64, explorer.initial.model)
    answers = [w.value for w in parts(explorer, ipywidgets.HTML) if "You wrote" in w.value]
    assert len(answers) == 1
    assert "You wrote: “64 &lt;times&gt;”." in answers[0]
    assert explorer.describe(explorer.state)[:40] in answers[0]


def test_a_task_about_what_is_not_there_is_refused():
    example = three_panels()
    with pytest.raises(ValueError, match="the state has no"):
        Explorer(Panels(), example.controls[:-1], example.picture, str, [Task("Why?", {"gone": 1})])
