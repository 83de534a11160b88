"""Parts of a config.json that many kinds of model share: rotary positions, windows, activations."""

from typing import Any

from lib.model.config import RANGES
from lib.model.rope_scaling import LinearScaling, Llama3Scaling, Scaling, YarnScaling
from lib.settings import require, shortened

SLIDING = "sliding_attention"
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}


def take(left: dict, name: str, kind: type, default: Any = None) -> Any:
    """Take a setting out of `left`; null is the default. ValueError if it is of another type."""
    value = left.pop(name, None)
    if value is None:
        return default
    if not isinstance(value, kind):
        words = {dict: "an object", list: "a list", bool: "true or false", int: "a whole number"}
        raise ValueError(f"{name} must be {words[kind]}, got {shortened(value)}")
    return value


def layer_count(left: dict, name: str = "num_hidden_layers") -> int:
    """The number of layers, checked before anything loops over them; it stays in `left`."""
    require(name, left[name], RANGES["n_layers"], whole=True)
    return left[name]


def windows(kinds: list[str], window: int | None) -> tuple[int | None, ...] | None:
    """The window of each layer from the names of their kinds; None if no layer has one."""
    known = {"full_attention": None, SLIDING: window}
    unknown = [kind for kind in kinds if not isinstance(kind, str) or kind not in known]
    if unknown:
        raise ValueError(f"layer_types={unknown[:1]} is not supported, only {list(known)}")
    found = tuple(known[kind] for kind in kinds)
    return found if any(value is not None for value in found) else None


def qwen_windows(left: dict) -> tuple[int | None, ...] | None:
    """Windows if `use_sliding_window` says so: by `layer_types`, or from `max_window_layers` on."""
    switched_on = take(left, "use_sliding_window", bool, False)
    window, first = left.pop("sliding_window", None), take(left, "max_window_layers", int, 28)
    kinds = take(left, "layer_types", list)
    if not switched_on or window is None:
        if SLIDING in (kinds or ()):
            raise ValueError("layer_types names sliding_attention, but no window is switched on")
        return windows(kinds or [], None)
    if kinds is None:
        kinds = [SLIDING if i >= first else "full_attention" for i in range(layer_count(left))]
    return windows(kinds, window)


def rope(left: dict) -> tuple[float, Scaling | None]:
    """The base and scaling, from the new (`rope_parameters`) or the old spelling, which wins."""
    found = {"rope_theta": left.pop("rope_theta", 10_000.0)}
    old, new = take(left, "rope_scaling", dict), take(left, "rope_parameters", dict)
    found |= old or new or {}
    base, kind = found.pop("rope_theta"), found.pop("type", "default")
    require("rope_theta", base, RANGES["rope_base"])
    kind = found.pop("rope_type", kind)
    if kind == "llama3":
        scaling = Llama3Scaling(
            factor=found.pop("factor"),
            low_freq_factor=found.pop("low_freq_factor"),
            high_freq_factor=found.pop("high_freq_factor"),
            original_context_length=found.pop("original_max_position_embeddings"),
        )
    elif kind == "yarn":
        names = ("factor", "beta_fast", "beta_slow", "attention_factor", "truncate")
        given = {name: found.pop(name) for name in names if found.get(name) is not None}
        length = found.pop("original_max_position_embeddings")
        scaling = YarnScaling(**given, original_context_length=length)
    elif kind == "linear":
        scaling = LinearScaling(found.pop("factor"))
    elif kind == "default":
        scaling = None
    else:
        known = "'default', 'linear', 'llama3' and 'yarn'"
        raise ValueError(f"rope_type={kind!r} is not supported, only {known}")
    if found:
        raise ValueError(f"rotary settings {sorted(found)} are not supported")
    return float(base), scaling


def activation(name: str) -> str:
    """Our name of an activation."""
    if not isinstance(name, str) or name not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ValueError(f"activation {name!r} is not supported, only {known}")
    return ACTIVATIONS[name]
