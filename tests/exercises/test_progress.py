"""What is solved is noted in one file of the reader's, and shown as a table."""

import json
import socket
import sys
from pathlib import Path

import nbformat
import pytest

from lib.exercises import Exercise, progress
from lib.exercises.progress import CHECKS, note, reset, rows, solved
from tests.exercises.test_answers import EXERCISES
from tests.library import ROOT

DOUBLE = Exercise("Twice as much", lambda x: 2 * x, lambda seed: [(1,), (seed + 3,)])


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """An empty state folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def files_below(folder):
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def test_only_what_is_solved_is_noted(state):
    DOUBLE(lambda x: x + x + 1)
    DOUBLE(None)
    assert files_below(state) == []
    DOUBLE(lambda x: x + x)
    assert solved() == {"Twice as much"}
    assert files_below(state) == ["nlp-to-lms/exercises.json"]
    assert json.loads((state / "nlp-to-lms" / "exercises.json").read_text()) == ["Twice as much"]


def test_without_xdg_the_file_is_below_home(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    note("One merge")
    assert files_below(tmp_path) == [".local/state/nlp-to-lms/exercises.json"]


def test_nothing_leaves_the_machine(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a connection is opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    DOUBLE(lambda x: x + x)
    progress()
    assert solved() == {"Twice as much"}


def test_the_table_counts_what_is_solved(capsys):
    progress()
    before = capsys.readouterr().out
    assert "0 of 6" in before
    assert "One merge" in before
    for title in [title for chapter, title, *_ in rows() if chapter == "1 Tokenization"]:
        note(title)
    progress()
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("1 Tokenization"))
    assert line.split()[2:] == ["6", "of", "6", "all", "solved", "0"]


def test_reset_forgets_and_the_table_says_how(capsys, state):
    note("One merge")
    progress()
    words = capsys.readouterr().out.splitlines()[-1].removeprefix("To begin anew: ")
    exec(words, {})
    assert solved() == set()
    assert files_below(state) == []
    reset()  # where there is nothing to forget


@pytest.mark.parametrize("text", ["", "{", "[1, null]", '{"One merge": true}', "\x00\xff", "3"])
def test_a_damaged_file_is_as_none_and_is_mended(state, text):
    file = state / "nlp-to-lms" / "exercises.json"
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="latin-1")
    assert solved() == set()
    note("One merge")
    assert solved() == {"One merge"}


def test_where_nothing_can_be_written_a_check_still_answers(state, capsys):
    state.write_text("a file where the folder should be")
    DOUBLE(lambda x: x + x)
    assert "Right: Twice as much" in capsys.readouterr().out
    assert solved() == set()
    progress()


def test_a_file_that_cannot_be_replaced_is_left_as_it_is(monkeypatch):
    note("One merge")

    def fail(*_, **__):
        raise PermissionError("read-only")

    # The package's attribute of this name is the function, not the module.
    monkeypatch.setattr(sys.modules["lib.exercises.progress"], "atomic_write", fail)
    note("LayerNorm")
    assert solved() == {"One merge"}


def test_notes_can_be_switched_off(monkeypatch):
    monkeypatch.setenv("NLP_TO_LMS_NO_PROGRESS", "1")
    note("One merge")
    assert solved() == set()


def test_every_exercise_of_every_chapter_is_in_the_table():
    numbers = [name.split(" ")[0] for name in CHECKS]
    asked = {(chapter[:2].lstrip("0"), check.title) for (chapter, _), check in EXERCISES.items()}
    listed = [(chapter.split(" ")[0], title) for chapter, title, *_ in rows()]
    assert set(listed) == asked
    assert len(listed) == len(asked), "two exercises have one title, or one stands there twice"
    assert numbers == [str(n) for n in range(1, 15)]


def test_the_tour_s_table_is_that_of_a_new_reader(capsys):
    """And so it does not depend on who built the notebook."""
    tour = nbformat.read(ROOT / "notebooks" / "00_tour.ipynb", as_version=4)
    (cell,) = [c for c in tour.cells if c.cell_type == "code" and "progress()" in c.source]
    progress()
    shown = "\n".join(o.data["text/plain"] if "data" in o else o.text for o in cell.outputs)
    assert shown.split() == capsys.readouterr().out.split()
