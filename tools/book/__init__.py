"""The web book: the executed notebooks as searchable pages, built offline: `make book`.

`sources` lays the chapters out for Sphinx in build/book/source, `frames` computes the pictures of
the widgets that can be moved in the book, `conf.py` is Sphinx's configuration, and `checking` reads
the finished pages: every link must lead somewhere, and no page may load anything from outside.
Nothing is executed again: what the book shows is what the committed notebooks hold.
"""

from tools.course import ROOT

BUILD = ROOT / "build" / "book"
SOURCE, HTML = BUILD / "source", BUILD / "html"
WIDGETS = SOURCE / "_static" / "widgets"  # the data of movable widgets, one script for each
