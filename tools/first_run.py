"""How long a reader's first run takes: `python -m tools.first_run`.

A fresh clone in a temporary folder, an empty home folder and so empty caches. `make lab` runs until
JupyterLab answers, then `make test` to its end. Measured: seconds, the most memory that all their
processes held together, and the disk that is used afterward; written to figures/setup.json, from
which `make readme` makes a table. Only settings of pip (which index) are taken over.
"""

import argparse
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lib.files import write_file
from tools.bench.measure import machine
from tools.course import ROOT

RESULT = ROOT / "figures" / "setup.json"
PIP_SETTINGS = (Path.home() / ".config" / "pip" / "pip.conf", Path.home() / ".pip" / "pip.conf")


@dataclass(frozen=True)
class Command:
    """What one command took. `peak_bytes`: the most memory of its processes together."""

    command: str
    until: str
    seconds: float
    peak_bytes: int


def memory_of(pid: int) -> int:
    """Bytes that a process and all its descendants hold; what they share counts once."""
    import psutil

    total = 0
    with suppress(psutil.Error):
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            with suppress(psutil.Error):
                full = process.memory_full_info()  # Linux: pss; macOS: uss
                total += getattr(full, "pss", 0) or full.uss
    return total


def watch(process: subprocess.Popen, done: Callable[[], bool]) -> tuple[float, int]:
    """(seconds until `done`, most memory on the way). RuntimeError if the process fails first."""
    begin, peak, over = time.perf_counter(), [0], threading.Event()

    def sample() -> None:
        while not over.wait(0.5):
            peak[0] = max(peak[0], memory_of(process.pid))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        while not done():
            if process.poll() not in (None, 0):
                raise RuntimeError(f"{process.args} ended with {process.returncode}")
            time.sleep(0.1)
        return time.perf_counter() - begin, peak[0]
    finally:
        over.set()
        sampler.join()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except OSError:
        return False


def size_of(folder: Path) -> int:
    """Bytes on disk below a folder; a file with two names counts once."""
    seen, total = set(), 0
    for path in folder.rglob("*") if folder.exists() else ():
        status = path.lstat()
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512
    return total


def environment(home: Path) -> dict[str, str]:
    """This one, but at home in an empty folder, and outside any virtual environment."""
    dropped = ("XDG_", "VIRTUAL_ENV", "PYTHON", "JUPYTER", "PIP_CACHE", "COURSE_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    settings = [path for path in PIP_SETTINGS if path.exists()]
    return {
        **kept,
        "HOME": str(home),
        **({"PIP_CONFIG_FILE": str(settings[0])} if settings else {}),
    }


def measure_lab(clone: Path, home: Path, variables: list[str], log: Path) -> Command:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(8)
    flags = f"--no-browser --ServerApp.port={port} --IdentityProvider.token={token}"
    with log.open("w") as file:
        process = subprocess.Popen(
            ["make", "lab", f"LAB_ARGS={flags}", *variables],
            cwd=clone,
            env=environment(home),
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        address = f"http://127.0.0.1:{port}/api/contents/my/00_tour.ipynb?token={token}"
        try:
            taken = watch(process, lambda: answers(address))
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            process.wait(timeout=60)
    return Command("make lab", "JupyterLab shows the tour", *taken)


def measure_test(clone: Path, home: Path, variables: list[str], log: Path) -> Command:
    with log.open("w") as file:
        process = subprocess.Popen(
            ["make", "test", *variables], cwd=clone, env=environment(home), stdout=file, stderr=file
        )
        taken = watch(process, lambda: process.poll() == 0)
    return Command("make test", "all checks passed", *taken)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.first_run", description=__doc__)
    parser.add_argument(
        "variables", nargs="*", help="for make, such as TORCH_INDEX=... or PYTHON=python3.12"
    )
    parser.add_argument("--lab-only", action="store_true", help="leave out make test")
    parser.add_argument("--no-write", action="store_true", help="only print")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="first-run-"))
    clone, home = folder / "course", folder / "home"
    home.mkdir()
    # By address, so that git packs what it sends, as a server does.
    subprocess.run(["git", "clone", "--quiet", ROOT.as_uri(), str(clone)], check=True)
    disk = {"the clone": size_of(clone)}
    measured = []
    steps = [measure_lab] if options.lab_only else [measure_lab, measure_test]
    try:
        for step in steps:
            log = folder / f"{step.__name__}.log"
            try:
                measured.append(step(clone, home, options.variables, log))
            except RuntimeError as error:
                print(f"{error}\n{log.read_text()[-3000:]}", file=sys.stderr)
                return 1
            last = measured[-1]
            print(f"{last.command}: {last.seconds:.0f} s, {last.peak_bytes / 2**30:.2f} GiB")
        disk["the installation, .venv"] = size_of(clone / ".venv")
        disk["the model, ~/.cache/nlp-to-lms"] = size_of(home / ".cache" / "nlp-to-lms")
        disk["pip's downloads, ~/.cache/pip"] = size_of(home / ".cache" / "pip")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for what, size in disk.items():
        print(f"{what}: {size / 1e6:,.0f} MB")
    if not options.no_write:
        result = {
            "machine": machine(),
            "commands": [asdict(one) for one in measured],
            "disk_bytes": disk,
        }
        write_file(RESULT, json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
