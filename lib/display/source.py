"""The source that runs, in a chapter: `show(f, g)`.

A fenced block as ``text/markdown``: JupyterLab, Colab, VS Code, GitHub, nbviewer and nbconvert all
highlight it by their own style sheet; GitHub would strip the inline styles of an HTML output.
"""

import ast
import functools
import inspect
import re
from pathlib import Path
from typing import Any

from lib.display.tables import publish


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
