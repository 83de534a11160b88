"""The routing widget: temperature, number of choices and bias, and the loads that follow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from lib.display import GRAY, PALE, PALETTE, Drawing, Line, Rectangle, Text, visible
from lib.model.balancing import bias_step, expert_counts, load, load_balancing_loss, load_entropy
from lib.model.routing import RANGES, RouterConfig, Routing, capacity, route, within_capacity
from lib.settings import require, require_kind
from lib.tokenization.pretokenization import as_texts, check_text
from lib.widgets.choices import Button, Dropdown
from lib.widgets.controls import FloatSlider, IntSlider, within
from lib.widgets.explorer import Explorer
from lib.widgets.pictures import DrawingPicture
from lib.widgets.touch import Handle, Spot

WIDTH, TOP, CELL = 720, 64, 24  # px
WORDS = 90  # px for the token of a row
STEP = 0.005  # how far one balancing step moves a bias
SHOWN = 12  # tokens
MOST_EXPERTS = 18


@dataclass(frozen=True)
class State:
    """How the tokens are routed: settings of the router, and the steps of balancing done."""

    gate: str = "softmax"
    temperature: float = 1.0
    k: int = 2
    steps: int = 0
    capacity_factor: float = 1.25
    first: int = 0


def example_logits(n_tokens: int = 384, n_experts: int = 8, seed: int = 0) -> Tensor:
    """Logits of a made-up router that likes some experts more than others."""
    random = torch.Generator().manual_seed(seed)
    liking = torch.linspace(1.5, -1.5, n_experts)
    return torch.randn(n_tokens, n_experts, generator=random) + liking


def routing_explorer(logits: Tensor | None = None, words: Sequence[str] | None = None) -> Explorer:
    """Where the tokens of a text go, and the load of each expert.

    `logits` has a row for each token and a column for each expert (default: made up), `words` the
    tokens. Raises ValueError if they do not fit together, hold fewer than 12 tokens or more than 18
    experts, for which there is no room, or NaN.
    """
    logits = example_logits() if logits is None else logits
    require_kind("logits", logits, Tensor)
    if logits.dim() != 2 or not 1 <= logits.shape[1] <= MOST_EXPERTS or logits.is_complex():
        kind = f"{logits.dtype} of shape {tuple(logits.shape)}"
        raise ValueError(
            f"logits must be (token, expert), up to {MOST_EXPERTS} experts, got {kind}"
        )
    logits = logits.detach().float()
    if logits.is_meta or not logits.isfinite().all():
        raise ValueError("logits must be finite numbers")
    words = (
        [f"token {i + 1}" for i in range(len(logits))]
        if words is None
        else as_texts("words", words)
    )
    for word in words:
        check_text(word)
    if len(words) != len(logits) or len(words) < SHOWN:
        raise ValueError(
            f"logits and words must be of as many tokens, {SHOWN} or more, "
            f"got {len(logits)} and {len(words)}"
        )
    n_experts = logits.shape[1]

    @lru_cache(maxsize=32)
    def biases(gate: str, temperature: float, k: int) -> list[Tensor]:
        return [torch.zeros(n_experts)]  # grows as more steps are asked for

    @lru_cache(maxsize=8)
    def routing_of(state: State) -> Routing:
        state = replace(state, first=0, capacity_factor=1.0)
        settings = RouterConfig(gate=state.gate, bias=True)
        known = biases(state.gate, state.temperature, state.k)
        scaled = logits / state.temperature
        while len(known) <= state.steps:
            counts = expert_counts(route(scaled, state.k, settings, known[-1]))
            known.append(known[-1] + bias_step(counts, STEP))
        return route(scaled, state.k, settings, known[state.steps])

    def numbers(state: State) -> tuple[Tensor, float, float, float]:
        routing = routing_of(state)
        shares = load(routing)
        most = capacity(*logits.shape, state.k, state.capacity_factor)
        kept = within_capacity(routing.experts, n_experts, most)
        lost = 1 - kept.float().mean().item()
        return shares, load_entropy(shares).item(), load_balancing_loss(routing).item(), lost

    def describe(state: State) -> str:
        shares, entropy, loss, lost = numbers(state)
        most, least = int(shares.argmax()), int(shares.argmin())
        return (
            f"Expert {most} has the largest load, {shares[most]:.0%} of all assignments, expert "
            f"{least} the smallest, {shares[least]:.0%}; alike would be {1 / n_experts:.1%}. "
            f"Entropy of the loads {entropy:.2f} of 1, load-balancing loss {loss:.2f} (alike: "
            f"{state.k}). With a capacity factor of {state.capacity_factor:g}, {lost:.0%} are "
            "dropped."
        )

    def draw(state: State) -> Drawing:
        require("first", state.first, f"[0, {len(words) - SHOWN}]", whole=True)
        routing, (shares, entropy, _, lost) = routing_of(state), numbers(state)
        rows = _tokens(routing, words, state.first, state.k)
        bars = _loads(routing, shares, state)
        title = f"entropy of loads {entropy:.2f} of 1;  dropped {lost:.0%}"
        shapes = [
            Text(8, 18, "How much each expert counts", size=14, bold=True),
            Text(WORDS + n_experts * CELL + 60, 18, "Load of each expert", size=14, bold=True),
            Text(WORDS + n_experts * CELL + 60, 38, title, size=12, color=GRAY),
        ]
        return Drawing(WIDTH, TOP + SHOWN * CELL + 16, [*shapes, *rows, *bars])

    again = lambda state: replace(state, first=(state.first + SHOWN) % (len(words) - SHOWN + 1))  # noqa: E731
    factors = within(RANGES["capacity_factor"], 0.5, 4)
    controls = [
        Dropdown("gate", "gate", "How logits become scores.", ["softmax", "sigmoid"]),
        FloatSlider("temperature", "temperature", "Divides the logits.", 0.2, 4.0, step=0.1),
        IntSlider("k", "k", "Experts that each token uses.", 1, n_experts, unit="experts"),
        IntSlider("steps", "bias", f"Balancing steps of ±{STEP:g}.", 0, 200, unit="steps"),
        FloatSlider("capacity_factor", "capacity", "Times an equal share.", *factors, step=0.05),
        Button("more", "Other tokens", "Shows the next ones.", again),
    ]
    return Explorer(State(), controls, DrawingPicture(draw, WIDTH), describe)


def _tokens(routing: Routing, words: Sequence[str], first: int, k: int) -> list:
    """A row for each token, a cell for each expert: the darker, the more it counts."""
    n_experts = routing.logits.shape[1]
    shapes: list = [
        Text(WORDS + (i + 0.5) * CELL, TOP - 10, str(i), size=11, anchor="middle", color=GRAY)
        for i in range(n_experts)
    ]
    shapes.append(Text(WORDS - 8, TOP - 10, "token, expert", size=11, anchor="end", color=GRAY))
    for expert in range(n_experts):
        box = (WORDS + expert * CELL, TOP - 20, CELL, 20)
        chosen, name = expert + 1 == k, f"{expert + 1} experts for each token"
        shapes.append(Spot(*box, name, {"k": expert + 1}, chosen))
    for row in range(SHOWN):
        y, token = TOP + row * CELL, first + row
        weights = dict(
            zip(routing.experts[token].tolist(), routing.weights[token].tolist(), strict=True)
        )
        word = visible(words[token])
        shapes.append(Text(WORDS - 8, y + CELL / 2, word[:11], size=12, anchor="end"))
        for expert in range(n_experts):
            x, weight = WORDS + expert * CELL, weights.get(expert)
            tip = f"{word}, expert {expert}: " + (f"{weight:.2f}" if weight else "not chosen")
            shapes.append(Rectangle(x + 1, y + 1, CELL - 2, CELL - 2, PALE, tip=tip))
            if weight is not None:
                inner = (CELL - 2) * min(1.0, weight) ** 0.5  # the area shows the weight
                place = (CELL - inner) / 2
                shapes.append(
                    Rectangle(x + place, y + place, inner, inner, PALETTE["blue"], tip=tip)
                )
    return shapes


def _loads(routing: Routing, shares: Tensor, state: State) -> list:
    """A bar for each expert, a line where all are alike, and one at the capacity."""
    n_experts = len(shares)
    left, height = WORDS + n_experts * CELL + 60, SHOWN * CELL - 24
    width = (WIDTH - left - 50) / n_experts
    top_share = max(0.3, 1.05 * shares.max().item())
    bottom, scale = TOP + height, height / top_share
    shapes: list = []
    for expert, share in enumerate(shares.tolist()):
        x = left + expert * width
        tip = f"expert {expert}: {share:.1%} of all assignments"
        bar = Rectangle(
            x + 2, bottom - share * scale, width - 4, share * scale, PALETTE["blue"], tip=tip
        )
        middle = x + width / 2
        shapes += [
            bar,
            Text(middle, bottom - share * scale - 8, f"{share:.0%}", size=10, anchor="middle"),
            Text(middle, bottom + 12, str(expert), size=11, anchor="middle", color=GRAY),
        ]
    factors = (0.5, 4.0)
    at = tuple(bottom - scale * factor / n_experts for factor in factors)
    y = max(bottom - scale * state.capacity_factor / n_experts, TOP)
    grip = (left + n_experts * width - 4, y - 11, 44, 22)
    limit = state.capacity_factor / n_experts
    for share, name, color in ((1 / n_experts, "alike", GRAY), (limit, "full", "#A03000")):
        if share <= top_share:
            y = bottom - share * scale
            shapes += [
                Line([(left, y), (left + n_experts * width, y)], color),
                Text(left + n_experts * width + 4, y, name, size=11, color=color),
            ]
    # last, so that no word lies over it
    handle = Handle(*grip, "capacity", "capacity_factor", state.capacity_factor, factors, at, "y",
                    step=0.05)  # fmt: skip
    return [*shapes, handle]
