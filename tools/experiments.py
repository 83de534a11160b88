"""Runs the experiments of the chapters: `python -m tools.experiments [NAME ...]`.

The results are figures/NAME_experiment.csv. Runs that are there already are not done again, so
that a stopped command goes on; to do all anew, remove the file.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from lib.reasoning.runs import run as cold_start_runs
from lib.training.experiments import Measure, Run, run_grid
from lib.training.feedforward_grids import experts_grid, feedforward_grid, routing_measures
from lib.training.grids import GRIDS
from lib.training.leak import leak_experiment
from lib.training.normalization_grids import GRIDS as NORMALIZATION_GRIDS
from lib.training.scaling_grids import exact_matches, pilot_grid, size_grid
from tools.course import ROOT
from tools.decoding_comparison import decoding_experiment
from tools.scaling_prediction import largest_experiment

Experiment = Callable[[Path, int], object]  # (table to write, runs at a time)


def of_grid(grid: Callable[[], list[Run]], measure: Measure | None = None) -> Experiment:
    """A grid of training runs as an experiment; `measure` adds columns to its table."""
    return lambda table, workers: run_grid(grid(), table, workers, measure)


EXPERIMENTS: dict[str, Experiment] = {
    **{name: of_grid(*grid) for name, grid in NORMALIZATION_GRIDS.items()},  # chapter 3
    "leak": leak_experiment,
    "feedforward": of_grid(feedforward_grid),  # chapter 4
    "experts": of_grid(experts_grid, routing_measures),
    **{name: of_grid(grid) for name, grid in GRIDS.items()},  # chapter 5
    "decoding": decoding_experiment,  # chapter 7
    "scaling_pilot": of_grid(pilot_grid, exact_matches),  # chapter 9, in this order
    "scaling": of_grid(size_grid, exact_matches),
    "scaling_largest": largest_experiment,
    "cold_start": cold_start_runs,  # chapter 10
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.experiments", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(EXPERIMENTS)}")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="runs at a time")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(EXPERIMENTS)):
        parser.error(f"no experiment {unknown[0]!r}; there are: {', '.join(EXPERIMENTS)}")
    os.environ["TQDM_DISABLE"] = "1"  # many bars at a time are no help
    for name in options.names or EXPERIMENTS:
        print(f"{name}:", flush=True)
        EXPERIMENTS[name](ROOT / "figures" / f"{name}_experiment.csv", options.workers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
