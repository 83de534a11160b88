"""Writes what all chapters share after it changed: set-up cell, badges, links: `make badges`.

Where `tool.course.repository` is empty it is set first, to the address that this clone came from: a
fork gets its own badges.
Nothing is executed: the set-up cell has no output, and the rest stands in prose. README.md gets its
badges from the same setting by `make readme`.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

from lib.files import write_file
from tools import readme
from tools.course import ROOT, read_settings
from tools.notebooks import BuildError, names, notebook_path
from tools.prose import rewrite


def own_address(root: Path = ROOT) -> str:
    """https://github.com/OWNER/NAME of `$GITHUB_REPOSITORY`, or of the remote `origin`, or ""."""
    if project := os.environ.get("GITHUB_REPOSITORY", ""):
        return f"https://github.com/{project}"
    command = ["git", "-C", str(root), "remote", "get-url", "origin"]
    remote = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    found = re.fullmatch(
        r"(?:https://|ssh://git@|git@)github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?", remote
    )
    return f"https://github.com/{found[1]}" if found else ""


def set_address(address: str, root: Path = ROOT) -> None:
    """Write the address into pyproject.toml, where it is empty."""
    path = root / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    write_file(path, re.sub(r'(?m)^repository = ""', f'repository = "{address}"', text, count=1))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.badges", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as 00_tour; default: all")
    options = parser.parse_args(arguments)
    if not read_settings(ROOT).repository and (address := own_address()):
        set_address(address)
        print(f"tool.course.repository in pyproject.toml is now {address}")
    settings = read_settings(ROOT)
    for name in options.names or names():
        if not notebook_path(name).exists():
            print(f"{name}: not built yet; its build will write them")
            continue
        try:
            rewrite(name)
        except BuildError as error:
            print(f"{name}: {error}")
            return 1
        print(f"{name}: {'badges, ' if settings.repository else ''}set-up cell and links")
    return 0 if options.names else readme.main([])


if __name__ == "__main__":
    sys.exit(main())
