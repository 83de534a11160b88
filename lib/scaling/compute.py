"""Compute, memory and time of any ModelConfig, estimated: the front of the modules beside it.

* `counts`: parameters, and which of them a token is multiplied with
* `flops`: floating-point operations, exact and by three papers' formulas
* `memory`: bytes of weights, training state, cache and activations
* `devices`: peaks and bandwidths, of a table and of this machine
* `roofline`: latency and throughput, which limit holds, and utilization
* `quantization`: weights in 8 and 4 bits
* `observed`: what torch's own counter and hooks say
* `peaks`: the peak memory of a training step, predicted and measured
"""

from lib.scaling.counts import (
    block_matrix_parameters,
    non_embedding_parameters,
    parameters,
    parameters_by_part,
)
from lib.scaling.devices import (
    DEVICES,
    Device,
    measured_bandwidth,
    measured_flops,
    seconds,
    this_machine,
    time_ratio,
)
from lib.scaling.flops import (
    LEAVES_OUT,
    backward_flops,
    chinchilla_forward,
    forward_flops,
    forward_flops_by_part,
    kaplan_forward,
    palm_training,
    recomputation_flops,
    training_flops_per_token,
    visible_pairs,
)
from lib.scaling.memory import (
    BYTES,
    activation_bytes,
    block_activation_numbers,
    checkpointed_activation_bytes,
    end_activation_bytes,
    korthikanti_bytes,
    kv_cache_bytes,
    latent_cache_bytes,
    training_state_bytes,
)
from lib.scaling.observed import (
    observed_activation_bytes,
    observed_flops,
    shapes_only,
)
from lib.scaling.peaks import (
    measured_peak_bytes,
    training_peak_bytes,
)
from lib.scaling.quantization import (
    Int8Linear,
    bits_per_weight,
    dequantize,
    quantize,
    round_weights,
    use_int8,
)
from lib.scaling.roofline import (
    Step,
    attainable_flops,
    crossover_batch,
    decode_step,
    hfu,
    mfu,
    prefill_step,
    serving_bytes,
    weights_read,
)

__all__ = [
    "BYTES",
    "DEVICES",
    "LEAVES_OUT",
    "Device",
    "Int8Linear",
    "Step",
    "activation_bytes",
    "attainable_flops",
    "backward_flops",
    "bits_per_weight",
    "block_activation_numbers",
    "block_matrix_parameters",
    "checkpointed_activation_bytes",
    "chinchilla_forward",
    "crossover_batch",
    "decode_step",
    "dequantize",
    "end_activation_bytes",
    "forward_flops",
    "forward_flops_by_part",
    "hfu",
    "kaplan_forward",
    "korthikanti_bytes",
    "kv_cache_bytes",
    "latent_cache_bytes",
    "measured_bandwidth",
    "measured_flops",
    "measured_peak_bytes",
    "mfu",
    "non_embedding_parameters",
    "observed_activation_bytes",
    "observed_flops",
    "palm_training",
    "parameters",
    "parameters_by_part",
    "prefill_step",
    "quantize",
    "recomputation_flops",
    "round_weights",
    "seconds",
    "serving_bytes",
    "shapes_only",
    "this_machine",
    "time_ratio",
    "training_flops_per_token",
    "training_peak_bytes",
    "training_state_bytes",
    "use_int8",
    "visible_pairs",
    "weights_read",
]
