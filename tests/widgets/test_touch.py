"""What is touched in a picture moves the State as the controls do, and fits what is drawn."""

import importlib.util
import json
import sys
from xml.etree import ElementTree

import ipywidgets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.display import Drawing, Rectangle
from lib.widgets import touch
from lib.widgets.architecture import architecture_explorer
from lib.widgets.compute import compute_explorer
from lib.widgets.compute_optimal import compute_optimal_explorer
from lib.widgets.explorer import moved
from lib.widgets.model_shape import model_shape_explorer
from lib.widgets.normalization import normalization_explorer
from lib.widgets.power_law import power_law_explorer
from lib.widgets.routing import routing_explorer
from lib.widgets.touch import Handle, Revealed, Spot
from tests.widgets.examples import Panels, Tokens, three_panels

# Those whose pictures need no model.
MAKERS = [
    architecture_explorer,
    compute_explorer,
    compute_optimal_explorer,
    model_shape_explorer,
    normalization_explorer,
    power_law_explorer,
    routing_explorer,
]


def parts(svg, kind):
    """What can be touched in one way: what JSON its elements hold."""
    found = (e.get(f"data-{kind}") for e in ElementTree.fromstring(svg).iter())
    return [json.loads(text) for text in found if text]


def reach(explorer, changes):
    """Do what front.js sends."""
    explorer.picture.widget.touched = {"count": id(changes), "changes": changes}


def touches(explorer):
    """The changes that the present picture offers."""
    svg = explorer.picture.current()
    drags = [{drag["field"]: v} for drag in parts(svg, "drag") for v in drag["values"]]
    return parts(svg, "set") + drags


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_touch_sets_what_it_says(make):
    explorer = make()
    offered = touches(explorer)
    assert offered
    for changes in offered:
        explorer.set(explorer.initial)
        reach(explorer, changes)
        ((field, value),) = changes.items()
        control = next(c for c in explorer.controls if c.field == field)
        if hasattr(control, "limits"):  # a grip may leave a slider's range, the state may not
            low, high = control.limits(explorer.state)
            value = min(max(value, low), high)
        assert getattr(explorer.state, field) == pytest.approx(value)


def test_a_grip_lies_where_its_value_is():
    """On the exponent's axis the value at the grip's middle is the state's."""
    explorer = power_law_explorer()
    for exponent in (0.1, 0.3, 0.7):
        reach(explorer, {"exponent": exponent})
        svg = explorer.picture.current()
        for e in ElementTree.fromstring(svg).iter():
            drag = json.loads(e.get("data-drag") or "{}")
            if drag.get("field") != "exponent":
                continue
            middle = float(e.get("y")) + float(e.get("height")) / 2
            assert np.interp(middle, drag["at"], drag["values"]) == pytest.approx(
                exponent, abs=0.01
            )
            assert float(e.get("aria-valuenow")) == exponent
            # The law at the right end, by hand: 4 * 1000 ** -p, its logarithm along the axis.
            pixels = np.diff(np.interp([0.1, 0.2], drag["values"], drag["at"]))[0]
            per_decade = pixels / (3 * 0.1)
            pixels = np.diff(np.interp([0.3, 0.4], drag["values"], drag["at"]))[0]
            assert pixels == pytest.approx(3 * 0.1 * per_decade, rel=0.02)


def test_a_touch_of_what_is_not_there_is_refused():
    explorer = three_panels()
    with pytest.raises(ValueError, match=r"the state has no \['gone'\]"):
        reach(explorer, {"gone": 1})
    assert explorer.picture.widget.stale
    assert explorer.state == explorer.initial
    explorer.raise_errors = False
    reach(explorer, {"gone": 2})
    assert "gone" in explorer.notes[-1].value


def test_values_from_a_browser_take_the_state_s_types():
    state = moved(Panels(), {"row": 2.6, "temperature": 0.5})
    assert (state.row, type(state.row)) == (3, int)
    assert moved(Tokens(), {"order": ["top-p", "top-k", "temperature"]}).order[0] == "top-p"


@given(st.text(min_size=1, max_size=10), st.text(max_size=10))
def test_any_text_can_be_touched(name, text):
    spot = Spot(0, 0, 5, 5, name, {"text": text}, reveals=name)
    hidden = Revealed(name, [Rectangle(0, 0, 5, 5)])
    svg = Drawing(10, 10, [spot, hidden]).svg()
    (changes,) = parts(svg, "set")
    if text.isprintable():
        assert changes == {"text": text}
    root = ElementTree.fromstring(svg)
    assert root[1].get("data-reveal") == root[2].get("data-revealed")


def test_a_static_picture_has_nothing_to_touch():
    bare = Drawing(40, 40, [Rectangle(5, 5, 20, 20, "#0072B2")])
    handle = Handle(0, 0, 30, 30, "n", "n", 1, (0, 2), (0, 40))
    over = [*bare.shapes, Spot(0, 0, 40, 40, "all", {"n": 1}), handle]
    assert Drawing(40, 40, over).png() == bare.png()


def test_without_anywidget_the_controls_do_everything(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    spec = importlib.util.spec_from_file_location("touch_alone", touch.__file__)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "touch_alone", module)
    spec.loader.exec_module(module)
    assert issubclass(module.Front, ipywidgets.HTML)
    front = module.Front()
    explorer = three_panels()
    explorer.picture.widget = front
    explorer.handles[1].children[0].value = 5
    assert front.value == explorer.frame(Panels(row=5))


def test_the_front_end_is_small_and_shows_names():
    assert len(touch.SOURCE.read_text().splitlines()) <= 150
    (element,) = ElementTree.fromstring(Spot(0, 0, 5, 5, "a <name>", {"n": 1}).svg())
    assert element.text == "a <name>"
