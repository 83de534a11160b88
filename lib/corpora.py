"""Texts to train and test on.

One real English text is on every machine that runs this course, offline: the documentation that
ships with Python. Its wording differs a little from one Python version to the next, so a figure
computed from it differs in its last digits. The samples in several languages were written for this
course. A classic corpus, Tiny Shakespeare, is a pinned download.
"""

import ast
import operator
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from random import Random

from lib.downloads import download
from lib.settings import require

# Not documentation in English, or not there in every installation.
SKIPPED_FOLDERS = {
    "__pycache__", "encodings", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages",
    "dist-packages", "test", "tests", "tkinter", "turtledemo",
}  # fmt: skip
SHORTEST_DOCSTRING = 60  # characters
BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")  # where statements hold others

TINY_SHAKESPEARE_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/"
    "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt"
)
TINY_SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


@lru_cache(maxsize=4)
def english(n_bytes: int = 1_100_000) -> str:
    """About `n_bytes` of English: Python's language reference, then docstrings of its library.

    The order is fixed (topics, then files, by name), so that a Python version always gives the
    same text. Raises ValueError if `n_bytes` is not positive or more than there is.
    """
    require("n_bytes", n_bytes, "[1, inf)", whole=True)
    parts, size = [], 0
    for part in _documentation():
        parts.append(part)
        size += len(part.encode()) + 2
        if size >= n_bytes:
            text = "\n\n".join(parts).encode()[:n_bytes]
            return text.decode(errors="ignore")  # the cut may fall inside a character
    raise ValueError(
        f"this Python installation holds {size:,} bytes of documentation, asked for {n_bytes:,}; "
        "ask for fewer, or use tiny_shakespeare()"
    )


def _documentation() -> Iterator[str]:
    try:
        from pydoc_data.topics import topics
    except ImportError:  # some Linux distributions package it apart from Python
        topics = {}
    for name in sorted(topics):
        yield topics[name].strip()
    for file in _python_files(Path(sysconfig.get_path("stdlib"))):
        yield from _docstrings(file)


def _python_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.suffix == ".py":
            yield path
        elif path.is_dir() and path.name not in SKIPPED_FOLDERS:
            yield from _python_files(path)


def _docstrings(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):  # not ours to mend: skip it
        return
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    statements = [tree]
    for node in statements:  # grows while it runs; ast.walk's order, without the expressions
        for block in BLOCKS:
            statements += getattr(node, block, ())
        text = ast.get_docstring(node) if isinstance(node, kinds) else None
        if text and len(text) >= SHORTEST_DOCSTRING:
            yield text


@lru_cache(maxsize=4)
def code(n_bytes: int = 300_000) -> str:
    """About `n_bytes` of Python: its own library, without docstrings and comments.

    Raises ValueError if `n_bytes` is not positive or more than there is.
    """
    require("n_bytes", n_bytes, "[1, inf)", whole=True)
    parts, size = [], 0
    for file in _python_files(Path(sysconfig.get_path("stdlib"))):
        parts.append(_without_docstrings(file))
        size += len(parts[-1].encode()) + 2
        if size >= n_bytes:
            return "\n\n".join(parts).encode()[:n_bytes].decode(errors="ignore")
    raise ValueError(
        f"this Python installation holds {size:,} bytes of code, asked for {n_bytes:,}"
    )


def _without_docstrings(file: Path) -> str:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):  # not ours to mend: skip it
        return ""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            first = body[0].value
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                node.body = body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def arithmetic(n_bytes: int = 300_000, seed: int = 0) -> str:
    """`n_bytes` of sums, differences and products, one to a line: `61 * 305 = 18605`.

    Raises ValueError if `n_bytes` is not positive.
    """
    require("n_bytes", n_bytes, "[1, inf)", whole=True)
    require("seed", seed, "(-inf, inf)", whole=True)
    random, lines, size = Random(seed), [], 0
    operations = {"+": operator.add, "-": operator.sub, "*": operator.mul}
    while size < n_bytes:
        a, b = (random.randrange(10 ** random.randint(1, 4)) for _ in range(2))
        sign = random.choice("+-*")
        lines.append(f"{a} {sign} {b} = {operations[sign](a, b)}\n")
        size += len(lines[-1])
    return "".join(lines)[:n_bytes]


def tiny_shakespeare() -> str:
    """1.1 MB of Shakespeare's plays, as in Karpathy's char-rnn (2015); downloaded at first use.

    Raises lib.downloads.DownloadError without a network.
    """
    path = download(TINY_SHAKESPEARE_URL, TINY_SHAKESPEARE_SHA256, "tiny_shakespeare.txt")
    return path.read_text(encoding="utf-8")


# The same three sentences in three languages, then kinds of text that tokenizers find hard.
SAMPLES: dict[str, str] = {
    "English": (
        "The train to the mountains leaves at seven in the morning. My grandmother packed bread, "
        "apples and a thermos of tea for us. When we arrived, the snow had already begun to melt."
    ),
    "Hindi": (
        "पहाड़ों की ओर जाने वाली रेलगाड़ी सुबह सात बजे चलती है। मेरी दादी ने हमारे लिए रोटी, सेब और "
        "चाय का थर्मस रख दिया। जब हम पहुँचे, तब तक बर्फ़ पिघलने लगी थी।"
    ),
    "Chinese": (
        "开往山里的火车早上七点出发。我奶奶给我们准备了面包、苹果和一壶热茶。我们到达的时候，雪已经开始融化了。"
    ),
    "Python": (
        "def average_wait(times, limit=30):\n"
        "    total = 0\n"
        "    for minutes in times:\n"
        "        if minutes > limit:\n"
        '            raise ValueError(f"waited {minutes} minutes")\n'
        "        total += minutes\n"
        "    return total / len(times)\n"
    ),
    "numbers": (
        "7 12 480 1999 31415 271828 1000000 3.14159 -40.5 6.02e23 12,345,678 2026-11-24 07:05 "
        "+41 44 555 01 23 99.99% 0x1F 1/3 10000000000"
    ),
    "emoji": "Hike at dawn 🏔️🌄, pancakes 🥞 with the family 👨‍👩‍👧‍👦! Score: 👍🏽👍🏽👎 ❤️ 🇨🇭🇮🇳",
}
