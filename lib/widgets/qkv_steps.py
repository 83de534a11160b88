"""The numbers behind the query-key-value widget: its State, and attention with moved knobs."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.model.attention import attention_steps
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
    query: Float[Tensor, "H T D"]
    key: Float[Tensor, "H T D"]
    value: Float[Tensor, "H T D"]


@dataclass(frozen=True)
class Row:
    """One query's way through attention: five numbers for each key, and what comes out."""

    query: Float[Array, "D"]
    scores: Float[Array, "T"]
    scaled: Float[Array, "T"]
    masked: Float[Array, "T"]
    weights: Float[Array, "T"]
    output: Float[Array, "D"]


def visible_keys(n: int, state: State) -> Bool[Tensor, "T T"]:
    """(query, key): True where the state's mask and window let a query look."""
    positions = torch.arange(n)
    distance = positions[:, None] - positions[None, :]
    seen = distance >= 0 if state.causal else torch.ones(n, n, dtype=torch.bool)
    return seen & (distance.abs() < state.window) if state.window else seen


def attend(layer: Layer, state: State) -> tuple[Row, Float[Array, "H T T"]]:
    """The chosen head's row step by step, and the weights of all heads and queries."""
    query = layer.query.clone()
    query[state.head, state.query, state.component] += state.shift
    steps = attention_steps(
        query[None],
        layer.key[None],
        layer.value[None],
        mask=visible_keys(len(layer.tokens), state)[None, None],
        scale=state.scale / math.sqrt(query.shape[-1]),
    )
    at = (0, state.head, state.query)
    parts = (steps.query, steps.scores, steps.scaled, steps.masked, steps.weights)
    row = Row(*(part[at].numpy() for part in (*parts, steps.head_output)))
    return row, steps.weights[0].numpy()


def toy_layer() -> Layer:
    """The four-word toy as a layer of two heads."""
    toy = color_toy()
    query, key, value = (tensor[0] for tensor in toy.project())
    return Layer(toy.words, 0, query, key, value)
