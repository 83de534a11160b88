"""Query, key, value: one head of a model at work, step by step, on a text that the reader types.

`qkv_explorer(model, tokenizer)` shows, for one query token, its query against every key: scores,
scaled, masked, softmax, and the values mixed by the weights; below, all heads of the layer side by
side. The scale, the mask, the window and one component of the query can be moved. Besides the model
there is the toy of `lib.model.toy`, whose numbers can be followed by hand.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import torch

from lib.display import visible
from lib.model import LanguageModel
from lib.model.inspection import layer_steps
from lib.settings import require_kind
from lib.tokenization import BPETokenizer
from lib.widgets.choices import Dropdown, TextInput, Toggle
from lib.widgets.controls import FloatSlider, IntSlider
from lib.widgets.explorer import Explorer
from lib.widgets.pictures import DrawingPicture
from lib.widgets.qkv_drawing import WIDTH, qkv_drawing
from lib.widgets.qkv_steps import Layer, State, attend, toy_layer
from lib.widgets.tasks import Task

MOST_TOKENS = 14
TASKS = (
    Task("The scale is set to 0. What must the weights become?", {"scale": 0.0}),
    Task("The window is set to 3. Where does the weight go without Keller?", {"window": 3}),
    Task("Head 8 instead of head 6. What does the last token look at?", {"head": 8}),
)


class Source:
    """Layers of whatever the state names; a text is run through the model once."""

    def __init__(self, model: LanguageModel, tokenizer: BPETokenizer):
        require_kind("model", model, LanguageModel)
        require_kind("tokenizer", tokenizer, BPETokenizer)
        config = model.config
        if config.window or config.learned_sinks or config.attention_softcap:
            raise ValueError("the widget shows attention without windows, sinks and soft-caps")
        if config.positions == "alibi":
            raise ValueError("the widget shows attention without ALiBi")
        self.model, self.tokenizer, self.toy = model, tokenizer, toy_layer()
        self._layers = lru_cache(maxsize=16)(self._run)

    def layer(self, state: State) -> Layer:
        """The layer that the state names."""
        return self.toy if state.source == "toy" else self._layers(state.text)[state.layer]

    def n_layers(self, state: State) -> int:
        """How many layers there are to choose from."""
        return 1 if state.source == "toy" else len(self.model.blocks)

    def _run(self, text: str) -> list[Layer]:
        ids = self.tokenizer.encode(text) or [0]  # an empty text still shows something
        shown = ids[:MOST_TOKENS]
        names = tuple(visible(self.tokenizer.decode([i])) for i in shown)
        layers = []
        for steps in layer_steps(self.model, torch.tensor([shown])):
            shared = steps.query.shape[1] // steps.key.shape[1]
            key, value = (t[0].repeat_interleave(shared, 0) for t in (steps.key, steps.value))
            heads = (t.float() for t in (steps.query[0], key, value))
            layers.append(Layer(names, len(ids) - len(shown), *heads))
        return layers


def describe(layer: Layer, state: State) -> str:
    """The values of the picture in words."""
    row, _ = attend(layer, state)
    best = int(row.weights.argmax())
    i, d_head = state.component, layer.query.shape[-1]
    part = row.query[i] * layer.key[state.head, best, i]
    cut = f" Only the first {len(layer.tokens)} tokens are shown." if layer.left_out else ""
    return (
        f"The query of “{layer.tokens[state.query]}” puts {row.weights[best]:.0%} of its weight on "
        f"“{layer.tokens[best]}”: score {row.scores[best]:.2f}, times {state.scale:g}/√{d_head} "
        f"is {row.scaled[best]:.2f}. Component {i} of the query is {row.query[i]:.2f}; it adds "
        f"{part:+.2f} to that score.{cut}"
    )


def first_state(source: Source) -> State:
    """The usual state, or the nearest to it that a smaller model has."""
    usual = State()
    state = replace(usual, layer=min(usual.layer, source.n_layers(usual) - 1))
    heads, tokens, width = source.layer(state).query.shape
    return replace(
        state,
        head=min(usual.head, heads - 1),
        query=min(usual.query, tokens - 1),
        component=min(usual.component, width - 1),
    )


def qkv_explorer(
    model: LanguageModel, tokenizer: BPETokenizer, state: State | None = None
) -> Explorer:
    """The widget. Raises ValueError for a model whose attention it does not show."""
    source = Source(model, tokenizer)
    state = first_state(source) if state is None else state
    require_kind("state", state, State)

    def last(name: str, dimension: int) -> Callable[[State], int]:
        return lambda state: getattr(source.layer(state), name).shape[dimension] - 1

    def left_out(state: State) -> str:
        layer = source.layer(state)
        cut = f"Only the first {len(layer.tokens)} tokens are shown, {layer.left_out} are cut."
        return cut if layer.left_out else ""

    return Explorer(
        state,
        [
            TextInput("text", "text", "What the model reads.", max_length=80, cut=left_out),
            IntSlider(
                "layer", "layer", "Layer 0 comes first.", 0, lambda s: source.n_layers(s) - 1
            ),
            IntSlider("step", "step", "How far to unfold.", 1, 6, "of 6", play_ms=1200),
            FloatSlider("scale", "scale", "Times 1/√d; 1 is usual.", 0.0, 8.0, step=0.1),
            IntSlider(
                "window",
                "window",
                "0: none; else how many tokens back, itself included.",
                0,
                lambda s: len(source.layer(s).tokens),
                "tokens",
            ),
            Toggle("causal", "causal mask", "Hides keys after the query."),
            IntSlider("query", "query token", "Whose query it is.", 0, last("query", 1)),
            IntSlider("head", "head", "One head of this layer.", 0, last("query", 0)),
            Dropdown(
                "source",
                "heads of",
                "A trained model, or the toy of four words.",
                [("the model, on your text", "model"), ("the toy", "toy")],
            ),
            IntSlider("component", "component of q", "The orange one.", 0, last("query", 2)),
            FloatSlider("shift", "add to it", "Added to this one.", -8.0, 8.0, step=0.25),
        ],
        DrawingPicture(lambda state: qkv_drawing(source.layer(state), state), WIDTH),
        lambda state: describe(source.layer(state), state),
        TASKS if source.layer(state).query.shape[0] > 8 else (),
    )
