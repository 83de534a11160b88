"""The life-cycle on three base models, and what happens otherwise: chapter "SFT cold start".

One job trains one model. Its row goes to cold_start.csv, the curve of its RL to
cold_start_curves.csv, and of the life-cycle's models some texts to cold_start_samples.json. What is
in the table already is not done again; models that others start from are kept in runs/.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lib.experiments.cold_start_results import stages_figure
from lib.experiments.tables import DATA, Row, read_json, read_table, write_table
from lib.files import write_file
from lib.model import LanguageModel
from lib.reasoning import lifecycle as cycle
from lib.reasoning.base import NO_SIGNAL_STEPS, STEPS, load_base, pretrain, save_model
from lib.reasoning.corpus import Web
from lib.reasoning.measuring import (
    MEASURES,
    measure,
    pass_at,
    respond,
    right_chains,
    shares,
    verified,
)
from lib.reasoning.rejection import Kept, clean_examples, right_answer
from lib.reasoning.rewards import ACCURACY, ACCURACY_AND_FORMAT, ACCURACY_AND_LANGUAGE
from lib.reasoning.task import draw_problems

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZES = (32, 128, 2048)  # of the cold-start set, beside 512
JOBS = {  # part: the models to train, in this order
    "lifecycle": ("base", "zero", "cold", "cold_rl", "final"),
    "no signal": ("base", "zero", "cold", "cold_rl", "final"),
    "controls": ("final on oracle chains", "final on zero's chains"),
    "rewards": ("cold_rl without format", "zero + format", "zero + language"),
    "sizes": (*(f"cold {n}" for n in SIZES), f"cold_rl {SIZES[0]}"),
}
ALL_SEEDS = (0, 1, 2)
SEEDS = dict.fromkeys(JOBS, ALL_SEEDS) | {"rewards": (0,), "sizes": (0,)}
COUNTS = ("drawn", "right", "accepted", "examples", "wrong_chains")  # of rejection sampling
PASSES = ("chain_at_1", "chain_at_8", "chain_at_32")  # of base models
Job = tuple[str, str, int]  # part, stage, seed
CACHE = Path("runs/reasoning")
LOGGED = ("step", "reward", "signal", *MEASURES)  # of each step of RL
CURVES, SAMPLES = "cold_start_curves.csv", "cold_start_samples.json"


class Runs:
    """Trains the models of a table, each once, and writes down what they are like."""

    def __init__(self, table: Path, cache: Path = CACHE):
        self.table, self.cache = table, cache
        self.curves, self.samples = table.with_name(CURVES), table.with_name(SAMPLES)

    def missing(self) -> list[Job]:
        """The jobs that the table lacks: part by part, and in each part seed by seed."""
        done = {row["run"] for row in _rows(self.table)}
        jobs = [
            (part, stage, seed)
            for part, stages in JOBS.items()
            for seed in SEEDS[part]
            for stage in stages
        ]
        return [job for job in jobs if key(job) not in done]

    def do(self, job: Job) -> None:
        """Train one model and write its row, its curve and its texts."""
        part, stage, seed = job
        model, more = self.train(*job)
        save_model(model, self._path(*job))
        row = {"part": part, "stage": stage, "seed": seed} | measure(model)
        row = {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
        row |= {name: more.get(name, "") for name in (*COUNTS, *PASSES)} | {"run": key(job)}
        print(row, flush=True)
        _merge(self.table, [row], ("part", "stage", "seed"))
        if stage.startswith(("zero", "cold_rl")) and part in ("lifecycle", "rewards"):
            _merge(self.curves, self.steps, ("stage", "seed"))
        if part == "lifecycle":
            self._write_samples(stage, seed, model)

    def train(self, part: str, stage: str, seed: int) -> tuple[LanguageModel, dict]:
        """The model of a job, and what else there is to say of it."""
        if stage == "base":
            base = pretrain(seed, STEPS if part == "lifecycle" else NO_SIGNAL_STEPS)
            right = right_chains(base)
            return base, {name: round(pass_at(right, 32, int(name[9:])), 5) for name in PASSES}
        base = self.model("no signal" if part == "no signal" else "lifecycle", "base", seed)
        kind, _, what = stage.partition(" ")
        if kind == "final":
            return self._final(base, part, what, seed)
        if kind == "cold":
            return cycle.cold_start(base, seed, int(what or cycle.COLD_EXAMPLES)), {}
        if kind == "zero":
            reward = {"+ format": ACCURACY_AND_FORMAT, "+ language": ACCURACY_AND_LANGUAGE}
            return self._reinforce(base, reward.get(what, ACCURACY), stage, seed), {}
        cold_part = part if part in ("no signal", "sizes") else "lifecycle"
        cold = self.model(cold_part, f"cold {what}" if part == "sizes" else "cold", seed)
        reward = ACCURACY if what == "without format" else ACCURACY_AND_FORMAT
        return self._reinforce(cold, reward, stage, seed), {}

    def model(self, part: str, stage: str, seed: int) -> LanguageModel:
        """A model that is trained already, or is now."""
        if not self._path(part, stage, seed).exists():
            self.do((part, stage, seed))
        return load_base(self._path(part, stage, seed))

    def _final(self, base: LanguageModel, part: str, what: str, seed: int):
        if what == "on oracle chains":
            examples = clean_examples(draw_problems(cycle.EXAMPLES, seed=20 + seed))
            return cycle.final_sft(base, examples, seed), {"examples": len(examples)}
        if what == "on zero's chains":
            kept = cycle.write_data(self.model("lifecycle", "zero", seed), seed, right_answer)
        else:
            kept = cycle.write_data(self.model(part, "cold_rl", seed), seed)
        return cycle.final_sft(base, cycle.kept_examples(kept), seed), counts(kept)

    def _reinforce(self, model: LanguageModel, reward, stage: str, seed: int) -> LanguageModel:
        def on_step(row: dict, problems: list, responses: list[list[str]]) -> None:
            measured = row | shares(verified(problems, responses))
            numbers = {name: round(measured[name], 4) for name in LOGGED}
            self.steps.append({"stage": stage, "seed": seed} | numbers)

        self.steps = []
        return cycle.reinforce(model, reward, seed, on_step=on_step)[0]

    def _path(self, part: str, stage: str, seed: int) -> Path:
        name = f"{part} {stage} {seed}".replace(" ", "-").replace("'", "")
        return self.cache / f"{name}-{key((part, stage, seed))[-8:]}.safetensors"

    def _write_samples(self, stage: str, seed: int, model: LanguageModel) -> None:
        """A few responses to the same held-out problems."""
        problems = [p for p in draw_problems(6, 7, held_out=True) for _ in range(4)]
        new = [
            {"stage": stage, "seed": seed, "problem": " ".join(r.problem.prompt),
             "response": " ".join(r.words)}
            for r in respond(model, problems, seed=7)
        ]  # fmt: skip
        path = self.samples
        old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        kept = [s for s in old if (s["stage"], s["seed"]) != (stage, seed)]
        write_file(path, json.dumps([*kept, *new], ensure_ascii=False, indent=0) + "\n")


def counts(kept: Kept) -> dict[str, int]:
    """What rejection sampling drew and kept, as columns."""
    values = (kept.drawn, kept.right, kept.accepted, len(kept.responses), kept.wrong_chains)
    return dict(zip(COUNTS, values, strict=True))


def key(job: Job) -> str:
    """The job and a checksum of the settings that all jobs share."""
    numbers = {n: v for n, v in vars(cycle).items() if n.isupper() and not callable(v)}
    text = json.dumps([numbers, STEPS, NO_SIGNAL_STEPS, asdict(Web())], sort_keys=True)
    checksum = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{job[0]}, {job[1]}, {job[2]}: {checksum}"


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Do all jobs that are missing, one after another: many start from models of others."""
    torch.set_num_threads(1)
    runs = Runs(folder / "cold_start.csv")
    while jobs := runs.missing():
        runs.do(jobs[0])
    return _rows(runs.table)


def table() -> list[Row]:
    """The committed measurements of every model."""
    return read_table("cold_start")


def curves() -> list[Row]:
    """The committed steps of RL."""
    return read_table("cold_start_curves")


def samples() -> list[dict]:
    """Committed responses of the life-cycle's models to the same held-out problems."""
    return read_json("cold_start_samples")


def figure(title: str) -> "Figure":
    """The stages of the life-cycle; `stages_figure` of the committed table."""
    return stages_figure(table(), title)


def _rows(table: Path) -> list[Row]:
    return read_table(table) if table.exists() else []


def _merge(table: Path, new: list[Row], same: tuple[str, ...]) -> None:
    """Put new rows into a table, in place of those that agree with them in `same`."""
    replaced = {tuple(row[name] for name in same) for row in new}
    old = [row for row in _rows(table) if tuple(row[n] for n in same) not in replaced]
    parts = list(JOBS)
    rows = sorted([*old, *new], key=lambda row: parts.index(row["part"]) if "part" in row else 0)
    write_table(rows, table)
