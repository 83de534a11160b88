"""What a model is made of: each part with its parameters and widths, read off the model itself.

The model is built on torch's meta device, one layer with experts and one without, and its shapes
are recorded in a forward pass. No number is typed in here.
"""

import functools
from collections import Counter
from dataclasses import dataclass, field

from lib.diagrams.diagram import thousands
from lib.model import ModelConfig
from lib.model.feedforward import GATED_FORMS
from lib.model.shape_tracing import meta_model, record_shapes

POSITIONS = 7  # of the trace; any number does
NORMS = {
    "layernorm": "LayerNorm",
    "rmsnorm": "RMSNorm",
    "batchnorm": "BatchNorm",
    "dynamic_tanh": "Dynamic Tanh",
}


@dataclass(frozen=True)
class Part:
    """A box: its name, what is said of it, how many parameters it has in one layer."""

    kind: str
    title: str
    parameters: int
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerKind:
    """What layers may differ in. `window` is None where every position is seen."""

    window: int | None
    rotates: bool
    experts: bool


@dataclass(frozen=True)
class Anatomy:
    """A whole model: boxes by name, the widths between them, and which layer is of which kind."""

    config: ModelConfig
    parts: dict[str, Part]
    widths: dict[str, int] = field(hash=False)
    kinds: tuple[LayerKind, ...]  # of each layer
    total: int


def layer_kinds(config: ModelConfig) -> tuple[LayerKind, ...]:
    """The kind of each layer."""
    rotary = config.positions == "rope"
    return tuple(
        LayerKind(
            config.layer_window(i), rotary and i not in config.nope_layers, config.has_experts(i)
        )
        for i in range(config.n_layers)
    )


@functools.lru_cache(maxsize=64)
def anatomy(config: ModelConfig) -> Anatomy:
    """Build one layer with experts and one without, where there are both, and read them off.

    Windows and rotations change no shape and no parameter, so that they need no layer of their own.
    """
    kinds = layer_kinds(config)
    first = {kind.experts: kind for kind in reversed(kinds)}
    counts = Counter(kind.experts for kind in kinds)
    parts: dict[str, Part] = {}
    widths: dict[str, int] = {}
    total, outside = 0, 0
    for kind in dict.fromkeys(kinds):
        if kind != first[kind.experts]:
            continue
        model = meta_model(_one_layer(config, kind))
        shapes = record_shapes(model, 1, POSITIONS)
        sizes = Counter()
        for name, weight in model.named_parameters():
            sizes[name.rpartition(".")[0].replace("blocks.0", "block")] += weight.numel()
        block = sum(n for name, n in sizes.items() if name.startswith("block."))
        outside = sum(sizes.values()) - block
        total += counts[kind.experts] * block
        for name, part in _parts(config, dict(shapes), sizes, kind, kinds).items():
            parts.setdefault(name, part)
        widths.update({name: shape[-1] for name, shape in shapes})
    return Anatomy(config, parts, widths, kinds, total + outside)


def _one_layer(config: ModelConfig, kind: LayerKind) -> ModelConfig:
    changes: dict = dict(n_layers=1, window=kind.window)
    if kind.window is None:
        changes |= dict(window_rope_base=None, window_sinks=0)
    changes["nope_layers"] = (0,) if config.positions == "rope" and not kind.rotates else ()
    if config.n_experts is not None:
        changes["dense_layers"] = () if kind.experts else (0,)
    return config.replace(**changes)


def _parts(
    config: ModelConfig,
    shapes: dict[str, tuple[int, ...]],
    sizes: Counter,
    kind: LayerKind,
    kinds: tuple[LayerKind, ...],
) -> dict[str, Part]:
    def below(prefix: str) -> int:
        return sum(n for name, n in sizes.items() if (name + ".").startswith(prefix + "."))

    vocabulary, width = config.vocab_size, shapes["embedding"][-1]
    table = f"{thousands(vocabulary)} × {thousands(width)}"
    parts = {"embedding": Part("embedding", "Embedding", sizes["embedding"], (table,))}
    if "position" in shapes:
        rows = f"{thousands(config.context_length)} × {thousands(width)}"
        learned = bool(sizes["position"])
        title = "Learned positions" if learned else "Sine positions"
        parts["position"] = Part(
            "embedding", title, sizes["position"], (rows,) if learned else ("computed",)
        )
    for name in shapes:
        if name.endswith("_norm") and name.count(".") < 2 and name in sizes:
            parts[name] = Part("norm", NORMS[config.norm], sizes[name])
    parts["attention"] = Part(
        "attention", "Attention", below("block.attention"), _attention(config, shapes, kinds)
    )
    if kind.experts:
        parts["experts"] = Part(
            "feedforward", "Experts", below("block.feedforward"), _experts(config, shapes, sizes)
        )
    else:
        parts["feedforward"] = Part(
            "feedforward", "Feed-forward", below("block.feedforward"), _feedforward(config, shapes)
        )
    tied = ("tied: the embedding's matrix",) if config.tie_embeddings else (table,)
    head = 0 if config.tie_embeddings else sizes["head"]
    return parts | {"head": Part("head", "Head", head, tied)}


