"""Floating-point operations: of every matrix product, and by the formulas of three papers.

A product of (m, k) and (k, n) takes 2 m k n FLOPs: a multiplication and an addition for each of k
terms. "Exact" means exactly all matrix products; normalizations, activations, softmax, rotations
and biases do a few operations per number and are left out, as in torch's own counter.
"""

from lib.model import ModelConfig
from lib.model.parameters import (
    attention_matrix_parameters,
    block_matrix_parameters,
    feedforward_matrix_parameters,
    parameters,
)
from lib.settings import require, require_choice


def forward_flops_by_part(
    config: ModelConfig,
    positions: int,
    batch: int = 1,
    past: int = 0,
    *,
    causal: bool = False,
) -> dict[str, int]:
    """FLOPs of a forward pass of (batch, positions)
    tokens, `past` more being in the cache.

    `causal` counts only the scores that a query may see; by default a layer scores
    every pair, as the products of a plain implementation do and as torch's counter has
    it. Each token of a model with experts passes through the router and the experts
    chosen for it. Raises ValueError for sizes below 1.
    """
    _check(positions, batch, past)
    tokens, layers = batch * positions, config.n_layers
    matrices = attention_matrix_parameters(config)
    score, value = config.n_heads * config.d_head, config.n_heads * config.value_width
    pairs = sum(
        visible_pairs(positions, past, config.layer_window(i), config.window_sinks)
        if causal
        else positions * keys_read(config, i, positions, past)
        for i in range(layers)
    )
    feedforward = sum(feedforward_matrix_parameters(config, i) for i in range(layers))
    return {
        "query, key, value": 2 * tokens * layers * (matrices - value * config.d_model),
        "attention": 2 * batch * pairs * (score + value),  # Q K^T, and weights times V
        "attention output": 2 * tokens * layers * value * config.d_model,
        "feed-forward": 2 * tokens * feedforward,
        "head": 2 * tokens * config.d_model * config.vocab_size,
    }


def forward_flops(
    config: ModelConfig, positions: int, batch: int = 1, past: int = 0, *, causal: bool = False
) -> int:
    """The sum of `forward_flops_by_part`."""
    return sum(forward_flops_by_part(config, positions, batch, past, causal=causal).values())


def backward_flops(
    config: ModelConfig,
    positions: int,
    batch: int = 1,
    *,
    causal: bool = False,
    fused: bool = False,
) -> int:
    """FLOPs of the backward pass: each product Y = X W needs two, dX = dY W^T and dW = X^T dY.

    A fused attention kernel keeps no scores and computes Q K^T again: five products instead of
    four (Dao et al., 2022, algorithm 4). That is recomputation: hardware does it, the model does
    not need it.
    """
    parts = forward_flops_by_part(config, positions, batch, causal=causal)
    return 2 * sum(parts.values()) + (parts["attention"] // 2 if fused else 0)


def recomputation_flops(
    config: ModelConfig, positions: int, batch: int = 1, *, causal: bool = False
) -> int:
    """What activation checkpointing adds to a step: the forward pass of all blocks once more."""
    parts = forward_flops_by_part(config, positions, batch, causal=causal)
    return sum(parts.values()) - parts["head"]


def visible_pairs(positions: int, past: int = 0, window: int | None = None, sinks: int = 0) -> int:
    """How many (query, key) pairs a causal layer looks at: T (T + 1) / 2 without past and window.

    The query at position q sees min(q + 1, window + sinks) keys.
    """
    most = past + positions if window is None else window + sinks
    growing = max(0, min(past + positions, most) - past)  # queries that still see everything
    seen = growing * past + growing * (growing + 1) // 2
    return seen + (positions - growing) * most


def keys_read(config: ModelConfig, layer: int, positions: int, past: int) -> int:
    """Keys that the queries of one layer are multiplied with: a window's ring holds no others.

    Several positions at once are scored against everything and masked.
    """
    window = config.layer_window(layer)
    if window is None or positions > 1:
        return past + positions
    return min(past + 1, window + config.window_sinks)


# The formulas of three papers, FLOPs per token


def kaplan_forward(config: ModelConfig, positions: int) -> int:
    """2 N + 2 L T d_attn per token, N the matrices of the
    blocks (Kaplan et al., 2020, table 1).

    Leaves out the head, and half of attention: the table counts one of its two T x T
    products. (Both are counted if each token is taken to see T / 2 keys on average.)
    """
    return 2 * block_matrix_parameters(config) + 2 * config.n_layers * positions * (
        config.n_heads * config.d_head
    )


def chinchilla_forward(config: ModelConfig, positions: int) -> int:
    """Appendix F of Hoffmann et al. (2022), per token.

    Counts the embedding as a product with one-hot vectors, 2 V C, which no
    implementation computes, and 3 FLOPs for each number that goes through the softmax.
    The appendix has neither gates nor shared keys; here the matrices are those of the
    model.
    """
    table = 2 * config.vocab_size * config.d_model
    softmax = 3 * config.n_heads * positions
    products = 4 * positions * config.n_heads * config.d_head
    attention = config.n_layers * (softmax + products)
    blocks = 2 * block_matrix_parameters(config) + attention
    return table + blocks + table


def palm_training(config: ModelConfig, positions: int) -> int:
    """6 N + 12 L H Q T per token, N all parameters (Chowdhery et al., 2022, appendix B).

    Counts both products of attention for every pair. N contains the embedding: right where it is
    also the head, too much where it is only looked up.
    """
    attention = 12 * config.n_layers * config.n_heads * config.d_head * positions
    return 6 * parameters(config, active=True) + attention


def training_flops_per_token(config: ModelConfig, positions: int, method: str = "exact") -> float:
    """Forward and backward passes, without recomputation, by one of five methods.

    "6N" leaves out attention's T x T products and the head, "Kaplan" the head and one of
    attention's two products. "Chinchilla" counts the look-up in the embedding as a product, "PaLM"
    too where the head is not tied. "exact" leaves out only what is no matrix product. Raises
    ValueError for another method.
    """
    methods = {
        "6N": lambda: 6 * block_matrix_parameters(config),
        "Kaplan": lambda: 3 * kaplan_forward(config, positions),
        "Chinchilla": lambda: 3 * chinchilla_forward(config, positions),
        "PaLM": lambda: palm_training(config, positions),
        "exact": lambda: 3 * forward_flops(config, positions) / positions,
    }
    require_choice("method", method, methods)
    _check(positions, 1, 0)
    return float(methods[method]())


def _check(positions: int, batch: int, past: int) -> None:
    for name, value, least in (("positions", positions, 1), ("batch", batch, 1), ("past", past, 0)):
        require(name, value, f"[{least}, inf)", whole=True)
