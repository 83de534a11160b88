"""Writes what all chapters share after it changed: set-up cell, badges, links: `make badges`.

Nothing is executed: the set-up cell has no output, and the rest stands in prose. README.md gets its
badges from the same setting by `make readme`.
"""

import argparse
import sys

from tools import readme
from tools.course import ROOT, read_settings
from tools.notebooks import BuildError, names, notebook_path
from tools.prose import rewrite


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.badges", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as 00_tour; default: all")
    options = parser.parse_args(arguments)
    settings = read_settings(ROOT)
    for name in options.names or names():
        if not notebook_path(name).exists():
            print(f"{name}: not built yet; its build will write them")
            continue
        try:
            rewrite(name)
        except BuildError as error:
            print(f"{name}: {error}")
            return 1
        print(f"{name}: {'badges, ' if settings.repository else ''}set-up cell and links")
    return 0 if options.names else readme.main([])


if __name__ == "__main__":
    sys.exit(main())
