"""What no cost and no law takes: each of CASES must raise a clear error, or return."""

import numpy as np

from lib import corpora
from lib.model import ModelConfig
from lib.scaling import fitting, flops, kaplan, memory, quantization, roofline
from tests.hostile.model import SMALL, VALUES, model

CONFIG = ModelConfig(**SMALL)
X = np.array([1.0, 2.0, 4.0, 8.0])
CALLS = {
    "forward_flops(positions)": lambda v: flops.forward_flops(CONFIG, v),
    "forward_flops(batch)": lambda v: flops.forward_flops(CONFIG, 4, v),
    "forward_flops(past)": lambda v: flops.forward_flops(CONFIG, 4, 1, v),
    "training_flops_per_token(positions)": lambda v: flops.training_flops_per_token(CONFIG, v),
    "training_flops_per_token(method)": lambda v: flops.training_flops_per_token(CONFIG, 4, v),
    "kv_cache_bytes(positions)": lambda v: memory.kv_cache_bytes(CONFIG, v),
    "kv_cache_bytes(bytes)": lambda v: memory.kv_cache_bytes(CONFIG, 4, 1, v),
    "activation_bytes(positions)": lambda v: memory.activation_bytes(CONFIG, v),
    "bits_per_weight(bits)": lambda v: quantization.bits_per_weight(v, 32),
    "bits_per_weight(group)": lambda v: quantization.bits_per_weight(8, v),
    "round_weights(bits)": lambda v: quantization.round_weights(model(), v),
    "round_weights(group)": lambda v: quantization.round_weights(model(), 8, v),
    "serving_bytes(batch)": lambda v: roofline.serving_bytes(CONFIG, v, 4),
    "serving_bytes(context)": lambda v: roofline.serving_bytes(CONFIG, 1, v),
    "mfu": lambda v: roofline.mfu(v, 1.0, 1.0),
    "mfu(peak)": lambda v: roofline.mfu(1.0, 1.0, v),
    "loss_of_parameters": kaplan.loss_of_parameters,
    "loss_of_compute": kaplan.loss_of_compute,
    "fit_power_law(x)": lambda v: fitting.fit_power_law(v, X),
    "fit_power_law(y)": lambda v: fitting.fit_power_law(X, v),
    "english": lambda v: corpora.english(v) if type(v) is not int else None,
    "arithmetic(seed)": lambda v: corpora.arithmetic(100, v),
}
CASES = [
    (f"{name}: {value!r:.20}", lambda f=call, v=value: f(v))
    for name, call in CALLS.items()
    for value in VALUES
]
