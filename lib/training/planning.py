"""How many steps fit into some minutes, by a short measurement, and what size suits them."""

import copy
import statistics
import time
from dataclasses import dataclass, replace

import torch

from lib.model import LanguageModel
from lib.model.parameters import non_embedding_parameters
from lib.scaling.allocation import optimal
from lib.scaling.chinchilla import BESIROGLU
from lib.training.batches import Batches, Tokens
from lib.training.config import TrainingConfig
from lib.training.distributed import Processes, distribute
from lib.training.loop import training_step
from lib.training.optimizer import make_optimizer

FORWARD = 0.4  # of a training step's time: an evaluation of as many sequences
EVALUATING = 0.2  # the most of the time
SPARE = 0.95  # of the time: the rest is for samples, checkpoints and curves


@dataclass(frozen=True)
class Speed:
    """What a rehearsal measured."""

    seconds_per_step: float
    flop_per_second: float  # by 6 N a token, N without embeddings


def rehearse(
    model: LanguageModel,
    tokens: Tokens,
    config: TrainingConfig,
    processes: Processes,
    shard: bool = False,
    seconds: float = 3.0,
) -> Speed:
    """Train a copy of the model for some seconds, at least three steps; the model stays as it is.

    With several processes all of them rehearse, and get the mean of their times.
    """
    engine = distribute(copy.deepcopy(model).to(processes.device), processes, shard=shard)
    optimizer = make_optimizer(engine, config.learning_rate, config.weight_decay, config.betas)
    batches = Batches(tokens, config.context_length, config.batch_size, config.seed)
    engine.train()
    times: list[float] = []
    # The first is slower: memory is asked for, kernels are chosen. Others wait for what else runs
    # on the machine: the median does not mind.
    while len(times) < 4 or sum(times[1:]) < seconds:
        started = time.perf_counter()
        windows = batches.step(len(times), processes.share()).to(processes.device)
        loss, _ = training_step(engine, optimizer, windows, config, processes)
        loss.item()  # waits for a GPU
        mine = torch.tensor(time.perf_counter() - started, device=processes.device)
        times.append(processes.mean(mine).item())  # so that all stop at the same step
    each = statistics.median(times[1:])
    n = non_embedding_parameters(model.config)
    return Speed(each, 6 * n * config.tokens_per_step / each)


def evaluations_for(seconds: float, speed: Speed, config: TrainingConfig, most: int) -> int:
    """How often to evaluate, two times to `most`: a fifth of the time may go into it."""
    fit = int(EVALUATING * seconds / (_evaluation(config) * speed.seconds_per_step or 1))
    return min(most, max(2, fit - 1))  # one comes before the first step


def _evaluation(config: TrainingConfig) -> float:
    """The time of an evaluation, in training steps."""
    return FORWARD * (config.evaluation_sequences or 0) / config.batch_size


def steps_for(seconds: float, speed: Speed, config: TrainingConfig, evaluations: int) -> int:
    """Training steps that fit into so many seconds beside `evaluations` evaluations.

    Raises ValueError if fewer than ten fit.
    """
    if seconds <= 0:
        raise ValueError(
            "the time is over before training begins: reading the text, training the tokenizer "
            f"and measuring took {-seconds:.0f} s more than --minutes; give more"
        )
    evaluating = (evaluations + 1) * _evaluation(config) * speed.seconds_per_step
    left = SPARE * seconds - evaluating
    steps = int(left / speed.seconds_per_step)
    if steps < 10:
        raise ValueError(
            f"a step takes {speed.seconds_per_step:.2g} s and evaluating {evaluating:.0f} s, so "
            f"that only {max(0, steps)} steps fit into {seconds:.0f} s; give more --minutes, or a "
            "smaller --size, --batch-size, --context-length or --evaluation-sequences"
        )
    return steps


def advice(
    seconds: float, speed: Speed, model: LanguageModel, config: TrainingConfig, n_tokens: int
) -> str:
    """What the scaling laws' chapter says of this budget, in sentences.

    Chinchilla's law as Besiroglu et al. (2024) fitted it, far below the models it was fitted to.
    The embedding is not counted: looking up a row takes no time.
    """
    best = optimal(BESIROGLU, speed.flop_per_second * seconds)
    own = non_embedding_parameters(model.config)
    lines = [
        f"The time is worth {speed.flop_per_second * seconds:.1e} FLOP. Chinchilla's law "
        f"(chapter 13, fitted to far larger models) would spend them on {best.parameters:,.0f} "
        f"parameters and {best.tokens:,.0f} tokens; this model has {own:,} without embeddings "
        f"and reads {config.steps * config.tokens_per_step:,}."
    ]
    passes = config.steps * config.tokens_per_step / n_tokens
    if passes > 4:
        lines.append(
            f"These are {passes:.0f} passes over the text. After about four, reading it again is "
            "worth less and less (Muennighoff et al., 2023): more text would help, or --dropout 0.1"
        )
    return "\n".join(lines)


def with_steps(config: TrainingConfig, steps: int, evaluations: int = 20) -> TrainingConfig:
    """The configuration for so many steps, with so many evaluations and checkpoints in them."""
    every = max(1, steps // evaluations)
    return replace(config, steps=steps, evaluate_every=every, checkpoint_every=every)
