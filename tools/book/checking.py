"""What is wrong with finished pages: dead links, and anything loaded from outside the book."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes that a browser fetches by itself; an <a href> it follows only when asked.
FETCHED = {
    ("script", "src"),
    ("img", "src"),
    ("link", "href"),
    ("iframe", "src"),
    ("source", "src"),
}
OUTSIDE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)


@dataclass
class Page(HTMLParser):
    """The names that a page can be entered by, and what it links and loads."""

    names: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    images_without_alt: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.names.update(attributes[key] for key in ("id", "name") if attributes.get(key))
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        self.loads += [
            attributes[key] for kind, key in FETCHED if kind == tag and attributes.get(key)
        ]
        if tag == "img" and not (attributes.get("alt") or "").strip():
            self.images_without_alt.append(attributes.get("src", ""))


def read_pages(folder: Path) -> dict[Path, Page]:
    """Every HTML page below a folder."""
    pages = {}
    for path in sorted(folder.rglob("*.html")):
        pages[path] = Page()
        pages[path].feed(path.read_text(encoding="utf-8"))
    return pages


def problems(folder: Path) -> list[str]:
    """One line for each dead link, each thing fetched from outside, each image without alt text."""
    pages = read_pages(folder)
    found = []
    for path, page in pages.items():
        here = path.relative_to(folder).as_posix()
        for target in page.loads:
            if OUTSIDE.match(target):
                found.append(f"{here} loads {target} from outside")
            elif not target.startswith("data:") and not _file(path, target).exists():
                found.append(f"{here} loads {target}, which is not there")
        for target in page.links:
            if urlsplit(target).scheme or OUTSIDE.match(target):
                continue
            file, name = _file(path, target), unquote(urlsplit(target).fragment)
            if not file.exists():
                found.append(f"{here} links {target}, which is not there")
            elif name and name != "top" and file in pages and name not in pages[file].names:
                found.append(f"{here} links {target}: the page has no such place")
        found += [f"{here}: {image} has no alt text" for image in page.images_without_alt]
    return found


def _file(page: Path, target: str) -> Path:
    """The file that a relative address names; a folder stands for its index.html."""
    path = unquote(urlsplit(target).path)
    file = (page.parent / path).resolve() if path else page.resolve()
    return file / "index.html" if file.is_dir() else file
