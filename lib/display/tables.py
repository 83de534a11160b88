"""One output of a cell, and the plainest of them: a table (re-exported by `lib.display`)."""

import html
import numbers
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def publish(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
    """Show a MIME bundle as an output of the running cell; outside IPython print its text/plain."""
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        ipython.display.display(data, metadata=metadata or {}, raw=True)
    else:
        print(data["text/plain"])


def show_table(
    rows: Sequence[Mapping[str, Any]] | Sequence[Sequence[Any]],
    columns: Sequence[str] | None = None,
    formats: Mapping[str, str] | None = None,
    title: str | None = None,
) -> None:
    """Show rows as a table; columns of numbers stand to the right.

    `rows` are mappings (then `columns` picks and orders the keys; default: those of the first row)
    or sequences. `formats` gives a format specification for a column: `{"loss": ".3f"}`. Without
    one, whole numbers get thousands separators and others four significant digits. `title` stands
    above the table in bold letters.
    """
    rows = list(rows)
    if columns is None:
        if not rows or not isinstance(rows[0], Mapping):
            raise ValueError("show_table needs columns=[...] unless its rows are mappings")
        columns = list(rows[0])
    unknown = set(formats or {}) - set(columns)
    if unknown:
        raise ValueError(f"formats names {sorted(unknown)}, but the columns are {list(columns)}")
    cells = [list(map(row.get, columns)) if isinstance(row, Mapping) else list(row) for row in rows]
    for row in cells:
        if len(row) != len(columns):
            raise ValueError(f"a row has {len(row)} cells for {len(columns)} columns: {row!r}")
    right = [
        any(_is_number(row[i]) for row in cells)
        and all(row[i] is None or _is_number(row[i]) for row in cells)
        for i in range(len(columns))
    ]
    specs = [(formats or {}).get(column) for column in columns]
    text = [[_cell(v, spec) for v, spec in zip(row, specs, strict=True)] for row in cells]
    above = ("", "") if title is None else (f"**{escape_markdown(title)}**\n\n", f"{title}\n")
    publish(
        {
            "text/markdown": above[0]
            + "\n".join(
                "| " + " | ".join(line) + " |"
                for line in [
                    [escape_markdown(column) for column in columns],
                    ["---:" if r else ":---" for r in right],
                    *[[escape_markdown(cell) for cell in row] for row in text],
                ]
            ),
            "text/plain": above[1] + _plain_table(columns, text, right),
        }
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _cell(value: Any, spec: str | None) -> str:
    if value is None:
        return ""
    if not _is_number(value):
        return str(value) if spec is None else format(value, spec)
    return format(value, spec or ("," if isinstance(value, numbers.Integral) else ".4g"))


def escape_markdown(cell: str) -> str:
    """Escape what Markdown, HTML or MathJax would read as more than text."""
    cell = re.sub(r"[\\`*_{}\[\]|~^#]", lambda m: f"&#{ord(m[0])};", html.escape(cell, quote=False))
    return cell.replace("$", "<span>&#36;</span>").replace("\n", "<br>")


def _plain_table(columns: Sequence[str], rows: list[list[str]], right: list[bool]) -> str:
    table = [list(columns), *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    table.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            cell.rjust(width) if r else cell.ljust(width)
            for cell, width, r in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in table
    )
