"""The web book's parts that need neither Sphinx nor a browser."""

import dataclasses
import gzip
import json
import re
from base64 import b64decode
from xml.etree import ElementTree

import nbformat
import pytest

from lib.widgets import Dropdown, IntSlider
from lib.widgets.power_law import power_law_explorer
from lib.widgets.qkv import qkv_explorer
from lib.widgets.sampling import sampling_explorer
from tests.widgets.examples import Panels, three_panels, tokens
from tools.book import checking, sources
from tools.book.frames import count, export, script
from tools.book.widgets import WIDGETS
from tools.links import COURSE, NAVIGATION, TAG
from tools.notebooks import names, notebook_path

MAKERS = {
    "qkv_explorer": qkv_explorer,
    "sampling_explorer": sampling_explorer,
    "power_law_explorer": power_law_explorer,
}


@pytest.fixture(scope="module")
def explorers(smollm2):
    """The widgets themselves, each made once."""
    return {
        widget.name: MAKERS[widget.call](*(smollm2 if widget.name != "power_law" else ()))
        for widget in WIDGETS
    }


def shown(data, place):
    """The picture and the caption that the player shows for one frame."""
    picture, caption = data["frames"][place]
    return "".join(data["shapes"][i] for i in data["pictures"][picture]), data["captions"][caption]


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda widget: widget.name)
def test_the_book_shows_what_the_widget_shows(widget, explorers):
    """At the corners of the grid, and at the widget's own start."""
    explorer = explorers[widget.name]
    ends = {
        field: sorted({values[0], values[-1], getattr(explorer.initial, field)}, key=values.index)
        for field, values in widget.axes.items()
    }
    few = {field: values[:2] if i > 1 else values for i, (field, values) in enumerate(ends.items())}
    few = {f: v if getattr(explorer.initial, f) in v else ends[f] for f, v in few.items()}
    data = export(explorer, few)
    assert len(data["frames"]) == count(few)
    lengths = [len(values) for values in few.values()]
    starts = [control["start"] for control in data["controls"]]
    for point in ([0] * len(few), [n - 1 for n in lengths], starts):
        place = 0
        for n, i in zip(lengths, point, strict=True):  # as player.js does
            place = place * n + i
        chosen = {f: list(v)[i] for (f, v), i in zip(few.items(), point, strict=True)}
        explorer.set(dataclasses.replace(explorer.initial, **chosen))
        svg, caption = shown(data, place)
        assert svg == explorer.picture.svg(explorer.state)
        assert caption == explorer.describe(explorer.state)
        if isinstance(explorer.picture.current(), str):
            assert svg == explorer.picture.current(), "what the widget sent"
    explorer.set(explorer.initial)
    assert shown(data, 0) != shown(data, len(data["frames"]) - 1)


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda widget: widget.name)
def test_every_control_of_the_book_is_labeled_and_starts_where_the_widget_does(widget, explorers):
    explorer = explorers[widget.name]
    still = {field: (getattr(explorer.initial, field),) for field in widget.axes}
    for control, field in zip(export(explorer, still)["controls"], still, strict=True):
        assert len(control["label"]) > 1
        assert control["explain"].endswith(".")
        own = next(c for c in explorer.controls if c.field == field)
        assert control["values"] == [own.shown(explorer.initial)]
    assert 2 <= len(widget.axes) <= 7
    assert count(widget.axes) <= 3000, "each takes time in make book"


def test_export_of_each_kind_of_control():
    data = export(
        three_panels(), {"temperature": (0.5, 1.0), "row": (0, 3), "causal": (True, False)}
    )
    kinds = [(c["kind"], c["values"], c["start"]) for c in data["controls"]]
    assert kinds == [
        ("slider", ["0.5", "1"], 1),
        ("slider", ["0", "3"], 0),
        ("toggle", ["on", "off"], 0),
    ]
    explorer = three_panels()
    svg, _ = shown(data, 2 * 2 * 1 + 2 * 1 + 1)
    assert svg == explorer.picture.svg(Panels(1.0, 3, causal=False))
    assert len(ElementTree.fromstring(svg)) > 0
    choice = export(tokens(), {"unit": ("character", "word")})["controls"][0]
    assert (choice["kind"], choice["values"]) == ("choice", ["character", "word"])
    assert isinstance(tokens().controls[1], Dropdown)
    assert isinstance(tokens().controls[2], IntSlider)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"nothing": (1,)}, "no control of 'nothing'"),
        ({"row": (1, 2)}, "begins at 0, not among"),
        ({"row": (0, 99)}, "99 is out of range"),
    ],
)
def test_a_grid_that_does_not_fit(axes, message):
    with pytest.raises(ValueError, match=message):
        export(three_panels(), axes)


