"""Sphinx's configuration of the web book; `make book` runs it."""

import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes

from tools.book import SOURCE
from tools.book.formulas import visit_block, visit_math
from tools.course import read_settings

_settings = read_settings()

project = "NLP to LMs"
author = "The NLP to LMs authors"
copyright = author
version = release = _settings.version
language = "en"
smartquotes = False  # tokens stand in quotes, and flags begin with two dashes

extensions = ["myst_nb"]
nb_execution_mode = "off"  # the committed outputs are shown
nb_ipywidgets_js: dict[str, Any] = {}  # no live widgets, so no scripts from outside
nb_render_markdown_format = "myst"  # show() and show_table() publish Markdown
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 4
myst_heading_slug_func = "tools.book.sources.slug"
suppress_warnings = ["config.cache"]

html_math_renderer = "mathml"  # of formulas.py: no scripts

html_theme = "furo"
html_title = project
html_static_path = [str(SOURCE / "_static")]
html_css_files = ["front.css", "book.css"]
html_js_files = ["front.js", "player.js", "predict.js", "reading.js"]
html_show_sourcelink = html_copy_source = False
html_show_sphinx = False
html_theme_options = (
    {
        "source_repository": _settings.repository,
        "source_branch": "main",
        "source_directory": "notebooks/",
    }
    if _settings.repository
    else {}
)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("doctree-read", _write_alt_texts)
    app.connect("html-page-context", _mend, priority=900)  # after the theme's own
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_block, None))


def _write_alt_texts(app: Any, tree: nodes.document) -> None:
    """Put the alt text of an output on its picture: myst-nb names a picture by its checksum."""
    known = json.loads((SOURCE / "alt.json").read_text(encoding="utf-8"))
    for image in tree.findall(nodes.image):
        if text := known.get(Path(image["uri"]).stem):
            image["alt"] = text


def _mend(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """What a screen reader misses: levels of the sidebar's headings, heads of columns, names."""
    if navigation := context.get("furo_navigation_tree"):
        level = 'role="heading" aria-level="2"'
        context["furo_navigation_tree"] = navigation.replace('role="heading"', level)
    if body := context.get("body"):
        empty = re.compile(r"<th class=\"([^\"]*)\">\s*(?:<p>\s*</p>)?\s*</th>")
        body = empty.sub(r'<td class="\1"></td>', body)
        # myst-nb names what unfolds otherwise than the words that are seen on it.
        context["body"] = body.replace('<summary aria-label="Toggle hidden content">', "<summary>")
