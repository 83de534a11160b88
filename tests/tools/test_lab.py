"""A reader's copies: refreshed while they are unchanged, never overwritten when they are edited."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools.lab import NOTE, copy_chapters


def write(path, *sources, outputs=()):
    cells = [new_markdown_cell("# A chapter"), *(new_code_cell(source) for source in sources)]
    cells[-1].outputs = [nbformat.v4.new_output("stream", text=text) for text in outputs]
    nbformat.write(new_notebook(cells=cells), path)


def code_of(path):
    return [cell.source for cell in nbformat.read(path, as_version=4).cells[1:]]


@pytest.fixture
def folders(tmp_path):
    source, target = tmp_path / "notebooks", tmp_path / "my"
    source.mkdir()
    write(source / "00_tour.ipynb", "1 + 1")
    (source / "glossary.md").write_text("# Glossary")
    assert copy_chapters(source, target) == []
    return source, target


def test_a_first_start_copies_all(folders):
    _, target = folders
    assert code_of(target / "00_tour.ipynb") == ["1 + 1"]
    assert (target / "glossary.md").read_text() == "# Glossary"


def test_what_was_only_run_is_refreshed(folders):
    source, target = folders
    write(target / "00_tour.ipynb", "1 + 1", outputs=["2"])
    write(source / "00_tour.ipynb", "2 + 2")
    (source / "glossary.md").write_text("# Words")
    assert copy_chapters(source, target) == []
    assert code_of(target / "00_tour.ipynb") == ["2 + 2"]
    assert (target / "glossary.md").read_text() == "# Words"


def test_edits_stay_and_are_named_only_when_there_is_a_new_edition(folders):
    source, target = folders
    write(target / "00_tour.ipynb", "my answer")
    assert copy_chapters(source, target) == []
    write(source / "00_tour.ipynb", "2 + 2")
    for _ in range(2):
        assert copy_chapters(source, target) == ["00_tour.ipynb"]
        assert code_of(target / "00_tour.ipynb") == ["my answer"]
    (target / "00_tour.ipynb").rename(target / "mine.ipynb")
    assert copy_chapters(source, target) == []
    assert code_of(target / "00_tour.ipynb") == ["2 + 2"]
    assert code_of(target / "mine.ipynb") == ["my answer"]


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"cells": 3})])
def test_a_damaged_copy_or_note_is_left_alone(folders, content):
    source, target = folders
    (target / "00_tour.ipynb").write_text(content)
    (target / NOTE).write_text("{" if content else "")
    write(source / "00_tour.ipynb", "2 + 2")
    assert copy_chapters(source, target) == ["00_tour.ipynb"]
    assert (target / "00_tour.ipynb").read_text() == content
