"""What a run leaves in its folder: a model that opens elsewhere, a curve, samples, its settings.

config.json model.safetensors tokenizer.json …   the best weights so far, a Hugging Face folder
last/                                             the same with the weights of the last step
checkpoints/                                      what the run goes on from
curve.csv curve.png samples.txt run.json
"""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from lib.commands import require_writable
from lib.files import atomic_write, write_file
from lib.generation import GenerationConfig, generate
from lib.model import LanguageModel
from lib.tokenization import BPETokenizer
from lib.training.saving import save_model, save_weights

COLUMNS = ("step", "tokens", "learning_rate", "loss", "validation_loss")
LENGTH = 60  # tokens of a sample
SHOWN = 4  # every fourth sample is shown while training runs


class Record:
    """The folder of a run: `on_start` and `on_evaluation` are for `train`.

    Raises ValueError for a folder that holds anything but such a run.
    """

    def __init__(self, folder: Path, tokenizer: BPETokenizer | None, prompt: list[int]):
        self.folder, self.tokenizer, self.prompt = folder, tokenizer, prompt
        self.file, self.evaluations = folder / "run.json", 0
        self.state = read_run(folder) or {}
        self.rows = self._curve()

    def start(self, model: LanguageModel, options: dict[str, Any], steps: int) -> None:
        """Make the folder, or take it up again, for so many steps in all.

        What run.json says changes only with `on_start`: the run may be refused.
        """
        if not self.state:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.folder, folder=True) as path:
                save_model(path, model, self.tokenizer)
                write_file(path / "run.json", json.dumps({"options": options, "steps": steps}))
        self.state |= {"options": options, "steps": steps, "ended": False}

    def on_start(self) -> None:
        """Note what the run is now to do, before a kill can come."""
        self._note()

    def on_evaluation(self, model: LanguageModel, row: dict) -> None:
        """Note the row, keep the weights if they are the best so far, and write a sample."""
        self.rows = [old for old in self.rows if int(old["step"]) < row["step"]] + [row]
        self._write_curve(self.rows)
        best = self.state.get("best")
        if best is None or row["validation_loss"] < best["validation_loss"]:
            save_weights(self.folder, model)
            self._note(best={key: row[key] for key in ("step", "validation_loss")})
        if self.tokenizer is not None:
            text = sample(model, self.tokenizer, self.prompt)
            with (self.folder / "samples.txt").open("a", encoding="utf-8") as file:
                file.write(f"--- step {row['step']}, loss {row['validation_loss']:.3f}\n{text}\n")
            if self.evaluations % SHOWN == 0:
                tqdm.write(f"a sample at step {row['step']}: {text!r}")
        self.evaluations += 1

    def finish(self, model: LanguageModel, history: list[dict]) -> None:
        """Write the last weights, and the curve with a row for each step."""
        save_model(self.folder / "last", model, self.tokenizer)
        self._write_curve(history)
        with atomic_write(self.folder / "curve.png") as path:
            _draw(history).savefig(path, dpi=120, format="png")
        self._note(ended=True)

    def _note(self, **news: Any) -> None:
        self.state |= news
        write_file(self.file, json.dumps(self.state, indent=1))

    def _curve(self) -> list[dict]:
        path = self.folder / "curve.csv"
        if not path.is_file():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]

    def _write_curve(self, rows: Iterable[dict]) -> None:
        with (
            atomic_write(self.folder / "curve.csv") as path,
            path.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def read_run(folder: Path) -> dict[str, Any] | None:
    """What run.json says of the run in a folder; None where a new one can be made.

    Raises ValueError for a file that this command did not write, and for a place that is taken.
    """
    path = folder / "run.json"
    if not path.is_file():
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"--out {folder} is a file: give a folder, which is made if need be")
        if folder.is_dir() and any(folder.iterdir()):
            raise ValueError(
                f"{folder} holds other files, and no run.json of this command: give --out a new "
                "folder"
            )
        require_writable("--out", folder)
        return None
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        if not (isinstance(state["options"], dict) and isinstance(state["steps"], int)):
            raise TypeError("no options and steps")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}): give --out a new folder") from error
    return state


def sample(model: LanguageModel, tokenizer: BPETokenizer, prompt: list[int], seed: int = 1) -> str:
    """The prompt and how the model goes on, at temperature 0.8 and top_p 0.95."""
    room = model.config.context_length - len(prompt)
    config = GenerationConfig(
        max_new_tokens=min(LENGTH, room), do_sample=True, temperature=0.8, top_p=0.95, seed=seed
    )
    was_training = model.training
    model.eval()
    ids = torch.tensor([prompt], device=next(model.parameters()).device)
    text = tokenizer.decode(generate(model, ids, config).ids[0].tolist())
    model.train(was_training)
    return text


def _draw(history: list[dict]):
    """Both losses over the steps, with the last validation loss written at its end."""
    import matplotlib
    from matplotlib.figure import Figure

    from lib.display import PALETTE, course_style

    measured = [row for row in history if "validation_loss" in row]
    trained = [row for row in history if "loss" in row]
    with matplotlib.rc_context(course_style()):
        figure = Figure(figsize=(6.4, 3.6))
        ax = figure.subplots()
        for rows, key, color, style in (
            (trained, "loss", "sky", {"linewidth": 0.6}),
            (measured, "validation_loss", "blue", {"marker": "o", "markersize": 3}),
        ):
            x, y = [row["step"] for row in rows], [row[key] for row in rows]
            ax.plot(x, y, color=PALETTE[color], **style)
        best = min(measured, key=lambda row: row["validation_loss"])
        ax.set(xlabel="step", ylabel="loss (nats per token)")
        ax.set_title(
            f"Validation (dots): at best {best['validation_loss']:.3f}, step {best['step']}"
        )
    return figure
