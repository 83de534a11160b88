"""The loss that a language model is trained by, and its mean over a text it has not seen."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from lib.model import ModelConfig
from lib.model.inputs import check_ids
from lib.settings import shortened
from lib.training.batches import Tokens, windows_in_order
from lib.training.distributed import Processes
from lib.training.memory import autocast


def next_token_loss(model: nn.Module, windows: Int[Tensor, "B T_plus_1"]) -> Float[Tensor, ""]:
    """Mean surprise in nats: at each position, minus the log probability of the token that follows.

    Inputs are all tokens but the last, targets all but the first. Raises ValueError for windows
    that are not rows of at least two tokens of the model's vocabulary.
    """
    _check_windows(model, windows)
    logits = model(windows[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())


@torch.no_grad()
def evaluate(
    model: nn.Module,
    tokens: Tokens,
    context_length: int,
    batch_size: int = 16,
    most: int | None = None,
    processes: Processes | None = None,
    precision: str = "float32",
) -> float:
    """Mean loss in nats per token over a text, cut into windows (`most`: only so many of them)."""
    processes = processes or Processes(next(model.parameters()).device)
    batches = list(windows_in_order(tokens, context_length, batch_size, most))
    was_training = model.training
    model.eval()
    total = torch.zeros(2)  # sum of losses, number of windows
    for i in range(0, len(batches), processes.count):  # all processes call the model equally often
        windows = batches[min(i + processes.rank, len(batches) - 1)].to(processes.device)
        with autocast(processes.device, precision):
            loss = next_token_loss(model, windows)
        if i + processes.rank < len(batches):
            total += torch.tensor([loss.item() * len(windows), len(windows)])
    model.train(was_training)
    loss_sum, count = processes.mean(total.to(processes.device)).tolist()
    return loss_sum / count


def _check_windows(model: nn.Module, windows: Tensor) -> None:
    if not isinstance(windows, Tensor) or windows.dim() != 2 or windows.shape[1] < 2:
        got = tuple(windows.shape) if isinstance(windows, Tensor) else shortened(windows)
        raise ValueError(f"windows must be a tensor (batch, at least two positions), got {got}")
    config = getattr(getattr(model, "module", model), "config", None)
    if isinstance(config, ModelConfig):  # the targets too: no model ever sees the last of them
        check_ids(config, windows)
