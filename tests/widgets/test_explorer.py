"""The widget shell: every control moves the State, every State has one picture, errors are seen."""

import base64
import dataclasses
import importlib.util
import io
import itertools
import re
import textwrap
import warnings
from dataclasses import dataclass, replace
from xml.etree import ElementTree

import ipywidgets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font, LoadFlags
from PIL import Image

from lib.widgets import (
    Button,
    Disk,
    Drawing,
    DrawingPicture,
    Dropdown,
    Explorer,
    FigurePicture,
    FloatSlider,
    IntSlider,
    Line,
    LogSlider,
    Rectangle,
    Reorder,
    Text,
    TextInput,
    Toggle,
    text_width,
)
from lib.widgets import explorer as explorer_module
from lib.widgets.controls import within
from tests.widgets.examples import Panels, Tokens, three_panels, tokens
from tools.bench.driving import drive, measure_latency

VIEW = "application/vnd.jupyter.widget-view+json"
EXAMPLES = [three_panels, tokens]


@dataclass(frozen=True)
class Count:
    """A state to test with."""

    n: int = 0


def counter(draw=None, controls=None, state=None):
    """Return a small widget; `draw` replaces how it draws."""
    draw = draw or (lambda state: Drawing(100, 20, [Text(0, 10, str(state.n))]))
    controls = controls or [IntSlider("n", "n", "A number.", 0, 5)]
    picture = DrawingPicture(draw, width=100)
    return Explorer(state or Count(), controls, picture, lambda state: f"The number is {state}.")


def pixels(png):
    """Of a PNG, or of the PNG in a live frame."""
    if isinstance(png, str):
        png = base64.b64decode(re.search(r'base64,([^"]+)"', png)[1])
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_control_moves_the_state_and_the_picture(example):
    frames = list(drive(example(), per_control=20))
    for field in dataclasses.fields(frames[0].state):
        assert len({getattr(frame.state, field.name) for frame in frames}) > 1, field.name
    pictures = {}
    for frame in frames:
        assert pictures.setdefault(frame.state, frame.picture) == frame.picture
        assert frame.caption
    assert len(set(pictures.values())) > 20


def test_controls_cover_their_ranges():
    frames = list(drive(three_panels(), per_control=50, mixed=0))
    seen = {c: [f.state for f in frames if f.control == c] for c in {f.control for f in frames}}
    assert {s.temperature for s in seen["temperature"]} == {
        round(0.1 + 0.05 * i, 10) for i in range(39)
    }
    assert {s.row for s in seen["query"]} == set(range(16))
    rates = sorted(s.rate for s in seen["learning rate"])
    assert (rates[0], rates[-1], len(rates)) == (1e-4, 1.0, 41)
    assert {s.causal for s in seen["causal mask"]} == {True, False}
    assert [s.row for s in seen["Next query"]] == [1, 2, 3, 4, 5]


def test_options_and_ranges_follow_the_state():
    explorer = tokens()
    explorer.set(Tokens(text="one two", unit="word", position=99))
    assert explorer.state.position == 1
    slider = explorer.handles[2]
    assert (slider.max, slider.value) == (1, 1)
    explorer.handles[0].set_state({"value": ""})
    assert (explorer.state.position, slider.max) == (0, 0)
    explorer.handles[0].set_state({"value": "abc"})
    assert slider.max == 0  # one word
    explorer.handles[1].set_state({"index": 0})
    assert slider.max == 2  # three characters


def test_reorder_moves_items_and_stops_at_the_ends():
    explorer = tokens()
    box = explorer.handles[3]
    box.children[1].children[1].click()  # the first, down
    assert explorer.state.order == ("top-k", "temperature", "top-p")
    box.children[1].children[0].click()  # the first, up: nowhere to go
    assert explorer.state.order == ("top-k", "temperature", "top-p")
    assert [row.children[2].value for row in box.children[1:]] == [
        "1. top-k",
        "2. temperature",
        "3. top-p",
    ]
    assert [row.children[0].disabled for row in box.children[1:]] == [True, False, False]
    assert box.children[2].children[0].tooltip == "move temperature to earlier"


