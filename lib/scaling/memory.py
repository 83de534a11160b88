"""Bytes: of weights, training state, the key/value cache and the activations of a training step."""

import math

from lib.model import ModelConfig
from lib.model.cache import kv_elements_per_token
from lib.model.latent_attention import LatentConfig
from lib.model.parameters import parameters
from lib.settings import require

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1, "int4": 0.5}


def training_state_bytes(config: ModelConfig, *, mixed: bool = False) -> dict[str, int]:
    """What AdamW needs for every parameter, before any activation: 16 bytes, one way or the other.

    In float32: weight 4, gradient 4, two running means 4 each. With `mixed` precision the weight
    and the gradient are kept in 16 bits and a float32 copy of the weight joins the running means.
    Source: Rajbhandari et al. (2020), ZeRO, section 3.1.
    """
    count = parameters(config)
    copy = {"float32 copy": 4 * count} if mixed else {}
    size = 2 if mixed else 4
    return {"weights": size * count, "gradients": size * count, "optimizer": 8 * count} | copy


def kv_cache_bytes(
    config: ModelConfig, positions: int, batch: int = 1, bytes_per_number: float | int = 2
) -> int:
    """Keys and values (or latents) of all layers; a layer with a window keeps no more than that.

    Raises ValueError for positions or batch below 1.
    """
    require("positions", positions, "[1, inf)", whole=True)
    require("batch", batch, "[1, inf)", whole=True)
    require("bytes_per_number", bytes_per_number, "(0, inf)")
    kept = 0
    for layer in range(config.n_layers):
        window = config.layer_window(layer)
        kept += positions if window is None else min(positions, window + config.window_sinks)
    return math.ceil(
        kv_elements_per_token(config) // config.n_layers * kept * batch * bytes_per_number
    )


def latent_cache_bytes(
    latent: LatentConfig,
    n_layers: int,
    positions: int,
    batch: int = 1,
    bytes_per_number: float | int = 2,
) -> int:
    """The cache of multi-head latent attention: d_latent + d_rope numbers a token and layer."""
    return math.ceil(latent.cache_elements * n_layers * positions * batch * bytes_per_number)


# Activations: what autograd keeps for the backward pass


KNOWN_ACTIVATIONS = ("relu", "gelu", "gelu_tanh", "silu")


def block_activation_numbers(config: ModelConfig) -> dict[str, int]:
    """float32 numbers that one block keeps of one token,
    with fused attention and no dropout.

    Counted by storage: a tensor that two operations keep, or a view of it, is one.
    Every part is the input of some product or the argument of some nonlinearity:

    * a LayerNorm keeps its input, mean and deviation; our RMSNorm its input, 1 / root
      mean square and the normalized value; the product after it keeps the result
    * attention keeps queries, keys, values, what it gives, and one number to a head to
      compute the softmax again; rotation and QK-norm make copies
    * the feed-forward layer keeps both sides of its activation and, with a gate, of the
      product

    Raises ValueError for dropout, windows, sinks, experts and other options that keep
    more.
    """
    _check_kind(config)
    width, d_head, inner = config.d_model, config.d_head, config.d_ff
    n_query, n_key = config.n_heads, config.n_kv_heads
    projected, rotated = (n_query + 2 * n_key) * d_head, (n_query + n_key) * d_head
    statistics, normalized = (2, 0) if config.norm == "layernorm" else (1, 1)
    attention = projected + n_query + n_query * d_head
    if config.qk_norm:  # per head; then all heads are joined again
        attention += statistics * (n_query + n_key) + normalized * rotated + projected
    if config.positions == "rope":
        attention += rotated
    if n_query > 1 and (config.positions == "rope" or config.qk_norm):
        attention += n_query * d_head  # heads first in memory: merging them is a copy
    both_sides = 1 if config.activation == "relu" else 2  # relu needs only its result
    return {
        "norms": 2 * ((2 + normalized) * width + statistics),
        "attention": attention,
        "feed-forward": (both_sides + (2 if config.gated else 0)) * inner,
    }


def end_activation_bytes(config: ModelConfig, positions: int, batch: int = 1) -> int:
    """What is kept outside the blocks: ids, positions, rotary tables, last norm, log-probabilities.

    The largest by far are the log-probabilities, V numbers a token.
    """
    statistics, normalized = (2, 0) if config.norm == "layernorm" else (1, 1)
    per_token = 4 * ((2 + normalized) * config.d_model + statistics + config.vocab_size)
    ids = 8 * batch * (positions + 1)  # inputs and targets are parts of one window
    if batch > 1:
        ids += 8 * batch * positions  # the targets of several rows are copied to be flat
    tables = {"learned": 8 * positions, "rope": 4 * positions * config.d_head}
    return batch * positions * per_token + ids + tables.get(config.positions, 0) + 4


