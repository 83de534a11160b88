"""Devices: how many operations and how many bytes a second, by their makers or by measurement.

Peaks are for dense matrix products; the largest number of a data sheet is often for matrices with
half of their entries zero ("sparsity") and twice as high.
"""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Device:
    """Peak FLOP/s of dense 16-bit products, bytes/s to and from memory, bytes of memory."""

    name: str
    flops: float | int
    bandwidth: float | int
    memory: float | int
    source: str

    def __post_init__(self):
        for field in ("flops", "bandwidth", "memory"):
            if not getattr(self, field) > 0:
                raise ValueError(f"{field} must be above 0, got {getattr(self, field)}")

    @property
    def ridge(self) -> float:
        """FLOPs a byte at which both limits meet: below it memory decides, above it arithmetic."""
        return self.flops / self.bandwidth


DEVICES = {
    device.name: device
    for device in (
        Device("T4", 65e12, 0.320e12, 16e9, "NVIDIA T4 data sheet; float16"),
        Device("RTX 4090", 165.2e12, 1.008e12, 24e9, "NVIDIA Ada white paper, appendix A"),
        Device("A100 40GB", 312e12, 1.555e12, 40e9, "NVIDIA A100 data sheet"),
        Device("A100 80GB", 312e12, 2.039e12, 80e9, "NVIDIA A100 data sheet, SXM"),
        Device("H100", 989e12, 3.35e12, 80e9, "NVIDIA H100 data sheet, SXM, without sparsity"),
        Device("H200", 989e12, 4.8e12, 141e9, "NVIDIA H200 data sheet, without sparsity"),
        Device("TPU v5e", 197e12, 0.82e12, 16e9, "Google Cloud documentation"),
    )
}


def seconds(function: Callable[[], object], repeats: int = 5) -> float:
    """Median time of a call, after one that is not counted."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def time_ratio(
    numerator: Callable[[], object], denominator: Callable[[], object], repeats: int = 5
) -> float:
    """Median of numerator's time over denominator's, run in turn: noise hits both alike."""
    numerator(), denominator()
    ratios = []
    for _ in range(repeats):
        start = time.perf_counter()
        numerator()
        middle = time.perf_counter()
        denominator()
        ratios.append((middle - start) / (time.perf_counter() - middle))
    return statistics.median(ratios)


def measured_flops(
    size: int = 1024,
    repeats: int = 9,
    dtype: torch.dtype = torch.float32,
) -> float:
    """FLOP/s of the best of several square products: the
    peak that a program can reach here.
    """
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    best = min(seconds(lambda: a @ b, 1) for _ in range(repeats))
    return 2 * size**3 / best


def measured_bandwidth(megabytes: int = 256, repeats: int = 5) -> float:
    """Bytes/s at which the best of several passes reads a
    matrix to multiply it with one vector.

    That is what decoding does with weights. The matrix must be larger than the caches.
    """
    matrix = torch.ones(megabytes * 2**20 // 4 // 1024, 1024)
    vector = torch.ones(1024)
    best = min(seconds(lambda: matrix @ vector, 1) for _ in range(repeats))
    return matrix.nbytes / best


def this_machine(size: int = 1024, megabytes: int = 256) -> Device:
    """The processor that runs this, as a device of float32: both limits measured in a second."""
    memory = _memory_bytes()
    return Device(
        "this machine", measured_flops(size), measured_bandwidth(megabytes), memory, "measured"
    )


def _memory_bytes() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # Windows
        return 8e9
