"""What is seen of a model: FLOPs by torch's counter, bytes by its hooks and by the system.

Estimates are worth what their checks are worth; these are the checks.
"""

import ctypes
import pickle
import re
import subprocess
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from lib.model import LanguageModel, ModelConfig


def _cpu_attention(query, key, value, *args, **options) -> int:
    return sdpa_flop_count(query, key, value)


# torch's counter has formulas for the fused attention kernels of GPUs, none for the CPU's.
CPU_ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _cpu_attention}


def observed_flops(
    model: LanguageModel, ids: Int[Tensor, "B T"], *, fused: bool = False
) -> tuple[int, int]:
    """FLOPs of one forward and one backward pass, as torch's FlopCounterMode counts them.

    Attention runs as plain products; with `fused` as the device's own kernel, of which the counter
    misses the backward pass on a CPU (and, without `CPU_ATTENTION`, the forward pass too).
    """
    backends = list(SDPBackend.__members__.values()) if fused else [SDPBackend.MATH]
    with sdpa_kernel(backends):
        with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as forward:
            loss = model(ids).float().mean()
        with FlopCounterMode(display=False) as backward:
            loss.backward()
    return forward.get_total_flops(), backward.get_total_flops()


def shapes_only(config: ModelConfig) -> LanguageModel:
    """A model on torch's meta device: shapes without numbers, so that any size fits."""
    with torch.device("meta"):
        return LanguageModel(config)


def observed_activation_bytes(model: LanguageModel, windows: Int[Tensor, "B T_plus_1"]) -> int:
    """Bytes that autograd keeps of a forward pass with its loss, by its hooks on saved tensors.

    Counts each piece of memory once, however many operations keep it, and no weights.
    """
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        logits = model(windows[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
    assert loss.requires_grad  # the graph, and with it all that was noted, lives until here
    return sum(kept.values())


def measured_peak_bytes(
    config: ModelConfig, positions: int, batch: int, segments: int | None = None, steps: int = 3
) -> int:
    """`training_peak_bytes`, measured: what a new process holds at its peak, beyond before.

    Reads VmHWM of /proc/self/status. Raises OSError where there is no such file: not on Linux.
    """
    if not Path("/proc/self/status").exists():
        raise OSError("the peak is read from /proc/self/status, which only Linux has")
    call = (config, positions, batch, segments, steps, torch.get_num_threads())
    # A new process, since a fork would inherit the parent's peak.
    code = "from lib.scaling import observed; observed._child()"
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