def _attention(
    config: ModelConfig, shapes: dict[str, tuple[int, ...]], kinds: tuple[LayerKind, ...]
) -> tuple[str, ...]:
    _, heads, _, width = shapes["block.attention: query"]
    key_heads = shapes["block.attention: key"][1]
    if config.latent is not None:
        return _latent(config, shapes)
    shared = f", {key_heads} key head{'s' * (key_heads > 1)}" if key_heads < heads else ""
    lines = [f"{heads} head{'s' * (heads > 1)} of {width}{shared}"]
    if config.positions == "rope":
        part = f" on {config.d_rotary} of {width}" if config.d_rotary else ""
        lines.append(f"rotary{part}, base {config.rope_base:,.0f}")
    elif config.positions in ("alibi", "none"):
        lines.append({"alibi": "ALiBi", "none": "no positions"}[config.positions])
    without = sum(not kind.rotates for kind in kinds)
    if config.positions == "rope" and without:
        lines.append(f"no positions in {without} of {len(kinds)} layers")
    windows = Counter(kind.window for kind in kinds if kind.window is not None)
    for window, count in windows.items():
        where = "" if count == len(kinds) else f" in {count} of {len(kinds)} layers"
        lines.append(f"window of {thousands(window)}{where}")
    extras = {
        "QK-norm over all heads": config.qk_norm_all_heads,
        "QK-norm": config.qk_norm and not config.qk_norm_all_heads,
        "a learned sink a head": config.learned_sinks,
        f"{config.window_sinks} first tokens kept": config.window_sinks,
        f"scores capped at {config.attention_softcap}": config.attention_softcap,
        "biases": config.attention_bias and config.output_bias,
        "biases on Q, K, V": config.attention_bias and not config.output_bias,
        "bias on the output": config.output_bias and not config.attention_bias,
    }
    return (*lines, *(text for text, there in extras.items() if there))


def _latent(config: ModelConfig, shapes: dict[str, tuple[int, ...]]) -> tuple[str, ...]:
    """The cache keeps one latent and one rotary key for all heads."""
    latent = shapes["block.attention.latent_norm"][-1]
    rotary = shapes["block.attention.latent_down"][-1] - latent
    heads, width = shapes["block.attention: query"][1::2]
    value = shapes["block.attention: value"][-1]
    query = shapes.get("block.attention.query_norm")
    return (
        f"{heads} heads of {width}, values of {value}",
        f"latent of {latent} and rotary key of {rotary}",
        *([f"queries from a latent of {thousands(query[-1])}"] if query else []),
        f"rotary, base {config.rope_base:,.0f}",
    )


def _form(config: ModelConfig) -> str:
    names = {activation: name for name, activation in GATED_FORMS.items()}
    names |= {"gelu_tanh": "GEGLU", "gelu_sigmoid": "GEGLU"}
    if config.gate_limit is not None:
        return f"gate clamped at {config.gate_limit:g}"
    plain = {"gelu_tanh": "GELU", "gelu": "GELU", "relu": "ReLU", "silu": "SiLU"}
    table = names if config.gated else plain
    return table.get(config.activation, config.activation.replace("_", " "))


def _feedforward(config: ModelConfig, shapes: dict[str, tuple[int, ...]]) -> tuple[str, ...]:
    inner = shapes["block.feedforward.up"][-1]
    biases = ("biases",) if config.feedforward_bias else ()
    return (f"{thousands(inner)} wide, {_form(config)}", *biases)


def _experts(
    config: ModelConfig, shapes: dict[str, tuple[int, ...]], sizes: Counter
) -> tuple[str, ...]:
    n_experts = shapes["block.feedforward.router"][-1]
    inner = shapes["block.feedforward.experts.0.up"][-1]
    one = sum(n for name, n in sizes.items() if name.startswith("block.feedforward.experts.0."))
    shared = sum(n for name, n in sizes.items() if name.startswith("block.feedforward.shared."))
    router = sizes["block.feedforward.router"]
    used = router + config.n_active_experts * one + shared
    lines = [f"{n_experts} of {thousands(inner)}, {_form(config)}"]
    lines.append(f"{config.n_active_experts} active in each token")
    if shared:
        lines.append(f"{config.n_shared_experts} shared by all tokens")
    lines.append(f"router: {config.router.gate}" + (", with bias" if config.router.bias else ""))
    if config.router.n_groups > 1:
        lines.append(f"in {config.router.n_active_groups} of {config.router.n_groups} groups")
    return (*lines, f"a token uses {thousands(used)}")
