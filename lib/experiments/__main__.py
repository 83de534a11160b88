"""Runs the experiments of the chapters again: `python -m lib.experiments [NAME ...]`.

Each writes its table into lib/experiments/data, or into another folder. Runs that are there
already are not done again, so that a stopped command goes on; to do all anew, remove the table.
"""

import argparse
import importlib
import os
import sys
from pathlib import Path

from lib.experiments.tables import DATA

# In the order of the chapters; the four on scaling build on each other.
EXPERIMENTS = (
    *("placement", "norms", "qk_norm", "leak"),
    *("feedforward", "experts"),
    *("dropout", "recipes", "shape"),
    *("voting", "decoding"),
    *("scaling_pilot", "scaling", "scaling_largest", "isoflop"),
    *("cold_start", "cold_start_variants", "rl_logs"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run the named experiments, or all; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lib.experiments", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(EXPERIMENTS)}")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="runs at a time")
    parser.add_argument("--folder", type=Path, default=DATA, help="where the tables are")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(EXPERIMENTS)):
        parser.error(f"no experiment {unknown[0]!r}; there are: {', '.join(EXPERIMENTS)}")
    if options.workers < 1:
        parser.error(f"--workers must be at least 1, got {options.workers}")
    os.environ["TQDM_DISABLE"] = "1"  # many bars at a time are no help
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.names or EXPERIMENTS:
        print(f"{name}:", flush=True)
        rows = importlib.import_module(f"lib.experiments.{name}").run(
            options.folder, options.workers
        )
        print(f"{name}: {len(rows)} rows in {options.folder / name}.csv", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
