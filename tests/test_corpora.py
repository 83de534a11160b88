"""The texts are there, offline, the same each time."""

import subprocess
import sys

import pytest

from lib import corpora
from lib.downloads import DownloadError
from tests.library import ROOT


def test_english_has_the_size_asked_for_and_is_the_same_in_another_process():
    text = corpora.english(1_100_000)
    assert 1_099_990 <= len(text.encode()) <= 1_100_000
    program = (
        "import hashlib, lib.corpora as c; print(hashlib.sha256(c.english().encode()).hexdigest())"
    )
    there = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True, text=True, check=True, cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "PATH": ""},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert there[0] == there[1]


def test_english_is_english():
    words = corpora.english(200_000).lower().split()
    common = {"the", "of", "to", "a", "is", "and", "in"}
    assert sum(word in common for word in words) / len(words) > 0.15  # in most English: about 1/5


def test_a_shorter_text_is_the_beginning_of_a_longer_one():
    assert corpora.english(1_100_000).startswith(corpora.english(1000))


@pytest.mark.parametrize("n_bytes", [0, -5])
def test_size_must_be_positive(n_bytes):
    with pytest.raises(ValueError, match=f"n_bytes must be an integer at least 1, got {n_bytes}"):
        corpora.english(n_bytes)


def test_more_than_there_is_says_how_much_there_is():
    with pytest.raises(ValueError, match=r"holds [\d,]+ bytes .* asked for 1,000,000,000"):
        corpora.english(10**9)


def test_without_topics_the_docstrings_remain(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)  # import raises ImportError
    corpora.english.cache_clear()
    try:
        assert len(corpora.english(100_000).encode()) >= 99_990
    finally:
        corpora.english.cache_clear()


def test_a_file_that_is_no_python_is_skipped(tmp_path):
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "latin.py").write_bytes(b'"""\xff"""')
    (tmp_path / "fine.py").write_text(f'"""{"A sentence about nothing. " * 4}"""')
    files = list(corpora._python_files(tmp_path))
    assert [file.name for file in files] == ["broken.py", "fine.py", "latin.py"]
    assert len([text for file in files for text in corpora._docstrings(file)]) == 1


def test_samples_are_in_the_scripts_they_name():
    names = {name: "".join(set(text)) for name, text in corpora.SAMPLES.items()}
    assert any("\u0900" <= char <= "\u097f" for char in names["Hindi"])
    assert any("\u4e00" <= char <= "\u9fff" for char in names["Chinese"])
    assert any(ord(char) > 0xFFFF for char in names["emoji"])
    assert names["English"].isascii()
    compile(corpora.SAMPLES["Python"], "sample", "exec")


def test_tiny_shakespeare_without_a_network(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(corpora, "TINY_SHAKESPEARE_URL", "http://127.0.0.1:9/input.txt")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # before another try
    with pytest.raises(DownloadError, match=r"could not download http://127\.0\.0\.1:9"):
        corpora.tiny_shakespeare()
    assert not list((tmp_path / "nlp-to-lms").glob("*.txt"))


def test_code_is_python_without_docstrings():
    import ast

    text = corpora.code(60_000)
    assert 59_990 <= len(text.encode()) <= 60_000
    tree = ast.parse(text[: text.rindex("\ndef ")])  # the last function may be cut
    assert not any(
        ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
    )


def test_arithmetic_is_right():
    lines = corpora.arithmetic(2_000, seed=3).splitlines()[:-1]
    assert len(lines) > 80
    for line in lines:
        question, answer = line.split(" = ")
        assert eval(question) == int(answer)
    assert corpora.arithmetic(2_000, seed=3) != corpora.arithmetic(2_000, seed=4)


@pytest.mark.parametrize("make", [corpora.code, corpora.arithmetic])
def test_sizes_below_1_are_named(make):
    with pytest.raises(ValueError, match="n_bytes must be an integer at least 1, got 0"):
        make(0)
