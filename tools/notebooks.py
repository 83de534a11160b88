"""Builds the executed notebooks from their texts: `python -m tools.notebooks [NAME ...]`.

`notebooks/text/NAME.md` (MyST Markdown, read by jupytext) is what people edit. A build formats its
code with ruff, refreshes the cells that all chapters share (`tools.links`), executes every cell in
a new kernel, cleans the outputs, and replaces `notebooks/NAME.ipynb`. A cell's id is made from its
content, so that a cell that did not change keeps its id, and a cell that was changed but not
executed is found by `--check`.
"""

import argparse
import ast
import asyncio
import copy
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from jupytext.config import load_jupytext_configuration_file
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from lib.files import write_file
from tools.course import ROOT, Settings, read_settings
from tools.links import (
    GENERATED,
    NAVIGATION,
    RUN_LINE,
    TAG,
    head_of,
    navigation,
    setup_cell,
)
from tools.outputs import NoisyOutput, clean_outputs

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# Evaluated in the kernel after the last cell: the most memory that it held, in bytes. Linux counts
# in ru_maxrss what the parent held when it started the process, so there VmHWM is read instead.
_PEAK_MEMORY = """
(lambda sys, resource, re:
    int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) * 1024
    if sys.platform == "linux" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
)(*map(__import__, ["sys", "resource", "re"]))
""".replace("\n", " ").strip()


class BuildError(Exception):
    """What is wrong with a chapter, in words for its author."""


@dataclass(frozen=True)
class Measured:
    seconds: float
    peak_bytes: int

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.peak_bytes / 2**30:.2f} GiB"

    def sentence(self) -> str:
        """The line that stands in the head of a chapter, rounded up: to 5 s and to 0.1 GiB."""
        seconds = max(5, 5 * -(-self.seconds // 5))
        memory = -(-self.peak_bytes * 10 // 2**30) / 10
        return (
            f"**Runs in** {seconds:.0f} seconds and {memory:.1f} GiB of memory on "
            f"{os.cpu_count()} CPU cores, once the model is cached."
        )


def names(root: Path = ROOT) -> list[str]:
    """Names of all chapters: the stems of notebooks/text/*.md."""
    return sorted(path.stem for path in (root / "notebooks" / "text").glob("*.md"))


def text_path(name: str, root: Path = ROOT) -> Path:
    return root / "notebooks" / "text" / f"{name}.md"


def notebook_path(name: str, root: Path = ROOT) -> Path:
    return root / "notebooks" / f"{name}.ipynb"


def to_text(notebook: NotebookNode, root: Path = ROOT) -> str:
    """The Markdown twin of a notebook; outputs do not matter."""
    config = load_jupytext_configuration_file(str(root / "pyproject.toml"))
    # A copy, since jupytext records its options in the notebook that it is given.
    return jupytext.writes(copy.deepcopy(notebook), fmt="md:myst", config=config)


def from_text(text: str, name: str, settings: Settings) -> NotebookNode:
    """A notebook without outputs: code formatted, shared cells and badges in place, ids made."""
    notebook = jupytext.reads(text, fmt="md:myst")
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL})
    cells = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if not GENERATED & set(tags) and cell.source.strip():
            cell.source = cell.source.strip("\n")
            cells.append(cell)
    if not cells or cells[0].cell_type != "markdown":
        raise BuildError("a chapter begins with a Markdown cell: its head")
    cells[0].source = head_of(cells[0].source, settings, name)
    first = nbformat.v4.new_code_cell(setup_cell(settings), metadata={"tags": [TAG]})
    notebook.cells = [cells[0], first, *cells[1:], *navigation_cells(name)]
    notebook = _formatted(notebook)
    _refuse_mixed_loops(notebook)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell, cell_id in zip(notebook.cells, cell_ids(notebook.cells), strict=True):
        cell.id = cell_id
    return notebook


def navigation_cells(name: str) -> list[NotebookNode]:
    """The last cell, with links to other chapters; none for what is no chapter of the course."""
    ways = navigation(name)
    tags = {"tags": [NAVIGATION]}
    return [nbformat.v4.new_markdown_cell(ways, metadata=tags)] if ways else []


def cell_ids(cells: list[NotebookNode]) -> list[str]:
    """An id for each cell from its type and source; equal cells are told apart by a number."""
    seen: dict[str, int] = {}
    ids = []
    for cell in cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        ids.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return ids


def _formatted(notebook: NotebookNode) -> NotebookNode:
    """The code as `ruff format` lays it out; BuildError for what `ruff check` cannot mend."""
    source = _ruff("check", "--fix-only", source=json.dumps(notebook))
    source = _ruff("format", source=source)
    _ruff("check", source=source)
    return nbformat.reads(source, as_version=4)


def _refuse_mixed_loops(notebook: NotebookNode) -> None:
    """BuildError for a loop that prints and shows tables: nobody can tell which name is whose."""
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        for loop in ast.walk(ast.parse(cell.source)):
            if isinstance(loop, ast.For | ast.While):
                calls = (node.func for node in ast.walk(loop) if isinstance(node, ast.Call))
                if {"print", "show_table"} <= {getattr(call, "id", "") for call in calls}:
                    raise BuildError(f"a loop prints and shows tables, use title=:\n{cell.source}")


def _ruff(*command: str, source: str) -> str:
    name = ["--stdin-filename", "notebooks/new.ipynb", "-"]
    result = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--quiet", *name],
        input=source,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if result.returncode:
        raise BuildError(f"ruff complains about the code:\n{result.stderr or result.stdout}")
    return result.stdout


def execute(notebook: NotebookNode, folder: Path, timeout: int) -> Measured:
    """Runs all cells in a new kernel in `folder` and leaves cleaned outputs in the notebook."""
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
    )
    # Progress bars write to stderr and differ from run to run.
    environment = {**os.environ, "TQDM_DISABLE": "1", "PYTHONHASHSEED": "0"}
    environment.pop("MPLBACKEND", None)
    begin = time.perf_counter()
    # Which exercises who builds has solved is not the notebook's business.
    with (
        tempfile.TemporaryDirectory() as state,
        client.setup_kernel(env={**environment, "XDG_STATE_HOME": state}),
    ):
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type == "code":
                try:
                    client.execute_cell(cell, index)
                    clean_outputs(cell)
                except (
                    CellExecutionError,
                    CellTimeoutError,
                    DeadKernelError,
                    NoisyOutput,
                ) as error:
                    raise BuildError(f"cell {index + 1}:\n{cell.source}\n\n{error}") from error
        seconds = time.perf_counter() - begin
        peak = _evaluate(client, _PEAK_MEMORY)
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL, "language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    )
    return Measured(seconds, int(peak))


