"""What a training run is told: one frozen dataclass, checked before any work is done."""

from dataclasses import dataclass

from lib.settings import require_all, require_choice
from lib.training.memory import PRECISIONS
from lib.training.optimizer import check_adam, check_clipping
from lib.training.schedules import SCHEDULES, Schedule, decay_steps

RANGES = {
    **dict.fromkeys(("batch_size", "context_length", "accumulate"), "[1, inf)"),
    **dict.fromkeys(("evaluate_every", "checkpoint_every", "seed"), "[0, inf)"),
    **dict.fromkeys(("balance_loss", "z_loss", "bias_rate"), "[0, inf)"),
    **dict.fromkeys(("checkpoint_segments", "evaluation_sequences"), "[1, inf)"),
    "steps": "[1, 1e8)",  # a checkpoint's name has eight digits
    "warmup": "[0, inf)",
}


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
        require_all(self, RANGES, skip=("max_gradient_norm", "learning_rate", "weight_decay"))
        check_adam(self.learning_rate, self.weight_decay, self.betas)
        check_clipping(self.max_gradient_norm)
        require_choice("schedule", self.schedule, SCHEDULES)
        require_choice("precision", self.precision, PRECISIONS)
        if self.checkpoint_segments is not None and not self.checkpoint_activations:
            raise ValueError("checkpoint_segments needs checkpoint_activations=True")
        self.rate()  # raises for a warmup that makes no schedule

    def rate(self) -> Schedule:
        """The learning rate of each step."""
        return SCHEDULES[self.schedule](self.learning_rate, self.steps, self.warmup)

    @property
    def plateau(self) -> int | None:
        """With the schedule 'stable_decay', the last step of the plateau: a run may go on there."""
        if self.schedule != "stable_decay":
            return None
        return self.steps - decay_steps(self.steps, self.warmup)

    @property
    def tokens_per_step(self) -> int:
        """Predictions that one update learns from."""
        return self.batch_size * self.context_length
