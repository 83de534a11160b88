"""Runs hostile inputs and counts the answers: python -m tests.hostile [ROOM ...] [--show | --asked]

Each module of this folder has CASES, pairs of a name and a function. A case may return; raise a
clear error (ValueError, TypeError, an error of files, ... that a `raise` of lib itself or of the
call's own signature made); raise an obscure one, out of the depths of a library; or take longer
than ten seconds. The exit status is 1 if there is one of the last two.
"""

import argparse
import contextlib
import gc
import importlib
import io
import linecache
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import lib

MOST_SECONDS = 10  # of processor time
LIBRARY = str(Path(lib.__file__).parent)
# Of exercises last: they stop answers at any moment, even while these import a part of torch.
ROOMS = sorted(
    (path.stem for path in Path(__file__).parent.glob("*.py") if path.stem[0] != "_"),
    key=lambda room: (room == "exercises", room),
)
CLEAR = (ValueError, TypeError, OSError, ImportError, NotImplementedError)


class TooLong(BaseException):
    """A case has used up its time."""


def judge(case: Callable[[], object]) -> tuple[str, str]:
    """What becomes of a case: returned, clear, obscure or slow; and the message."""
    signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    start = time.process_time()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            case()
        kind, message = "returned", ""
    except TooLong:
        kind, message = "slow", f"more than {MOST_SECONDS} s"
    except (Exception, SystemExit) as error:
        kind = "clear" if is_clear(error) else "obscure"
        where = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{type(error).__name__}: {error!s:.100} ({Path(where.filename).name})"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if time.process_time() - start > MOST_SECONDS:  # what no signal interrupts
        kind = "slow"
    return kind, message.replace("\n", " ")


def is_clear(error: BaseException) -> bool:
    """Whether lib itself, or the signature of what was called, raised it with a sentence."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    if not isinstance(error, CLEAR) or not str(error):
        return False
    if getattr(error, "filename", None) is not None or "os.PathLike" in str(error):
        return True  # the system's own words on a file: what is wrong, and its name
    if where.filename.startswith(LIBRARY):
        return linecache.getline(where.filename, where.lineno).lstrip().startswith("raise")
    return isinstance(error, TypeError) and Path(where.filename).parent == Path(__file__).parent


def _stop(*_: object) -> None:
    raise TooLong


def main() -> int:
    """Run the rooms named on the command line, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile")
    parser.add_argument("rooms", nargs="*", choices=[[], *ROOMS], help=", ".join(ROOMS))
    parser.add_argument("--show", action="store_true", help="print the clear errors, too")
    parser.add_argument("--asked", action="store_true", help="the rooms come by standard input")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    gc.freeze()  # torch stays: no use in searching it for garbage again and again
    gc.set_threshold(20_000, 20, 20)
    with tempfile.TemporaryDirectory(prefix="hostile-", ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = folder  # what the cases write goes with it
        asked = map(str.strip, sys.stdin) if options.asked else options.rooms or ROOMS
        return run(asked, options.show)


def run(rooms: Iterable[str], show: bool) -> int:
    """Judge all cases of some rooms; 1 if there is an obscure or slow one, else 0."""
    total: Counter[str] = Counter()
    for room in rooms:
        counts: Counter[str] = Counter()
        for name, case in importlib.import_module(f"tests.hostile.{room}").CASES:
            kind, message = judge(case)
            counts[kind] += 1
            if kind in ("obscure", "slow") or (show and kind == "clear"):
                print(f"{kind}: {room}: {name}: {message}", flush=True)
        kinds = ("returned", "clear", "obscure", "slow")
        print(f"{room}: " + ", ".join(f"{counts[kind]} {kind}" for kind in kinds), flush=True)
        total += counts
    return 1 if total["obscure"] or total["slow"] else 0


if __name__ == "__main__":
    sys.exit(main())
