"""What a training run is told: one frozen dataclass, checked before any work is done."""

from dataclasses import dataclass

from lib.training.schedules import SCHEDULES, Schedule

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. `batch_size` counts the sequences of one step over all processes.

    `accumulate` splits a step's sequences into that many parts, so that less memory is needed;
    `checkpoint_activations` keeps only what enters each block and computes the rest a second time;
    with `checkpoint_segments`, what enters each of so many groups of blocks.
    `evaluate_every` and `checkpoint_every` count steps; 0 means only at the end.
    `evaluation_sequences` limits an evaluation to so many sequences (None: all).
    For models with experts: `balance_loss` and `z_loss` weigh the auxiliary losses of each layer,
    `bias_rate` is how far a router's bias moves in one step.
    Raises ValueError for a value out of range.
    """

    steps: int
    batch_size: int = 16
    context_length: int = 128
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup: int = 0
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    max_gradient_norm: float = 1.0
    accumulate: int = 1
    precision: str = "float32"
    checkpoint_activations: bool = False
    checkpoint_segments: int | None = None
    evaluate_every: int = 0
    evaluation_sequences: int | None = None
    checkpoint_every: int = 0
    seed: int = 0
    balance_loss: float = 0.0
    z_loss: float = 0.0
    bias_rate: float = 0.0

    def __post_init__(self):
        for name in ("steps", "batch_size", "context_length", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        at_least_0 = ("evaluate_every", "checkpoint_every", "weight_decay", "seed")
        for name in (*at_least_0, "balance_loss", "z_loss", "bias_rate"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or above, got {getattr(self, name)}")
        if self.checkpoint_segments is not None and not self.checkpoint_activations:
            raise ValueError("checkpoint_segments needs checkpoint_activations=True")
        if not self.max_gradient_norm > 0:
            raise ValueError(
                f"max_gradient_norm must be above 0 (float('inf') never clips), "
                f"got {self.max_gradient_norm}"
            )
        for name, choices in {"schedule": tuple(SCHEDULES), "precision": PRECISIONS}.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}"
                )
        self.rate()  # raises for a learning rate or a warmup that makes no schedule

    def rate(self) -> Schedule:
        """The learning rate of each step."""
        return SCHEDULES[self.schedule](self.learning_rate, self.steps, self.warmup)

    @property
    def tokens_per_step(self) -> int:
        """Predictions that one update learns from."""
        return self.batch_size * self.context_length
