"""What a reader sees: source code, tables and figures, the same in a notebook and in a terminal.

Each function here publishes one output of a notebook cell (outside IPython it prints plain text):

* `show(f, g)`: the source that runs, as ``text/markdown`` with a fenced block. JupyterLab, Colab,
  VS Code, GitHub, nbviewer and nbconvert all highlight such a block by their own style sheet;
  GitHub would strip the inline styles of an HTML output.
* `show_table(rows, columns)`: a pipe table, numbers to the right.
* `display_figure(fig, alt=...)`: THE way to show a figure in a chapter. The output is
  ``{"image/png": ..., "text/plain": alt}`` with the metadata ``{"image/png": {"alt": alt}}``:
  Jupyter's convention (jupyter/enhancement-proposals#120), which nbconvert's classic template
  turns into ``<img alt=...>``. A test holds every image of every notebook to this.
* `save_figure(fig, path, alt=..., data=...)`: a committed figure and the data behind it.
"""

import ast
import base64
import functools
import inspect
import io
import json
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.files import write_file
from lib.plot_style import (
    DIVERGING,
    PALETTE,
    SEQUENTIAL,
    course_style,
    drawable,
    ink,
    label_line,
    label_lines,
    text_color,
    use_course_style,
    visible,
)
from lib.tables import publish, show_table

if TYPE_CHECKING:  # matplotlib is imported by those who draw
    from matplotlib.figure import Figure

__all__ = [
    "DIVERGING",
    "PALETTE",
    "SEQUENTIAL",
    "course_style",
    "display_figure",
    "drawable",
    "ink",
    "label_line",
    "label_lines",
    "publish",
    "save_figure",
    "show",
    "show_table",
    "text_color",
    "use_course_style",
    "visible",
]


# Source


def show(*objects: Any, docstring: bool = True) -> None:
    """Show the source of functions, methods, classes or modules, each with its file and line.

    With `docstring=False` all docstrings are left out. Raises TypeError for anything that has no
    Python source.
    """
    for place, code in [_source(thing, docstring) for thing in objects]:  # all or nothing
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
        publish(
            {
                "text/markdown": f"`{place}`\n\n{fence}python\n{code}\n{fence}",
                "text/plain": f"# {place}\n{code}",
            }
        )


def _source(thing: Any, docstring: bool) -> tuple[str, str]:
    """Return ("lib/model/attention.py, line 12", the dedented source)."""
    if isinstance(thing, property):
        thing = thing.fget
    if isinstance(thing, functools.partial):
        thing = thing.func
    thing = inspect.unwrap(thing)
    name = getattr(thing, "__qualname__", getattr(thing, "__name__", repr(thing)))
    try:
        lines, first = inspect.getsourcelines(thing)
    except TypeError as error:
        raise TypeError(
            f"show() takes functions, methods, classes and modules written in Python, got {name}"
            f" of type {type(thing).__name__}; for an object show its type or one of its methods"
        ) from error
    except OSError as error:
        raise TypeError(f"the source of {name} is not in a file, so it cannot be shown") from error
    indent = len(lines[0]) - len(lines[0].lstrip())
    code = "".join(line[min(indent, len(line) - len(line.lstrip(" "))) :] for line in lines)
    if not docstring:
        code = _without_docstrings(code)
    return f"{_file_of(thing)}, line {max(first, 1)}", code.strip("\n")


def _file_of(thing: Any) -> str:
    """Return the file as a path from its package's parent folder: no path of this machine."""
    module = thing.__name__ if inspect.ismodule(thing) else thing.__module__
    if module == "__main__":
        return "this notebook"
    file = Path(inspect.getsourcefile(thing) or "")
    return (
        "/".join([*module.split(".")[:-1], file.name])
        if file.stem != "__init__"
        else ("/".join([*module.split("."), file.name]))
    )


def _without_docstrings(code: str) -> str:
    lines = code.splitlines()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
    for node in sorted(
        (node for node in ast.walk(ast.parse(code)) if isinstance(node, kinds)),
        key=lambda node: -getattr(node, "lineno", 0),  # from the end, so that numbers stay true
    ):
        if ast.get_docstring(node, clean=False) is None:
            continue
        text = node.body[0]
        start, stop = text.lineno - 1, text.end_lineno
        if lines[start][: text.col_offset].strip():
            continue  # on one line with its `def`
        if stop < len(lines) and not lines[stop].strip():
            stop += 1
        lines[start:stop] = [" " * text.col_offset + "..."] if len(node.body) == 1 else []
    return "\n".join(lines)


# Figures


def png_of(fig: "Figure", dpi: int = 144) -> bytes:
    """Draw a figure into a small PNG: 256 colors chosen for it, no metadata, no time stamp.

    The palette moves no channel by more than about 10 of 255 and cuts the file to a third.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    shown_dpi, canvas = fig.dpi, FigureCanvasAgg(fig)
    fig.set_dpi(dpi)
    try:
        canvas.draw()
        return small_png(canvas.buffer_rgba())
    finally:
        fig.set_dpi(shown_dpi)


def small_png(pixels: Any) -> bytes:
    """Encode an RGBA (or RGB) array of bytes, on white, with a palette of 256 colors."""
    import numpy as np
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    image = image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def png_bundle(png: bytes, alt: str, width: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (data, metadata) of an image output that is `width` CSS pixels wide and has alt text.

    Raises ValueError if the alt text is empty: an image nobody can read aloud is not published.
    """
    if not alt.strip():
        raise ValueError("alt text must say what the figure shows, got an empty string")
    data = {"image/png": base64.b64encode(png).decode("ascii"), "text/plain": alt}
    return data, {"image/png": {"alt": alt, "width": width}}


def display_figure(fig: "Figure", *, alt: str, dpi: int = 144) -> None:
    """Show a matplotlib figure with alt text as the cell's output, then close it."""
    data, metadata = png_bundle(png_of(fig, dpi), alt, round(fig.get_figwidth() * 100))
    publish(data, metadata)
    _close(fig)


def save_figure(fig: "Figure", path: str | Path, *, alt: str, data: Any) -> None:
    """Write a figure (`.png` or `.svg`) and, beside it, `.json` with the alt text and the data.

    `data` holds numbers, strings, lists, mappings, arrays and tensors; numbers are kept to six
    significant digits. The same figure gives the same bytes. Closes the figure. Raises ValueError
    for another suffix, TypeError for other data, before anything is written.
    """
    path = Path(path)
    if path.suffix not in (".png", ".svg"):
        raise ValueError(f"a figure is saved as .png or .svg, got {path.name!r}")
    if not alt.strip():
        raise ValueError(f"alt text of {path.name} must say what the figure shows")
    text = json.dumps({"alt": alt, "data": _jsonable(data)}, indent=1, ensure_ascii=False) + "\n"
    if path.suffix == ".png":
        image = png_of(fig)
    else:
        import matplotlib

        file = io.BytesIO()
        with matplotlib.rc_context({"svg.hashsalt": "lib"}):  # fixed ids
            fig.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        image = file.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, image)
    write_file(path.with_suffix(".json"), text)
    _close(fig)


def _close(fig: "Figure") -> None:
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(fig)


def _jsonable(value: Any) -> Any:
    if hasattr(value, "tolist"):  # arrays, tensors and their scalars
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    raise TypeError(f"data of a figure must be numbers, strings, lists or mappings, got {value!r}")
