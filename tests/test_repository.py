"""What must and what must not be in the repository."""

import re
import subprocess

import pytest

from tests.library import ROOT

REGISTRY = re.compile(
    r"(?:\bpypi|pythonhosted|registry\.npmjs|download\.pytorch|\banaconda)\.(?:org|com)\b"
)
TEXT = {
    ".py",
    ".md",
    ".ipynb",
    ".toml",
    ".txt",
    ".yml",
    ".yaml",
    ".cfg",
    ".cff",
    ".json",
    ".csv",
    "",
}


@pytest.fixture(scope="module")
def tracked():
    """Files under version control; where there is no git, as in a source archive, nothing to do."""
    result = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in result.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_files_are_small(tracked):
    sizes = {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in tracked}
    assert {name: size for name, size in sizes.items() if size >= 2_000_000} == {}
    assert sum(sizes.values()) < 20_000_000


def test_no_registry_host_is_named(tracked):
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in tracked
        if path.suffix in TEXT
        for match in REGISTRY.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == [], "a reader's pip may be set up for another index"
