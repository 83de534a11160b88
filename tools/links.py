"""Cells and lines that all chapters share: set-up cell, badges, ways to other chapters.

The builder (`tools.notebooks`) writes them into each chapter; nobody writes them by hand.
"""

import re
from urllib.parse import quote

from tools.course import Settings

TAG = "set-up"
NAVIGATION = "navigation"  # tag of the last cell
GENERATED = {TAG, NAVIGATION}  # cells with these tags are made anew at each build

# The whole course in order. A chapter that is not there yet is listed in the README as planned.
COURSE = {
    "00_tour": "Tour",
    "01_tokenization": "Tokenization",
    "02_attention": "Attention",
    "03_positions_and_memory": "Positions and memory",
    "04_normalization": "Normalization",
    "05_feedforward": "Feed-forward layers and experts",
    "06_transformer": "The transformer",
    "07_training": "Training",
    "08_inside": "Inside a trained model",
    "09_sampling": "Sampling",
    "10_decoding": "Decoding",
    "11_faster_decoding": "Faster and constrained decoding",
    "12_compute": "Compute",
    "13_scaling_laws": "Scaling laws",
    "14_sft_cold_start": "The SFT cold start",
}
RUN_LINE = re.compile(r"^\*\*Runs in\*\*.*$", re.MULTILINE)  # in the head of a chapter
GLOSSARY = "Words and letters: [glossary and symbols](glossary.md)."

# A reader's own lib.py or lib/ beside the notebook comes first on Python's path.
_CHECK = """
import lib

if not str(lib.__doc__).startswith("NLP to LMs"):
    found = lib.__file__ or next(iter(lib.__path__))
    raise ImportError(f"{found} hides the course's lib: rename it and restart the kernel.")
"""

_WITH_REPOSITORY = """\
# Set-up: on Google Colab this installs the course; elsewhere it only checks that lib is its lib.
import sys

if "google.colab" in sys.modules:
    %pip install --quiet "{package} @ git+{repository}@v{version}"
"""

_WITHOUT_REPOSITORY = """\
# Set-up: on Google Colab this says how to install the course; then it checks that lib is its lib.
import sys

if "google.colab" in sys.modules:
    print("First run: %pip install git+ADDRESS, with the address of this course's repository.")
"""

_BADGES = re.compile(r"^\[!\[Open in Colab\].*\n\n?", re.MULTILINE)


def setup_cell(settings: Settings) -> str:
    """Source of the cell. A Colab notebook gets the release that it belongs to, by its tag."""
    if not settings.repository:
        return f"{_WITHOUT_REPOSITORY}{_CHECK}".rstrip()
    install = _WITH_REPOSITORY.format(
        package=settings.package, repository=settings.repository, version=settings.version
    )
    return f"{install}{_CHECK}".rstrip()


def badges(settings: Settings, name: str) -> str:
    """One line of Markdown that opens a chapter on Colab or Binder; "" without a repository."""
    if not settings.repository:
        return ""
    project = settings.repository.removeprefix("https://github.com/")
    path, version = f"notebooks/{name}.ipynb", f"v{settings.version}"
    colab = f"https://colab.research.google.com/github/{project}/blob/{version}/{path}"
    binder = f"https://mybinder.org/v2/gh/{project}/{version}?labpath={quote(path, safe='')}"
    return (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"({colab}) [![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder})"
    )


def head_with_badges(head: str, settings: Settings, name: str) -> str:
    """The first cell of a chapter with the right badges below its title, or with none."""
    title, _, rest = _BADGES.sub("", head).partition("\n")
    line = badges(settings, name)
    rest = rest.lstrip("\n")
    return "\n\n".join(part for part in (title.rstrip(), line, rest) if part)


def head_of(head: str, settings: Settings, name: str) -> str:
    """The first cell of a chapter: badges below the title, the glossary below the run time."""
    head = head_with_badges(head.replace(f"\n\n{GLOSSARY}", ""), settings, name).rstrip()
    if name not in COURSE:
        return head
    line = RUN_LINE.search(head)
    end = line.end() if line else len(head)
    return f"{head[:end]}\n\n{GLOSSARY}{head[end:]}"


def navigation(name: str) -> str:
    """The last cell of a chapter: links to the chapters before and after it; "" for no chapter."""
    if name not in COURSE:
        return ""
    chapters = list(COURSE)
    place = chapters.index(name)
    ways = []
    if place > 0:
        ways.append(f"Previous: {_link(chapters[place - 1])}")
    if place + 1 < len(chapters):
        ways.append(f"Next: {_link(chapters[place + 1])}")
    ways.append("[Glossary](glossary.md)")
    ways.append("[Map of the library](map_of_the_library.md)")
    return " · ".join(ways)


def _link(name: str) -> str:
    return f"[{int(name[:2])}. {COURSE[name]}]({name}.ipynb)"
