"""The peak memory of a training step: predicted from the configuration, measured in a process."""

import ctypes
import math
import pickle
import re
import subprocess
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from lib.model import LanguageModel, ModelConfig
from lib.scaling.counts import parameters
from lib.scaling.memory import block_activation_numbers, end_activation_bytes


def training_peak_bytes(
    config: ModelConfig, positions: int, batch: int, segments: int | None = None
) -> int:
    """The most that a float32 step of AdamW holds at one time, from its second step on.

    Weights and running means are always there, 12 bytes a parameter. On top of them comes the
    largest of what is held

    * where the backward pass begins: activations, and gradients of the logits or of the head
    * where a segment has been computed again: its activations, and the inputs of all segments
    * at its end: all gradients; of a tied embedding three, the head's, its own and their sum

    `segments` as in `recomputed_activations`; None: nothing is recomputed.
    """
    count, tokens = parameters(config), batch * positions
    ends = end_activation_bytes(config, positions, batch)
    ends += 4 * config.vocab_size * max(2 * tokens, config.d_model)
    block = 4 * tokens * sum(block_activation_numbers(config).values())
    if segments is None:
        start, again = config.n_layers * block + ends, 0
    else:
        inputs = 4 * tokens * segments * config.d_model
        start, again = inputs + ends, inputs + math.ceil(config.n_layers / segments) * block
    tied = 8 * config.vocab_size * config.d_model if config.tie_embeddings else 0
    return 12 * count + max(start, again, 4 * count + tied)


def measured_peak_bytes(
    config: ModelConfig, positions: int, batch: int, segments: int | None = None, steps: int = 3
) -> int:
    """The same, measured: what a new process holds at its peak beyond what it held before.

    Reads VmHWM of /proc/self/status. Raises OSError where there is no such file: not on Linux.
    """
    if not Path("/proc/self/status").exists():
        raise OSError("the peak is read from /proc/self/status, which only Linux has")
    call = (config, positions, batch, segments, steps, torch.get_num_threads())
    code = "from lib.scaling import peaks; peaks._child()"  # a fork would inherit the parent's peak
    child = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(call), capture_output=True
    )
    if child.returncode:
        raise RuntimeError(f"the measuring process failed: {child.stderr.decode()[-500:]}")
    return int(child.stdout)


def _child() -> None:
    config, positions, batch, segments, steps, threads = pickle.loads(sys.stdin.buffer.read())
    torch.set_num_threads(threads)
    _give_back_freed_memory()
    _step(LanguageModel(config.replace(n_layers=1)), 2, 1, None, 1)  # loads what torch loads late
    before = _status("VmRSS")
    _step(LanguageModel(config), positions, batch, segments, steps)
    print(_status("VmHWM") - before)


def _step(
    model: LanguageModel, positions: int, batch: int, segments: int | None, steps: int
) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    windows = torch.randint(model.config.vocab_size, (batch, positions + 1))
    for _ in range(steps):
        _loss(model, windows, segments).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def _loss(model: LanguageModel, windows: torch.Tensor, segments: int | None) -> torch.Tensor:
    x, rotary, mask = model.embed(windows[:, :-1])
    count = len(model.blocks)
    for i in range(segments or 1):
        blocks = model.blocks[i * count // (segments or 1) : (i + 1) * count // (segments or 1)]

        def run(x, blocks=blocks):
            for block in blocks:
                x = block(x, rotary, mask)
            return x

        x = run(x) if segments is None else checkpoint(run, x, use_reentrant=False)
    return F.cross_entropy(model.unembed(x).flatten(0, 1), windows[:, 1:].flatten())


def _give_back_freed_memory() -> None:
    """The C library would keep it for later, so that the peak exceeds what is held at one time."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-3, 2**16)  # M_MMAP_THRESHOLD: blocks of 64 KiB and more are mapped one by one


def _status(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{name}:\s*(\d+)", text)[1])
