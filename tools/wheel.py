"""The wheel is the course: `python -m tools.wheel` makes ready to run each chapter from it.

Writes `build/wheel/`: the wheel, unpacked in `site/`; a kernel whose Python sees that before
anything else; and each notebook's copy in a folder of its own, with nothing beside it, as on Colab.
`make test` then executes the copies, each with a first cell that holds `lib` to be the wheel's.
"""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat

from lib.files import atomic_write
from tools.course import ROOT

FOLDER = ROOT / "build" / "wheel"
KERNEL = "course-wheel"
GUARD = """import os, sys

# An editable installation puts a working tree on the path.
trees = [place for place in sys.path if os.path.exists(os.path.join(place, "lib", "files.py"))]
sys.path = [place for place in sys.path if place == {site!r} or place not in trees]
import lib

assert lib.__file__.startswith({site!r}), f"lib is not the wheel's: {{lib.__file__}}"
"""


def build_wheel(folder: Path, root: Path = ROOT) -> Path:
    """Build the wheel of the working tree into a folder; nothing is fetched."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    done = subprocess.run(
        [*command, "--directory", str(folder)], cwd=root, capture_output=True, text=True
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise RuntimeError(f"the wheel was not built:\n{done.stdout}{done.stderr}")
    return wheels[0]


def prepare(folder: Path = FOLDER, root: Path = ROOT) -> list[Path]:
    """Build and unpack the wheel, write the kernel, copy the chapters; the copies' paths."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    site = folder / "site"
    with atomic_write(folder, folder=True) as unfinished:
        with zipfile.ZipFile(build_wheel(unfinished, root)) as wheel:
            wheel.extractall(unfinished / "site")
        kernel = unfinished / "share" / "jupyter" / "kernels" / KERNEL
        kernel.mkdir(parents=True)
        launcher = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": launcher, "display_name": "The course's wheel", "language": "python"}
        text = json.dumps(spec | {"env": {"PYTHONPATH": str(site)}})
        (kernel / "kernel.json").write_text(text, encoding="utf-8")
        for path in sorted((root / "notebooks").glob("*.ipynb")):
            copy = unfinished / "notebooks" / path.stem / path.name
            copy.parent.mkdir(parents=True)
            copy.write_text(guarded(path, site), encoding="utf-8")
    return sorted((folder / "notebooks").glob("*/*.ipynb"))


def guarded(path: Path, site: Path) -> str:
    """A notebook that runs on the wheel's kernel and fails where `lib` is another one."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["kernelspec"] = {"name": KERNEL, "display_name": KERNEL}
    guard = nbformat.v4.new_code_cell(GUARD.format(site=str(site)), id="guard")
    notebook.cells.insert(0, guard)
    return nbformat.writes(notebook, version=4)


if __name__ == "__main__":
    print(f"{len(prepare())} chapters are ready to run from the wheel")
