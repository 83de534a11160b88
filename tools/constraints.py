"""Writes constraints.txt: `python -m tools.constraints`, run by `make constraints`.

uv resolves pyproject.toml with all extras, for Python 3.10 to 3.13, Linux and macOS at once.
torch pins the CUDA packages of its Linux build itself, and a CPU build has none: no pins for them.
"""

import re
import subprocess
import sys

from lib.files import write_file
from tools.course import ROOT

HEADER = """\
# The versions that `make` installs, for Python 3.10 to 3.13 on Linux and macOS.
# Written by `make constraints` from pyproject.toml; the ranges there are what readers may use.
"""
EVERYWHERE = "sys_platform == 'darwin' or sys_platform == 'linux'"
CUDA = re.compile(r"(?:nvidia|cuda)-|triton==")


def main() -> int:
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--all-extras"]
    command += ["--universal", "--python-version", "3.10", "--upgrade", "--quiet"]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        return result.returncode
    pins = [line for line in result.stdout.splitlines() if line and not CUDA.match(line)]
    pins = [p.replace(f" and ({EVERYWHERE})", "").replace(f" ; {EVERYWHERE}", "") for p in pins]
    write_file(ROOT / "constraints.txt", HEADER + "\n".join(pins) + "\n")
    print(f"constraints.txt: {len(pins)} pins")
    return 0


if __name__ == "__main__":
    sys.exit(main())
