"""A file or a folder is written whole or not at all.

`atomic_write(target)` gives a path beside the target. What is written there is brought to the disk
and takes the target's name in one step when the block ends (POSIX rename, which Python's
`os.replace` also gives on Windows); when it raises, nothing is left. A killed process can clean
nothing: the next write in the same folder removes what dead processes left behind.
"""

import contextlib
import errno
import itertools
import os
import platform
import shutil
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

# `.partial-MACHINE-PROCESS-NUMBER-NAME`: the end stays, since some writers look at the suffix.
PREFIX = ".partial-"
ASIDE = ".replaced-"  # the same for a folder that makes room for its successor
NAME_LIMIT = 255  # bytes of a file's name, on nearly every file system
DAY = 24 * 3600.0
FULL = {errno.ENOSPC, errno.EDQUOT}

_numbers = itertools.count()
_mine: set[Path] = set()  # what this process is writing now


@contextlib.contextmanager
def atomic_write(target: str | os.PathLike, *, folder: bool = False) -> Iterator[Path]:
    """Give a path to write to; it becomes `target` if the block ends without an error.

    The path is an empty file (with `folder`, an empty folder) beside the target. A file keeps the
    permissions of the one it replaces, and a link stays a link to what is replaced. Raises, before
    the block runs, FileNotFoundError or NotADirectoryError if the parent is not a folder, and
    IsADirectoryError or FileExistsError if the target is of the other kind; OSError with a remedy
    if the disk is full.
    """
    target = Path(os.path.realpath(target))
    if not folder and target.is_dir():
        raise _error(errno.EISDIR, target, "is a folder, and a file was to be written")
    if folder and target.exists() and not target.is_dir():
        raise _error(errno.EEXIST, target, "is a file, and a folder was to be written")
    with temporary_beside(target, folder=folder) as path:
        yield path
        if not folder and target.exists():
            shutil.copymode(target, path)
        for part in [*path.rglob("*"), path] if folder else [path]:
            flush(part)
        if folder and target.exists():
            _exchange(path, target)
        else:
            path.replace(target)
        flush(target.parent)


@contextlib.contextmanager
def temporary_beside(target: str | os.PathLike, *, folder: bool = False) -> Iterator[Path]:
    """Give an empty file (or folder) beside `target`, and remove it whatever happens.

    For what must lie on the same disk as `target` for a while. Cleans the target's folder first.
    """
    target = Path(target)
    if not target.parent.is_dir():
        there = target.parent.exists()
        reason = "is not a folder" if there else "does not exist: make this folder first"
        raise _error(errno.ENOTDIR if there else errno.ENOENT, target.parent, reason)
    remove_leftovers(target.parent)
    path = _beside(target, PREFIX)
    _mine.add(path)
    try:
        path.mkdir() if folder else path.touch(exist_ok=False)
        yield path
    except OSError as error:
        if error.errno not in FULL:
            raise
        reason = "cannot be written: the disk is full. Free some space and run again"
        raise _error(error.errno, target, reason) from error
    finally:
        _remove(path)
        _mine.discard(path)


def write_file(target: str | os.PathLike, content: str | bytes) -> None:
    """Write a text (as UTF-8, line ends as they are) or bytes, whole or not at all."""
    with atomic_write(target) as path:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that live no more were writing into a folder.

    A folder that had been put aside by a process that died before its successor was in place gets
    its name back.
    """
    for prefix in (PREFIX, ASIDE):
        for path in folder.glob(f"{prefix}*"):
            machine, process, _, name = (*path.name[len(prefix) :].split("-", 3), *3 * [""])[:4]
            if not name or path in _mine or not _abandoned(path, machine, process):
                continue
            if prefix == ASIDE and not (folder / name).exists():
                with contextlib.suppress(OSError):
                    path.rename(folder / name)
            else:
                _remove(path)


def flush(path: Path) -> None:
    """Have the disk hold a file or a folder, so that a power cut does not undo it.

    Some systems cannot: Windows opens no folder, and some network disks refuse the request.
    """
    try:
        # Windows flushes only what may be written to; a folder can only be read.
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in FULL or error.errno == errno.EIO:
            raise
    finally:
        os.close(descriptor)


def _exchange(new: Path, target: Path) -> None:
    """Put a folder in the place of another: no system renames onto one that is not empty."""
    old = _beside(target, ASIDE)
    _mine.add(old)
    try:
        target.rename(old)
        try:
            new.rename(target)
        except BaseException:
            old.rename(target)
            raise
        _remove(old)
    finally:
        _mine.discard(old)


def _beside(target: Path, prefix: str) -> Path:
    start = f"{prefix}{_machine()}-{os.getpid()}-{next(_numbers)}-"
    name = os.fsencode(target.name)[-(NAME_LIMIT - len(start)) :]
    return target.with_name(start + name.decode(errors="ignore"))


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _abandoned(path: Path, machine: str, process: str) -> bool:
    """Whether nobody writes this any more: its process is dead, or out of sight and a day old."""
    if machine == _machine() and process == str(os.getpid()):
        return True  # another life of this process number: `_mine` has what this one writes
    if machine == _machine() and process.isdecimal() and os.name == "posix":
        try:
            os.kill(int(process), 0)  # asks, sends nothing (on Windows it would kill)
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            pass
        return False
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime > DAY
    return False


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _error(number: int, path: Path, reason: str) -> OSError:
    return OSError(number, f"{path.name or path} {reason}", str(path))
