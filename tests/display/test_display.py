"""What show, show_table, display_figure and save_figure publish, and how it reads elsewhere."""

import ast
import base64
import functools
import io
import itertools
import json
import textwrap
import warnings

import matplotlib
import nbconvert
import nbformat
import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup  # nbconvert brings it
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

import lib.display.figures
import lib.display.plots
import lib.display.source
import lib.display.style
import lib.display.tables
from lib.display import (
    PALETTE,
    Drawing,
    Rectangle,
    arrow,
    display_figure,
    drawable,
    label_lines,
    save_figure,
    show,
    show_table,
    text_color,
    three_axes,
    use_course_style,
    visible,
)


@pytest.fixture
def outputs(monkeypatch):
    """Collect what is published instead of showing it."""
    collected = []

    def publish(data, metadata=None):
        collected.append((data, metadata or {}))

    for module in (lib.display.figures, lib.display.source, lib.display.tables):
        monkeypatch.setattr(module, "publish", publish)
    return collected


def html_of(data, metadata):
    """Render one output as nbconvert does."""
    output = nbformat.v4.new_output("display_data", data=data, metadata=metadata)
    cell = nbformat.v4.new_code_cell("", outputs=[output])
    exporter = nbconvert.HTMLExporter(template_name="classic")
    return exporter.from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))[0]


@pytest.fixture
def figure():
    with matplotlib.rc_context(lib.display.course_style()):
        fig = Figure()
        ax = fig.subplots()
        ax.plot([0, 1, 2], [3, 2, 2.5], label="loss")
        yield fig


class Sample:
    """A class to show."""

    def plain(self) -> int:
        """Return one."""
        return 1

    @property
    def doubled(self) -> int:
        """Only a docstring with a fence: ```` and `ticks`."""

    @staticmethod
    @functools.lru_cache
    def cached(n: int) -> int:
        text = """
not indented
"""
        return n + len(text)


def test_show_gives_the_file_the_line_and_the_source(outputs):
    show(Sample.plain, show_table)
    (data, _), (second, _) = outputs
    place, _, code = data["text/plain"].partition("\n")
    line = Sample.plain.__code__.co_firstlineno
    assert place.endswith(f"test_display.py, line {line}")
    assert not place.startswith("# /")
    assert code == 'def plain(self) -> int:\n    """Return one."""\n    return 1'
    assert data["text/markdown"].endswith(f"```python\n{code}\n```")
    assert second["text/plain"].startswith("# lib/display/tables.py, line ")


def test_show_highlights_in_html(outputs):
    show(Sample.plain)
    assert '<span class="k">return</span>' in html_of(*outputs[0])


def test_show_without_docstrings_is_the_same_program(outputs):
    show(Sample, docstring=False)
    code = outputs[0][0]["text/plain"]
    assert "A class to show" not in code
    assert "Return one" not in code
    assert "not indented" in code
    members = ast.parse(code).body[0].body
    assert [member.name for member in members] == ["plain", "doubled", "cached"]
    assert isinstance(members[1].body[0].value, ast.Constant)  # an ellipsis keeps the body


def test_show_unwraps_properties_partials_and_caches(outputs):
    show(Sample.doubled, functools.partial(Sample.cached, 1), Sample.cached)
    property_data, partial_data, cached_data = (data for data, _ in outputs)
    assert "def doubled" in property_data["text/plain"]
    assert "`````python" in property_data["text/markdown"]  # longer than the fence inside
    assert partial_data == cached_data
    assert "\nnot indented\n" in cached_data["text/plain"]


def test_show_a_module_and_a_package(outputs):
    show(lib.display.tables, nbformat)
    assert outputs[0][0]["text/plain"].startswith("# lib/display/tables.py, line 1\n")
    assert outputs[1][0]["text/plain"].startswith("# nbformat/__init__.py, line 1\n")


@pytest.mark.parametrize("thing", [3, len, torch.tensor(1.0), torch.add])
def test_show_says_why_it_cannot(outputs, thing):
    with pytest.raises(TypeError, match="show"):
        show(Sample, thing)
    assert outputs == []


