"""Runs the experiments of chapter 5: `python -m tools.experiments [NAME ...]`.

The results are figures/NAME_experiment.csv. Runs that are there already are not done again, so
that a stopped command goes on; to do all anew, remove the file.
"""

import argparse
import os
import sys

from lib.training.experiments import run_grid
from lib.training.grids import GRIDS
from tools.course import ROOT


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.experiments", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(GRIDS)}")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="runs at a time")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(GRIDS)):
        parser.error(f"no experiment {unknown[0]!r}; there are: {', '.join(GRIDS)}")
    os.environ["TQDM_DISABLE"] = "1"  # many bars at a time are no help
    for name in options.names or GRIDS:
        print(f"{name}:", flush=True)
        run_grid(GRIDS[name](), ROOT / "figures" / f"{name}_experiment.csv", options.workers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
