"""Builds the web book into build/book/html: `make book`."""

import argparse
import hashlib
import subprocess
import sys
import time

from lib.files import write_file
from tools.book import BUILD, HTML, SOURCE, WIDGETS
from tools.book.checking import problems
from tools.book.frames import count, export, script
from tools.book.redirects import write_redirects
from tools.book.sources import write_sources
from tools.book.widgets import WIDGETS as MOVABLE
from tools.book.widgets import BookWidget
from tools.course import ROOT
from tools.notebooks import notebook_path


def compute(widget: BookWidget, keep: bool) -> str:
    """Writes a widget's data, unless lib and the grid are as they were; says what it did."""
    file, stamp = WIDGETS / f"{widget.name}.js", BUILD / f"{widget.name}.sha256"
    now = _fingerprint(widget)
    same = stamp.exists() and stamp.read_text() == now
    if file.exists() and (same or keep):
        return f"{widget.name}: as before, {file.stat().st_size / 1e6:.2f} MB"
    begin = time.perf_counter()
    data = export(widget.make(), widget.axes)
    WIDGETS.mkdir(parents=True, exist_ok=True)
    write_file(file, script(widget.name, data))
    write_file(stamp, now)
    return (
        f"{widget.name}: {count(widget.axes):,} settings, {len(data['pictures']):,} pictures, "
        f"{file.stat().st_size / 1e6:.2f} MB, {time.perf_counter() - begin:.0f} s"
    )


def _fingerprint(widget: BookWidget) -> str:
    digest = hashlib.sha256(repr(widget.axes).encode())
    for path in sorted([*(ROOT / "lib").rglob("*.py"), *(ROOT / "tools" / "book").glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.book", description=__doc__)
    parser.add_argument(
        "--draft", action="store_true", help="do not fail on links to what is not there yet"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the widgets' pictures, even if lib has changed"
    )
    options = parser.parse_args(arguments)
    begin = time.perf_counter()
    there = [widget for widget in MOVABLE if notebook_path(widget.chapter).exists()]
    for widget in there:
        print(compute(widget, options.keep), flush=True)
    pages = write_sources(there)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-c", "tools/book", "--quiet"]
    command += [] if options.draft else ["--fail-on-warning"]
    sphinx = subprocess.run([*command, str(SOURCE), str(HTML)], cwd=ROOT).returncode
    write_redirects(HTML)
    found = problems(HTML) if HTML.exists() else []
    for problem in found:
        print(problem)
    size = sum(path.stat().st_size for path in HTML.rglob("*") if path.is_file()) / 1e6
    took = time.perf_counter() - begin
    print(f"build/book/html/index.html: {len(pages)} pages, {size:.1f} MB, {took:.0f} s")
    failed = sphinx != 0 or (found and not options.draft)
    if failed:
        print("The book has the faults above.", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
