"""The web book's parts that need neither Sphinx nor a browser."""

import dataclasses
import gzip
import hashlib
import json
import re
from base64 import b64decode
from xml.etree import ElementTree

import nbformat
import pytest

from lib.diagrams.gallery import GALLERY
from lib.generation.drafts import first_layers
from lib.widgets import DrawingPicture, Dropdown, IntSlider
from tests.widgets.examples import Panels, three_panels, tokens
from tools.book import checking, gallery, sources
from tools.book.frames import count, export, script
from tools.book.redirects import MOVED, write_redirects
from tools.book.widgets import WIDGETS
from tools.links import COURSE, NAVIGATION, TAG
from tools.notebooks import names, notebook_path

# What a chapter's cells make takes them a minute: `make book` itself tries those grids.
ALONE = [widget for widget in WIDGETS if not widget.of_chapter]


@pytest.fixture(scope="module")
def explorers(smollm2):
    """The widgets themselves, each made once; a search on two layers shows as much as on thirty."""
    model, tokenizer = smollm2
    found = {}
    for widget in ALONE:
        whole = model if widget.name != "beam_tree" else first_layers(model, 2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tools.book.widgets.course_model", lambda whole=whole: (whole, tokenizer))
            found[widget.name] = widget.make()
    return found


def shown(data, place):
    """The picture and the caption that the player shows for one frame."""
    picture, caption = data["frames"][place]
    return "".join(data["shapes"][i] for i in data["pictures"][picture]), data["captions"][caption]


@pytest.mark.parametrize("widget", ALONE, ids=lambda widget: widget.name)
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
        if isinstance(explorer.picture, DrawingPicture):
            assert svg == explorer.picture.current(), "what the widget sent"
    explorer.set(explorer.initial)
    assert shown(data, 0) != shown(data, len(data["frames"]) - 1)


@pytest.mark.parametrize("widget", ALONE, ids=lambda widget: widget.name)
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
    meaning = sources.glossary()["token-id"]
    assert "`" not in meaning
    address = 'href="glossary.html#token-id"'
    link = f'<a class="reference internal" {address} data-meaning="{meaning}">**token ids**</a>'
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


def test_text_for_the_notebook_has_a_variant_in_the_book():
    cells = [nbformat.v4.new_markdown_cell(t) for t in ("# A title", "Type a prompt, and look.")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert sources.for_book(notebook, "00_tour").cells[1].source == "Choose a prompt, and look."


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda widget: widget.name)
def test_prose_of_the_book_names_no_control_that_is_not_there(widget, explorers):
    """Beside a widget the book asks for nothing that only the notebook has."""
    notebook = nbformat.read(notebook_path(widget.chapter), as_version=4)
    cells = sources.for_book(notebook, widget.chapter, WIDGETS).cells
    at = next(
        i
        for i, cell in enumerate(cells)
        if any(f'"{widget.name}"' in str(o.get("data", {})) for o in cell.get("outputs", []))
    )
    prose = " ".join(c.source for c in cells[at - 1 : at + 2] if c.cell_type == "markdown")
    assert "Type a" not in prose, "nothing can be typed in the book"
    if widget.of_chapter:
        return
    for control in explorers[widget.name].controls:
        if control.field not in widget.axes and control.field != "reset":
            asked = re.search(rf"(?:[Ss]et|[Mm]ove|[Dd]rag) the {control.label}\b", prose)
            assert not asked, f"the book has no control {control.label!r}"


@pytest.mark.parametrize("widget", ALONE, ids=lambda widget: widget.name)
def test_every_task_can_be_done_in_the_book(widget, explorers):
    for task in explorers[widget.name].tasks:
        for field, value in task.moves.items():
            assert value in widget.axes[field], task.question


def test_formulas_become_mathml():
    pytest.importorskip("docutils", reason="comes with what `make book` installs")
    from tools.book.formulas import mathml

    root = ElementTree.fromstring(mathml(r"\frac{a_1}{b} + \Big(1, \dots\Big)", block=True))
    assert root.get("display") == "block"
    tags = [e.tag.rpartition("}")[2] for e in root.iter()]
    assert {"mfrac", "msub", "mo"} <= set(tags)
    assert "…" in "".join(root.itertext())
    with pytest.raises(ValueError, match="nosuchcommand"):
        mathml(r"\nosuchcommand", block=False)


def test_old_addresses_lead_to_chapters_that_exist(tmp_path):
    write_redirects(tmp_path)
    for old, new in MOVED.items():
        text = (tmp_path / f"{old}.html").read_text()
        assert f"url={new}.html" in text
        assert new in COURSE
        assert old not in COURSE
        assert all(name in COURSE for name in re.findall(r'href="(\w+)\.html">', text))
    (tmp_path / "06_sampling.html").write_text("a chapter of that name")
    with pytest.raises(FileExistsError, match="06_sampling"):
        write_redirects(tmp_path)


def test_imports_and_drawing_are_folded_and_other_code_is_not():
    cell = nbformat.v4.new_code_cell
    assert sources.is_folded(cell("import torch\nfrom a import b\nuse_course_style()"))
    assert sources.is_folded(cell("fig, ax = f()\ndisplay_figure(fig, alt='a')"))
    assert not sources.is_folded(cell("import torch\ntorch.ones(3)"))


def test_the_gallery_has_a_table_and_a_picture_of_each_model(tmp_path):
    assert gallery.write(tmp_path) == "gallery"
    text = (tmp_path / "gallery.md").read_text(encoding="utf-8")
    for name, entry in GALLERY.items():
        assert f"\n## {name}\n" in text
        assert entry.source in text
    assert 'data-value="671026404352">671 B<' in text
    assert len(list((tmp_path / "gallery").glob("*.svg"))) == len(GALLERY)
    assert '<div class="table-wrapper' in text, "reading.js lets keys scroll it"
    drawing = (tmp_path / "gallery" / "gpt_2.svg").read_text(encoding="utf-8")
    assert "124,439,808" in drawing
    output = {"image/svg+xml": drawing, "image/png": "aGk=", "text/plain": "GPT-2, drawn"}
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", output)])
    checksum = hashlib.sha256(drawing.encode()).hexdigest()
    assert sources.alt_texts(nbformat.v4.new_notebook(cells=[cell]))[checksum] == "GPT-2, drawn"
