"""How long a step takes: the slower of its arithmetic and its memory traffic.

The roofline model (Williams, Waterman & Patterson, 2009): a step of F FLOPs that moves M bytes
takes at least max(F / peak, M / bandwidth). F / M is its arithmetic intensity.
"""

import math
from dataclasses import dataclass

from lib.model import ModelConfig
from lib.model.parameters import expert_matrix_parameters, parameters
from lib.scaling.devices import Device
from lib.scaling.flops import forward_flops
from lib.scaling.memory import kv_cache_bytes
from lib.settings import require


@dataclass(frozen=True)
class Step:
    """A step on a device: what it computes and moves, and the time that each of the two takes."""

    flops: float | int
    bytes: float | int
    tokens: int
    device: Device

    @property
    def intensity(self) -> float:
        """FLOPs for each byte moved."""
        return self.flops / self.bytes

    @property
    def compute_seconds(self) -> float:
        """The time that arithmetic takes at the device's peak."""
        return self.flops / self.device.flops

    @property
    def memory_seconds(self) -> float:
        """The time that the bytes take at the device's bandwidth."""
        return self.bytes / self.device.bandwidth

    @property
    def seconds(self) -> float:
        """The latency of the step, if arithmetic and traffic overlap: the longer of the two."""
        return max(self.compute_seconds, self.memory_seconds)

    @property
    def tokens_per_second(self) -> float:
        """Throughput, over all sequences of the batch."""
        return self.tokens / self.seconds

    @property
    def bound(self) -> str:
        """Which of the two limits holds: "compute" or "memory"."""
        return "compute" if self.compute_seconds >= self.memory_seconds else "memory"


def attainable_flops(intensity: float | int, device: Device) -> float:
    """The roofline: min(peak, intensity x bandwidth), in FLOP/s."""
    require("intensity", intensity, "(0, inf)")
    return min(device.flops, intensity * device.bandwidth)


def weights_read(config: ModelConfig, tokens: int) -> float:
    """Parameters that a step of so many tokens reads: once each, however many tokens use them.

    Of an embedding that is not also the head, and of learned positions, one row for each token. Of
    the experts, those that at least one token chose, if all choices are equally probable:
    E (1 - (1 - k / E)^tokens).
    """
    count = float(parameters(config))
    rows = tokens * config.d_model
    if not config.tie_embeddings:
        count += rows - config.vocab_size * config.d_model
    if config.positions == "learned" or config.learned_positions:
        count += rows - config.context_length * config.d_model
    if config.n_experts:
        layers = sum(config.has_experts(layer) for layer in range(config.n_layers))
        idle = (1 - config.n_active_experts / config.n_experts) ** tokens
        count -= layers * config.n_experts * idle * expert_matrix_parameters(config)
    return count


def decode_step(
    config: ModelConfig,
    device: Device,
    batch: int = 1,
    context: int = 1,
    weight_bytes: float | int = 2,
    cache_bytes: float | int = 2,
) -> Step:
    """One more token for each of `batch` sequences that
    have `context` tokens in the cache.

    Moves all weights once and every sequence's keys and values; activations are left
    out, a few numbers beside millions. Raises ValueError for batch or context below 1.
    """
    flops = forward_flops(config, 1, batch, past=context)
    moved = weight_bytes * weights_read(config, batch)
    moved += kv_cache_bytes(config, context, batch, cache_bytes)
    return Step(flops, moved, batch, device)


def prefill_step(
    config: ModelConfig,
    device: Device,
    batch: int = 1,
    positions: int = 1,
    weight_bytes: float | int = 2,
    cache_bytes: float | int = 2,
) -> Step:
    """All tokens of a prompt at once: the weights are still read once, and the cache is written.

    Counts the logits of every position, and causal attention. Activations are left out.
    """
    flops = forward_flops(config, positions, batch, causal=True)
    moved = weight_bytes * weights_read(config, batch * positions)
    moved += kv_cache_bytes(config, positions, batch, cache_bytes)
    return Step(flops, moved, batch * positions, device)


def serving_bytes(
    config: ModelConfig,
    batch: int,
    context: int,
    weight_bytes: float | int = 2,
    cache_bytes: float | int = 2,
) -> float:
    """Weights and caches that must fit into the device's memory."""
    weights = weight_bytes * parameters(config)
    return weights + kv_cache_bytes(config, context, batch, cache_bytes)


def crossover_batch(
    config: ModelConfig,
    device: Device,
    context: int = 1,
    weight_bytes: float | int = 2,
    cache_bytes: float | int = 2,
    most: int = 2**16,
) -> float | int:
    """The smallest batch at which decoding is bound by compute; infinite if none up to `most` is.

    For weights alone it is about peak / bandwidth x bytes / 2. A sequence's own keys and values
    move with it, so a long context can keep decoding bound by memory at any batch.
    """

    def compute_bound(batch: int) -> bool:
        step = decode_step(config, device, batch, context, weight_bytes, cache_bytes)
        return step.bound == "compute"

    if not compute_bound(most):
        return math.inf
    low, high = 0, most  # not bound by compute at `low`, bound at `high`
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if compute_bound(middle) else (middle, high)
    return high


# Utilization of a training run


def mfu(flops_per_token: float | int, tokens_per_second: float | int, peak: float | int) -> float:
    """Model FLOPs utilization: the FLOP/s that the model needs over the peak of the hardware.

    `flops_per_token` counts forward and backward once, however the program computes them.
    Source: Chowdhery et al. (2022), PaLM, appendix B.
    """
    for name, value in (("flops_per_token", flops_per_token), ("peak", peak)):
        require(name, value, "(0, inf)")
    return flops_per_token * tokens_per_second / peak


def hfu(
    flops_per_token: float | int,
    recomputed_per_token: float | int,
    tokens_per_second: float | int,
    peak: float,
) -> float:
    """Hardware FLOPs utilization: the same with what is computed a second time.

    Source: Chowdhery et al. (2022), section 4.1; Korthikanti et al. (2022), section 6.
    """
    return mfu(flops_per_token + recomputed_per_token, tokens_per_second, peak)