def test_show_without_a_file(outputs):
    scope = {"__name__": "nowhere"}
    exec("def f(): pass", scope)
    with pytest.raises(TypeError, match="not in a file"):
        show(scope["f"])


def test_outside_ipython_it_prints(capsys):
    show(Sample.plain)
    assert "return 1" in capsys.readouterr().out


def test_table_aligns_numbers_to_the_right(outputs):
    show_table(
        [
            {"token": " Paris", "id": 12345, "p": 0.123456, "note": None},
            {"token": "|<s>", "id": 7, "p": 1e-7, "note": "x"},
        ],
        formats={"p": ".3f"},
    )
    data = outputs[0][0]
    assert data["text/markdown"].splitlines()[1] == "| :--- | ---: | ---: | :--- |"
    assert data["text/plain"].splitlines()[2:] == [
        " Paris  12,345  0.123",
        "|<s>         7  0.000  x",
    ]


CELL_TEXT = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1)


@given(CELL_TEXT, CELL_TEXT)
def test_table_cells_come_through_markdown_unchanged(a, b):
    published = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lib.display.tables, "publish", published.append)
        show_table([[a, b]], ["x", "y"])
    page = BeautifulSoup(
        nbconvert.filters.markdown2html(published[0]["text/markdown"]), "html.parser"
    )
    assert [cell.text for cell in page.find_all("td")] == [a, b]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": [[1, 2]]}, "needs columns"),
        ({"rows": [[1, 2]], "columns": ["a"]}, "2 cells for 1 columns"),
        ({"rows": [[1]], "columns": ["a"], "formats": {"b": "d"}}, r"formats names \['b'\]"),
    ],
)
def test_table_bad_input(outputs, arguments, message):
    with pytest.raises(ValueError, match=message):
        show_table(**arguments)
    assert outputs == []


def test_display_figure_carries_alt_text_into_html(outputs, figure):
    display_figure(figure, alt='Loss falls from 3 to "2.5"')
    data, metadata = outputs[0]
    assert set(data) == {"image/png", "text/plain"}
    assert data["text/plain"] == metadata["image/png"]["alt"] == 'Loss falls from 3 to "2.5"'
    image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert (image.width, image.height, image.mode) == (864, 489, "P")
    assert image.info.keys() <= {"transparency"}
    page = html_of(data, metadata)
    image = BeautifulSoup(page, "html.parser").find("img")
    assert (image["alt"], image["width"]) == ('Loss falls from 3 to "2.5"', "600")


def test_display_figure_closes_it_and_wants_alt_text(outputs):
    from matplotlib import pyplot

    fig, _ = pyplot.subplots()
    with pytest.raises(ValueError, match="alt text"):
        display_figure(fig, alt=" ")
    display_figure(fig, alt="an empty plot")
    assert not pyplot.fignum_exists(fig.number)


def test_png_keeps_its_colors(figure):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    ax = figure.axes[0]
    ax.imshow(np.random.default_rng(0).random((16, 16)), extent=(0, 2, 2, 3), aspect="auto")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    exact = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    small = np.asarray(Image.open(io.BytesIO(lib.display.png_of(figure, 100))).convert("RGB"))
    assert np.abs(exact - small).max() <= 16


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_save_figure_gives_the_same_bytes_and_the_data(tmp_path, suffix):
    contents = []
    for _ in range(2):
        fig = Figure()
        fig.subplots().plot([0, 1])
        path = tmp_path / "new" / f"loss{suffix}"
        data = {"loss": np.array([1 / 3, np.nan]), "steps": torch.tensor([0, 1]), "n": (1, "a")}
        save_figure(fig, path, alt="Loss", data=data)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    assert json.loads(path.with_suffix(".json").read_text()) == {
        "alt": "Loss",
        "data": {"loss": [0.333333, None], "steps": [0, 1], "n": [1, "a"]},
    }
    assert {file.name for file in path.parent.iterdir()} == {f"loss{suffix}", "loss.json"}


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [("a.pdf", {}, ValueError), ("a.png", {"x": object()}, TypeError)],
)
def test_save_figure_writes_nothing_on_bad_input(tmp_path, figure, name, data, error):
    with pytest.raises(error):
        save_figure(figure, tmp_path / name, alt="x", data=data)
    assert list(tmp_path.iterdir()) == []


