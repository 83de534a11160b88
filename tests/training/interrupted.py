"""Run by test_distributed under torchrun: train, lose the last checkpoint, train again.

One start of two processes serves both runs, since a start takes longer than they do.
"""

import shutil
import sys
from pathlib import Path

import torch.distributed as dist

from lib.training import __main__ as command
from lib.training.checkpoints import checkpoints

if __name__ == "__main__":
    command.stop_processes = lambda _: None
    processes = []
    start = command.start_processes
    command.start_processes = lambda device: processes[0] if processes else start(device)
    arguments = sys.argv[1:]
    folder = Path(arguments[arguments.index("--out") + 1]) / "checkpoints"
    history = Path(arguments[arguments.index("--history") + 1])
    processes.append(start("cpu"))
    assert command.main(arguments) == 0
    dist.barrier()
    if dist.get_rank() == 0:
        assert len(checkpoints(folder)) == 2
        shutil.rmtree(checkpoints(folder)[-1])
    dist.barrier()
    arguments[arguments.index("--history") + 1] = str(history.with_name("again.json"))
    assert command.main(arguments) == 0
    dist.barrier()
    dist.destroy_process_group()
