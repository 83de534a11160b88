"""Writes notebooks/map_of_the_library.md: `python -m tools.maps`, part of `make readme`.

For each module of `lib`: what it is, from its docstring, and the chapters whose cells import it.
"""

import argparse
import ast
import re
import sys
from pathlib import Path

import jupytext
from IPython.core.inputtransformer2 import TransformerManager

from lib.files import write_file
from tests.library import modules, tree
from tests.test_floors import FLOORS, room
from tools.course import ROOT
from tools.links import COURSE
from tools.notebooks import names, text_path

MAP = Path("notebooks") / "map_of_the_library.md"
HEAD = """\
# Map of the library

Which chapter uses which part of `lib`. The library has floors; a room imports only from floors \
below it. Written by `make readme` from the modules' docstrings and the chapters' imports.
"""


def imported(source: str) -> set[str]:
    """Modules of lib, or names in them, that a cell imports: `lib.model.LanguageModel`."""
    found = set()
    for node in ast.walk(ast.parse(TransformerManager().transform_cell(source))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in found if name.split(".")[0] == "lib"}


def origins(files: dict[str, Path]) -> dict[str, str]:
    """The module in which each name stands that a package passes on."""
    found = {}
    for package, path in files.items():
        if path.name == "__init__.py":
            for node in tree(path).body:
                if isinstance(node, ast.ImportFrom) and node.module in files:
                    found.update(
                        {f"{package}.{a.asname or a.name}": node.module for a in node.names}
                    )
    return found


def uses(root: Path = ROOT) -> dict[str, list[str]]:
    """For each module the chapters that import it, in order."""
    files, found = modules(root), {}
    known = origins(files)
    for chapter in names(root):
        notebook = jupytext.reads(
            text_path(chapter, root).read_text(encoding="utf-8"), fmt="md:myst"
        )
        for cell in notebook.cells:
            for name in imported(cell.source) if cell.cell_type == "code" else ():
                module = known.get(name, name if name in files else name.rpartition(".")[0])
                if chapter not in found.setdefault(module, []):
                    found[module].append(chapter)
    return found


def first_sentence(path: Path) -> str:
    """The beginning of a module's docstring, fit for a table."""
    text = " ".join((ast.get_docstring(tree(path)) or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", text)[0].replace("``", "`").replace("|", "\\|")


def render(root: Path = ROOT) -> str:
    """The whole page."""
    folders: dict[str, list[str]] = {}
    chapters = uses(root)
    for module, path in modules(root).items():
        words = module.split(".")
        if path.name == "__init__.py" or len(words) < 2:
            continue
        folder = f"lib/{words[1]}" if len(words) > 2 else "Single modules"
        links = ", ".join(
            f"[{int(c[:2])}. {COURSE.get(c, c)}]({c}.ipynb)" for c in chapters.get(module, [])
        )
        file = path.relative_to(root).as_posix()
        folders.setdefault(folder, []).append(
            f"| [`{path.name}`](../{file}) | {first_sentence(path)} | {links} |"
        )
    lines = [HEAD, "| floor | rooms |", "| --- | --- |"]
    there = {room(module) for module in modules(root)} - {""}
    for floor in sorted({FLOORS[name] for name in there}, reverse=True):
        rooms = ", ".join(sorted(name for name in there if FLOORS[name] == floor))
        lines.append(f"| {floor} | {rooms} |")
    for folder, rows in folders.items():
        lines += [
            "",
            f"## {folder}",
            "",
            "| module | what it is | used in |",
            "| --- | --- | --- |",
        ]
        lines += rows
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.maps", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is in step")
    options = parser.parse_args(arguments)
    path, new = ROOT / MAP, render()
    same = path.exists() and path.read_text(encoding="utf-8") == new
    if options.check:
        print(f"{MAP}:", "in step" if same else "out of step; run `make readme`")
        return int(not same)
    if not same:
        write_file(path, new)
        print(f"{MAP}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
