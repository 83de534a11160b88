"""The loss of a model, written down before that model is trained: chapter "scaling laws".

`python -m lib.experiments scaling_largest` fits the laws to the losses of the smaller models,
writes scaling_prediction.json, and trains the largest model only when that file is committed and
unchanged. So the history of the repository shows which came first.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lib.display import GRAY, PALETTE, course_style, label_lines
from lib.experiments import scaling
from lib.experiments.grid import Run, run_grid
from lib.experiments.scaling_pilot import STEPS, exact_matches, scaling_run, sized, tuned_rate
from lib.experiments.tables import DATA, Row, read_json, read_table
from lib.files import write_file
from lib.model.parameters import non_embedding_parameters, parameters_by_part
from lib.scaling import (
    Exponential,
    PowerLaw,
    bootstrap_laws,
    fit_exponential,
    fit_power_law,
    interval,
    prediction_interval,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 256
PREDICTION = "scaling_prediction.json"
SHOWN = ("power law + floor", "power law", "exponential + floor")
STYLES = ("-", "--", "-.", ":")
TITLE = "Three laws agree where they were fitted, and part beyond"
LEVEL = 0.9
SAMPLES = 400
# name: (kind of law, with a floor, which count of parameters)
CANDIDATES = {
    "power law + floor": (PowerLaw, True, "non_embedding"),
    "power law": (PowerLaw, False, "non_embedding"),
    "exponential + floor": (Exponential, True, "non_embedding"),
    "power law + floor, embeddings counted": (PowerLaw, True, "parameters"),
}


def grid() -> list[Run]:
    """The model whose loss is predicted before it is trained: the first run is the predicted one.

    Two more seeds at its rate, and three at half of it, say how far one run is to be trusted.
    """
    rate = tuned_rate(WIDTH, STEPS)
    return [
        scaling_run(WIDTH, STEPS, each, seed)
        for each in (rate, float(f"{rate / 2:.3g}"))
        for seed in (0, 1, 2)
    ]


def predict(rows: list[Row], keys: list[str] | None = None) -> dict:
    """What each law says about the largest model, from the full-length runs of the others.

    `keys`: only these runs (default: all that the table has).
    """
    rows = [row for row in rows if row["step"] == row["steps"] == STEPS]
    rows = [row for row in rows if keys is None or row["run"] in keys]
    if {row["width"] for row in rows} != set(scaling.WIDTHS):
        raise SystemExit("error: first run `python -m lib.experiments scaling`")
    loss = np.array([row["validation_loss"] for row in rows])
    groups = np.array([row["width"] for row in rows])
    config = sized(WIDTH)
    target = {
        "non_embedding": non_embedding_parameters(config),
        "parameters": sum(parameters_by_part(config).values()),
    }
    predictions = {}
    for name, (kind, floor, count) in CANDIDATES.items():
        x = np.array([row[count] for row in rows])
        fit = fit_power_law if kind is PowerLaw else fit_exponential
        law = fit(x, loss, floor, robust=True)
        samples = bootstrap_laws(kind, x, loss, floor, SAMPLES, groups=groups, robust=True)
        low, high = prediction_interval(samples, law, x, loss, target[count], LEVEL)
        rate = "p" if kind is PowerLaw else "k"
        predictions[name] = {
            "loss": round(float(law(target[count])), 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "law": {key: float(f"{value:.6g}") for key, value in vars(law).items()},
            f"{rate} interval": interval([getattr(s, rate) for s in samples], LEVEL),
            "floor interval": interval([s.floor for s in samples], LEVEL),
        }
    return {
        "what": "validation loss in nats per byte of one run of the largest model",
        "width": WIDTH,
        **target,
        "level": LEVEL,
        "fitted to": {
            "runs": len(rows),
            "largest width": int(groups.max()),
            "keys": [row["run"] for row in rows],
        },
        "predictions": predictions,
        "runs to come": [run.key for run in grid()[:1]],
    }


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Predict, see that the prediction is committed, train."""
    file = folder / PREDICTION
    if not file.exists():
        keys = [run.key for run in scaling.grid()]
        write_file(file, json.dumps(predict(scaling.table(), keys), indent=1) + "\n")
        print(f"predicted: {file.name}")
    if not committed(file):
        raise SystemExit(
            f"Commit the prediction, then run this again to train the model it is about:\n"
            f"    git add {file}\n"
            f"    git commit -m 'Prediction' -- {file}"
        )
    return run_grid(grid(), folder / "scaling_largest.csv", workers, exact_matches)


def committed(path: Path) -> bool:
    """Whether git knows this file and it is as it was committed."""
    for command in (["ls-files", "--error-unmatch"], ["diff", "--quiet", "HEAD", "--"]):
        result = subprocess.run(["git", *command, str(path)], cwd=path.parent, capture_output=True)
        if result.returncode:
            return False
    return True


def table() -> list[Row]:
    """The committed runs of the largest model; the first is the one that was predicted."""
    return read_table("scaling_largest")


def prediction() -> dict:
    """What was predicted before that run; its form is that of `predict`."""
    return read_json("scaling_prediction")


def figure(title: str = TITLE) -> "Figure":
    """The committed losses, three laws fitted to all but the last, and their predictions of it."""
    said = prediction()
    chosen = {name: said["predictions"][name] for name in SHOWN}
    fitted = {name: CANDIDATES[name][0](**p["law"]) for name, p in chosen.items()}
    intervals = {name: (p["loss"], p["low"], p["high"]) for name, p in chosen.items()}
    seen, check = scaling.ends(scaling.table()), [part[:1] for part in scaling.ends(table())]
    return prediction_figure(seen, check, said["non_embedding"], fitted, intervals, title)


def prediction_figure(
    seen: tuple[np.ndarray, np.ndarray],
    check: tuple[np.ndarray, np.ndarray],
    target: float | int,
    laws: dict[str, Callable],
    intervals: dict[str, tuple[float, float, float]],
    title: str,
) -> "Figure":
    """Losses of the fitted models, each law beyond them, intervals, and what came out.

    `seen` and `check`: (parameters, loss) of the runs that were fitted and of the largest model
    (empty: it is not trained yet). `intervals`: (loss, low, high) of each law at size `target`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    x = np.geomspace(seen[0].min(), 1.3 * target, 200)
    with matplotlib.rc_context(course_style()):
        drawn = Figure(figsize=(7.2, 4.0))
        ax = drawn.subplots()
        ax.set(xscale="log", xlabel="parameters without embeddings", ylabel="loss (nats per byte)")
        for i, (name, law) in enumerate(laws.items()):
            color = list(PALETTE.values())[2 * i]
            ax.plot(x, law(x), STYLES[i], color=color, label=name)
            at, (middle, low, high) = target * 1.07 ** (i - 1), intervals[name]
            bars = [[middle - low], [high - middle]]
            ax.errorbar([at], [middle], yerr=bars, color=color, capsize=3, linewidth=1.5)
        ax.plot(*seen, "o", color=GRAY, markersize=4)
        for point in zip(*check, strict=True):
            ax.plot(*point, "*", color="black", markersize=11)
            ax.annotate(
                "trained after\nthe prediction",
                point,
                xytext=(-92, -42),
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": GRAY},
                fontsize=9,
            )
        ax.set_xlim(seen[0].min() * 0.8, target * 1.3)
        label_lines(ax)
        ax.set_title(title)
    return drawn