def test_a_log_slider_keeps_a_value_between_its_stops():
    """A browser moves ipywidgets' FloatLogSlider to a stop when it is shown: 768 became 794."""
    control = LogSlider("n", "width", "Features.", 16, 65536, unit="features")
    explorer = counter(controls=[control], state=Count(768))
    slider = explorer.handles[0]
    assert (slider.value, slider.label) == (768, "768")
    assert [stop for _, stop in slider.options][:3] == [16, 20.1428, 25.3583]
    assert slider.options[-1] == ("65,536", 65536)
    at = slider.index
    slider.set_state({"index": at + 1})  # one key press
    assert explorer.state.n == pytest.approx(16 * 10**1.7, rel=1e-5)
    explorer.set(Count(50257))  # by a button, say
    assert (slider.value, slider.label, explorer.state.n) == (50257, "50,257", 50257)


def test_play_is_joined_to_its_slider():
    explorer = three_panels()
    slider, play = explorer.handles[1].children
    assert isinstance(play, ipywidgets.Play)
    assert (play.min, play.max, play.interval) == (slider.min, slider.max, 300)


def test_one_move_draws_once_and_no_move_draws_nothing():
    drawn = []

    def draw(state):
        drawn.append(state)
        return Drawing(720, 20, [Text(0, 10, repr(state))])

    example = tokens()
    explorer = Explorer(
        example.initial, example.controls[:-1], DrawingPicture(draw), example.describe
    )
    explorer.set(Tokens("a b", 1, "word", ("top-p", "top-k", "temperature")))
    assert len(drawn) == 2
    explorer.set(explorer.state)
    explorer.handles[-1].click()  # Reset, all four fields at once
    assert len(drawn) == 3
    assert explorer.state == explorer.initial
    assert explorer.handles[0].value == "The capital of France"


def test_controls_are_explained_with_range_and_unit():
    explorer = three_panels()
    notes = [note.value for note in explorer.notes]
    assert "Scales each step. (0.0001 to 1 per step)" in notes[2]
    for control, handle, note in zip(explorer.controls, explorer.handles, notes, strict=True):
        said = handle.tooltip if isinstance(control, Button) else note
        assert control.explain in said


def test_a_value_out_of_range_goes_back_into_it():
    explorer = counter()
    explorer.set(Count(99))
    assert explorer.state == Count(5)
    explorer.handles[0].set_state({"value": -3})
    assert explorer.state == Count(0)
    assert explorer.handles[0].value == 0


def fails_at_three(state):
    if state.n == 3:
        raise ArithmeticError("3 < 4 & more")
    return Drawing(100, 20, [Text(0, 10, str(state.n))])


def test_an_error_is_shown_and_goes_when_the_next_frame_is_right():
    explorer = counter(fails_at_three)
    explorer.raise_errors = False
    error = explorer.notes[0]
    assert "A number. (0 to 5)" in error.value
    explorer.handles[0].value = 3
    assert explorer.picture.widget.stale, "the picture is of another state"
    assert "ArithmeticError: 3 &lt; 4 &amp; more" in error.value
    assert 'role="alert"' in error.value
    explorer.handles[0].value = 4
    assert "A number. (0 to 5)" in error.value
    assert "alert" not in error.value
    assert not explorer.picture.widget.stale
    assert explorer.state == Count(4)


def test_under_pytest_an_error_raises():
    explorer = counter(fails_at_three)
    with pytest.raises(ArithmeticError):
        explorer.handles[0].value = 3
    with pytest.raises(ArithmeticError):
        list(drive(counter(fails_at_three)))


def test_outside_pytest_an_error_does_not_raise(monkeypatch):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    counter(fails_at_three).handles[0].value = 3


def test_a_text_too_long_is_refused_by_name():
    explorer = tokens()
    explorer.raise_errors = False
    explorer.handles[0].set_state({"value": "x" * 61})
    assert "text takes at most 60 characters, got 61" in explorer.notes[0].value
    assert explorer.state == explorer.initial


