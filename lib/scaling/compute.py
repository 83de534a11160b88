"""Compute, memory and time of any ModelConfig, estimated: the front of the modules beside it.

* `counts`: parameters, and which of them a token is multiplied with
* `flops`: floating-point operations, exact and by three papers' formulas
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

__all__ = [
    "LEAVES_OUT",
    "backward_flops",
    "block_matrix_parameters",
    "chinchilla_forward",
    "forward_flops",
    "forward_flops_by_part",
    "kaplan_forward",
    "non_embedding_parameters",
    "palm_training",
    "parameters",
    "parameters_by_part",
    "recomputation_flops",
    "training_flops_per_token",
    "visible_pairs",
]
