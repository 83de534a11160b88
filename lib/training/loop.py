"""The training loop: predict the next token, measure the surprise, change the weights, repeat."""

import functools
import hashlib
import math
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from lib.model import LanguageModel
from lib.settings import shortened
from lib.training.auxiliary import (
    auxiliary_loss,
    check_auxiliary,
    update_biases,
    watched_routing,
)
from lib.training.batches import Batches, Tokens, check_tokens
from lib.training.checkpoints import (
    Progress,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from lib.training.config import TrainingConfig
from lib.training.distributed import Processes, distribute, synchronize_gradients
from lib.training.evaluation import evaluate, next_token_loss
from lib.training.memory import autocast, recomputed_activations
from lib.training.optimizer import (
    DivergedError,
    clipped_step,
    make_optimizer,
    set_learning_rate,
)

History = list[dict]
SHOWN = {"loss": "loss", "validation": "validation_loss"}  # beside the progress bar
OnEvaluation = Callable[[LanguageModel, dict], Any]


def training_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    windows: Int[Tensor, "B T_plus_1"],
    config: TrainingConfig,
    processes: Processes | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """One update; returns the mean loss before it and the
    norm of the gradient before clipping.

    The loss that is returned is that of the next token, without auxiliary losses, over
    all processes. Raises DivergedError, and changes no weight, if one of the two is not
    finite.
    """
    parts, routed = windows.chunk(config.accumulate), []
    total = torch.zeros((), device=windows.device)
    for i, part in enumerate(parts):
        synchronize_gradients(model, i == len(parts) - 1)
        share = len(part) / len(windows)
        with (
            autocast(windows.device, config.precision),
            watched_routing(model, config) as routings,
        ):
            loss = next_token_loss(model, part) * share
            auxiliary = auxiliary_loss(routings, config) * share
        (loss + auxiliary).backward()
        total += loss.detach()
        routed.append(routings)
    if processes is not None:  # so that all of them stop, or none
        total = processes.mean(total)
    norm = clipped_step(optimizer, total, model.parameters(), config.max_gradient_norm)
    update_biases(model, routed, config)
    return total, norm


def train(
    model: LanguageModel,
    tokens: Tokens,
    config: TrainingConfig,
    validation: Tokens | None = None,
    *,
    folder: str | Path | None = None,
    on_start: Callable[[], Any] | None = None,
    on_evaluation: OnEvaluation | None = None,
    processes: Processes | None = None,
    shard: bool = False,
    optimizer: torch.optim.Optimizer | None = None,
) -> History:
    """Train `model` in place; returns a row for each step, and one for step 0 with `validation`.

    With `folder`, checkpoints go there, and a run that finds one goes on from it: on a CPU with
    exactly the losses it would have had; a run that has ended goes on with more `steps`.
    `on_start()` is called once nothing refuses the run any more, `on_evaluation(model, row)` after
    each evaluation, both in the first process. For `processes` and `shard` see
    lib.training.distributed. Another `optimizer` than AdamW, over the
    weights of `model`, goes without `folder`: checkpoints know AdamW's state only. Seeds torch's
    global generator, which dropout draws from. Raises ValueError for settings, model, tokens and
    checkpoint that do not go together, and DivergedError at the first loss that is not finite: the
    last checkpoint stays.
    """
    _check(model, config, validation)
    processes = processes or Processes(next(model.parameters()).device)
    _check_shares(config, processes)
    batches = Batches(tokens, config.context_length, config.batch_size, config.seed)
    torch.manual_seed(config.seed + processes.rank)
    engine = distribute(model.to(processes.device), processes, shard=shard)
    if optimizer is None:
        optimizer = make_optimizer(engine, config.learning_rate, config.weight_decay, config.betas)
    elif folder or processes.count > 1:
        raise ValueError("another optimizer than AdamW needs one process and no folder")
    settings, progress = asdict(config), Progress(0, [])
    if folder := Path(folder) if folder else None:
        settings |= {"model": asdict(model.config), "tokens": fingerprint(tokens)}
        if found := newest_checkpoint(folder, settings):
            progress = load_checkpoint(found, engine, optimizer, settings, processes)
    if on_start is not None and processes.first:
        on_start()
    measure = functools.partial(_measure, engine, validation, config, processes, on_evaluation)
    if progress.step == 0 and not progress.history and validation is not None:
        progress.history.append(measure({"step": 0, "tokens": 0}))

    rate, news = config.rate(), {}
    engine.train()
    with (
        _progress_bar(config, progress, processes) as bar,
        recomputed_activations(model, config.checkpoint_activations, config.checkpoint_segments),
    ):
        for step in range(progress.step, config.steps):
            set_learning_rate(optimizer, rate(step))
            windows = batches.step(step, processes.share()).to(processes.device)
            try:
                loss, norm = training_step(engine, optimizer, windows, config, processes)
            except DivergedError as error:
                raise DivergedError(f"training stopped at step {step + 1}: {error}") from error
            row = {
                "step": step + 1,
                "tokens": (step + 1) * config.tokens_per_step,
                "loss": loss.item(),
                "gradient_norm": norm.item(),
                "learning_rate": rate(step),
            }
            if validation is not None and _due(step + 1, config.evaluate_every, config.steps):
                row = measure(row)
            progress.history.append(row)
            progress.step = step + 1
            due = _due(step + 1, config.checkpoint_every, config.steps)
            if folder and (due or step + 1 == config.plateau):
                spare = config.plateau
                save_checkpoint(folder, engine, optimizer, progress, settings, processes, spare)
            news |= {name: f"{row[key]:.3f}" for name, key in SHOWN.items() if key in row}
            bar.set_postfix(news, refresh=False)
            bar.update(config.tokens_per_step)
    model.eval()
    return progress.history


def fingerprint(tokens: Tokens) -> str:
    """A checksum of all tokens, whatever type holds them, to tell one text from another."""
    digest, block = hashlib.blake2b(digest_size=8), 1 << 20
    for begin in range(0, len(tokens), block):
        digest.update(np.asarray(tokens[begin : begin + block]).astype("<i8").tobytes())
    return digest.hexdigest()


def _measure(
    engine: nn.Module,
    validation: Tokens,
    config: TrainingConfig,
    processes: Processes,
    on_evaluation: OnEvaluation | None,
    row: dict,
) -> dict:
    """The row with its validation loss; tells the caller of `train`."""
    loss = evaluate(
        engine,
        validation,
        config.context_length,
        config.batch_size,
        config.evaluation_sequences,
        processes,
        config.precision,
    )
    if not math.isfinite(loss):
        raise DivergedError(
            f"training stopped after step {row['step']}: the validation loss is {loss}, at a "
            f"learning rate of {config.learning_rate:.4g}: lower it, or look for NaN in the weights"
        )
    row = row | {"validation_loss": loss}
    if on_evaluation is not None and processes.first:
        on_evaluation(getattr(engine, "module", engine), row)
    return row


def _check(model: LanguageModel, config: TrainingConfig, validation: Tokens | None) -> None:
    for value, kind in ((model, LanguageModel), (config, TrainingConfig)):
        if not isinstance(value, kind):
            raise TypeError(f"train needs a {kind.__name__}, got {shortened(value)}")
    if validation is not None:
        check_tokens(validation, config.context_length, "validation")
    if config.context_length > model.config.context_length:
        raise ValueError(
            f"context_length must be at most the model's {model.config.context_length}, "
            f"got {config.context_length}"
        )
    check_auxiliary(model, config)


def _check_shares(config: TrainingConfig, processes: Processes) -> None:
    if config.batch_size % (processes.count * config.accumulate):
        raise ValueError(
            f"batch_size must be a multiple of processes x accumulate = {processes.count} x "
            f"{config.accumulate}, got {config.batch_size}"
        )


def _due(step: int, every: int, last: int) -> bool:
    return step == last or (every > 0 and step % every == 0)


def no_bars() -> bool:
    """Whether progress bars are not wanted: tqdm's notebook bar does not look by itself."""
    return bool(os.environ.get("TQDM_DISABLE"))


def _progress_bar(config: TrainingConfig, progress: Progress, processes: Processes) -> tqdm:
    quiet = not processes.first or no_bars()
    size = config.tokens_per_step
    return tqdm(
        total=config.steps * size,
        initial=progress.step * size,
        unit=" tokens",
        unit_scale=True,
        disable=quiet,
    )
