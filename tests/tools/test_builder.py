"""Chapters built in a folder of their own, from text to notebook."""

import re
import shutil

import nbformat
import pytest

from tools.course import ROOT
from tools.links import GLOSSARY, navigation
from tools.notebooks import BuildError, build, main, notebook_path, problems, text_path
from tools.prose import rewrite

CHAPTER = """\
# A chapter

What is one and one?

**Runs in** not measured yet.

```{code-cell}
one  =  1
print(one + one, object())
```

Two, as the cell says: $1 + 1 = 2$.

```{code-cell}
one + one
```
```{code-cell}
one + one
```
"""


@pytest.fixture
def chapter(tmp_path):
    """Writes a text and gives back how to build it."""
    (tmp_path / "notebooks" / "text").mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    def write(text, **options):
        text_path("00_test", tmp_path).write_text(text)
        return build("00_test", root=tmp_path, **options)

    write.root = tmp_path
    return write


def test_build(chapter):
    measured = chapter(CHAPTER, measure=True)
    text = text_path("00_test", chapter.root).read_text()
    raw = notebook_path("00_test", chapter.root).read_bytes()
    notebook = nbformat.reads(raw.decode(), as_version=4)

    assert measured.seconds > 0
    assert 10 * 2**20 < measured.peak_bytes < 500 * 2**20, "the kernel's alone, not its parent's"
    assert re.search(r"\n\*\*Runs in\*\* \d+ seconds and 0\.\d GiB of memory on \d+ CPU", text)
    assert "one = 1\n" in text, "the code is formatted, in the text too"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4]
    assert code[0].metadata.tags == ["set-up"]
    assert code[1].outputs[0].text == "2 <object object at 0x...>\n"
    assert code[3].id == code[2].id + "-2", "equal cells are told apart"
    assert problems("00_test", chapter.root) == []

    build("00_test", root=chapter.root)
    assert notebook_path("00_test", chapter.root).read_bytes() == raw, "a second build"
    assert text_path("00_test", chapter.root).read_text() == text

    text_path("00_test", chapter.root).write_text(text.replace("$1 + 1 = 2$", "$2$"))
    assert problems("00_test", chapter.root) == ["the text and the notebook differ"]
    code[3].source = "one - one"
    nbformat.write(notebook, notebook_path("00_test", chapter.root))
    assert "cells were edited but not executed since" in problems("00_test", chapter.root)


def test_shared_cells_come_at_the_build_and_are_rewritten_without_one(chapter):
    """A chapter of the course gets its links; what an older build wrote is replaced."""
    shutil.copy(ROOT / "pyproject.toml", chapter.root)
    text, path = (
        text_path("02_attention", chapter.root),
        notebook_path("02_attention", chapter.root),
    )
    text.write_text("# Title\n\nWhy?\n\n```{code-cell}\n1 + 1\n```\n")
    build("02_attention", root=chapter.root)
    built = path.read_bytes()
    cells = nbformat.read(path, as_version=4).cells
    assert [cell.source for cell in cells[-2:]] == ["1 + 1", navigation("02_attention")]
    assert cells[0].source.endswith(GLOSSARY)

    old = navigation("02_attention")
    for file in (text, path):
        file.write_text(file.read_text().replace(old, "Next: [old](old.ipynb)"))
    rewrite("02_attention", chapter.root)
    assert path.read_bytes() == built
    assert problems("02_attention", chapter.root) == []
    build("02_attention", root=chapter.root)
    assert path.read_bytes() == built, "links are not doubled"


def test_prose_can_change_without_execution(chapter):
    shutil.copy(ROOT / "pyproject.toml", chapter.root)
    text = text_path("02_attention", chapter.root)
    text.write_text("# Title\n\nWhy?\n\n```{code-cell}\n1 + 1\n```\n")
    build("02_attention", root=chapter.root)
    text.write_text(text.read_text().replace("Why?", "Who?"))
    rewrite("02_attention", chapter.root)
    cells = nbformat.read(notebook_path("02_attention", chapter.root), as_version=4).cells
    assert "Who?" in cells[0].source
    assert cells[2].outputs[0].data["text/plain"] == "2"
    assert problems("02_attention", chapter.root) == []

    text.write_text(text.read_text().replace("1 + 1", "1 + 2"))
    with pytest.raises(BuildError, match=r"run: python -m tools\.notebooks 02"):
        rewrite("02_attention", chapter.root)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; print('old', file=sys.stderr)", "stderr"),
        ("print('/home/ann')", "path of this machine"),
        ("import time; time.sleep(30)", "timed out"),
        ("def f(:", "ruff complains about the code"),
        ("def g(x=[]): ...", "B006"),
    ],
)
def test_what_fails_leaves_nothing(chapter, cell, message):
    text = f"# Title\n\n```{{code-cell}}\n{cell}\n```\n"
    with pytest.raises(BuildError, match=message):
        chapter(text, timeout=3)
    assert text_path("00_test", chapter.root).read_text() == text
    assert [p.name for p in (chapter.root / "notebooks").iterdir()] == ["text"]
    assert problems("00_test", chapter.root) == ["00_test.ipynb is missing"]


def test_head_comes_first(chapter):
    with pytest.raises(BuildError, match="begins with a Markdown cell"):
        chapter("```{code-cell}\n1\n```\n")


def test_a_loop_does_not_mix_printing_and_tables(chapter):
    loop = "for n in (1, 2):\n    print(n)\n    show_table([[n]], [str(n)])"
    with pytest.raises(BuildError, match=r"prints and shows tables, use title="):
        chapter(f"{CHAPTER}\n```{{code-cell}}\n{loop}\n```\n")


def test_unknown_name(capsys):
    with pytest.raises(SystemExit):
        main(["99_nothing"])
    assert "no notebooks/text/99_nothing.md" in capsys.readouterr().err
