"""The small models of the experiments and their short training: one choice for all.

About a hundred thousand parameters, 64 bytes of context, minutes of one core: what such models
show about the order of methods is a hint, not a law.
"""

from lib.model import ModelConfig
from lib.training.config import TrainingConfig

SEEDS = (0, 1, 2)
CONTEXT, BATCH = 64, 16  # tokens, sequences: 1,024 bytes to a step


def small_gpt(d_model: int, n_layers: int = 2, **changes) -> ModelConfig:
    """GPT-2's layers with rotary positions, which such short runs learn to use much sooner.

    Heads are 16 wide and feed-forward layers 4 d_model, unless `changes` say otherwise.
    """
    sizes = dict(n_heads=d_model // 16, d_ff=4 * d_model) | changes
    fixed = dict(vocab_size=256, context_length=CONTEXT, positions="rope")
    return ModelConfig.gpt2(**fixed, d_model=d_model, n_layers=n_layers, **sizes)


def small_llama(**changes) -> ModelConfig:
    """Two layers in the manner of Llama, 64 wide."""
    sizes = dict(vocab_size=256, context_length=CONTEXT, d_model=64, n_layers=2, n_heads=4)
    return ModelConfig(**sizes | dict(tie_embeddings=True) | changes)


def short_training(
    steps: int, learning_rate: float, seed: int, *, evaluations: int, **changes
) -> TrainingConfig:
    """Training with a warmup of a twentieth of the steps, measured `evaluations` times."""
    settings = dict(batch_size=BATCH, warmup=steps // 20, evaluation_sequences=512) | changes
    return TrainingConfig(
        steps=steps,
        context_length=CONTEXT,
        learning_rate=learning_rate,
        evaluate_every=steps // evaluations,
        seed=seed,
        **settings,
    )
