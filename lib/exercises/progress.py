"""What of the exercises is solved: `progress()` shows it, `reset()` forgets it.

`check` notes the title of what was solved in `nlp-to-lms/exercises.json` in the state folder of the
reader (XDG_STATE_HOME, else ~/.local/state). Nothing leaves the machine. To begin anew, delete that
file or call `reset()`.
"""

import importlib
import json
import os
from pathlib import Path

from lib.display import publish
from lib.files import atomic_write

ROOMS = {
    "1 Tokenization": ("tokenization", "segmentation"),
    "2 Attention": ("attention", "attention_in_use"),
    "3 Normalization": ("normalization", "norm_placement"),
    "4 Feed-forward": ("feedforward",),
    "5 The transformer": ("transformer",),
    "6 Sampling": ("sampling",),
    "7 Decoding": ("decoding",),
    "8 Compute": ("compute",),
    "9 Scaling": ("scaling",),
    "10 Reasoning": ("reasoning",),
}


def _file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "nlp-to-lms" / "exercises.json"


def solved() -> set[str]:
    """Return the titles of the exercises that were solved; none if there is no readable file."""
    try:
        titles = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {title for title in titles if isinstance(title, str)} if type(titles) is list else set()


def note(title: str) -> None:
    """Add a solved exercise; a folder that cannot be written to costs only the note."""
    known = solved()
    if title in known or os.environ.get("NLP_TO_LMS_NO_PROGRESS"):
        return
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(_file()) as path:
            path.write_text(json.dumps(sorted(known | {title})), encoding="utf-8")
    except OSError:
        return


def reset() -> None:
    """Forget what was solved."""
    _file().unlink(missing_ok=True)


def rows() -> list[tuple[str, str, int, bool]]:
    """Return (chapter, exercise, minutes, solved) for every exercise, in order."""
    known, found = solved(), []
    for chapter, rooms in ROOMS.items():
        seen = set()
        for room in rooms:
            for name, check in vars(importlib.import_module(f"lib.exercises.{room}")).items():
                if name.startswith("check_") and check.title not in seen:
                    seen.add(check.title)
                    found.append((chapter, check.title, check.minutes, check.title in known))
    return found


def progress() -> None:
    """Show chapters, exercises and minutes as a table."""
    found = rows()
    lines = ["| Chapter | Solved | Exercises | Minutes left |", "|---|---|---|---|"]
    for chapter in ROOMS:
        mine = [row for row in found if row[0] == chapter]
        done = [row for row in mine if row[3]]
        left = sum(minutes for _, _, minutes, is_solved in mine if not is_solved)
        open_ = ", ".join(title for _, title, _, is_solved in mine if not is_solved)
        lines.append(f"| {chapter} | {len(done)} of {len(mine)} | {open_ or 'all done'} | {left} |")
    end = "To begin anew: `from lib.exercises.progress import reset; reset()`."
    text = "\n".join(lines) + f"\n\n{end}"
    publish({"text/markdown": text, "text/plain": text})


if __name__ == "__main__":
    progress()
