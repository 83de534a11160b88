"""Lays the chapters out for Sphinx: notebooks as they are committed, a front page, scripts."""

import ast
import base64
import copy
import hashlib
import html
import json
import re
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lib.widgets.touch import SOURCE as FRONT
from lib.widgets.touch import STYLE
from tools import readme
from tools.book import SOURCE, gallery
from tools.book.widgets import BookWidget
from tools.course import ROOT, read_settings
from tools.links import COURSE, NAVIGATION, TAG
from tools.notebooks import notebook_path

STATIC = Path(__file__).parent / "static"
GUESSES = "guesses"  # cells of lib.widgets.guesses: predict.js does the same in the book
PLAYER = """\
<div class="player" data-player="{name}"></div>
"""
INDEX = """\
{intro}

{start}

## Chapters

{chapters}

## To look things up

{pages}

```{{toctree}}
:hidden:
:caption: Chapters

{chapter_list}
```

```{{toctree}}
:hidden:
:caption: To look things up

{page_list}
```
"""
START = """\
You are reading the web edition. Its pictures and numbers are those of the executed notebooks; \
these widgets can be moved here, at a choice of settings: {players}. To run and change everything, \
clone {repository} and run `make lab`."""

TERM = re.compile(r"\[([^\]]*)\]\(glossary\.md#([^)\s]+)\)")
MEANING = re.compile(r"^\| <a id=\"([^\"]+)\"></a>[^|]*\| ([^|]*) \|", re.MULTILINE)
# What only a notebook can do, and what the book says there instead; a test finds what is missing.
VARIANTS = {
    "Type a prompt,": "Choose a prompt,",
    "Type a text, choose": "Choose a text, choose",
    "Type a text of your own with a name in it twice, and go through": "Go through",
    "whatever you type?": "whatever the query is?",
    "move the settings, reorder them, draw, and step the text forward.": (
        "move the settings, and choose between two orders of them."
    ),
}


def slug(title: str) -> str:
    """The name of a heading in links, as JupyterLab makes it."""
    return title.strip().replace(" ", "-")


def write_sources(widgets: Sequence[BookWidget], folder: Path = SOURCE) -> list[str]:
    """Writes all that Sphinx reads but the widgets' data, and returns the names of the pages."""
    for path in [*folder.glob("*.ipynb"), *folder.glob("*.md")]:
        path.unlink()
    (folder / "_static").mkdir(parents=True, exist_ok=True)
    alt: dict[str, str] = {}
    chapters = [name for name in COURSE if notebook_path(name).exists()]
    for name in chapters:
        notebook = for_book(nbformat.read(notebook_path(name), as_version=4), name, widgets)
        alt |= alt_texts(notebook)
        nbformat.write(notebook, folder / f"{name}.ipynb")
    pages = sorted(path.stem for path in (ROOT / "notebooks").glob("*.md"))
    for name in pages:
        text = (ROOT / "notebooks" / f"{name}.md").read_text(encoding="utf-8")
        (folder / f"{name}.md").write_text(inside(text), encoding="utf-8")
    pages.append(gallery.write(folder))
    (folder / "alt.json").write_text(json.dumps(alt), encoding="utf-8")
    (folder / "index.md").write_text(index(chapters, pages, widgets), encoding="utf-8")
    shutil.copytree(ROOT / "figures", folder / "figures", dirs_exist_ok=True)
    shutil.copytree(STATIC, folder / "_static", dirs_exist_ok=True)
    # A page opened from a disk may not load modules: the notebook's front end as a plain script.
    front = FRONT.read_text(encoding="utf-8")
    plain = re.sub(r"^export default .*$", "window.courseFront = { touch };", front, flags=re.M)
    script = f"(() => {{\n{plain}}})();\n"
    (folder / "_static" / "front.js").write_text(script, encoding="utf-8")
    shutil.copy(STYLE, folder / "_static" / "front.css")
    return ["index", *chapters, *pages]


