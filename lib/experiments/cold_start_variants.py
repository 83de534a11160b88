"""RL straight from a base, varied: tags in the web, Dr. GRPO, a reward that can be gamed.

All start from the committed base; a seed is a seed of RL alone (problems and draws). Each row tells
the model before and after: shares of 1,000 held-out problems, and pass@k of right chains.
"""

import copy
import random
from pathlib import Path

import torch

from lib.experiments.cold_start import PASSES
from lib.experiments.tables import DATA, Row, read_table, write_table
from lib.model import LanguageModel
from lib.reasoning.base import load_base
from lib.reasoning.corpus import Web, clean_response, web_document
from lib.reasoning.lifecycle import reinforce
from lib.reasoning.measuring import measure, pass_at, right_chains
from lib.reasoning.rejection import to_example
from lib.reasoning.rewards import ACCURACY, ACCURACY_AND_FORMAT, Reward
from lib.reasoning.sft import Example, SFTConfig, sft
from lib.reasoning.task import Problem, draw_problem, encode

SEEDS = (0, 1, 2)
SHARES = (0.01, 0.1)  # of the documents read after pretraining that have the tags
MORE_STEPS = 100  # 64 documents each
A_WORD = 0.02  # what the gamed reward pays for each word
DR_GRPO = {"normalize_deviation": False, "normalize_length": "constant"}


def paid_by_length(problem: Problem, words: list[str]) -> float:
    """A right answer counts 1; each word, meant to reward thinking, a little more."""
    return ACCURACY(problem, words) + A_WORD * len(words)


def more_web(base: LanguageModel, tagged: float, seed: int = 0) -> LanguageModel:
    """The base after more of the same web, a share of whose answers has the tags."""
    dice, web, documents = random.Random(f"more web {seed}"), Web(), []
    for _ in range(64 * MORE_STEPS):
        if dice.random() < tagged:
            problem = draw_problem(dice, web.least, web.most)
            documents.append(to_example(problem, clean_response(problem)))
        else:
            documents.append(Example(encode(web_document(web, dice))))
    trained = copy.deepcopy(base)
    sft(trained, documents, SFTConfig(MORE_STEPS, 64, learning_rate=1e-3, seed=seed))
    return trained


def variants() -> dict[str, tuple[float | None, Reward, dict]]:
    """Name: share of tagged documents (None: the base as it is), reward, settings of GRPO."""
    return {
        "GRPO": (None, ACCURACY, {}),
        "Dr. GRPO": (None, ACCURACY, DR_GRPO),
        "paid by length": (None, paid_by_length, {}),
        "tags in 1%, format reward": (0.01, ACCURACY_AND_FORMAT, {}),
        "tags in 10%, format reward": (0.1, ACCURACY_AND_FORMAT, {}),
        "tags in 10%, no format reward": (0.1, ACCURACY, {}),
    }


def described(model: LanguageModel) -> Row:
    """What `measure` says, and pass@k of right chains from 32 draws to 100 problems."""
    right = right_chains(model)
    passes = {name: pass_at(right, 32, int(name[9:])) for name in PASSES}
    return {k: round(v, 4) for k, v in (measure(model) | passes).items()}


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Do what the table in `folder` lacks, one after another."""
    torch.set_num_threads(1)
    path, base = folder / "cold_start_variants.csv", load_base()
    rows = read_table(path) if path.exists() else []
    starts = {None: base} | {share: more_web(base, share) for share in SHARES}
    for share, name in ((None, "base"), (0.01, "tags in 1%"), (0.1, "tags in 10%")):
        if not any(row["variant"] == name for row in rows):
            rows.append({"variant": name, "seed": ""} | described(starts[share]))
    for seed in SEEDS:
        for name, (share, reward, settings) in variants().items():
            if any((row["variant"], row["seed"]) == (name, seed) for row in rows):
                continue
            trained, _ = reinforce(starts[share], reward, seed, **settings)
            rows.append({"variant": name, "seed": seed} | described(trained))
            print(rows[-1], flush=True)
            write_table(rows, path)
    return rows


def table() -> list[Row]:
    """The committed measurements."""
    return read_table("cold_start_variants")
