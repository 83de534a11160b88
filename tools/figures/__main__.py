"""Draws the committed figures again."""

import argparse
import importlib
import pkgutil
import sys

import tools.figures


def names() -> list[str]:
    found = {module.name for module in pkgutil.iter_modules(tools.figures.__path__)}
    return sorted(found - {"__main__"})


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.figures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names())}")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(names())):
        parser.error(f"no figure {unknown[0]!r}; there are: {', '.join(names()) or 'none'}")
    for name in options.names or names():
        print(f"drawing {name} ...", flush=True)
        importlib.import_module(f"tools.figures.{name}").draw()
    return 0


if __name__ == "__main__":
    sys.exit(main())
