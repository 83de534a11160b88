"""The chapters for a class, without outputs and solutions: `make handout` writes build/handout."""

import re
import shutil
from pathlib import Path

import nbformat

from tools.course import ROOT

# A folded part of a Markdown cell that gives an answer away; hints stay.
SOLUTION = re.compile(
    r"<details>\s*<summary>[^<]*(?:solution|answer)[^<]*</summary>.*?</details>\s*", re.I | re.S
)


def without_answers(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with no outputs, no counts, and no folded solutions."""
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = SOLUTION.sub("", cell.source).strip()
        if cell.source:
            cells.append(cell)
    notebook.cells = cells
    return notebook


def write_handout(target: Path, root: Path = ROOT) -> int:
    """Write all chapters and the pages beside them into `target`; return how many chapters."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    chapters = sorted((root / "notebooks").glob("*.ipynb"))
    for path in chapters:
        notebook = without_answers(nbformat.read(path, as_version=4))
        nbformat.write(notebook, target / path.name)
    for page in (root / "notebooks").glob("*.md"):
        shutil.copy(page, target)
    shutil.copytree(root / "figures", target.parent / "figures", dirs_exist_ok=True)
    return len(chapters)


if __name__ == "__main__":
    folder = ROOT / "build" / "handout" / "notebooks"
    print(f"{write_handout(folder)} chapters without outputs and solutions: {folder}")
