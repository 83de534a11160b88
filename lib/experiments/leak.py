"""A falsely good loss: with BatchNorm a causal model predicts what cannot be predicted.

The text is random bits, so that the best honest loss is ln 2. In training, BatchNorm's mean over
the batch tells every position how many ones there are in all, the ones to come included.
"""

import copy
from pathlib import Path

import numpy as np
import torch

from lib.experiments.small import SEEDS
from lib.experiments.tables import DATA, Row, read_table, write_table
from lib.model import LanguageModel, ModelConfig
from lib.training.batches import windows_in_order
from lib.training.config import TrainingConfig
from lib.training.evaluation import evaluate, next_token_loss
from lib.training.loop import train

CONTEXT = 8  # bits that the model reads
TEXTS = 8  # to a step


def random_bits(n: int, seed: int) -> np.ndarray:
    """Fair coins: nothing to learn."""
    return np.random.default_rng(seed).integers(0, 2, n)


def bit_model(norm: str) -> ModelConfig:
    """One small layer over a vocabulary of two."""
    sizes = dict(vocab_size=2, context_length=CONTEXT, d_model=32, n_layers=1, n_heads=2, d_ff=64)
    return ModelConfig.gpt2(**sizes, norm=norm)


def losses_on_bits(norm: str, texts_at_once: int, seed: int, steps: int = 300) -> Row:
    """Train on random bits; the losses on new bits in training and in evaluation mode.

    Statistics of BatchNorm are over `texts_at_once` texts of 8 bits; each step learns from 8 texts.
    """
    torch.manual_seed(seed)
    model = LanguageModel(bit_model(norm))
    config = TrainingConfig(
        steps=steps,
        batch_size=TEXTS,
        accumulate=TEXTS // texts_at_once,
        context_length=CONTEXT,
        learning_rate=1e-2,
        warmup=steps // 10,
        seed=seed,
    )
    train(model, random_bits(steps * TEXTS * CONTEXT + 1, seed), config)
    unseen = random_bits(2048 * CONTEXT + 1, seed=1000 + seed)
    return {
        "norm": norm,
        "texts at once": texts_at_once,
        "seed": seed,
        "training_mode_loss": round(loss_in_training_mode(model, unseen, texts_at_once, 1024), 5),
        "evaluation_mode_loss": round(evaluate(model, unseen, CONTEXT, batch_size=256), 5),
    }


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """BatchNorm over 1, 2 and 8 texts and LayerNorm, three seeds each, as a table."""
    torch.set_num_threads(1)  # such small models gain nothing from two
    settings = [("batchnorm", n) for n in (1, 2, 8)] + [("layernorm", 8)]
    rows = [losses_on_bits(norm, n, seed) for norm, n in settings for seed in SEEDS]
    write_table(rows, folder / "leak.csv")
    return rows


def table() -> list[Row]:
    """The committed runs."""
    return read_table("leak")


@torch.no_grad()
def loss_in_training_mode(
    model: LanguageModel, tokens: np.ndarray, batch_size: int, most: int | None = None
) -> float:
    """The loss with every norm in training mode, on batches of `batch_size` texts.

    Only BatchNorm differs: it then uses the statistics of the batch. The model stays as it is.
    """
    model = copy.deepcopy(model).train()  # BatchNorm remembers what it sees
    context_length = model.config.context_length
    batches = windows_in_order(tokens, context_length, batch_size, most)
    losses = [next_token_loss(model, windows).item() for windows in batches]
    return sum(losses) / len(losses)
