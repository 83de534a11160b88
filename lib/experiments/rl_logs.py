"""RL from the base, logged step by step: what practitioners watch, Dr. GRPO, a tag in the prompt.

A seed is a seed of RL alone (problems and draws). A row is one step of one run, measured on that
step's 128 responses, to problems that are new in every step, before the weights move.
"""

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from lib.experiments.cold_start_variants import DR_GRPO, more_web
from lib.experiments.tables import DATA, Row, matching, read_table, write_table
from lib.model import LanguageModel
from lib.reasoning.base import load_base
from lib.reasoning.lifecycle import RL_STEPS, cold_start, reinforce
from lib.reasoning.measuring import by_answer, extra_words, shares, verified
from lib.reasoning.rewards import ACCURACY, ACCURACY_AND_FORMAT, Reward
from lib.reasoning.task import THINK

SEEDS = (0, 1, 2)
TABLE = "rl_logs"
LAST = range(RL_STEPS - 10, RL_STEPS)  # what `ends` is the mean of
SHARES = ("answer", "chain", "clean", "direct", "length")
WORDS = ("length_right", "length_wrong", "extra_right", "extra_wrong")
LOGGED = ("reward", "signal", "entropy", "kl", "clipped", *SHARES, *WORDS)


@dataclass(frozen=True)
class Variant:
    """How a run differs from R1-Zero's in the chapter."""

    tagged: float | None = None  # share of tagged documents in more web; None: the base as it is
    cold: bool = False  # from the cold start, not from the base
    reward: Reward = ACCURACY
    opening: tuple[str, ...] = ()  # with which each prompt begins the response
    settings: dict[str, Any] = field(default_factory=dict)  # of GRPO


def watched(**settings: Any) -> Variant:
    """R1-Zero's run with other settings of GRPO."""
    return Variant(settings=settings)


def tagged(share: float | None, in_prompt: bool, rewarded: bool) -> Variant:
    """A base that has read the tags, a prompt that opens the first or not, a reward or none."""
    reward = ACCURACY_AND_FORMAT if rewarded else ACCURACY
    return Variant(share, reward=reward, opening=(THINK,) if in_prompt else ())


VARIANTS = {
    "GRPO": watched(),
    "4 updates": watched(updates=4),
    "no division": watched(normalize_deviation=False),
    "constant length": watched(normalize_length="constant"),
    "Dr. GRPO": watched(**DR_GRPO),
    "GRPO, twice the rate": watched(learning_rate=2e-3),
    "Dr. GRPO, half the rate": watched(learning_rate=5e-4, **DR_GRPO),
    "10% of the web": tagged(0.1, in_prompt=False, rewarded=True),
    "10% and the prompt": tagged(0.1, in_prompt=True, rewarded=True),
    "10% and the prompt, no reward": tagged(0.1, in_prompt=True, rewarded=False),
    "the prompt alone": tagged(None, in_prompt=True, rewarded=True),
    "30% of the web": tagged(0.3, in_prompt=False, rewarded=True),
    "30% of the web, no reward": tagged(0.3, in_prompt=False, rewarded=False),
    "cold start": Variant(cold=True, reward=ACCURACY_AND_FORMAT),
    "cold start, no reward": Variant(cold=True),
}


def log_run(name: str, start: LanguageModel, seed: int, **settings: Any) -> list[Row]:
    """RL from `start` as the variant says; `settings` are further ones of `reinforce`."""
    variant, rows = VARIANTS[name], []

    def on_step(row: dict, problems: list, responses: list[list[str]]) -> None:
        judged = verified(problems, responses)
        words = by_answer(judged, lambda r: r.verdict.length) + by_answer(judged, extra_words)
        numbers = row | shares(judged) | dict(zip(WORDS, words, strict=True))
        kept = {k: _rounded(numbers[k]) for k in LOGGED}
        rows.append({"variant": name, "seed": seed, "step": row["step"]} | kept)

    settings = variant.settings | settings
    reinforce(
        start, variant.reward, seed, on_step=on_step, opening=variant.opening, reference=start,
        **settings,
    )  # fmt: skip
    return rows


def _rounded(value: float | int) -> float | int | str:
    return "" if math.isnan(value) else round(value, 4) + 0.0  # which makes 0.0 of -0.0


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Do what the table in `folder` lacks, one run after another."""
    torch.set_num_threads(1)
    path, base = folder / f"{TABLE}.csv", load_base()
    rows = read_table(path) if path.exists() else []
    web = lru_cache(lambda share: base if share is None else more_web(base, share))
    cold = cold_start(base)
    for seed in SEEDS:
        for name, variant in VARIANTS.items():
            if not any((row["variant"], row["seed"]) == (name, seed) for row in rows):
                rows += log_run(name, cold if variant.cold else web(variant.tagged), seed)
                write_table(rows, path)
                print({k: v for k, v in rows[-1].items() if v != ""}, flush=True)
    return rows


def table() -> list[Row]:
    """The committed logs."""
    return read_table(TABLE)


def over(rows: Sequence[Row], name: str, column: str, steps: Container[int]) -> list[float]:
    """The mean of a column over some steps of a variant, for each seed."""
    by_seed: dict[int, list[float]] = {}
    for row in matching(rows, variant=name):
        if row["step"] in steps and row[column] != "":
            by_seed.setdefault(row["seed"], []).append(row[column])
    return [mean(by_seed[seed]) for seed in sorted(by_seed)]


def ends(rows: Sequence[Row], name: str, column: str) -> list[float]:
    """The mean over the last ten steps, for each seed."""
    return over(rows, name, column, LAST)
