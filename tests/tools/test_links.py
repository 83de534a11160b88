"""What all chapters share: set-up cell and badges, with and without an address; links."""

import subprocess
import sys
from itertools import pairwise

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from tools.badges import own_address, set_address
from tools.course import Settings, read_settings
from tools.links import (
    COURSE,
    GLOSSARY,
    badges,
    head_of,
    head_with_badges,
    navigation,
    setup_cell,
)

WITHOUT = Settings("nlp-to-lms", "0.1.0", "")
WITH = Settings("nlp-to-lms", "0.1.0", "https://github.com/someone/course")
HEAD = "# Title\n\nA question?\n\n**Runs in** 5 seconds."


class Shell:
    """Stands for IPython and writes down the magics that are run."""

    def __init__(self):
        self.magics = []

    def run_line_magic(self, name, line):
        self.magics.append((name, line))


def run(settings):
    shell = Shell()
    code = TransformerManager().transform_cell(setup_cell(settings))
    exec(code, {"get_ipython": lambda: shell})
    return shell.magics


@pytest.mark.parametrize("settings", [WITHOUT, WITH])
def test_setup_cell_does_nothing_elsewhere(settings, capsys):
    assert run(settings) == []
    assert capsys.readouterr().out == ""


def test_setup_cell_installs_the_release_on_colab(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "google.colab", object())
    where = "nlp-to-lms @ git+https://github.com/someone/course@v0.1.0"
    assert run(WITH) == [("pip", f'install --quiet "{where}"')]
    assert capsys.readouterr().out == ""


def test_setup_cell_without_address_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "google.colab", object())
    assert run(WITHOUT) == []
    said = capsys.readouterr().out
    assert "%pip install git+ADDRESS" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("settings", [WITHOUT, WITH])
@pytest.mark.parametrize(
    ("place", "content"),
    [("lib/__init__.py", ""), ("lib.py", ""), ("lib/__init__.py", '"""Helpers."""')],
)
def test_setup_cell_names_what_hides_the_course(tmp_path, place, content, settings):
    """A reader's own lib beside the notebook is found first; a bare folder hides nothing."""
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    code = TransformerManager().transform_cell(setup_cell(settings))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    said = done.stderr.splitlines()[-1]
    assert said.startswith("ImportError: ")
    assert "hides the course's lib: rename it" in said
    assert str(path.relative_to(tmp_path)) in said
    path.unlink()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_badges():
    assert badges(WITHOUT, "00_tour") == ""
    line = badges(WITH, "00_tour")
    assert "/github/someone/course/blob/v0.1.0/notebooks/00_tour.ipynb)" in line
    assert "/v2/gh/someone/course/v0.1.0?labpath=notebooks%2F00_tour.ipynb)" in line


def test_badges_come_and_go():
    with_badges = head_with_badges(HEAD, WITH, "00_tour")
    assert with_badges.splitlines()[:4] == ["# Title", "", badges(WITH, "00_tour"), ""]
    assert head_with_badges(with_badges, WITH, "00_tour") == with_badges
    assert head_with_badges(with_badges, WITHOUT, "00_tour") == HEAD
    assert head_with_badges(HEAD, WITHOUT, "00_tour") == HEAD


def test_a_head_has_the_glossary_once_below_the_run_time():
    head = head_of(HEAD, WITH, "00_tour")
    assert head == f"{head_with_badges(HEAD, WITH, '00_tour')}\n\n{GLOSSARY}"
    long = f"{HEAD}\n\n## More\n\nText."
    assert head_of(long, WITHOUT, "00_tour") == f"{HEAD}\n\n{GLOSSARY}\n\n## More\n\nText."
    assert head_of(head_of(long, WITHOUT, "00_tour"), WITHOUT, "00_tour").count(GLOSSARY) == 1
    assert head_of("# Title", WITHOUT, "00_tour") == f"# Title\n\n{GLOSSARY}"
    assert head_of(head, WITH, "00_tour") == head
    assert head_of(head, WITHOUT, "00_tour") == f"{HEAD}\n\n{GLOSSARY}"
    assert head_of(HEAD, WITHOUT, "00_test") == HEAD, "no chapter of the course"


def test_previous_and_next():
    first, *_, last = COURSE
    assert navigation("06_transformer").startswith(
        "Previous: [5. Feed-forward layers and experts](05_feedforward.ipynb) · "
        "Next: [7. Training](07_training.ipynb) · "
    )
    assert "Previous" not in navigation(first)
    assert "Next" not in navigation(last)
    assert navigation("00_test") == ""
    for name, after in pairwise(COURSE):
        assert f"({after}.ipynb)" in navigation(name)
        assert f"({name}.ipynb)" in navigation(after)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("", ""),
        ("https://github.com/someone/course/", "https://github.com/someone/course"),
        ("https://github.com/someone/course.git", "https://github.com/someone/course"),
    ],
)
def test_setting(tmp_path, written, read):
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "a"\nversion = "1"\n[tool.course]\nrepository = "{written}"\n'
    )
    assert read_settings(tmp_path).repository == read


def test_unusable_setting(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "a"\nversion = "1"\n[tool.course]\nrepository = "someone/course"\n'
    )
    with pytest.raises(ValueError, match="someone/course"):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://github.com/someone/course.git", "https://github.com/someone/course"),
        ("git@github.com:someone/my.course.git", "https://github.com/someone/my.course"),
        ("ssh://git@github.com/someone/course", "https://github.com/someone/course"),
        ("https://example.org/someone/course", ""),
        ("", ""),
    ],
)
def test_a_forks_address(tmp_path, monkeypatch, remote, address):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    if remote:
        subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", remote], check=True)
    assert own_address(tmp_path) == address
    monkeypatch.setenv("GITHUB_REPOSITORY", "other/fork")
    assert own_address(tmp_path) == "https://github.com/other/fork"


def test_the_address_is_written_once(tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_text('[project]\nname = "a"\nversion = "1"\n[tool.course]\nrepository = ""\n')
    set_address("https://github.com/someone/course", tmp_path)
    set_address("https://github.com/other/fork", tmp_path)
    assert read_settings(tmp_path).repository == "https://github.com/someone/course"
