"""The life-cycle of DeepSeek-R1 in small: which model is trained from which, on what.

    base --RL--> zero
    base --SFT on clean examples--> cold --RL with a format reward--> cold_rl
    cold_rl --rejection sampling--> examples;  base --SFT on them and on facts--> final

R1-Zero and the cold-started model are two branches. Source: DeepSeek-AI (2025), section 2.3.
(The paper ends with a second RL for helpfulness and safety, for which this world has no use.)
"""

import copy
from collections.abc import Callable
from typing import Any

from lib.model import LanguageModel
from lib.reasoning.grpo import GRPOConfig, grpo
from lib.reasoning.rejection import Kept, clean_examples, mix, rejection_sample, to_example
from lib.reasoning.rewards import ACCURACY, ACCURACY_AND_FORMAT, Filter, Reward, right_and_clean
from lib.reasoning.sft import Example, SFTConfig, sft
from lib.reasoning.task import Problem, draw_problems

RL_STEPS, RL_PROBLEMS = 60, 16  # problems to a step, with 8 responses each
COLD_EXAMPLES, COLD_STEPS = 512, 70
REJECTION_PROBLEMS, REJECTION_DRAWS = 1500, 2
FINAL_STEPS, EXAMPLES, FACTS_SHARE = 240, 1200, 1 / 3  # at most so many examples
OnStep = Callable[[dict, list[Any], list[list[str]]], object]


def reinforce(
    model: LanguageModel,
    reward: Reward = ACCURACY,
    seed: int = 0,
    steps: int = RL_STEPS,
    on_step: OnStep | None = None,
    opening: tuple[str, ...] = (),
    reference: LanguageModel | None = None,
    **settings: Any,
) -> tuple[LanguageModel, list[dict]]:
    """A copy of the model after RL, and the history; `settings` are those of GRPOConfig.

    `opening`: words with which each prompt begins the response. `reference`: see `grpo`.
    """

    def draw(n: int, step: int) -> list[Problem]:
        return draw_problems(n, seed=1000 * (seed + 1) + step, opening=opening)

    trained = copy.deepcopy(model)
    config = GRPOConfig(steps, **({"problems": RL_PROBLEMS, "seed": seed} | settings))
    return trained, grpo(trained, draw, reward, config, on_step, reference)


def cold_start(
    model: LanguageModel, seed: int = 0, n: int = COLD_EXAMPLES, steps: int = COLD_STEPS
) -> LanguageModel:
    """A copy of the model after a short SFT on `n` examples in the clean format."""
    trained = copy.deepcopy(model)
    sft(trained, clean_examples(draw_problems(n, seed=10 + seed)), SFTConfig(steps, seed=seed))
    return trained


def write_data(model: LanguageModel, seed: int = 0, accept: Filter = right_and_clean) -> Kept:
    """Rejection sampling from the model, on problems of its own."""
    problems = draw_problems(REJECTION_PROBLEMS, seed=20 + seed)
    return rejection_sample(model, problems, accept, REJECTION_DRAWS, seed)


def kept_examples(kept: Kept) -> list[Example]:
    """What rejection sampling has kept, as examples, at most `EXAMPLES` of them."""
    return [to_example(r.problem, r.words) for r in kept.responses[:EXAMPLES]]


def final_sft(
    base: LanguageModel, examples: list[Example], seed: int = 0, steps: int = FINAL_STEPS
) -> LanguageModel:
    """A copy of the *base* after SFT on the examples, mixed with lists of facts."""
    trained = copy.deepcopy(base)
    config = SFTConfig(steps, batch_size=64, learning_rate=2e-3, seed=seed)
    sft(trained, mix(examples, FACTS_SHARE, seed), config)
    return trained


def lifecycle(
    base: LanguageModel, seed: int = 0, on_step: Callable[[str], OnStep] | None = None
) -> tuple[dict[str, LanguageModel], Kept]:
    """All stages by name, and the data on the way. `on_step(stage)` is called for each RL."""
    watch = on_step or (lambda stage: None)
    zero, _ = reinforce(base, ACCURACY, seed, on_step=watch("zero"))
    cold = cold_start(base, seed)
    cold_rl, _ = reinforce(cold, ACCURACY_AND_FORMAT, seed, on_step=watch("cold_rl"))
    kept = write_data(cold_rl, seed)
    final = final_sft(base, kept_examples(kept), seed)
    stages = {"base": base, "zero": zero, "cold": cold, "cold_rl": cold_rl, "final": final}
    return stages, kept