def activation_bytes(config: ModelConfig, positions: int, batch: int = 1) -> int:
    """float32 activations of `next_token_loss` on (batch, positions + 1) ids, until backward."""
    require("positions", positions, "[1, inf)", whole=True)
    require("batch", batch, "[1, inf)", whole=True)
    block = sum(block_activation_numbers(config).values())
    blocks = 4 * batch * positions * config.n_layers * block
    return blocks + end_activation_bytes(config, positions, batch)


def checkpointed_activation_bytes(
    config: ModelConfig, positions: int, batch: int = 1, segments: int | None = None
) -> int:
    """The same when each of `segments` groups of blocks (None: each block) keeps only its input.

    The most that is kept at one time: all inputs, and either what is kept outside the blocks or
    the activations of the segment that has been computed again. With L layers s + L / s is least
    at s = sqrt(L) if a block's input is as large as what is inside. Source: Chen et al. (2016).
    """
    segments = config.n_layers if segments is None else segments
    if not 1 <= segments <= config.n_layers:
        raise ValueError(f"segments must be in 1 .. {config.n_layers}, got {segments}")
    tokens = batch * positions
    longest = math.ceil(config.n_layers / segments)
    again = 4 * tokens * longest * sum(block_activation_numbers(config).values())
    inputs = 4 * tokens * segments * config.d_model
    return inputs + max(again, end_activation_bytes(config, positions, batch))


def training_peak_bytes(
    config: ModelConfig, positions: int, batch: int, segments: int | None = None
) -> int:
    """The most that a float32 step of AdamW holds at one time, from its second step on.

    Weights and running means are always there, 12 bytes a parameter. On top of them comes the
    largest of what is held

    * where the backward pass begins: activations, and gradients of the logits or of the head
    * where a segment has been computed again: its activations, and the inputs of all segments
    * at its end: all gradients; of a tied embedding three, the head's, its own and their sum

    `segments` as in `recomputed_activations`; None: nothing is recomputed.
    """
    count, tokens = parameters(config), batch * positions
    ends = end_activation_bytes(config, positions, batch)
    ends += 4 * config.vocab_size * max(2 * tokens, config.d_model)
    block = 4 * tokens * sum(block_activation_numbers(config).values())
    if segments is None:
        start, again = config.n_layers * block + ends, 0
    else:
        inputs = 4 * tokens * segments * config.d_model
        start, again = inputs + ends, inputs + math.ceil(config.n_layers / segments) * block
    tied = 8 * config.vocab_size * config.d_model if config.tie_embeddings else 0
    return 12 * count + max(start, again, 4 * count + tied)


def korthikanti_bytes(config: ModelConfig, positions: int, batch: int = 1) -> int:
    """s b h (34 + 5 a s / h) bytes a layer: 16 bits, dropout, attention that stores its weights.

    Source: Korthikanti et al. (2022), equation 2, for GPT's shape (d_ff = 4 d_model, ungated). The
    second term is quadratic in the text's length; a fused kernel does not store it.
    """
    linear = 34 * positions * batch * config.d_model
    quadratic = 5 * config.n_heads * positions**2 * batch
    return config.n_layers * (linear + quadratic)


def _check_kind(config: ModelConfig) -> None:
    more = {
        "dropout": config.dropout,
        "window": config.window is not None,
        "positions='alibi'": config.positions == "alibi",
        "learned_sinks": config.learned_sinks,
        "latent": config.latent is not None,
        "gate_limit": config.gate_limit is not None,
        "attention_softcap": config.attention_softcap,
        "n_experts": config.n_experts,
        "learned_positions": config.learned_positions,
        "scale_embeddings": config.scale_embeddings,
        "norm_unit_offset": config.norm_unit_offset,
        "qk_norm_all_heads": config.qk_norm_all_heads,
        "window_rope_base": config.window_rope_base,
        f"norm={config.norm!r}": config.norm not in ("layernorm", "rmsnorm"),
        f"norm_placement={config.norm_placement!r}": config.norm_placement != "pre",
        f"activation={config.activation!r}": config.activation not in KNOWN_ACTIVATIONS,
    }
    found = [name for name, value in more.items() if value]
    if found:
        raise ValueError(
            f"activations are counted without {', '.join(found)}; "
            "measure them with lib.scaling.observed.observed_activation_bytes"
        )
