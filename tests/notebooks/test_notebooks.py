"""Rules that hold for every chapter. That it runs is nbmake's part: `make test`."""

import ast
import functools
import re
import sys
from importlib.metadata import packages_distributions, requires

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement

from tests.library import ROOT, modules, public_definitions
from tools.course import read_settings
from tools.links import GLOSSARY, NAVIGATION, RUN_LINE, TAG, navigation, setup_cell
from tools.notebooks import names, notebook_path, problems
from tools.outputs import MACHINE_PATH, WIDGET_VIEW

TEXTS = names()
NAMES = [name for name in TEXTS if notebook_path(name).exists()]
FIGURE_REPR = re.compile(r"<[\w. ]+>|<Figure size")
MOST_SECONDS = {"14": 300}  # the cold start trains a model
each_chapter = pytest.mark.parametrize("name", NAMES)


@functools.lru_cache(maxsize=32)
def read(name):
    return nbformat.read(notebook_path(name), as_version=4)


def code_cells(name):
    return [cell for cell in read(name).cells if cell.cell_type == "code"]


def outputs(name):
    return [output for cell in code_cells(name) for output in cell.outputs]


def python(cell):
    """The syntax tree of a code cell, IPython's own syntax translated."""
    return ast.parse(TransformerManager().transform_cell(cell.source))


def test_every_notebook_has_its_text():
    assert sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")) == TEXTS


@pytest.mark.parametrize("name", TEXTS)
def test_text_and_notebook_are_in_step(name):
    assert problems(name) == [], f"run: python -m tools.notebooks {name}"


@each_chapter
def test_executed_once_in_order(name):
    counts = [cell.execution_count for cell in code_cells(name)]
    assert counts == list(range(1, len(counts) + 1))


@each_chapter
def test_no_errors_and_no_noise(name):
    assert [o.evalue for o in outputs(name) if o.output_type == "error"] == []
    assert [o.text for o in outputs(name) if o.get("name") == "stderr"] == []


@each_chapter
def test_head(name):
    head = read(name).cells[0]
    assert head.cell_type == "markdown"
    assert re.match(r"# \S", head.source), "the first line is the chapter's title"
    assert len(re.findall(r"^# ", head.source, re.MULTILINE)) == 1
    line = RUN_LINE.search(head.source)
    assert line, "the head needs a line that begins **Runs in**"
    measured = re.search(r"(\d+) seconds and (\d+\.\d) GiB", line.group())
    assert measured, f"run: python -m tools.notebooks --measure {name}"
    assert int(measured[1]) <= MOST_SECONDS.get(name[:2], 120)
    assert float(measured[2]) <= 1.5, "Binder has 2 GB, and a browser tab keeps a kernel alive"


@each_chapter
def test_one_title(name):
    later = [cell.source for cell in read(name).cells[1:] if cell.cell_type == "markdown"]
    assert [text for text in later if re.match(r"# \S", text)] == []


@each_chapter
def test_setup_cell_is_the_same_in_all(name):
    tagged = [
        (index, cell.source)
        for index, cell in enumerate(read(name).cells)
        if TAG in cell.metadata.get("tags", [])
    ]
    assert tagged == [(1, setup_cell(read_settings()))]


@each_chapter
def test_links_to_glossary_and_other_chapters(name):
    """Written by the builder; for a chapter that was built before: python -m tools.badges NAME."""
    tagged = [cell for cell in read(name).cells if NAVIGATION in cell.metadata.get("tags", [])]
    assert [cell.source for cell in tagged] == [navigation(name)]
    assert read(name).cells[-1] == tagged[0]
    assert read(name).cells[0].source.count(GLOSSARY) == 1


@each_chapter
def test_code_cells_are_short(name):
    long = {
        cell.source.splitlines()[0]: len(cell.source.splitlines())
        for cell in code_cells(name)
        if len(cell.source.splitlines()) > 25
    }
    assert long == {}


@each_chapter
def test_shown_source_fits_a_page(name):
    shown = [o.get("data", {}).get("text/markdown", "") for o in outputs(name)]
    lines = [line for text in shown if text.startswith("`lib/") for line in text.splitlines()]
    assert [line for line in lines if len(line) > 88] == [], "wrap it: 88 columns are in sight"


@functools.lru_cache(maxsize=1)
def names_of_library():
    return {
        definition.name: module
        for module, path in modules().items()
        for definition in public_definitions(path)
    }


@each_chapter
def test_nothing_of_lib_is_defined_again(name):
    defined = set()
    for cell in code_cells(name):
        for node in ast.walk(python(cell)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                defined.add(node.name)
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
                defined.update(t.id for t in node.targets if isinstance(t, ast.Name))
    library = names_of_library()
    assert {n: library[n] for n in defined if n in library} == {}, "import it, or name yours my_..."


@each_chapter
def test_imports_only_what_a_reader_gets(name):
    """On Binder and Colab there are only the dependencies of the package, not the test extras."""
    needed = [Requirement(line) for line in requires("nlp-to-lms") or []]
    installed = {r.name.lower().replace("_", "-") for r in needed if not r.marker}
    allowed = {"lib", "IPython", *sys.stdlib_module_names}
    for module, distributions in packages_distributions().items():
        if any(d.lower().replace("_", "-") in installed for d in distributions):
            allowed.add(module)
    imported = set()
    for cell in code_cells(name):
        for node in ast.walk(python(cell)):
            if isinstance(node, ast.Import):
                imported.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    assert imported - allowed == set()


@each_chapter
def test_images_have_alt_text(name):
    for output in outputs(name):
        data = output.get("data", {})
        if any(mime.startswith("image/") for mime in data):
            alt = data.get("text/plain", "")
            usable = len(alt) >= 20 and not FIGURE_REPR.match(alt)
            assert usable, f"show it with display_figure(figure, alt=...); its alt text is {alt!r}"
            for mime, metadata in output.metadata.items():
                assert metadata.get("alt", alt) == alt, mime
    for cell in read(name).cells:
        if cell.cell_type == "markdown":
            images = re.findall(r"!\[(.*?)\]\(", cell.source, re.DOTALL)
            tags = re.findall(r"<img\b[^>]*>", cell.source)
            alts = [re.search(r"\balt=([\"'])(.+?)\1", tag) for tag in tags]
            assert all(text.strip() for text in images), cell.source
            assert all(alts), cell.source


@each_chapter
def test_size(name):
    assert notebook_path(name).stat().st_size < 2_000_000
    large = [
        f"{mime}: {len(value)}"
        for output in outputs(name)
        for mime, value in output.get("data", {}).items()
        if len(str(value)) > 400_000
    ]
    assert large == [], "an output over 400 kB"


@each_chapter
def test_no_state_of_a_machine(name):
    notebook = read(name)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}, "such as widgets' state"
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)
    assert all(WIDGET_VIEW not in output.get("data", {}) for output in outputs(name))
    texts = [cell.source for cell in notebook.cells]
    texts += [output.get("text", "") for output in outputs(name)]
    texts += [
        value
        for output in outputs(name)
        for mime, value in output.get("data", {}).items()
        if mime.startswith("text/")
    ]
    assert [m.group() for text in texts for m in MACHINE_PATH.finditer(text)] == []
