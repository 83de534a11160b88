"""Compute, memory and time of any ModelConfig, estimated: the front of the modules beside it.

* `counts`: parameters, and which of them a token is multiplied with
* `flops`: floating-point operations, exact and by three papers' formulas
* `memory`: bytes of weights, training state, cache and activations
"""

from lib.scaling.counts import (
    block_matrix_parameters,
    non_embedding_parameters,
    parameters,
    parameters_by_part,
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

__all__ = [
    "BYTES",
    "LEAVES_OUT",
    "activation_bytes",
    "backward_flops",
    "block_activation_numbers",
    "block_matrix_parameters",
    "checkpointed_activation_bytes",
    "chinchilla_forward",
    "end_activation_bytes",
    "forward_flops",
    "forward_flops_by_part",
    "kaplan_forward",
    "korthikanti_bytes",
    "kv_cache_bytes",
    "latent_cache_bytes",
    "non_embedding_parameters",
    "palm_training",
    "parameters",
    "parameters_by_part",
    "recomputation_flops",
    "training_flops_per_token",
    "training_state_bytes",
    "visible_pairs",
]
