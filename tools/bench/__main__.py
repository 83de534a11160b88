"""Runs the measurements, prints one table, and keeps it in figures/bench.json and README.md."""

import argparse
import importlib
import json
import pkgutil
import sys
from dataclasses import asdict
from pathlib import Path

import tools.bench
from lib.files import write_file
from tools import readme
from tools.bench.measure import Row, machine
from tools.course import ROOT

RESULTS = ROOT / "figures" / "bench.json"


def names() -> list[str]:
    """The measurements: all modules of the folder but the two that are its frame."""
    found = {module.name for module in pkgutil.iter_modules(tools.bench.__path__)}
    return sorted(found - {"__main__", "measure"})


def line(row: Row) -> list[str]:
    """A row as text: what, ours, peer, ratio with its spread, budget, and whether it is met."""
    sign = "≥" if row.higher_is_better else "≤"
    if row.ratio is None:
        return [row.what, f"{row.ours:.3g} {row.unit}", "", "", f"{sign} {row.budget:g} {row.unit}"]
    low, high = row.spread
    return [
        row.what,
        f"{row.ours:.3g} {row.unit}",
        f"{row.peer:.3g} {row.unit} ({row.peer_name})",
        f"{row.ratio:.2f}× ({low:.2f} to {high:.2f})",
        f"{sign} {row.budget:g}×",
    ]


def show(rows: list[Row]) -> None:
    table = [["what", "ours", "peer", "ratio (spread)", "budget", "met"]]
    table += [[*line(row), "yes" if row.met else "NO"] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)))


def keep(results: dict[str, list[Row]], path: Path = RESULTS) -> None:
    """Replaces the results of the measurements that were run; the others stay."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, rows in results.items():
        kept[name] = {"machine": machine(), "rows": [{**asdict(r), "met": r.met} for r in rows]}
    path.parent.mkdir(exist_ok=True)
    kept = {name: kept[name] for name in sorted(kept)}
    write_file(path, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names())}")
    parser.add_argument("--no-write", action="store_true", help="only print the table")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(names())):
        parser.error(f"no measurement {unknown[0]!r}; there are: {', '.join(names())}")

    results = {}
    for name in options.names or names():
        print(f"measuring {name} ...", flush=True)
        results[name] = importlib.import_module(f"tools.bench.{name}").run()
    print(f"\n{machine()}\n")
    rows = [row for rows in results.values() for row in rows]
    show(rows)
    if not options.no_write:
        keep(results)
        readme.main([])
    return 0


if __name__ == "__main__":
    sys.exit(main())
