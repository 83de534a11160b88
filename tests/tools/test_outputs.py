"""What the builder removes from outputs, and what it refuses."""

from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.course import ROOT
from tools.outputs import WIDGET_VIEW, NoisyOutput, clean_outputs

v4 = nbformat.v4


def cleaned(*outputs):
    cell = v4.new_code_cell("pass", outputs=list(outputs), execution_count=3)
    clean_outputs(cell)
    return cell.outputs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<function f at 0x7f12a4b0c0d0>", "<function f at 0x...>"),
        (f"{ROOT}/lib/model/config.py", "lib/model/config.py"),
        (f"{ROOT}", ""),
        (f"{Path.home()}/.cache/nlp-to-lms", "~/.cache/nlp-to-lms"),
        ("0xff and 0x1F600", "0xff and 0x1F600"),
    ],
)
def test_machine_is_removed_from_text(text, expected):
    stream = v4.new_output("stream", name="stdout", text=text)
    result = v4.new_output("execute_result", data={"text/html": text}, execution_count=9)
    stream, result = cleaned(stream, result)
    assert stream.text == expected
    assert result.data["text/html"] == expected
    assert result.execution_count == 3


@given(st.text(alphabet=st.characters(exclude_characters="/\\", codec="utf-8")))
def test_other_text_stays(text):
    if "0x" not in text:
        assert cleaned(v4.new_output("stream", name="stdout", text=text))[0].text == text


@pytest.mark.parametrize("text", ["see /home/ann/x", "/var/folders/a/b", "C:\\Users\\ann\\x"])
def test_foreign_paths_are_refused(text):
    with pytest.raises(NoisyOutput, match="path of this machine"):
        cleaned(v4.new_output("stream", name="stdout", text=text))


def test_stderr_is_refused():
    with pytest.raises(NoisyOutput, match="stderr:\nUserWarning: deprecated"):
        cleaned(v4.new_output("stream", name="stderr", text="UserWarning: deprecated"))


def test_widget_keeps_only_its_picture():
    data = {WIDGET_VIEW: {"model_id": "a1"}, "image/png": "iVBO", "text/plain": "A bar chart."}
    metadata = {"image/png": {"alt": "A bar chart."}, "isolated": True}
    (output,) = cleaned(v4.new_output("display_data", data=data, metadata=metadata))
    assert output.data == {"image/png": "iVBO", "text/plain": "A bar chart."}
    assert output.metadata == {"image/png": {"alt": "A bar chart."}}


def test_widget_without_picture_is_refused():
    data = {WIDGET_VIEW: {"model_id": "a1"}, "text/plain": "IntSlider(value=0)"}
    with pytest.raises(NoisyOutput, match="IntSlider"):
        cleaned(v4.new_output("display_data", data=data))