def test_an_impure_draw_is_found():
    numbers = itertools.count()
    impure = counter(lambda state: Drawing(100, 20, [Text(0, 10, str(next(numbers)))]))
    with pytest.raises(AssertionError, match="draw is not pure"):
        list(drive(impure))

    def build(figure):
        return figure.subplots().plot([0, 1])

    def draw(lines, state):  # forgets to set the color back
        if state.n == 3:
            lines[0].set_color("red")

    picture = FigurePicture(build, draw, size=(2, 2))
    control = IntSlider("n", "n", "A number.", 0, 5)
    with pytest.raises(AssertionError, match="draw is not pure"):
        list(drive(Explorer(Count(), [control], picture, str)))


def test_figures_are_built_once(monkeypatch):
    explorer = three_panels()
    monkeypatch.setattr(Figure, "__init__", lambda *_, **__: pytest.fail("a new figure"))
    for i, _ in enumerate(drive(explorer, per_control=5)):
        assert i < 100


def test_a_blitted_frame_is_the_frame_drawn_in_full():
    blitted, state = three_panels(), Panels(0.5, 7, 0.1, False)
    blitted.set(state)
    fresh = Explorer(state, blitted.controls[:-1], three_panels().picture, blitted.describe)
    assert np.abs(pixels(blitted.frame()) - pixels(fresh.frame())).max() <= 2


def test_what_build_did_not_return_is_drawn_when_it_changes():
    def build(figure):
        ax = figure.subplots()
        return {"title": ax.set_title("0"), "ax": None, "line": ax.plot([0, 1])}

    def draw(artists, state):
        ax = artists["line"][0].axes
        ax.set_ylim(0, 1 + state.n)  # the ticks lie in the background
        artists["title"].set_text(str(state.n))

    picture = FigurePicture(build, draw, size=(3, 2))
    frames = [picture.content(Count(n)) for n in (0, 1, 0)]
    assert frames[0] == frames[2]
    left = np.abs(pixels(frames[0]) - pixels(frames[1]))[:, :40]  # tick labels
    assert left.max() > 100


def test_build_must_return_artists():
    with pytest.raises(ValueError, match="must return the artists"):
        FigurePicture(lambda figure: None, lambda artists, state: None).content(Count())


def test_drawing_width_is_fixed():
    with pytest.raises(ValueError, match="50 px wide, not 100"):
        counter(lambda state: Drawing(50, 20))


# What a reader without a kernel sees


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_bundle_holds_picture_alt_text_and_view(example):
    explorer = example()
    data, metadata = explorer._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain", VIEW}
    assert data[VIEW]["model_id"] == explorer.model_id
    assert data["text/plain"] == metadata["image/png"]["alt"] == explorer.describe(explorer.state)
    assert metadata["image/png"]["width"] == explorer.picture.width
    image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert image.width == int(1.44 * explorer.picture.width)
    assert len(data["image/png"]) < 60_000
    assert data == example()._repr_mimebundle_()[0] | {VIEW: data[VIEW]}  # the same bytes
    live = explorer.frame()
    explorer.still()
    assert explorer.frame() == live


