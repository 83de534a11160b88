"""What depends on the address of the repository: the set-up cell and the badges."""

import re
from urllib.parse import quote

from tools.course import Settings

TAG = "set-up"

_WITH_REPOSITORY = """\
# Set-up: on Google Colab this installs the course; elsewhere it does nothing.
import sys

if "google.colab" in sys.modules:
    %pip install --quiet "{package} @ git+{repository}@v{version}"
"""

_WITHOUT_REPOSITORY = """\
# Set-up: on Google Colab this says how to install the course; elsewhere it does nothing.
import sys

if "google.colab" in sys.modules:
    print("First run: %pip install git+ADDRESS, with the address of this course's repository.")
"""

_BADGES = re.compile(r"^\[!\[Open in Colab\].*\n\n?", re.MULTILINE)


def setup_cell(settings: Settings) -> str:
    """Source of the cell. A Colab notebook gets the release that it belongs to, by its tag."""
    if not settings.repository:
        return _WITHOUT_REPOSITORY.rstrip()
    return _WITH_REPOSITORY.format(
        package=settings.package, repository=settings.repository, version=settings.version
    ).rstrip()


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
