"""Opens the course in JupyterLab: `make lab`.

A reader works on copies in `my/`, which git ignores, so that nothing in the repository changes. A
copy is refreshed when its chapter was edited here, unless the reader edited it, too.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from jupyterlab.labapp import LabApp

from lib.files import write_file
from tools.course import ROOT

START = "00_tour.ipynb"
NOTE = ".copied.json"  # in `my/`: what each chapter said when it was copied
# The first start asks nothing, and looks for no news.
NO_NEWS = {"checkForUpdates": False, "fetchNews": "false"}
SETTINGS = {"@jupyterlab/apputils-extension:notification": NO_NEWS}


def said(path: Path) -> str:
    """A checksum of what a file says; of a notebook only its cells, whatever they put out."""
    if path.suffix != ".ipynb":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        cells = nbformat.read(path, as_version=4).cells
    except Exception:  # damaged: not what was copied, so it is left alone
        return "unreadable"
    content = [[cell.cell_type, cell.source] for cell in cells]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def copy_chapters(source: Path, target: Path) -> list[str]:
    """Copy chapters and the pages beside them; return those that the reader's edits keep as is."""
    target.mkdir(exist_ok=True)
    note = target / NOTE
    try:
        copied = dict(json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        copied = {}
    kept = []
    for path in sorted([*source.glob("*.ipynb"), *source.glob("*.md")]):
        mine, before, now = target / path.name, copied.get(path.name), said(path)
        if mine.exists() and before == now:
            continue  # nothing new
        if mine.exists() and said(mine) not in (before, now):
            kept.append(path.name)
            continue
        shutil.copyfile(path, mine)
        copied[path.name] = now
    write_file(note, json.dumps(copied, indent=1))
    return kept


def prepare_lab(environment: Path) -> None:
    """JupyterLab's settings for this installation alone; the reader's own come first."""
    settings = environment / "share" / "jupyter" / "lab" / "settings"
    settings.mkdir(parents=True, exist_ok=True)
    write_file(settings / "overrides.json", json.dumps(SETTINGS))


def writable_home() -> None:
    """Where the home folder cannot be written, settings and caches go to a temporary folder."""
    if os.access(Path.home(), os.W_OK):
        return
    folder = Path(tempfile.gettempdir()) / f"nlp-to-lms-{os.getuid()}"
    print(f"{Path.home()} cannot be written: Jupyter's settings go to {folder}.", flush=True)
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        os.environ.setdefault(name, str(folder / name.lower()))
        Path(os.environ[name]).mkdir(parents=True, exist_ok=True)


def main(arguments: list[str], root: Path = ROOT) -> None:
    """Copy what is new, and run JupyterLab until it is stopped."""
    writable_home()
    for name in copy_chapters(root / "notebooks", root / "my"):
        print(
            f"my/{name} has your changes: it stays. For the new edition, rename it and start again."
        )
    prepare_lab(Path(sys.prefix))
    if hasattr(os, "geteuid") and os.geteuid() == 0 and "--allow-root" not in arguments:
        print("You are root, as in a container: JupyterLab is started with --allow-root.")
        arguments = ["--allow-root", *arguments]
    os.chdir(root)
    LabApp.launch_instance([f"--LabApp.default_url=/lab/tree/my/{START}", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