def test_script_holds_the_data():
    data = export(tokens(), {"unit": ("character", "word")})
    text = script("tokens", data)
    packed = re.fullmatch(r"coursePlayers\.receive\(\"tokens\", '(.*)'\)\n", text)[1]
    assert json.loads(gzip.decompress(b64decode(packed))) == json.loads(json.dumps(data))
    assert text == script("tokens", data)


def test_every_chapter_is_in_the_book():
    built = [name for name in names() if notebook_path(name).exists()]
    assert set(built) <= set(COURSE)
    pages = ["glossary", "map_of_the_library", "map_of_the_notes"]
    index = sources.index(built, pages, WIDGETS)
    for name in built:
        assert f"{int(name[:2])}. {COURSE[name]} <{name}>" in index
    for page in pages:
        assert f" <{page}>" in index
    assert "(notebooks/" not in index


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda widget: widget.name)
def test_players_find_their_cells(widget):
    notebook = nbformat.read(notebook_path(widget.chapter), as_version=4)
    page = sources.for_book(notebook, widget.chapter, WIDGETS)
    players = [
        (cell, output)
        for cell in page.cells
        for output in cell.get("outputs", [])
        if f'data-player="{widget.name}"' in output.get("data", {}).get("text/html", "")
    ]
    assert len(players) == 1
    cell, _ = players[0]
    assert "image/png" in cell.outputs[-2].data, "the still picture stays for those without scripts"
    tags = {tag for cell in page.cells for tag in cell.metadata.get("tags", [])}
    assert not tags & {TAG, NAVIGATION}
    assert page.cells[0].source.startswith(f"# {int(widget.chapter[:2])}. ")
    assert sources.alt_texts(notebook)


def test_links_out_of_the_book_become_text():
    text = "see [the code](../lib/a.py), [this](02_attention.ipynb) and ![a](../figures/a.png)"
    expected = "see the code, [this](02_attention.ipynb) and ![a](../figures/a.png)"
    assert sources.inside(text) == expected


def test_a_link_to_a_term_of_the_glossary_is_html():
    text = "the [**token ids**](glossary.md#token-id), see the [glossary](glossary.md)"
    link = '<a class="reference internal" href="glossary.html#token-id">**token ids**</a>'
    assert sources.inside(text) == f"the {link}, see the [glossary](glossary.md)"


def test_checking_finds_what_is_wrong(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(
        '<h1 id="top-of-a">A</h1><a href="b.html#here">b</a><a href="b.html#gone">b</a>'
        '<a href="#top-of-a">a</a><a href="missing.html">c</a><a href="sub/">d</a>'
        '<a href="https://elsewhere.example/">out</a><img src="x.png" alt="x"><img src="a.html">'
        '<script src="https://cdn.example/x.js"></script><script src="//cdn.example/y.js"></script>'
    )
    (tmp_path / "b.html").write_text('<p id="here">b</p>')
    (tmp_path / "sub" / "index.html").write_text('<a href="../a.html#top-of-a">up</a>')
    found = checking.problems(tmp_path)
    assert [line.replace("a.html ", "", 1) for line in found[:-1]] == [
        "loads x.png, which is not there",
        "loads https://cdn.example/x.js from outside",
        "loads //cdn.example/y.js from outside",
        "links b.html#gone: the page has no such place",
        "links missing.html, which is not there",
    ]
    assert found[-1] == "a.html: a.html has no alt text"
