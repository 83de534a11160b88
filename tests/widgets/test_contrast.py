"""Letters in the widgets' SVG pictures stand out from what lies behind them: WCAG 2.2 AA."""

from xml.etree import ElementTree

import pytest
from matplotlib.colors import to_rgb

from lib.widgets import DrawingPicture
from lib.widgets.choices import Toggle
from lib.widgets.controls import Slider
from lib.widgets.explorer import moved
from tools.bench.widgets import WIDGETS

SVG = "{http://www.w3.org/2000/svg}"


def luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    light, dark = sorted([luminance(a), luminance(b)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lies_in(shape, x, y):
    if shape.tag == f"{SVG}circle":
        cx, cy, r = (float(shape.get(k)) for k in ("cx", "cy", "r"))
        return (x - cx) ** 2 + (y - cy) ** 2 <= r**2
    left, top, width, height = (float(shape.get(k)) for k in ("x", "y", "width", "height"))
    return left <= x <= left + width and top <= y <= top + height


def faint(svg):
    """Texts with less contrast than 4.5, or 3 where they are large, at where they are anchored."""
    found, behind = [], []
    for shape in ElementTree.fromstring(svg):
        if shape.tag in (f"{SVG}rect", f"{SVG}circle"):
            if shape.get("fill") != "none" and shape.get("width") != "100%":
                behind.append(shape)
        elif shape.tag == f"{SVG}text" and (shape.text or "").strip():
            size = float(shape.get("font-size"))
            x, y = float(shape.get("x")), float(shape.get("y")) - 0.36 * size
            inward = {"start": 2, "end": -2, "middle": 0}[shape.get("text-anchor", "start")]
            under = [s.get("fill") for s in behind if lies_in(s, x + inward, y)]
            ratio = contrast(shape.get("fill"), under[-1] if under else "white")
            large = size >= 24 or (size >= 18.66 and shape.get("font-weight") == "bold")
            if ratio < (3 if large else 4.5):
                found.append((shape.text, round(ratio, 2)))
    return found


@pytest.mark.parametrize(("what", "make"), WIDGETS, ids=[what for what, _ in WIDGETS])
def test_letters_stand_out(what, make):
    explorer = make()
    if not isinstance(explorer.picture, DrawingPicture):
        pytest.skip("a matplotlib figure")
    assert faint(explorer.picture.svg(explorer.state)) == []
    for changes in ({}, *flipped(explorer)):
        state = explorer.constrain(moved(explorer.state, middles(explorer) | changes))
        assert faint(explorer.picture.svg(state)) == [], changes


def middles(explorer):
    """All sliders halfway: a query with keys after it, a filter that cuts."""
    sliders = [control for control in explorer.controls if isinstance(control, Slider)]
    return {slider.field: sum(slider.limits(explorer.state)) / 2 for slider in sliders}


def flipped(explorer):
    """Each box the other way."""
    boxes = [control for control in explorer.controls if isinstance(control, Toggle)]
    return [{box.field: not getattr(explorer.state, box.field)} for box in boxes]


def test_faint_letters_are_found():
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg"><rect width="100%" height="100%" fill="white"/>'
        '<rect x="0" y="0" width="50" height="20" fill="#000000"/>'
        '<text x="5" y="14" font-size="11" fill="#222222" text-anchor="start">dark on dark</text>'
        '<text x="60" y="14" font-size="11" fill="#222222" text-anchor="start">dark</text>'
        '<text x="60" y="40" font-size="11" fill="#D55E00" text-anchor="start">red</text>'
        '<text x="60" y="90" font-size="26" fill="#D55E00" text-anchor="start">large</text></svg>'
    )
    assert [text for text, _ in faint(svg)] == ["dark on dark", "red"]