def test_palette_is_told_apart_in_gray_by_lightness_or_dashes():
    styles = list(lib.display.course_style()["axes.prop_cycle"])
    gray = [lib.display.style.luminance(style["color"]) ** (1 / 2.2) for style in styles]
    for i, a in enumerate(styles):
        for j, b in enumerate(styles[:i]):
            assert a["linestyle"] != b["linestyle"] or abs(gray[i] - gray[j]) > 0.12, (a, b)


@given(st.tuples(*[st.floats(0, 1)] * 3))
def test_text_on_a_color_has_contrast(color):
    luminance = lib.display.style.luminance
    lighter, darker = sorted([luminance(color), luminance(text_color(color))])[::-1]
    assert (lighter + 0.05) / (darker + 0.05) > 4.5


@pytest.mark.parametrize("color", PALETTE.values())
def test_label_colors_have_contrast(color):
    dark = lib.display.ink(color)
    assert 1.05 / (lib.display.style.luminance(dark) + 0.05) >= 4.5
    assert max(c - d for c, d in zip(dark, to_rgb(color), strict=True)) <= 0


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8))
def test_labels_are_spread_without_overlap_and_centered(heights):
    heights = sorted(heights)
    spread = lib.display.plots._spread(heights, 11.0)
    assert all(b - a >= 11.0 - 1e-6 for a, b in itertools.pairwise(spread))
    assert sum(spread) == pytest.approx(sum(heights), abs=1e-6)


def test_label_lines_labels_each_line_once(figure):
    use = figure.axes[0]
    use.plot([0, 1, 2], [1, 2, 2.5], label="cost in $")
    label_lines(use)
    assert [text.get_text() for text in use.texts] == ["loss", r"cost in \$"]
    figure.draw_without_rendering()  # a dollar sign is no formula


def test_use_course_style():
    with matplotlib.rc_context():
        use_course_style()
        assert matplotlib.rcParams["axes.spines.top"] is False


def test_visible_shows_blanks():
    assert visible(" a\n\t\x00é\u200b") == "␣a↵⇥\\x00é\\u200b"


def test_drawable_text_draws_without_a_warning():
    text = drawable("naïve 中文 👩‍👧 Ωλ ␣↵⇥ → عربي\x00")
    assert text.startswith("naïve ▯▯ ▯")
    assert "Ωλ ␣↵⇥ → عربي" in text
    fig = Figure()
    fig.text(0, 0.5, text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lib.display.png_of(fig)


def test_importing_display_imports_neither_matplotlib_nor_ipython():
    import subprocess
    import sys

    code = """
        import sys, lib.display
        print({"matplotlib", "IPython", "numpy", "PIL"} & set(sys.modules))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize("end", ["png", "svg"])
def test_a_drawing_is_saved_like_a_figure(tmp_path, end):
    shapes = [Rectangle(1, 2, 30, 9, "#ffffff", "#000000", radius=3, dashed=True)]
    shapes += arrow([(2, 2), (20, 2), (20, 15)])
    path = tmp_path / f"drawing.{end}"
    save_figure(Drawing(40, 20, shapes), path, alt="A box and an arrow.", data={"boxes": 1})
    assert json.loads(path.with_suffix(".json").read_text())["alt"] == "A box and an arrow."
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG") if end == "png" else b"A box and an arrow" in content
    if end == "svg":
        assert b"<polygon" in content
        assert b"rx=" in content


def test_three_axes_show_the_same_laws():
    pair = {"power": lambda x: 4 * x**-0.5, "exponential": lambda x: 4 * np.exp(-0.1 * x)}
    figure = three_axes(pair, np.geomspace(1, 100, 20), "x", "y", (0.01, 5), [(1, 4)])
    scales = [(ax.get_xscale(), ax.get_yscale()) for ax in figure.axes]
    assert scales == [("linear", "linear"), ("linear", "log"), ("log", "log")]
    for ax in figure.axes:
        drawn = [line.get_ydata() for line in ax.lines[:2]]
        assert (drawn[0] == pair["power"](np.geomspace(1, 100, 20))).all()
        assert len(ax.lines) == 3
