"""The experiments of chapter 3: where to normalize, what by, and what holds attention's scores.

All are small GPTs on Python's documentation, byte by byte: one or two hundred thousand parameters,
a quarter of a million bytes, 10 to 20 seconds of one core a run.
"""

import torch

from lib.model import LanguageModel, ModelConfig
from lib.model.inspection import layer_steps
from lib.training.batches import Tokens, windows_in_order
from lib.training.config import TrainingConfig
from lib.training.experiments import Row, Run
from lib.training.leak import loss_in_training_mode

SEEDS = (0, 1, 2)
CONTEXT, BATCH = 64, 16  # tokens, sequences: 1,024 bytes to a step
PLACEMENT_STEPS, WARMUP = 240, 60
PLACEMENT_RATES = (3e-3, 1e-2)
NORM_STEPS = 200
NORM_RATE = 6e-3
NORMS = ("layernorm", "rmsnorm", "batchnorm", "dynamic_tanh")
QK_RATES = (1e-2, 1e-1)


def placement_grid() -> list[Run]:
    """Post- and pre-norm, with and without warmup, at a usual and at a high learning rate."""
    return [
        Run(
            labels=(("placement", place), ("warmup", warmup), ("learning rate", rate)),
            model=_gpt(n_layers=4, d_model=48, norm_placement=place),
            training=_training(PLACEMENT_STEPS, rate, warmup, seed, evaluations=2),
            training_bytes=PLACEMENT_STEPS * BATCH * CONTEXT,
        )
        for place, warmup in (("post", 0), ("pre", 0), ("post", WARMUP), ("pre", WARMUP))
        for rate in PLACEMENT_RATES
        for seed in SEEDS
    ]


def norms_grid() -> list[Run]:
    """Four norms in the same pre-norm model, and two of them with larger embeddings."""
    settings = [(norm, "0.02") for norm in NORMS] + [
        ("layernorm", "unit"),
        ("dynamic_tanh", "unit"),
    ]
    return [norms_run(norm, start, seed) for norm, start in settings for seed in SEEDS]


def norms_run(norm: str, start: str, seed: int, steps: int = NORM_STEPS) -> Run:
    """One run of two layers with this norm.

    "unit" embeddings start with standard deviation 1 instead of 0.02: Dynamic Tanh changes nothing
    about the size of what it gets, so it depends on the size at the start.
    """
    unit = dict(embedding_std=64**-0.5, scale_embeddings=True) if start == "unit" else {}
    return Run(
        labels=(("norm", norm), ("embeddings", start)),
        model=_gpt(n_layers=2, d_model=64, norm=norm, **unit),
        training=_training(steps, NORM_RATE, steps // 20, seed, evaluations=4),
        training_bytes=steps * BATCH * CONTEXT,
    )


def qk_norm_grid() -> list[Run]:
    """With and without QK-norm at a high learning rate and at ten times that."""
    return [
        qk_norm_run(qk_norm, rate, seed)
        for qk_norm in (False, True)
        for rate in QK_RATES
        for seed in SEEDS
    ]


def qk_norm_run(
    qk_norm: bool, learning_rate: float, seed: int, steps: int = NORM_STEPS, evaluations: int = 8
) -> Run:
    """One run of two layers with RMSNorm."""
    return Run(
        labels=(("qk norm", "with" if qk_norm else "without"), ("learning rate", learning_rate)),
        model=_gpt(n_layers=2, d_model=64, norm="rmsnorm", qk_norm=qk_norm),
        training=_training(steps, learning_rate, steps // 20, seed, evaluations),
        training_bytes=steps * BATCH * CONTEXT,
    )


def training_mode(model: LanguageModel, validation: Tokens) -> Row:
    """The validation loss with every norm in training mode, on batches as training has them."""
    return {"training_mode_loss": round(loss_in_training_mode(model, validation, BATCH, 256), 5)}


def attention_scores(model: LanguageModel, validation: Tokens) -> Row:
    """The largest scaled attention score that a query may see, and the entropy of the weights."""
    windows = next(iter(windows_in_order(validation, CONTEXT, BATCH)))
    largest, entropies = [], []
    for steps in layer_steps(model, windows[:, :-1]):
        largest.append(steps.masked.max().item())
        entropies.append(torch.special.entr(steps.weights).sum(dim=-1).mean().item())
    return {
        "largest_score": round(max(largest), 3),
        "entropy": round(sum(entropies) / len(entropies), 4),
    }


GRIDS = {
    "placement": (placement_grid, None),
    "norms": (norms_grid, training_mode),
    "qk_norm": (qk_norm_grid, attention_scores),
}


def _gpt(**changes) -> ModelConfig:
    """GPT-2's layers with rotary positions; heads are 16 wide, feed-forward layers 4 d_model."""
    width = changes["d_model"]
    sizes = dict(vocab_size=256, context_length=CONTEXT, n_heads=width // 16, d_ff=4 * width)
    return ModelConfig.gpt2(positions="rope", **sizes, **changes)


def _training(steps: int, rate: float, warmup: int, seed: int, evaluations: int) -> TrainingConfig:
    return TrainingConfig(
        steps=steps,
        batch_size=BATCH,
        context_length=CONTEXT,
        learning_rate=rate,
        warmup=warmup,
        evaluate_every=steps // evaluations,
        evaluation_sequences=256,
        seed=seed,
    )
