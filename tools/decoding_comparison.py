"""Chapter 7's table of decoders against problems: `python -m tools.experiments decoding`."""

from pathlib import Path

from lib.generation.comparison import run_comparison
from lib.pretrained import load_pretrained


def decoding_experiment(table: Path, workers: int) -> None:
    """One process does all: the model's own threads are the workers."""
    run_comparison(table, *load_pretrained("smollm2-135m-instruct"))
