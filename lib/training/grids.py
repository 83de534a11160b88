"""The two experiments of chapter 5 as grids of runs.

They are small on purpose: models of 0.1 to 0.2 million parameters and one megabyte of text, so that
`make experiments` repeats both within an hour or so on two busy cores.
"""

from lib.model import ModelConfig
from lib.training.config import TrainingConfig
from lib.training.experiments import Run

SEEDS = (0, 1, 2)
CONTEXT, BATCH = 64, 32  # tokens, sequences: 2,048 bytes to a step
PASSES = {"a single pass": 1, "40 passes": 40}


def dropout_grid() -> list[Run]:
    """Dropout 0, 0.1 and 0.2, in a single pass over the text and in 40 over a part of it.

    All runs take the same number of steps, so they see equally many tokens; they differ in how
    often each token comes.
    """
    steps = 480
    return [
        Run(
            labels=(("passes over the text", name), ("dropout", dropout)),
            model=_gpt(d_model=64, n_layers=2, n_heads=2, d_ff=256, dropout=dropout),
            training=_training(steps, learning_rate=5e-3, seed=seed),
            training_bytes=steps * BATCH * CONTEXT // passes,
        )
        for name, passes in PASSES.items()
        for dropout in (0.0, 0.1, 0.2)
        for seed in SEEDS
    ]


SHAPES = {1: 128, 2: 96, 4: 64, 8: 48}  # layers: width
RATES = (1.5e-3, 3e-3, 6e-3, 1.2e-2)
BLOCK_PARAMETERS = 200_000


def shape_grid() -> list[Run]:
    """From one wide layer to eight narrow ones, the blocks of all with equally many parameters.

    The best learning rate may differ with the shape, so each has four. Heads are 16 wide in all.
    """
    return [
        Run(
            labels=(("layers", layers), ("width", width), ("learning rate", learning_rate)),
            model=shape(layers, width),
            training=_training(steps=320, learning_rate=learning_rate, seed=seed),
            training_bytes=320 * BATCH * CONTEXT,
        )
        for layers, width in SHAPES.items()
        for learning_rate in RATES
        for seed in SEEDS
    ]


def shape(layers: int, width: int) -> ModelConfig:
    """A GPT whose blocks have `BLOCK_PARAMETERS` parameters, to within 1%: d_ff sees to it.

    A block has 4 d_model^2 + 2 d_model d_ff weights, 5 d_model + d_ff biases (3 for queries, keys
    and values, 1 for each output) and 4 d_model for its norms.
    """
    per_layer = (BLOCK_PARAMETERS - 2 * width) / layers
    d_ff = round((per_layer - 4 * width**2 - 9 * width) / (2 * width + 1))
    return _gpt(d_model=width, n_layers=layers, n_heads=width // 16, d_ff=d_ff)


GRIDS = {"dropout": dropout_grid, "shape": shape_grid}


def _gpt(**sizes) -> ModelConfig:
    """GPT-2's layers with rotary positions, which such short runs learn to use much sooner."""
    return ModelConfig.gpt2(vocab_size=256, context_length=CONTEXT, positions="rope", **sizes)


def _training(steps: int, learning_rate: float, seed: int) -> TrainingConfig:
    return TrainingConfig(
        steps=steps,
        batch_size=BATCH,
        context_length=CONTEXT,
        learning_rate=learning_rate,
        warmup=steps // 20,
        evaluate_every=steps // 8,
        evaluation_sequences=512,
        seed=seed,
    )
