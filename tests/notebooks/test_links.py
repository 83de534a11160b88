"""Links between chapters, glossary and maps lead to sections that are there."""

import functools
import re
from urllib.parse import unquote

import pytest

from tests.library import ROOT
from tools import maps
from tools.book.sources import slug
from tools.notebooks import names, text_path

FOLDER = ROOT / "notebooks"
PAGES = sorted(path.name for path in FOLDER.glob("*.md"))
CHAPTERS = [f"{name}.ipynb" for name in names()]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
ANCHOR = re.compile(r'<a id="([^"]+)"></a>')
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def source(page):
    """The text of a page; that of a notebook is its twin, which another test holds in step."""
    return text_path(page.removesuffix(".ipynb")) if page in CHAPTERS else FOLDER / page


@functools.lru_cache(maxsize=64)
def prose(page):
    """The Markdown of a page without its code."""
    return re.sub(r"(?ms)^(`{3,}).*?^\1 *$", "", source(page).read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=64)
def sections(page):
    """Text of each section, by the name of its heading in links."""
    parts = HEADING.split(prose(page))[1:]
    return {slug(title): text for title, text in zip(parts[::2], parts[1::2], strict=True)}


def anchors(page):
    return ANCHOR.findall(prose(page))


def dead_links(page):
    found = []
    for target in LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page))):
        file, _, name = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        missing = file and not source(file).exists()
        there = file or page
        if missing or (name and unquote(name) not in {*sections(there), *anchors(there)}):
            found.append(target)
    return found


@pytest.mark.parametrize("page", CHAPTERS + PAGES)
def test_links_lead_to_sections(page):
    assert dead_links(page) == []


def rows(page, heading):
    """Cells of each line of the table below a heading, the first two lines left out."""
    lines = [line for line in sections(page)[heading].splitlines() if line.startswith("|")]
    split = (re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in lines[2:])
    return [[cell.strip() for cell in line] for line in split]


TERMS = [
    (ANCHOR.sub("", term), ANCHOR.findall(term), meaning, link)
    for term, meaning, link in rows("glossary.md", "Words")
]


def test_there_is_a_glossary():
    assert len(TERMS) > 50
    terms = [term.lower() for term, *_ in TERMS]
    assert terms == sorted(terms), "in the order of the alphabet"
    assert len(set(terms)) == len(terms)


def test_each_term_can_be_linked():
    ids = [name for _, names_, *_ in TERMS for name in names_]
    assert len(ids) == len(set(ids)) == len(TERMS)


@pytest.mark.parametrize(("term", "ids", "meaning", "link"), TERMS)
def test_a_term_and_its_section_lead_to_each_other(term, ids, meaning, link):
    (target,) = LINK.findall(link)
    file, _, name = target.partition("#")
    assert name, "a term leads to a section"
    text = unquote(name).replace("-", " ") + sections(file)[unquote(name)]
    words = [w for part in re.split(r"[,:(]", term) if (w := part.strip(" ()`"))]
    assert any(word.lower() in text.lower() for word in words), words
    assert f"](glossary.md#{ids[0]})" in text, "the definition links the glossary"
    assert len(meaning) > 10


def test_one_letter_has_one_meaning():
    letters = [
        r for line in rows("glossary.md", "Letters") for r in re.findall(r"\$(.+?)\$", line[0])
    ]
    assert len(letters) > 12
    assert len(set(letters)) == len(letters)


def test_the_map_of_the_library_is_in_step():
    text = (ROOT / maps.MAP).read_text(encoding="utf-8")
    assert maps.render() == text, "run: make readme"


def test_every_line_of_the_map_of_the_notes_has_its_place():
    """A topic of the notes, the section that takes it up, and what is said there."""
    page = "map_of_the_notes.md"
    places = [line for heading in sections(page) for line in rows(page, heading)]
    assert len(places) > 40
    for topic, place, says in places:
        assert topic
        assert says
        assert LINK.findall(place), topic
        assert all("#" in target for target in LINK.findall(place)), topic
