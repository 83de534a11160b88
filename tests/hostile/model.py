"""What no model takes: each of CASES must raise a clear error, or return."""

import math

import numpy as np
import torch

from lib.model import KVCache, LanguageModel, ModelConfig
from lib.model.head_conversion import with_kv_heads
from lib.model.inputs import check_prompt
from lib.model.rope_scaling import LinearScaling, Llama3Scaling, NTKScaling, YarnScaling
from lib.model.routing import RouterConfig

SMALL = dict(vocab_size=11, context_length=16, d_model=12, n_layers=2, n_heads=3, d_ff=20)
VALUES = [None, True, "16", "", math.nan, math.inf, -1, 0, 1.5, 10**30, 1j, [], [3], {}, "a" * 9999]
VALUES += [(1,), np.array([1, 2]), torch.ones(2), object()]
FIELDS = ["vocab_size", "d_model", "n_layers", "n_heads", "n_kv_heads", "d_head", "d_ff", "window"]
FIELDS += ["rope_base", "rope_scaling", "norm", "norm_eps", "activation", "gated", "dropout"]
FIELDS += ["positions", "window_sinks", "attention_softcap", "n_experts", "dense_layers", "router"]
FIELDS += ["nope_layers", "d_rotary", "attention_scale", "initial_std", "tie_embeddings"]
SCALINGS = {LinearScaling: ["factor"], NTKScaling: ["factor"]}
SCALINGS |= {Llama3Scaling: ["low_freq_factor", "original_context_length"]}
SCALINGS |= {YarnScaling: ["beta_fast", "attention_factor"]}
IDS = torch.tensor([[1, 2, 3], [4, 5, 6]])
INPUTS = {
    "a list": [[1, 2, 3]],
    "a text": "abc",
    "none": None,
    "one row": IDS[0],
    "a number": IDS[0, 0],
    "three axes": IDS[None],
    "nothing": IDS[:, :0],
    "no rows": IDS[:0],
    "floats": IDS.float(),
    "flags": IDS > 2,
    "too large": IDS + 9,
    "negative": IDS - 5,
    "too long": IDS.repeat(1, 9),
    "an array": IDS.numpy(),
    "sparse": IDS.to_sparse(),
    "on meta": IDS.to("meta"),
}
MASKS = {
    "floats": torch.ones(2, 3),
    "twos": torch.full((2, 3), 2),
    "complex": torch.ones(2, 3, dtype=torch.complex64),
    "one row": torch.ones(1, 3, dtype=torch.bool),
    "one axis": torch.ones(3, dtype=torch.bool),
    "short": torch.ones(2, 2, dtype=torch.bool),
    "four axes": torch.ones(2, 1, 3, 3, dtype=torch.bool),
    "a list": [[1, 1, 1]],
    "a text": "111",
    "padded right": torch.tensor([[True, True, False]] * 2),
}


def model() -> LanguageModel:
    return LanguageModel(ModelConfig(**SMALL)).eval()


def cached(rows: int, capacity: int) -> None:
    net = model()
    net(IDS, cache=KVCache(net.config, rows, capacity))


CASES = [
    (
        f"ModelConfig({field}={value!r:.20})",
        lambda f=field, v=value: ModelConfig(**(SMALL | {f: v})),
    )
    for field in FIELDS
    for value in VALUES
]
CASES += [
    (f"{kind.__name__}({field}={value!r:.20})", lambda k=kind, f=field, v=value: k(**{f: v}))
    for kind, fields in SCALINGS.items()
    for field in fields
    for value in VALUES
]
CASES += [
    (f"RouterConfig({field}={value!r:.20})", lambda f=field, v=value: RouterConfig(**{f: v}))
    for field in ("gate", "scale", "capacity_factor", "n_groups", "normalize")
    for value in VALUES
]
CASES += [(f"model(ids: {name})", lambda v=value: model()(v)) for name, value in INPUTS.items()]
CASES += [
    (f"check_prompt(ids: {name})", lambda v=value: check_prompt(ModelConfig(**SMALL), v))
    for name, value in INPUTS.items()
]
CASES += [
    (f"model(mask: {name})", lambda v=value: model()(IDS, v)) for name, value in MASKS.items()
]
CASES += [
    (f"check_prompt(mask: {name})", lambda v=value: check_prompt(ModelConfig(**SMALL), IDS, v))
    for name, value in MASKS.items()
]
CASES += [
    ("a cache of other rows", lambda: cached(3, 8)),
    ("a small cache", lambda: cached(2, 2)),
    ("a cache of no room", lambda: cached(2, 0)),
    ("a cache of negative room", lambda: cached(2, -1)),
]
CASES += [
    (f"with_layers({v!r:.20})", lambda v=v: ModelConfig(**SMALL).with_layers(v)) for v in VALUES
]
CASES += [(f"with_kv_heads({v!r:.20})", lambda v=v: with_kv_heads(model(), v)) for v in VALUES]
CASES += [
    (f"attention_steps(layer={v!r:.20})", lambda v=v: model().attention_steps(IDS, v))
    for v in VALUES
]
