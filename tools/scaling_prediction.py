"""Chapter 9's prediction: the loss of a model, written down before that model is trained.

`python -m tools.experiments scaling_largest` fits the laws to the losses of the smaller models,
writes figures/scaling_prediction.json, and trains the largest model only when that file is
committed and unchanged. So the history of the repository shows which came first.
"""

import json
import subprocess
from pathlib import Path

import numpy as np

from lib.files import write_file
from lib.model.parameters import non_embedding_parameters, parameters_by_part
from lib.scaling import laws
from lib.training.experiments import Row, read_table, run_grid
from lib.training.scaling_grids import (
    LARGEST,
    STEPS,
    WIDTHS,
    exact_matches,
    largest_grid,
    size_grid,
    sized,
)
from tools.course import ROOT

PREDICTION = ROOT / "figures" / "scaling_prediction.json"
SIZES = ROOT / "figures" / "scaling_experiment.csv"
LEVEL = 0.9
SAMPLES = 400
# name: (kind of law, with a floor, which count of parameters)
CANDIDATES = {
    "power law + floor": (laws.PowerLaw, True, "non_embedding"),
    "power law": (laws.PowerLaw, False, "non_embedding"),
    "exponential + floor": (laws.Exponential, True, "non_embedding"),
    "power law + floor, embeddings counted": (laws.PowerLaw, True, "parameters"),
}


def predict(rows: list[Row], keys: list[str] | None = None) -> dict:
    """What each law says about the largest model, from the full-length runs of the others.

    `keys`: only these runs (default: all that the table has).
    """
    rows = [row for row in rows if row["step"] == row["steps"] == STEPS]
    rows = [row for row in rows if keys is None or row["run"] in keys]
    if {row["width"] for row in rows} != set(WIDTHS):
        raise SystemExit("error: first run `python -m tools.experiments scaling`")
    loss = np.array([row["validation_loss"] for row in rows])
    groups = np.array([row["width"] for row in rows])
    config = sized(LARGEST)
    target = {
        "non_embedding": non_embedding_parameters(config),
        "parameters": sum(parameters_by_part(config).values()),
    }
    predictions = {}
    for name, (kind, floor, count) in CANDIDATES.items():
        x = np.array([row[count] for row in rows])
        fit = laws.fit_power_law if kind is laws.PowerLaw else laws.fit_exponential
        law = fit(x, loss, floor, robust=True)
        samples = laws.bootstrap_laws(kind, x, loss, floor, SAMPLES, groups=groups, robust=True)
        low, high = laws.prediction_interval(samples, law, x, loss, target[count], LEVEL)
        rate = "p" if kind is laws.PowerLaw else "k"
        predictions[name] = {
            "loss": round(float(law(target[count])), 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "law": {key: float(f"{value:.6g}") for key, value in vars(law).items()},
            f"{rate} interval": laws.interval([getattr(s, rate) for s in samples], LEVEL),
            "floor interval": laws.interval([s.floor for s in samples], LEVEL),
        }
    return {
        "what": "validation loss in nats per byte of one run of the largest model",
        "width": LARGEST,
        **target,
        "level": LEVEL,
        "fitted to": {
            "runs": len(rows),
            "largest width": int(groups.max()),
            "keys": [row["run"] for row in rows],
        },
        "predictions": predictions,
        "runs to come": [run.key for run in largest_grid()],
    }


def largest_experiment(table: Path, workers: int) -> None:
    """Predict, see that the prediction is committed, train."""
    if not PREDICTION.exists():
        prediction = predict(read_table(SIZES), [run.key for run in size_grid()])
        write_file(PREDICTION, json.dumps(prediction, indent=1) + "\n")
        print(f"predicted: {PREDICTION.name}")
    if not committed(PREDICTION):
        raise SystemExit(
            f"Commit the prediction, then run this again to train the model it is about:\n"
            f"    git add figures/{PREDICTION.name}\n"
            f"    git commit -m 'Prediction' -- figures/{PREDICTION.name}"
        )
    run_grid(largest_grid(), table, workers, exact_matches)


def committed(path: Path) -> bool:
    """Whether git knows this file and it is as it was committed."""
    for command in (["ls-files", "--error-unmatch"], ["diff", "--quiet", "HEAD", "--"]):
        result = subprocess.run(["git", *command, str(path)], cwd=path.parent, capture_output=True)
        if result.returncode:
            return False
    return True
