"""Takes changed prose over into built chapters: `python -m tools.prose NAME ...`.

Nothing is executed: all outputs stay. For changed code there is `python -m tools.notebooks`.
"""

import argparse
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools.course import ROOT, read_settings
from tools.links import GENERATED
from tools.notebooks import BuildError, from_text, notebook_path, text_path, write


def rewrite(name: str, root: Path = ROOT) -> None:
    """Writes the prose of the text, and the cells that all chapters share, into the notebook.

    Raises BuildError if the code is no longer the code that was executed.
    """
    text = text_path(name, root).read_text(encoding="utf-8")
    notebook = from_text(text, name, read_settings(root))
    built = nbformat.read(notebook_path(name, root), as_version=4)
    if _code(notebook) != _code(built):
        raise BuildError(f"the code changed; run: python -m tools.notebooks {name}")
    executed = [cell for cell in built.cells if cell.cell_type == "code"]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for place, (cell, before) in enumerate(zip(cells, executed, strict=True), 1):
        cell.outputs, cell.execution_count = before.outputs, place
    notebook.metadata = built.metadata
    write(name, notebook, root)


def _code(notebook: NotebookNode) -> list[str]:
    """The code of the author: without the set-up cell."""
    code = (cell for cell in notebook.cells if cell.cell_type == "code")
    return [cell.source for cell in code if not GENERATED & set(cell.metadata.get("tags", []))]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.prose", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help="such as 00_tour")
    for name in parser.parse_args(arguments).names:
        try:
            rewrite(name)
        except BuildError as error:
            print(f"{name}: {error}")
            return 1
        print(f"{name}: prose")
    return 0


if __name__ == "__main__":
    sys.exit(main())
