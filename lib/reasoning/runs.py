"""The chapter's experiments: the life-cycle on three base models, and what happens otherwise.

    python -m tools.experiments cold_start

A job is one part for one seed. Its rows, one for each model, go to cold_start_experiment.csv; the
curves of the life-cycle's RL to cold_start_curves.csv, texts of all stages to
cold_start_samples.json, all in figures/. What is in the table already is not done again.
"""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from lib.model import LanguageModel
from lib.reasoning import lifecycle as cycle
from lib.reasoning.base import CACHE, NO_SIGNAL_STEPS, STEPS, cached_base, load_base, save_model
from lib.reasoning.corpus import Web
from lib.reasoning.measuring import measure, pass_at, respond, right_chains, shares, verified
from lib.reasoning.rejection import Kept, clean_examples, right_answer
from lib.reasoning.rewards import ACCURACY, ACCURACY_AND_FORMAT, ACCURACY_AND_LANGUAGE
from lib.reasoning.task import draw_problems
from lib.training.experiments import Row, read_table, write_table

SEEDS = (0, 1, 2)
SIZES = (32, 128, 2048)  # of the cold-start set, beside 512
PARTS = ("lifecycle", "no signal", "rewards", "controls", "sizes")
COUNTS = ("drawn", "right", "accepted", "examples", "wrong_chains")  # of rejection sampling
PASSES = ("chain_at_1", "chain_at_8", "chain_at_32")  # of base models
Stage = tuple[str, LanguageModel, dict[str, Any]]


def counts(kept: Kept) -> dict[str, int]:
    """What rejection sampling drew and kept, as columns."""
    values = (kept.drawn, kept.right, kept.accepted, len(kept.responses), kept.wrong_chains)
    return dict(zip(COUNTS, values, strict=True))


def signal(base: LanguageModel) -> dict[str, float]:
    """How often a base model reasons rightly: the signal that RL can amplify."""
    right = right_chains(base)
    return {f"chain_at_{k}": round(pass_at(right, 32, k), 5) for k in (1, 8, 32)}


def whole_cycle(seed: int, record: "Recorder") -> Iterator[Stage]:
    """The five stages, with their curves and some of their texts."""
    base = cached_base(seed)
    yield "base", base, signal(base)
    zero, _ = cycle.reinforce(base, seed=seed, on_step=record.curve("zero"))
    save_model(zero, CACHE / f"zero-{seed}.safetensors")
    yield "zero", zero, {}
    cold = cycle.cold_start(base, seed)
    yield "cold", cold, {}
    watch = record.curve("cold_rl")
    cold_rl, _ = cycle.reinforce(cold, ACCURACY_AND_FORMAT, seed, on_step=watch)
    kept = cycle.write_data(cold_rl, seed)
    yield "cold_rl", cold_rl, counts(kept)
    final = cycle.final_sft(base, cycle.kept_examples(kept), seed)
    yield "final", final, {}
    stages = {"base": base, "zero": zero, "cold": cold, "cold_rl": cold_rl, "final": final}
    record.texts(stages)


def without_signal(seed: int, record: "Recorder") -> Iterator[Stage]:
    """The same from a base that was pretrained too little to reason."""
    base = cached_base(seed, NO_SIGNAL_STEPS)
    yield "base", base, signal(base)
    zero, _ = cycle.reinforce(base, seed=seed)
    yield "zero", zero, counts(cycle.write_data(zero, seed, right_answer))
    cold = cycle.cold_start(base, seed)
    yield "cold", cold, {}
    cold_rl, _ = cycle.reinforce(cold, ACCURACY_AND_FORMAT, seed)
    kept = cycle.write_data(cold_rl, seed)
    yield "cold_rl", cold_rl, counts(kept)
    if kept.responses:
        yield "final", cycle.final_sft(base, cycle.kept_examples(kept), seed), {}


def other_rewards(seed: int, record: "Recorder") -> Iterator[Stage]:
    """A format reward and a language reward without a cold start; a cold start without reward."""
    base = cached_base(seed)
    yield "zero + format reward", cycle.reinforce(base, ACCURACY_AND_FORMAT, seed)[0], {}
    yield "zero + language reward", cycle.reinforce(base, ACCURACY_AND_LANGUAGE, seed)[0], {}
    cold = cycle.cold_start(base, seed)
    watch = record.curve("cold_rl without format reward")
    decayed, _ = cycle.reinforce(cold, ACCURACY, seed, on_step=watch)
    yield "cold_rl without format reward", decayed, {}


def controls(seed: int, record: "Recorder") -> Iterator[Stage]:
    """The final SFT on other data: on as many right chains by rule, and on R1-Zero's own."""
    base = cached_base(seed)
    n = cycle.EXAMPLES
    oracle = clean_examples(draw_problems(n, seed=20 + seed))
    yield "final on oracle chains", cycle.final_sft(base, oracle, seed), {"examples": n}
    zero = load_base(CACHE / f"zero-{seed}.safetensors")  # of the life-cycle
    kept = cycle.write_data(zero, seed, right_answer)
    own = cycle.final_sft(base, cycle.kept_examples(kept), seed)
    yield "final on zero's chains", own, counts(kept)


