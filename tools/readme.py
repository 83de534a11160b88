"""Writes the generated parts of README.md and docs/evidence.md: `python -m tools.readme`.

`--check` only compares.

Each part stands between a pair of markers, `<!-- chapters:begin -->` and `<!-- chapters:end -->`.
"""

import argparse
import ast
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jupytext

from lib.files import write_file
from tools import links
from tools.course import ROOT, read_settings, replace_between
from tools.links import RUN_LINE
from tools.notebooks import names, notebook_path, text_path

PAGES = ("README.md", "docs/evidence.md")
WORDS_A_MINUTE = 180  # of prose and code together, a technical text
COURSE = {name[:2]: title for name, title in links.COURSE.items()}


def chapters(root: Path = ROOT) -> str:
    """Table of all chapters: what each asks, how long it is, and its measured run time."""
    there = {name[:2]: name for name in names(root) if notebook_path(name, root).exists()}
    rows = []
    for number in sorted({**COURSE, **there}):
        if number not in there:
            rows.append([number, COURSE[number], "*not there yet*", "", "", ""])
            continue
        name = there[number]
        text = text_path(name, root).read_text(encoding="utf-8")
        head = jupytext.reads(text, fmt="md:myst").cells[0].source
        line = RUN_LINE.search(head)
        run = re.search(r"(\d+) seconds and ([\d.]+ GiB)", line.group() if line else "")
        link = f"[{_title(head)}](notebooks/{name}.ipynb)"
        row = [number, link, _first_sentence(head), *_length(text), f"{run[1]} s" if run else ""]
        rows.append(row)
    return _table(["", "chapter", "it asks", "reading", "exercises", "runs in"], rows)


def _length(text: str) -> tuple[str, int]:
    """Minutes of reading, to the next five, and the number of exercises and capstones."""
    minutes = len(re.findall(r"[\w'-]+", text)) / WORDS_A_MINUTE
    checks = set(re.findall(r"^(?:\w+\.)?(check_\w+)\(", text, re.M))
    return f"{5 * math.ceil(minutes / 5)} min", len(checks)


def _title(head: str) -> str:
    """`# 2. Attention` and `# Attention` are both "Attention": the number has its own column."""
    return re.sub(
        r"^(?:chapter )?\d+\s*[.:]?\s*", "", head.splitlines()[0].lstrip("# "), flags=re.I
    )


def _first_sentence(head: str) -> str:
    """The first sentence below the title, which is the question that the chapter answers."""
    for paragraph in re.split(r"\n\s*\n", head)[1:]:
        text = " ".join(paragraph.split())
        if text and not text.startswith(("[![", "**", "#", "|", "-", "<")):
            return re.split(r"(?<=[?.!])\s", text)[0]
    return ""


def bench(root: Path = ROOT) -> str:
    """Table of the last `make bench`, with the machine it ran on."""
    path = root / "figures" / "bench.json"
    if not path.exists():
        return "*Nothing measured yet.*"
    results = json.loads(path.read_text(encoding="utf-8"))
    rows, machines = [], []
    for result in results.values():
        if result["machine"] not in machines:
            machines.append(result["machine"])
        for row in result["rows"]:
            sign = "at least" if row["higher_is_better"] else "at most"
            ours, peer, ratio = f"{_digits(row['ours'])} {row['unit']}", "", ""
            limit = f"{sign} {row['budget']:g} {row['unit'] if row['ratio'] is None else '×'}"
            if row["ratio"] is not None:
                peer = f"{_digits(row['peer'])} {row['unit']} ({row['peer_name']})"
                low, high = row["spread"]
                ratio = f"{row['ratio']:.2f} × ({low:.2f} to {high:.2f})"
            met = "yes" if row["met"] else "**no**"
            rows.append([row["what"], ours, peer, ratio, limit, met, f"`{row['command']}`"])
    table = _table(["what", "ours", "peer", "ratio", "budget", "met", "command"], rows)
    return f"{table}\n\nMeasured on: {'; '.join(machines)}."


def _digits(value: float) -> str:
    """Three significant digits, no powers of ten: 22,700."""
    return f"{float(f'{value:.3g}'):,g}"


def setup(root: Path = ROOT) -> str:
    """Table of the last `python -m tools.first_run`: a fresh clone with empty caches."""
    path = root / "figures" / "setup.json"
    if not path.exists():
        return "*Not measured yet.*"
    result = json.loads(path.read_text(encoding="utf-8"))
    rows = [
        [
            f"`{c['command']}`",
            c["until"],
            _duration(c["seconds"]),
            f"{c['peak_bytes'] / 2**30:.1f} GiB",
        ]
        for c in result["commands"]
    ]
    disk = "; ".join(f"{what} {size / 1e6:,.0f} MB" for what, size in result["disk_bytes"].items())
    table = _table(["command", "until", "time", "peak memory"], rows)
    budgets = "; ".join(
        f"{what} at most {most}: {'met' if met else '**missed**'}"
        for what, most, met in _first_run_budgets(result)
    )
    return f"{table}\n\nDisk: {disk}.\n\nBudgets: {budgets}.\n\nMeasured on: {result['machine']}."


