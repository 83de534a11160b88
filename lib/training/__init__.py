"""Floor 2: training, on one core or on many GPUs."""

from lib.training.batches import Batches, split
from lib.training.config import TrainingConfig
from lib.training.evaluation import evaluate, next_token_loss
from lib.training.loop import train, training_step
from lib.training.saving import save_model
from lib.training.tokens import byte_tokens, load_tokens

__all__ = [
    "Batches",
    "TrainingConfig",
    "byte_tokens",
    "evaluate",
    "load_tokens",
    "next_token_loss",
    "save_model",
    "split",
    "train",
    "training_step",
]
