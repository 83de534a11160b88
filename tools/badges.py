"""Writes what all chapters share after it changed: set-up cell, badges, links: `make badges`.

Nothing is executed: the set-up cell has no output, and the rest stands in prose. README.md gets its
badges from the same setting by `make readme`.
"""

import argparse
import sys
from pathlib import Path

import nbformat

from tools import readme
from tools.course import ROOT, Settings, read_settings, write_atomically
from tools.links import NAVIGATION, TAG, head_of, setup_cell
from tools.notebooks import (
    cell_ids,
    names,
    navigation_cells,
    notebook_path,
    text_path,
    to_text,
)


def refresh(name: str, settings: Settings, root: Path = ROOT) -> None:
    """Writes the shared cells of one built chapter. ValueError where text and notebook differ."""
    path = notebook_path(name, root)
    notebook = nbformat.read(path, as_version=4)
    if to_text(notebook, root) != text_path(name, root).read_text(encoding="utf-8"):
        raise ValueError(f"text and notebook differ; run: python -m tools.notebooks {name}")
    head, setup = notebook.cells[:2]
    head.source = head_of(head.source, settings, name)
    if TAG in setup.metadata.get("tags", []):
        setup.source = setup_cell(settings)
    kept = [cell for cell in notebook.cells if NAVIGATION not in cell.metadata.get("tags", [])]
    notebook.cells = [*kept, *navigation_cells(name)]
    for cell, cell_id in zip(notebook.cells, cell_ids(notebook.cells), strict=True):
        cell.id = cell_id
    write_atomically(text_path(name, root), to_text(notebook, root))
    write_atomically(path, nbformat.writes(notebook, version=4) + "\n")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.badges", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as 00_tour; default: all")
    options = parser.parse_args(arguments)
    settings = read_settings(ROOT)
    for name in options.names or names():
        if not notebook_path(name).exists():
            print(f"{name}: not built yet; its build will write them")
            continue
        try:
            refresh(name, settings)
        except ValueError as error:
            print(f"{name}: {error}")
            return 1
        print(f"{name}: {'badges, ' if settings.repository else ''}set-up cell and links")
    return 0 if options.names else readme.main([])


if __name__ == "__main__":
    sys.exit(main())
