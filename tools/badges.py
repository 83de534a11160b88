"""Writes badges and set-up cells after `tool.course` in pyproject.toml changed: `make badges`.

Nothing is executed: the set-up cell has no output, and the badges stand in prose. README.md gets
its badges from the same setting by `make readme`.
"""

import sys

import nbformat

from tools import readme
from tools.course import ROOT, read_settings, write_atomically
from tools.links import TAG, head_with_badges, setup_cell
from tools.notebooks import cell_ids, names, notebook_path, text_path, to_text


def main() -> int:
    settings = read_settings(ROOT)
    for name in names():
        path = notebook_path(name)
        if not path.exists():
            print(f"{name}: not built yet; its build will write them")
            continue
        notebook = nbformat.read(path, as_version=4)
        if to_text(notebook) != text_path(name).read_text(encoding="utf-8"):
            print(f"{name}: text and notebook differ; run: python -m tools.notebooks {name}")
            return 1
        head, setup = notebook.cells[:2]
        head.source = head_with_badges(head.source, settings, name)
        if TAG in setup.metadata.get("tags", []):
            setup.source = setup_cell(settings)
        for cell, cell_id in zip(notebook.cells, cell_ids(notebook.cells), strict=True):
            cell.id = cell_id
        write_atomically(text_path(name), to_text(notebook))
        write_atomically(path, nbformat.writes(notebook, version=4) + "\n")
        print(f"{name}: {'badges and set-up cell' if settings.repository else 'no badges'}")
    return readme.main([])


if __name__ == "__main__":
    sys.exit(main())
