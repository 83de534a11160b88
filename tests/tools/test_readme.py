"""README.md is in step, and its parts are made of what is there."""

import json
import re

import pytest

from tools import readme
from tools.course import ROOT, replace_between


@pytest.mark.parametrize("name", readme.PAGES)
def test_pages_are_in_step(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert readme.render(text) == text, "run: make readme"


PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/evidence.md", "docs/teaching.md"]


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    prose = re.sub(r"(?s)^(`{3,})\S*\n.*?^\1$", "", text, flags=re.MULTILINE)
    targets = [t for t in re.findall(r"\]\(([^)]+)\)", prose) if not t.startswith("https://")]
    folder = (ROOT / name).parent
    assert [t for t in targets if not (folder / t.partition("#")[0]).exists()] == []


def test_chapters_that_are_missing_are_said_to_be(tmp_path):
    folder = tmp_path / "notebooks" / "text"
    folder.mkdir(parents=True)
    (folder / "02_attention.md").write_text(
        "# 2. Attention\n\nWho looks at whom? And why?\n\n"
        "**Runs in** 35 seconds and 0.9 GiB of memory on 2 CPU cores.\n"
        + "word " * 1000
        + "\n```{code-cell}\ncheck_heads(my_heads)\n```\n"
    )
    (folder.parent / "02_attention.ipynb").write_text("{}")
    (folder / "04_draft.md").write_text("# Draft\n")
    lines = readme.chapters(tmp_path).splitlines()
    link = "[Attention](notebooks/02_attention.ipynb)"
    assert f"| 02 | {link} | Who looks at whom? | 10 min | 1 | 35 s |" in lines
    assert "| 04 | Normalization | *not there yet* |  |  |  |" in lines
    assert len(lines) == 2 + len(readme.COURSE)


def test_parity_table(tmp_path):
    (tmp_path / "tests" / "model").mkdir(parents=True)
    file = tmp_path / "tests" / "model" / "test_a.py"
    file.write_text(
        "import pytest\n"
        '@pytest.mark.parity("logits", "transformers", "1e-5")\n'
        '@pytest.mark.parametrize("x", [1, 2])\n'
        "def test_logits(x): ...\n"
    )
    row = "| logits | transformers | 1e-5 | [model/test_a.py](../tests/model/test_a.py) |"
    assert row in readme.parity(tmp_path).splitlines()
    file.write_text('import pytest\n@pytest.mark.parity("logits")\ndef test_logits(): ...\n')
    with pytest.raises(ValueError, match=r"test_a.py, line 2: parity"):
        readme.parity(tmp_path)


def test_setup_and_browser_tables(tmp_path):
    assert readme.setup(tmp_path) == readme.browser(tmp_path) == "*Not measured yet.*"
    (tmp_path / "figures").mkdir()
    commands = [
        {"command": "make lab", "until": "it answers", "seconds": 61.2, "peak_bytes": 2**30},
        {"command": "make test", "until": "done", "seconds": 600, "peak_bytes": 3 * 2**29},
    ]
    result = {"machine": "2 cores", "commands": commands, "disk_bytes": {"the clone": 9e6}}
    (tmp_path / "figures" / "setup.json").write_text(json.dumps(result))
    lines = readme.setup(tmp_path).splitlines()
    assert lines[2:4] == [
        "| `make lab` | it answers | 61 s | 1.0 GiB |",
        "| `make test` | done | 10 min | 1.5 GiB |",
    ]
    assert lines[-5:] == [
        "Disk: the clone 9 MB.",
        "",
        "Budgets: `make test` once set up at most 10 min: met; a clone at most 20 MB: met.",
        "",
        "Measured on: 2 cores.",
    ]
    commands[1]["seconds"] = 1000
    (tmp_path / "figures" / "setup.json").write_text(json.dumps(result))
    assert "10 min: **missed**" in readme.setup(tmp_path)
    fast = {"median_ms": 40.2, "p90_ms": 60, "presses": 36, "load": 0.5}
    widgets = {
        "02_attention": fast,
        "02_attention, hover": {**fast, "median_ms": 60},
        "12_compute-2, click": {**fast, "median_ms": 140},
        "book, qkv": fast,
        "book, qkv, click": {**fast, "median_ms": 60},
    }
    result = {"machine": "2 cores", "widgets": widgets, "megabytes": {"qkv": 0.6, "tour": 1.7}}
    (tmp_path / "figures" / "browser.json").write_text(json.dumps(result))
    assert readme.browser(tmp_path).splitlines()[2:7] == [
        "| 2. Attention | key | 40 ms | 60 ms | 36 | 0.5 | 100 ms | yes |",
        "| 2. Attention | hover | 60 ms | 60 ms | 36 | 0.5 | 50 ms | **no** |",
        "| 12. Compute, 2 | click | 140 ms | 60 ms | 36 | 0.5 | 100 ms | **no** |",
        "| book, qkv | key | 40 ms | 60 ms | 36 | 0.5 | 100 ms | yes |",
        "| book, qkv | click | 60 ms | 60 ms | 36 | 0.5 | 100 ms | yes |",
    ]
    assert readme.browser(tmp_path).splitlines()[-2:] == [
        "| qkv | 0.60 MB | 1.5 MB | yes |",
        "| tour | 1.70 MB | 1.5 MB | **no** |",
    ]


def test_replace_between():
    text = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb"
    new = replace_between(text, "x", "new")
    assert new == "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb"
    assert replace_between(replace_between(new, "x", ""), "x", "old") == text
    with pytest.raises(ValueError, match="y:begin"):
        replace_between(text, "y", "new")
