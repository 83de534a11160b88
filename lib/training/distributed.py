"""Several processes, one model: the same loop under `torchrun`.

Each process takes its share of every step's sequences. `DistributedDataParallel` keeps a whole copy
of the model in each and averages the gradients; `fully_shard` gives each process a part of every
weight, gradient and optimizer state, and gathers a block's weights only while it is at work.
Sources: Li et al. (2020), PyTorch Distributed; Zhao et al. (2023), PyTorch FSDP; Rajbhandari et al.
(2020), ZeRO.
"""

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lib.model import LanguageModel
from lib.settings import require_choice


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is, and on which device it computes."""

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """True in the one process that prints and writes files."""
        return self.rank == 0

    def share(self) -> slice:
        """This process's part of a list: every count-th item."""
        return slice(self.rank, None, self.count)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes."""
        if self.count > 1:
            value = value.clone()
            dist.all_reduce(value)
            value /= self.count
        return value

    def gather(self, value: object) -> list:
        """What each process holds, in order of rank."""
        if self.count == 1:
            return [value]
        values = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.count > 1:
            dist.barrier()


def best_device() -> torch.device:
    """A CUDA device if there is one, else Apple's, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def start_processes(device: str | None = None) -> Processes:
    """Join the others if `torchrun` started this process; alone otherwise.

    `device` is "cpu", "cuda" or "mps" (default: the best there is). With CUDA each process of a
    machine gets a GPU of its own, and they talk over NCCL; on CPUs they talk over Gloo.
    Raises ValueError for a device that this machine or this torch does not have.
    """
    if device is not None:
        _check_device(device)
    chosen = torch.device(device) if device else best_device()
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes(chosen)
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(chosen)
        dist.init_process_group("nccl", device_id=chosen)
    else:
        dist.init_process_group("gloo")
        chosen = torch.device("cpu")
    return Processes(chosen, dist.get_rank(), dist.get_world_size())


def _check_device(device: str) -> None:
    require_choice("device", device, ("cpu", "cuda", "mps"))
    here = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if device in here and not here[device]():
        name = {"cuda": "NVIDIA GPU with CUDA", "mps": "Apple GPU"}[device]
        raise ValueError(
            f"device {device!r} needs an {name} and a torch built for it, and this machine shows "
            f"none; use {best_device().type!r}"
        )
    count, needed = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device == "cuda" and needed > count:
        raise ValueError(f"{needed} processes need {needed} GPUs, and this machine has {count}")


def stop_processes(processes: Processes) -> None:
    """Take leave of the others."""
    if processes.count > 1:
        dist.destroy_process_group()


def distribute(
    model: LanguageModel,
    processes: Processes,
    *,
    shard: bool = False,
) -> nn.Module:
    """The model as the loop calls it: itself when alone, otherwise copied or sharded.

    With `shard`, each block is gathered as a whole and the rest (embedding, last norm,
    head) too.
    """
    if processes.count == 1:
        return model
    if not shard:
        ids = [processes.device.index] if processes.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=ids)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(processes.device.type, (processes.count,))
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def synchronize_gradients(model: nn.Module, wanted: bool) -> None:
    """Whether the next backward pass exchanges gradients; only the last of a step needs to."""
    if isinstance(model, DistributedDataParallel):
        model.require_backward_grad_sync = wanted
    elif hasattr(model, "set_requires_gradient_sync"):
        model.set_requires_gradient_sync(wanted)
