"""A handout has every cell of a chapter, but no output and no solution."""

import nbformat

from tools.handout import write_handout


def test_chapters_without_outputs_and_solutions(tmp_path):
    n = write_handout(tmp_path / "handout" / "notebooks")
    written = sorted((tmp_path / "handout" / "notebooks").glob("*.ipynb"))
    assert len(written) == n >= 15
    hints = 0
    for path in written:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert not any(cell.get("outputs") for cell in notebook.cells)
        text = "".join(cell.source for cell in notebook.cells)
        assert "Solution</summary>" not in text
        assert text.count("<details>") == text.count("</details>")
        hints += text.count("Hint</summary>")
    assert hints > 40
    assert (tmp_path / "handout" / "notebooks" / "glossary.md").exists()