def test_ipywidgets_7_displays_the_bundle_itself(monkeypatch):
    monkeypatch.delattr(ipywidgets.Widget, "_repr_mimebundle_", raising=False)
    spec = importlib.util.spec_from_file_location("explorer_on_7", explorer_module.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shown, displayed = [], []
    monkeypatch.setattr(module, "display", lambda data, **more: shown.append((data, more)))
    monkeypatch.setattr(
        ipywidgets.Widget, "_handle_displayed", lambda _: displayed.append(1), raising=False
    )
    example = tokens()
    explorer = module.Explorer(
        example.initial, example.controls[:-1], example.picture, example.describe
    )
    explorer._ipython_display_()
    ((data, more),) = shown
    assert more["raw"] is True
    assert {"image/png", VIEW} < set(data)
    assert more["metadata"]["image/png"]["alt"] == data["text/plain"]
    assert displayed == [1]


def test_only_ipywidgets_7_gets_an_ipython_display():
    modern = hasattr(ipywidgets.Widget, "_repr_mimebundle_")
    assert hasattr(Explorer, "_ipython_display_") != modern


@pytest.mark.parametrize(
    ("interval", "limits", "expected"),
    [
        ("(0, 1]", {"step": 0.05}, (0.05, 1)),
        ("[0, 1)", {"step": 0.25}, (0, 0.75)),
        ("[1, inf)", {"high": 8}, (1, 8)),
        ("(-inf, inf)", {"low": -2, "high": 2.5}, (-2, 2.5)),
    ],
)
def test_limits_of_a_slider_are_those_of_its_setting(interval, limits, expected):
    assert within(interval, **limits) == expected


def test_limits_beyond_the_range_are_refused():
    with pytest.raises(ValueError, match=r"minimum must be in \(0, 1\], got 0"):
        within("(0, 1]", 0)
    with pytest.raises(ValueError, match="maximum must be at least 0, got inf"):
        within("[0, inf)")


def test_a_frame_of_another_state_is_drawn_without_showing_it():
    explorer = counter()
    assert ">2</text>" in explorer.frame(Count(2))
    assert explorer.state == Count(0)


@pytest.mark.parametrize("example", EXAMPLES)
def test_latency_is_measured_over_real_changes(example):
    latency = measure_latency(example(), updates=5)
    assert latency.updates == 5
    assert 0 < latency.median_ms <= latency.p90_ms


def test_latency_of_nothing():
    control = Button("none", "Nothing", "Does nothing.", lambda state: state)
    with pytest.raises(ValueError, match="nothing to time"):
        measure_latency(counter(controls=[control]), updates=2)


# Bad declarations


@dataclass
class Melting:
    """A state that is not frozen."""

    n: int = 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"state": Melting()}, "frozen dataclass, got Melting"),
        ({"state": 3}, "frozen dataclass, got int"),
        ({"controls": [Toggle("m", "m", "No such field.")]}, r"'m', but Count has only \['n'\]"),
        ({"state": Count(9)}, "n: the first value, 9, is outside its range"),
        ({"controls": [IntSlider("n", "n", "A number.", 5, 0)]}, "range 5 to 0 is empty"),
        ({"controls": [LogSlider("n", "n", "A number.", 0, 1)]}, "starts above 0"),
        ({"controls": [Dropdown("n", "n", "A number.", [])]}, "nothing to choose from"),
    ],
)
def test_bad_declarations_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        counter(**arguments)


def test_a_control_needs_an_explanation():
    with pytest.raises(ValueError, match="'n' needs a label and an explanation"):
        FloatSlider("n", "n", " ", 0, 1)


# Drawing


def test_both_drawings_agree():
    drawing = Drawing(
        300,
        120,
        [
            Rectangle(20, 10, 100, 50, "#0072B2", edge="#000000", edge_width=4, tip="a < b"),
            Disk(200, 40, 25, "#E69F00"),
            Line([(10, 90), (150, 70), (290, 90)], "#D55E00", width=3, dashed=True),
            Text(150, 105, "$x$ & <y>", size=16, anchor="middle", bold=True),
        ],
    )
    root = ElementTree.fromstring(drawing.svg(alt='all "shapes"'))
    assert root.get("aria-label") == 'all "shapes"'
    tags = [child.tag.rpartition("}")[2] for child in root]
    assert tags == ["rect", "rect", "circle", "polyline", "text"]
    assert root[1][0].text == "a < b"
    assert root[4].text == "$x$ & <y>"
    image = pixels(drawing.png(scale=1))
    assert image.shape == (120, 300, 3)
    assert np.abs(image[35, 70] - [0, 0x72, 0xB2]).max() <= 16
    assert np.abs(image[40, 200] - [0xE6, 0x9F, 0]).max() <= 16
    assert image[35, 20].max() <= 16  # the edge
    assert image[5, 5].min() >= 250
    dark = np.argwhere(image[95:120].min(axis=2) < 100)
    assert abs(dark[:, 1].mean() - 150) < 8  # the text is centered across
    assert abs(dark[:, 0].mean() + 95 - 105) < 3  # and in height