def _first_run_budgets(result: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """(what, at most, met): `make test` comes after `make lab`, so all is set up by then."""
    for command in result["commands"]:
        if command["command"] == "make test":
            yield "`make test` once set up", "10 min", command["seconds"] <= 10 * 60
    yield "a clone", "20 MB", result["disk_bytes"]["the clone"] <= 20e6


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def browser(root: Path = ROOT) -> str:
    """Tables of `make test-browser RECORD=1`: from what the reader does to the new picture, and
    what the book loads.
    """
    path = root / "figures" / "browser.json"
    if not path.exists():
        return "*Not measured yet.*"
    result = json.loads(path.read_text(encoding="utf-8"))
    rows = []
    for name, row in result["widgets"].items():
        widget, act, budget = _touched(name)
        met = "yes" if row["median_ms"] <= budget else "**no**"
        times = [f"{row[key]:.0f} ms" for key in ("median_ms", "p90_ms")]
        rows.append([widget, act, *times, row["presses"], row["load"], f"{budget} ms", met])
    head = ["widget", "by", "median", "90th percentile", "times", "load", "at most", "met"]
    times = f"{_table(head, rows)}\n\nMeasured on: {result['machine']}."
    sizes = result.get("megabytes", {})
    if not sizes:
        return times
    rows = [[n, f"{mb:.2f} MB", "1.5 MB", "yes" if mb <= 1.5 else "**no**"]
            for n, mb in sizes.items()]  # fmt: skip
    head = ["in the book, when it comes into view", "loads", "at most", "met"]
    return f"{times}\n\n{_table(head, rows)}"


def _touched(name: str) -> tuple[str, str, int]:
    """(widget, what is done to it, milliseconds at most); `12_compute-2` is its second one."""
    acts = {"click": ("click", 100), "hover": ("hover", 50)}
    widget, _, last = name.rpartition(", ")
    widget, act = (widget, acts[last]) if last in acts else (name, ("key", 100))
    chapter, _, number = widget.partition("-")
    if title := links.COURSE.get(chapter):
        widget = f"{int(chapter[:2])}. {title}" + (f", {number}" if number else "")
    return widget, *act


def parity_marks(root: Path = ROOT) -> Iterator[tuple[str, str, str, Path]]:
    """(what, reference, tolerance, file) of each `@pytest.mark.parity(...)`, in order of the files.

    Raises ValueError where a mark has not three strings, or stands on something that is no test.
    """
    for path in sorted((root / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            for mark in getattr(node, "decorator_list", []):
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.parity":
                    values = [a.value for a in mark.args if isinstance(a, ast.Constant)]
                    named = node.name.startswith(("test", "Test"))
                    if len(values) != 3 or len(mark.args) != 3 or mark.keywords or not named:
                        raise ValueError(
                            f"{path.name}, line {mark.lineno}: parity stands on a test and takes "
                            'three strings: ("what", "reference", "tolerance")'
                        )
                    yield (*values, path.relative_to(root))


def parity(root: Path = ROOT) -> str:
    """Table of what the tests compare with independent references."""
    rows = []
    for what, reference, tolerance, path in parity_marks(root):
        link = f"[{path.parent.name}/{path.name}](../{path.as_posix()})"
        row = [what, reference, tolerance, link]
        if row not in rows:
            rows.append(row)
    if not rows:
        return "*No comparison yet.*"
    return _table(["what", "compared with", "agreement", "test"], rows)


def stages(root: Path = ROOT) -> str:
    """Table of chapter 14: every stage of the life-cycle, mean and standard error of its seeds."""
    from lib.experiments import cold_start
    from lib.experiments.cold_start_results import stage_table

    table = stage_table(cold_start.table())
    return _table(list(table[0]), [list(row.values()) for row in table])


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def render(text: str, root: Path = ROOT) -> str:
    """A page with all its generated parts made anew."""
    parts: dict[str, Callable[[], str]] = {
        "badges": lambda: links.badges(read_settings(root), "00_tour"),
        "chapters": lambda: chapters(root),
        "bench": lambda: bench(root),
        "parity": lambda: parity(root),
        "setup": lambda: setup(root),
        "browser": lambda: browser(root),
        "stages": lambda: stages(root),
    }
    for marker, make in parts.items():
        if f"<!-- {marker}:begin -->" in text:
            text = replace_between(text, marker, make())
    return text


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.readme", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is in step")
    options = parser.parse_args(arguments)
    stale = 0
    for name in PAGES:
        text = (ROOT / name).read_text(encoding="utf-8")
        new = render(text)
        stale += new != text
        if options.check:
            print(f"{name}:", "in step" if new == text else "out of step; run `make readme`")
        elif new != text:
            write_file(ROOT / name, new)
            print(f"{name}: written")
    return int(options.check and stale > 0)


if __name__ == "__main__":
    sys.exit(main())
