"""Settings and text handling that the tools share."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """What the tools need from pyproject.toml."""

    package: str
    version: str
    repository: str  # "" or "https://github.com/OWNER/NAME"


def read_settings(root: Path = ROOT) -> Settings:
    """Reads `[project]` and `[tool.course]`. Raises ValueError for an unusable address."""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    repository = pyproject["tool"]["course"]["repository"].strip().removesuffix("/")
    repository = repository.removesuffix(".git")
    if repository and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", repository):
        raise ValueError(
            f"tool.course.repository in pyproject.toml must be empty or look like "
            f"https://github.com/OWNER/NAME, got {repository!r}"
        )
    project = pyproject["project"]
    return Settings(project["name"], project["version"], repository)


def replace_between(text: str, marker: str, content: str) -> str:
    """Puts `content` between `<!-- marker:begin -->` and `<!-- marker:end -->`.

    Raises ValueError where the pair of markers does not stand there exactly once.
    """
    begin, end = f"<!-- {marker}:begin -->", f"<!-- {marker}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"the text needs {begin} and then {end}, each exactly once")
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    return (
        f"{head}{begin}\n{content.strip()}\n{end}{tail}"
        if content
        else head + begin + "\n" + end + tail
    )
