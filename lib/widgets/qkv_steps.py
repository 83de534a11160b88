"""The numbers behind the query-key-value widget: its State, and attention with moved knobs."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lib.model.toy import color_toy

TEXT = "My name is Anna Keller. I am Anna"
Array = np.ndarray


@dataclass(frozen=True)
class State:
    """What the widget shows. `window` 0 means none; `shift` is added to one component of q."""

    source: str = "model"
    text: str = TEXT
    step: int = 6
    layer: int = 18
    head: int = 6
    query: int = 8
    scale: float = 1.0
    causal: bool = True
    window: int = 0
    component: int = 50
    shift: float = 0.0


@dataclass(frozen=True)
class Layer:
    """What one layer's heads have of a text; keys and values repeated for every query head."""

    tokens: tuple[str, ...]
    left_out: int  # tokens of the text that find no room
    query: Float[Array, "H T D"]
    key: Float[Array, "H T D"]
    value: Float[Array, "H T D"]


@dataclass(frozen=True)
class Row:
    """One query's way through attention: five numbers for each key, and what comes out."""

    query: Float[Array, "D"]
    scores: Float[Array, "T"]
    scaled: Float[Array, "T"]
    masked: Float[Array, "T"]
    weights: Float[Array, "T"]
    output: Float[Array, "D"]


def softmax(scores: Float[Array, "... T"]) -> Float[Array, "... T"]:
    """Over the last dimension."""
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def visible_keys(n: int, state: State) -> Array:
    """(query, key): True where the state's mask and window let a query look."""
    distance = np.arange(n)[:, None] - np.arange(n)[None, :]
    seen = distance >= 0 if state.causal else np.ones((n, n), dtype=bool)
    return seen & (np.abs(distance) < state.window) if state.window else seen


def attend(layer: Layer, state: State) -> tuple[Row, Float[Array, "H T T"]]:
    """The chosen head's row step by step, and the weights of all heads and queries."""
    query = layer.query.copy()
    query[state.head, state.query, state.component] += state.shift
    d_head, n = query.shape[-1], len(layer.tokens)
    scores = query @ layer.key.transpose(0, 2, 1)
    scaled = scores * state.scale / math.sqrt(d_head)
    masked = np.where(visible_keys(n, state), scaled, -np.inf)
    weights = softmax(masked)
    at = (state.head, state.query)
    output = weights[at] @ layer.value[state.head]
    return Row(query[at], scores[at], scaled[at], masked[at], weights[at], output), weights


def toy_layer() -> Layer:
    """The four-word toy as a layer of two heads."""
    toy = color_toy()
    query, key, value = (tensor[0].numpy() for tensor in toy.project())
    return Layer(toy.words, 0, query, key, value)
