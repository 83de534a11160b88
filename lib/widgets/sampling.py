"""The sampling widget: SmolLM2's next-token distribution, and what each setting makes of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import ipywidgets
import torch
from torch import Tensor

from lib.display import Drawing, visible
from lib.generation.config import RANGES, GenerationConfig
from lib.generation.logits import History
from lib.generation.measures import Step, follow
from lib.model import LanguageModel
from lib.model.inputs import check_prompt
from lib.settings import require_kind, shortened
from lib.tokenization import BPETokenizer
from lib.widgets.choices import Button, Reorder, TextInput
from lib.widgets.controls import Act, Control, FloatSlider, IntSlider, within
from lib.widgets.explorer import Explorer
from lib.widgets.pictures import DrawingPicture
from lib.widgets.sampling_picture import WIDTH, picture

PROMPTS = (
    "My favorite food is",
    "The capital of France is",
    "Once upon a time there was",
    "2 + 2 =",
)
# Penalties come first: here only what makes or cuts a distribution is put in order.
PENALTIES = ("repetition_penalty", "presence_penalty", "frequency_penalty")
ORDER = ("temperature", "top_n_sigma", "top_k", "top_p", "min_p", "typical_p")


@dataclass(frozen=True)
class State:
    """The prompt, the ids stepped to after it, the settings, and how often to draw."""

    prompt: str = PROMPTS[0]
    new_ids: tuple[int, ...] = ()
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    top_n_sigma: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    order: tuple[str, ...] = ORDER
    draws: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.new_ids, tuple) or any(type(i) is not int for i in self.new_ids):
            raise ValueError(f"new_ids must be a tuple of ids, got {shortened(self.new_ids)}")
        if not isinstance(self.order, tuple) or sorted(map(str, self.order)) != sorted(ORDER):
            raise ValueError(f"order must name {ORDER} once each, got {shortened(self.order)}")

    @property
    def config(self) -> GenerationConfig:
        """The settings, as `generate` would take them."""
        names = (*PENALTIES, *ORDER)
        settings = {name: getattr(self, name) for name in names}
        return GenerationConfig(do_sample=True, order=(*PENALTIES, *self.order), **settings)


def sampling_explorer(
    model: LanguageModel, tokenizer: BPETokenizer, prompt: str = PROMPTS[0]
) -> Explorer:
    """The next-token distribution after a text that the reader types, under settings they move.

    An empty text begins after the tokenizer's end-of-text token.
    """
    require_kind("model", model, LanguageModel)
    require_kind("tokenizer", tokenizer, BPETokenizer)

    @lru_cache(maxsize=64)
    def ids_of(prompt: str, new_ids: tuple[int, ...]) -> tuple[Tensor, int]:
        start = tokenizer.encode(prompt) or [tokenizer.eos_id or 0]
        ids = torch.tensor([[*start, *new_ids]])
        check_prompt(model.config, ids)
        return ids, len(start)

    @lru_cache(maxsize=64)
    @torch.inference_mode()
    def next_logits(prompt: str, new_ids: tuple[int, ...]) -> Tensor:
        ids, _ = ids_of(prompt, new_ids)
        return model.unembed(model.hidden(ids)[:, -1]).float()

    @lru_cache(maxsize=8)
    @torch.inference_mode()
    def steps(state: State) -> list[Step]:
        history = History(*ids_of(state.prompt, state.new_ids))
        return follow(next_logits(state.prompt, state.new_ids), state.config, history)

    @lru_cache(maxsize=8)
    def counts(state: State) -> Tensor:
        p = steps(state)[-1].logits.softmax(dim=-1)[0]
        generator = torch.Generator().manual_seed(int(state.seed))
        drawn = torch.multinomial(p, max(state.draws, 1), replacement=True, generator=generator)
        return torch.bincount(drawn, minlength=len(p))

    def step_forward(state: State) -> State:
        token = counts(replace(state, draws=1, seed=state.seed + len(state.new_ids))).argmax()
        room = model.config.context_length - ids_of(state.prompt, ())[1]
        if len(state.new_ids) >= min(room, 40):
            return state
        return replace(state, new_ids=(*state.new_ids, int(token)))

    def describe(state: State) -> str:
        first, last = steps(state)[0], steps(state)[-1]
        best = int(last.logits.argmax())
        share = last.logits.softmax(dim=-1)[0, best].item()
        left = "1 token" if last.tokens == 1 else f"{last.tokens:,} tokens"
        return (
            f"The model alone: entropy {first.entropy:.2f} nats, like "
            f"{math.exp(first.entropy):.1f} equal tokens. After the settings: {left}, entropy "
            f"{last.entropy:.2f}, like {math.exp(last.entropy):.1f}; the likeliest is "
            f"“{label(tokenizer, best)}” with {share:.0%}."
        )

    def draw(state: State) -> Drawing:
        text = tokenizer.decode(state.new_ids)
        drawn = counts(state) if state.draws else None
        name = partial(label, tokenizer)
        moved = (state.temperature, state.top_p)
        return picture(steps(state), drawn, state.draws, state.prompt, text, name, *moved)

    return Explorer(State(prompt), controls(step_forward), DrawingPicture(draw, WIDTH), describe)


def controls(step_forward: Callable[[State], State]) -> list[Control]:
    """All that a reader can move."""
    back = "Takes the last token away again."
    shorter = lambda state: replace(state, new_ids=state.new_ids[:-1])  # noqa: E731
    again = lambda state: replace(state, seed=state.seed + 1000)  # noqa: E731
    return [
        Prompt("prompt", "text", "Press Enter when done.", 200, examples=PROMPTS),
        Button("forward", "Next token", "Draws one token and adds it to the text.", step_forward),
        Button("back", "Back", back, shorter),
        slider("temperature", "temperature", "Divides the logits.", low=0.1, high=3, step=0.05),
        slider("top_k", "top_k", "Keeps the k likeliest; 0 is off.", high=200, unit="tokens"),
        slider("top_p", "top_p", "Keeps this much probability; 1 is off.", step=0.05),
        slider("min_p", "min_p", "Least share of the likeliest's; 0 is off.", step=0.01),
        slider("typical_p", "typical_p", "Surprise near entropy; 1 is off.", step=0.05),
        slider("top_n_sigma", "top_n_sigma", "Deviations below the top; 0 is off.", high=4),
        slider("repetition_penalty", "repetition", "Divides seen logits; 1 is off.", 1, 2),
        slider("presence_penalty", "presence", "Once for each token added.", -2, 2),
        slider("frequency_penalty", "frequency", "For each time it was added.", -2, 2),
        Reorder("order", "order of application", "Only what is switched on is applied."),
        IntSlider("draws", "draws", "Watch frequencies meet probabilities.", 0, 5000),
        Button("again", "Draw anew", "Other random numbers.", again),
    ]


def slider(
    name: str,
    label: str,
    explain: str,
    low: float | int | None = None,
    high: float | int | None = None,
    step: float | int = 0.1,
    unit: str = "",
) -> Control:
    """A slider for a setting, in the setting's own range or a nearer `low` and `high`."""
    limits = within(RANGES[name], low, high, step)
    if GenerationConfig.__dataclass_fields__[name].type in (int, int | None):
        return IntSlider(name, label, explain, *limits, unit)
    return FloatSlider(name, label, explain, *limits, unit, step)


@dataclass(frozen=True)
class Prompt(TextInput):
    """A prompt: a new one begins without added tokens."""

    def make(self, state: State, act: Act) -> ipywidgets.Widget:
        """Return the text box, which also empties `new_ids`."""
        widget = self._widget(state)

        def moved(change: Any) -> None:
            act(
                lambda state: (
                    state
                    if state.prompt == change["new"]
                    else replace(state, prompt=change["new"], new_ids=())
                )
            )

        widget.observe(moved, names="value")
        return widget


def label(tokenizer: BPETokenizer, i: int) -> str:
    """A token as shown: blanks visible, at most 12 characters."""
    text = visible(tokenizer.decode([i]))
    return text if len(text) <= 12 else text[:11] + "…"