def other_sizes(seed: int, record: "Recorder") -> Iterator[Stage]:
    """Cold starts on fewer and on more examples, all of 100 steps, and RL after them."""
    base = cached_base(seed)
    for n in SIZES:
        cold = cycle.cold_start(base, seed, n)
        yield f"cold on {n}", cold, {"examples": n}
        cold_rl, _ = cycle.reinforce(cold, ACCURACY_AND_FORMAT, seed)
        yield f"cold_rl after {n}", cold_rl, {"examples": n}


DO = dict(
    zip(PARTS, (whole_cycle, without_signal, other_rewards, controls, other_sizes), strict=True)
)


class Recorder:
    """Curves of RL and texts of a job, to be written when it is done."""

    def __init__(self, seed: int):
        self.seed, self.rows, self.samples = seed, [], []

    def curve(self, stage: str) -> cycle.OnStep:
        """An `on_step` for `grpo`: what the responses of each step were like."""

        def on_step(row: dict, problems: list, responses: list[list[str]]) -> None:
            measured = shares(verified(problems, responses))
            numbers = {name: round(value, 4) for name, value in (row | measured).items()}
            self.rows.append({"stage": stage, "seed": self.seed} | numbers)

        return on_step

    def texts(self, stages: dict[str, LanguageModel], n: int = 6, draws: int = 4) -> None:
        """A few responses of every stage to the same held-out problems."""
        problems = [p for p in draw_problems(n, 7, held_out=True) for _ in range(draws)]
        for stage, model in stages.items():
            for response in respond(model, problems, seed=7):
                prompt, words = " ".join(response.problem.prompt), " ".join(response.words)
                sample = {"stage": stage, "seed": self.seed, "problem": prompt, "response": words}
                self.samples.append(sample)


def do_job(job: tuple[str, int]) -> tuple[str, list[Row], Recorder]:
    """One part for one seed: a row for each model."""
    torch.set_num_threads(1)
    part, seed = job
    rows, record = [], Recorder(seed)
    for stage, model, more in DO[part](seed, record):
        row = {"part": part, "stage": stage, "seed": seed} | measure(model)
        row = {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
        rows.append(row | {k: more.get(k, "") for k in (*COUNTS, *PASSES)} | {"run": key(job)})
        print(rows[-1], flush=True)
    return key(job), rows, record


def key(job: tuple[str, int]) -> str:
    """The job and a checksum of the settings that all jobs share."""
    numbers = {n: v for n, v in vars(cycle).items() if n.isupper() and not callable(v)}
    text = json.dumps([numbers, STEPS, NO_SIGNAL_STEPS, asdict(Web())], sort_keys=True)
    return f"{job[0]} {job[1]} {hashlib.sha256(text.encode()).hexdigest()[:8]}"


def run(table: Path, workers: int = 1) -> None:
    """Do the jobs that the table lacks, and write the three files anew after each."""
    jobs = [(part, seed) for part in PARTS for seed in SEEDS]
    curves, samples = table.with_name("cold_start_curves.csv"), table.with_name(SAMPLES)
    done = {row["run"] for row in read_table(table)}
    missing = [job for job in jobs if key(job) not in done]
    for _, rows, record in each(missing, workers):
        write_table(_merged(read_table(table), rows, ("part", "seed")), table)
        if record.rows:
            write_table(_merged(read_table(curves), record.rows, ("stage", "seed")), curves)
        if record.samples:
            _write_samples(samples, record.samples)


def each(jobs: list[tuple[str, int]], workers: int) -> Iterator[tuple[str, list[Row], "Recorder"]]:
    """Do jobs, `workers` at a time, each in a new process."""
    if jobs:
        context = multiprocessing.get_context("spawn")
        with context.Pool(min(workers, len(jobs))) as pool:
            yield from pool.imap(do_job, jobs)


SAMPLES = "cold_start_samples.json"


def _merged(old: list[Row], new: list[Row], same: tuple[str, ...]) -> list[Row]:
    """Old rows that the new ones do not replace, then the new, by part and seed."""
    replaced = {tuple(row[name] for name in same) for row in new}
    kept = [row for row in old if tuple(row[name] for name in same) not in replaced]
    order = {part: i for i, part in enumerate(PARTS)}
    return sorted([*kept, *new], key=lambda row: (order.get(row.get("part"), 0), row["seed"]))


def _write_samples(path: Path, new: list[dict]) -> None:
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    seeds = {sample["seed"] for sample in new}
    samples = sorted([s for s in old if s["seed"] not in seeds] + new, key=lambda s: s["seed"])
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(json.dumps(samples, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    scratch.replace(path)
