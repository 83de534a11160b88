"""Run by test_distributed under torchrun: train copies of the model, then the model in shards, lose
the last checkpoint, and train again.

One start of two processes serves the three runs, since a start takes longer than they do.
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
    out, settings = Path(sys.argv[1]), sys.argv[2:]
    folder = out / "run" / "checkpoints"
    processes.append(start("cpu"))
    assert command.main([*settings, "--history", str(out / "copies.json")]) == 0
    arguments = [*settings, "--fsdp", "--out", str(out / "run"), "--history"]
    assert command.main([*arguments, str(out / "shards.json")]) == 0
    dist.barrier()
    if dist.get_rank() == 0:
        assert len(checkpoints(folder)) == 2
        shutil.rmtree(checkpoints(folder)[-1])
    dist.barrier()
    assert command.main([*arguments, str(out / "again.json")]) == 0
    dist.barrier()
    dist.destroy_process_group()
