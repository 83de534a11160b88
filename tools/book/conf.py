"""Sphinx's configuration of the web book; `make book` runs it."""

import json
from pathlib import Path
from typing import Any

from docutils import nodes

from tools.book import SOURCE
from tools.course import read_settings

_settings = read_settings()

project = "NLP to LMs"
author = "The NLP to LMs authors"
copyright = author
version = release = _settings.version
language = "en"

extensions = ["myst_nb"]
nb_execution_mode = "off"  # the committed outputs are shown
nb_ipywidgets_js: dict[str, Any] = {}  # no live widgets, so no scripts from outside
nb_render_markdown_format = "myst"  # show() and show_table() publish Markdown
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 4
myst_heading_slug_func = "tools.book.sources.slug"
suppress_warnings = ["config.cache"]

# MathJax from a package, so that formulas need no network.
mathjax_path = "mathjax/tex-svg-full.js"
mathjax3_config = {
    "tex": {"inlineMath": [["\\(", "\\)"]], "displayMath": [["\\[", "\\]"]]},
    "options": {"enableMenu": False},  # its menu fetches more files
    "svg": {"fontCache": "global"},
}

html_theme = "furo"
html_title = project
html_static_path = [str(SOURCE / "_static")]
html_css_files = ["book.css"]
html_js_files = ["player.js"]
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


def _write_alt_texts(app: Any, tree: nodes.document) -> None:
    """Put the alt text of an output on its picture: myst-nb names a picture by its checksum."""
    known = json.loads((SOURCE / "alt.json").read_text(encoding="utf-8"))
    for image in tree.findall(nodes.image):
        if text := known.get(Path(image["uri"]).stem):
            image["alt"] = text