@given(st.text(max_size=20), st.text(max_size=20))
def test_svg_is_well_formed_for_any_text(text, tip):
    svg = Drawing(10, 10, [Text(0, 0, text), Rectangle(0, 0, 1, 1, tip=tip)]).svg(alt=tip)
    svg.encode()
    root = ElementTree.fromstring(svg)
    if text.isprintable():
        assert (root[1].text or "") == text


@settings(max_examples=20)
@given(st.text("abcXYZ012 .,", min_size=5), st.floats(8, 20), st.booleans(), st.booleans())
def test_text_width_is_that_of_the_glyphs_and_matplotlibs_but_for_kerning(text, size, bold, mono):
    text = f"|{text}|"  # blanks at the ends have no ink
    width = text_width(text, size, bold=bold, mono=mono)
    # at low resolution hinting moves letters; only their extent is asked for, not their pixels
    figure = Figure((0.1, 0.1), dpi=2000)
    canvas = FigureCanvasAgg(figure)
    artist = Text(0, 0, text, size=size, bold=bold, mono=mono).artist()
    figure.add_artist(artist)
    drawn = artist.get_window_extent(canvas.get_renderer()).width / 20
    rounding = (1 + len(text) / 2) / 20  # to whole pixels: the extent, and each letter's advance
    assert 0.94 * width - 0.2 * size <= drawn <= width + 0.02 * size + rounding
    font = FT2Font(findfont(artist.get_fontproperties()))
    font.set_size(10 * size, 72)
    glyphs = (font.load_char(ord(c), flags=LoadFlags.NO_HINTING) for c in text)
    assert width == pytest.approx(sum(g.linearHoriAdvance for g in glyphs) / 655360, rel=2e-3)


@given(st.text(max_size=10))
def test_any_text_has_a_width(text):
    assert 0 <= text_width(text) <= 30 * len(text)


@given(st.integers(-5, 5), st.integers(0, 10), st.integers(2, 20))
def test_int_slider_values_span_the_range(low, span, most):
    control = IntSlider("n", "n", "A number.", low, low + span)
    values = control.values(Count(low), most)
    assert values[0] == low
    assert values[-1] == low + span
    assert len(values) == len(set(values)) == min(most, span + 1)


@given(st.floats(0.01, 1), st.floats(0.01, 5), st.integers(2, 40))
def test_float_slider_values_stay_in_the_range(step, span, most):
    control = FloatSlider("n", "n", "A number.", 1.0, 1.0 + span, step=step)
    values = control.values(replace(Count(), n=1.0), most)
    assert values[0] == 1.0
    assert values[-1] == 1.0 + span
    assert all(1.0 <= value <= 1.0 + span for value in values)


def test_no_warning_whatever_is_typed():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for example in EXAMPLES:
            explorer = example()
            for frame in drive(explorer, per_control=3, mixed=3):
                if frame.control == "text":
                    explorer.still()


def test_the_example_of_the_docstring_works():
    block = explorer_module.__doc__.split("looks like this::")[1].split("With matplotlib:")[0]
    scope = {"np": np, "softmax": lambda x: np.exp(x) / np.exp(x).sum()}
    exec(
        "from dataclasses import dataclass\nfrom lib.display import *\nfrom lib.widgets import *\n"
        + textwrap.dedent(block),
        scope,
    )
    frames = list(drive(scope["temperature_explorer"](np.array([2.0, 1.0, 0.0]))))
    assert len({frame.picture for frame in frames}) > 10
    assert frames[-1].caption.startswith("The likeliest has ")


def test_reorder_and_text_declare_their_values():
    state = Tokens()
    assert len(Reorder("order", "order", "Sorts.").values(state, 3)) == 6
    typed = TextInput("text", "text", "Typed.", max_length=10).values(state, 3)
    assert max(map(len, typed)) == 10
    assert "" in typed
