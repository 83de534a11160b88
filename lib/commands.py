"""Floor 0: what the commands of the library have in common."""

import argparse
import difflib
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn


class CommandParser(argparse.ArgumentParser):
    """Shows its text as it is; says of a wrong flag one line, with the one that may be meant."""

    def __init__(self, prog: str, description: str):
        form = argparse.RawDescriptionHelpFormatter
        super().__init__(prog=prog, description=description, formatter_class=form)

    def error(self, message: str) -> NoReturn:
        """One line on standard error, and the exit status 2."""
        wrong = [word for word in message.split() if word.startswith("-")]
        flag = re.split("[=/]", wrong[0])[0].strip(":,") if wrong else ""
        hint = did_you_mean(flag, self._option_string_actions)
        self.exit(2, f"error: {message}{hint}; --help lists all flags\n")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What to add to a message on a wrong name: the nearest of the known ones, if one is near."""
    known = list(known)
    near = [] if name in known else difflib.get_close_matches(name, known, 1)
    return f" (did you mean {near[0]}?)" if near else ""


def require_writable(flag: str, target: Path) -> None:
    """Raise ValueError unless a new file or folder can be made there, with the folders above it."""
    above = next(path for path in target.absolute().parents if path.exists())
    if not above.is_dir():
        raise ValueError(f"{flag} {target}: {above.name} is a file, so give a name beside it")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ValueError(f"{flag} {target}: {above} is not yours to write in, so give another name")


def command(module: str) -> str:
    """How to run a module from here: with the Python that runs now, if it lies below."""
    here = str(Path.cwd()) + os.sep
    python = sys.executable.removeprefix(here) if sys.executable.startswith(here) else "python"
    return f"{python} -m {module}"