def _evaluate(client: NotebookClient, expression: str) -> object:
    """Value of an expression in the kernel, without a trace in the notebook."""

    async def ask() -> dict:
        return await client.kc.execute_interactive(
            "", silent=True, user_expressions={"x": expression}, timeout=60
        )

    reply = asyncio.get_event_loop().run_until_complete(ask())
    return ast.literal_eval(reply["content"]["user_expressions"]["x"]["data"]["text/plain"])


def build(name: str, *, measure: bool = False, timeout: int = 300, root: Path = ROOT) -> Measured:
    """Builds one chapter. Nothing is written unless every cell ran and every output is clean."""
    source, settings = text_path(name, root), read_settings(root)
    written = source.read_text(encoding="utf-8")
    notebook = from_text(written, name, settings)
    measured = execute(notebook, root / "notebooks", timeout)
    if measure:
        head = notebook.cells[0]
        if not RUN_LINE.search(head.source):
            raise BuildError("--measure needs a line that begins **Runs in** in the first cell")
        head.source = RUN_LINE.sub(measured.sentence(), head.source)
        head.id = cell_ids(notebook.cells)[0]
    if source.read_text(encoding="utf-8") != written:
        raise BuildError("the text was edited during the build; build again")
    write(name, notebook, root)
    return measured


def write(name: str, notebook: NotebookNode, root: Path = ROOT) -> None:
    """Puts a notebook and its text in place."""
    nbformat.validate(notebook)
    write_file(text_path(name, root), to_text(notebook, root))
    write_file(notebook_path(name, root), nbformat.writes(notebook, version=4) + "\n")


def problems(name: str, root: Path = ROOT) -> list[str]:
    """Why text and notebook are out of step; empty when they are in step. Reads only."""
    path = notebook_path(name, root)
    if not path.exists():
        return [f"{path.name} is missing"]
    notebook = nbformat.read(path, as_version=4)
    found = []
    if to_text(notebook, root) != text_path(name, root).read_text(encoding="utf-8"):
        found.append("the text and the notebook differ")
    if [cell.get("id") for cell in notebook.cells] != cell_ids(notebook.cells):
        found.append("cells were edited but not executed since")
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.notebooks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as 00_tour; default: all")
    parser.add_argument("--check", action="store_true", help="only say what is out of step")
    parser.add_argument(
        "--measure", action="store_true", help="write run time and memory into the chapter's head"
    )
    parser.add_argument("--timeout", type=int, default=300, help="seconds for one cell")
    options = parser.parse_args(arguments)
    chosen = [Path(name).stem for name in options.names] or names()
    if unknown := sorted(set(chosen) - set(names())):
        parser.error(
            f"no notebooks/text/{unknown[0]}.md; there are: {', '.join(names()) or 'none'}"
        )

    failures = 0
    for name in chosen:
        if options.check:
            found = problems(name)
            print(f"{name}: {'; '.join(found) or 'in step'}")
            failures += bool(found)
            continue
        print(f"{name}: ", end="", flush=True)
        try:
            measured = build(name, measure=options.measure, timeout=options.timeout)
            print(f"{measured}, {notebook_path(name).stat().st_size / 1000:.0f} kB")
        except (BuildError, ValueError) as error:
            print(f"not built\n{error}")
            failures += 1
    if failures and options.check:
        print("Run `make notebooks`.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
