"""Makes the outputs of an executed notebook the same on every machine and on every run."""

import re
import tempfile
from pathlib import Path

from nbformat import NotebookNode

from tools.course import ROOT

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

# A machine path that survives `_without_paths` fails the build and the tests.
MACHINE_PATH = re.compile(r"(?:/(?:home|root|Users|work|tmp|var/folders)/|[A-Z]:\\Users\\)\S*")
_ADDRESS = re.compile(r"\b0x[0-9a-f]{8,16}\b")


class NoisyOutput(Exception):
    """An output that a reader should not see: the cell has to be mended, not the output."""


def clean_outputs(cell: NotebookNode) -> None:
    """Normalizes the outputs of one code cell in place; raises NoisyOutput for what cannot stay."""
    for output in cell.outputs:
        if output.output_type == "stream":
            if output.name == "stderr":
                raise NoisyOutput(f"the cell writes to stderr:\n{output.text}")
            output.text = _clean_text(output.text)
        elif output.output_type in ("display_data", "execute_result"):
            _clean_bundle(output.data)
            output.metadata = {k: v for k, v in output.metadata.items() if k in output.data}
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count


def _clean_bundle(data: NotebookNode) -> None:
    if WIDGET_VIEW in data:
        if "image/png" not in data:
            raise NoisyOutput(
                "the cell displays a widget without a picture beside it, so a static page would "
                f"be empty there: {data.get('text/plain', '')[:200]}\nUse lib.widgets.explorer."
            )
        del data[WIDGET_VIEW]
    for mime, value in data.items():
        if isinstance(value, str) and (mime.startswith("text/") or mime.endswith("svg+xml")):
            data[mime] = _clean_text(value)


def _clean_text(text: str) -> str:
    text = _ADDRESS.sub("0x...", _without_paths(text))
    if found := MACHINE_PATH.search(text):
        raise NoisyOutput(f"the output holds a path of this machine: {found.group()}")
    return text


def _without_paths(text: str) -> str:
    """Paths inside the repository become relative to it, those below the home folder begin `~`."""
    for folder, name in ((ROOT, ""), (Path.home(), "~/"), (tempfile.gettempdir(), "<tmp>/")):
        text = re.sub(rf"{re.escape(str(folder))}(?:/|(?![\w.-]))", name, text)
    return re.sub(r"\S*/site-packages/", "site-packages/", text)
