"""The browser for `make test-browser`: `python -m tools.browser` prints its path, or what to do.

Playwright drives a Chromium, Chrome or Edge that is installed already, over its debugging protocol:
no driver and no browser of its own is downloaded.
"""

import os
import shutil
import sys
from pathlib import Path

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
)
MAC = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
MISSING = (
    "No Chromium, Chrome or Edge was found, so the widgets cannot be tried in a browser. On Debian "
    "and Ubuntu: sudo apt install chromium. Or name yours: make test-browser CHROMIUM=/path/to/it"
)


class NoBrowser(RuntimeError):
    """There is no browser to drive; the message says what to do."""


def find_browser() -> str:
    """The path of the browser: `$CHROMIUM` if set, else the first one found. Raises NoBrowser."""
    if named := os.environ.get("CHROMIUM", "").strip():
        path = shutil.which(named)
        if not path:
            raise NoBrowser(f"CHROMIUM names {named!r}, which is no program that can be run.")
        return path
    found = [path for name in NAMES if (path := shutil.which(name))]
    found += [path for path in MAC if Path(path).exists()]
    if not found:
        raise NoBrowser(MISSING)
    return found[0]


def main() -> int:
    try:
        print(find_browser())
    except NoBrowser as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