def for_book(notebook: NotebookNode, name: str, widgets: Sequence[BookWidget] = ()) -> NotebookNode:
    """A chapter with a number in its title, and players below the pictures of movable widgets.

    The set-up cell goes, fields for guesses and links at its foot: the book has its own.
    """
    notebook = copy.deepcopy(notebook)
    notebook.cells = [
        cell
        for cell in notebook.cells
        if not {TAG, NAVIGATION, GUESSES} & set(cell.metadata.get("tags", []))
    ]
    head = notebook.cells[0]
    head.source = re.sub(r"\A# ", f"# {int(name[:2])}. ", head.source)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = inside(for_reading(cell.source))
            continue
        tags = cell.metadata.get("tags", [])
        if is_folded(cell):
            cell.metadata["tags"] = [*tags, "hide-input"]
        for widget in widgets:
            if widget.belongs_to(name, cell.source):
                box = PLAYER.format(name=widget.name)
                cell.outputs.append(nbformat.v4.new_output("display_data", {"text/html": box}))
    return notebook


def for_reading(text: str) -> str:
    """Prose without what a page cannot do: there is no kernel, and nothing can be typed."""
    for notebook, book in VARIANTS.items():
        text = text.replace(notebook, book)
    return text


def is_folded(cell: NotebookNode) -> bool:
    """True for cells of imports alone and for those that draw: their output is what one reads."""
    tags = set(cell.metadata.get("tags", []))
    statements = ast.parse(cell.source).body
    others = [
        s
        for s in statements
        if not isinstance(s, ast.Import | ast.ImportFrom) and ast.unparse(s) != "use_course_style()"
    ]
    return bool(tags & {"imports", "plot"}) or not others or "display_figure(" in cell.source


def inside(text: str) -> str:
    """Markdown whose links to files outside the book lead to the repository, or are plain text.

    A term of the glossary has an HTML anchor, which MyST does not know: links to it are HTML too.
    """
    meanings = glossary()

    def term(found: re.Match) -> str:
        words, name = found.groups()
        meaning = html.escape(meanings.get(name, ""))
        tip = f' data-meaning="{meaning}"' if meaning else ""
        return f'<a class="reference internal" href="glossary.html#{name}"{tip}>{words}</a>'

    text = TERM.sub(term, text)
    repository = read_settings().repository

    def link(found: re.Match) -> str:
        words, path = found.groups()
        return f"[{words}]({repository}/blob/main/{path})" if repository else words

    return re.sub(r"(?<!!)\[([^\]]*)\]\(\.\./(?!notebooks/)([^)]+)\)", link, text)


@lru_cache(maxsize=1)
def glossary() -> dict[str, str]:
    """What each term means, by its anchor, in plain words."""
    text = (ROOT / "notebooks" / "glossary.md").read_text(encoding="utf-8")
    return {
        name: re.sub(r"[*`$]|\[([^\]]*)\]\([^)]*\)", r"\1", said)
        for name, said in MEANING.findall(text)
    }


def alt_texts(notebook: NotebookNode) -> dict[str, str]:
    """The alt text of each picture in the outputs, by the SHA-256 of its bytes."""
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if picture := output.get("data", {}).get("image/png"):
                checksum = hashlib.sha256(base64.b64decode(picture)).hexdigest()
                found[checksum] = output.data["text/plain"]
            if drawing := output.get("data", {}).get("image/svg+xml"):  # the book takes this one
                checksum = hashlib.sha256(drawing.encode()).hexdigest()
                found[checksum] = output.data["text/plain"]
    return found


def index(chapters: Sequence[str], pages: Sequence[str], widgets: Sequence[BookWidget]) -> str:
    """The front page: the README's beginning, its table of chapters, and the list of pages."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    intro = re.sub(r"<!--.*?-->\n?", "", text.split("\n## ")[0]).replace("(notebooks/", "(")
    titles = {
        p: gallery.TITLE if p == gallery.NAME else _title(ROOT / "notebooks" / f"{p}.md")
        for p in pages
    }
    table = readme.chapters().replace("(notebooks/", "(")
    start = START.format(
        players=", ".join(f"[{widget.title}]({widget.chapter}.ipynb)" for widget in widgets),
        repository=read_settings().repository or "the repository",
    )
    return INDEX.format(
        intro=intro.strip(),
        start=start,
        chapters=table,
        pages="\n".join(f"- [{title}]({page}.md)" for page, title in titles.items()),
        chapter_list="\n".join(f"{int(c[:2])}. {COURSE[c]} <{c}>" for c in chapters),
        page_list="\n".join(f"{title} <{page}>" for page, title in titles.items()),
    )


def _title(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
