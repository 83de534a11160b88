"""Turn the settings of a published model: its picture, parameters, cache and FLOPs move with them.

`architecture_explorer()` starts from any entry of the gallery. Beside the changed model stands, if
wanted, the published one or another, with what differs marked. A click on a box of the drawing
turns the setting that it shows, and a second click turns it back.
"""

import functools
from dataclasses import dataclass
from typing import Any

from lib.diagrams.architecture import architecture
from lib.diagrams.diagram import WIDTH, Diagram, short
from lib.diagrams.facts import facts
from lib.diagrams.gallery import GALLERY
from lib.model import ModelConfig
from lib.model.routing import RouterConfig
from lib.settings import require_choice
from lib.widgets.choices import Dropdown
from lib.widgets.explorer import Explorer
from lib.widgets.model_shape import divisors
from lib.widgets.pictures import DrawingPicture
from lib.widgets.touch import Spot

PUBLISHED, NONE = 0, -1  # what the makers chose; without it
KEEP = ("as published", PUBLISHED)
PLACEMENTS = ("pre", "post", "sandwich", "output")
FEW = 8  # experts that a click puts in place of a feed-forward layer


@dataclass(frozen=True)
class State:
    """A model of the gallery and what is changed; 0 or "published" leaves its makers' choice."""

    start: str = "Qwen3 0.6B"
    beside: str = "published"
    kv_heads: int = PUBLISHED
    window: int = PUBLISHED
    heads: int = PUBLISHED
    experts: int = PUBLISHED
    active: int = PUBLISHED
    placement: str = "published"

    def config(self) -> ModelConfig:
        """The published model with the changes."""
        config = GALLERY[self.start].config()
        changes: dict[str, Any] = {}
        if self.heads:
            changes |= dict(n_heads=self.heads, n_kv_heads=min(config.n_kv_heads, self.heads))
        if self.kv_heads:
            changes["n_kv_heads"] = self.kv_heads
        if self.window:
            changes["window"] = None if self.window == NONE else self.window
            if self.window == NONE:
                changes["window_rope_base"] = None
        if self.placement != "published":
            changes["norm_placement"] = self.placement
        return config.replace(**changes, **self._experts(config))

    def _experts(self, config: ModelConfig) -> dict[str, Any]:
        """Other numbers of experts; groups of experts go, since their size may not fit."""
        if self.experts == NONE and config.n_experts:
            return dict(n_experts=None, d_expert=None, n_shared_experts=0, dense_layers=())
        changes: dict[str, Any] = {}
        if self.experts > 0:
            router = config.router
            plain = RouterConfig(
                gate=router.gate, scale=router.scale, bias=router.bias, logit_bias=router.logit_bias
            )
            most = min(config.n_active_experts, self.experts)
            changes |= dict(n_experts=self.experts, router=plain, n_active_experts=most)
        if self.active and (config.n_experts or self.experts > 0):
            changes["n_active_experts"] = self.active
        return changes


def architecture_explorer(start: str = "Qwen3 0.6B") -> Explorer:
    """The widget, at a model of the gallery. Raises ValueError for another name."""
    require_choice("start", start, GALLERY)
    controls = [
        Dropdown("start", "start from", "A published model.", list(GALLERY)),
        Dropdown("kv_heads", "key heads, K", "Each serves H / K query heads.", _kv_heads),
        Dropdown("window", "window", "How many tokens back every layer sees.", _windows),
        Dropdown("experts", "experts, E", "In place of each feed-forward layer.", _experts),
        Dropdown("active", "active experts", "How many of them a token uses.", _active),
        Dropdown("heads", "query heads, H", "At the published head width.", _heads),
        Dropdown(
            "placement",
            "norms",
            "Where a sublayer is normalized.",
            [("as published", "published"), *PLACEMENTS],
        ),
        Dropdown("beside", "beside it", "What it is compared with.", _beside),
    ]
    return Explorer(State(start), controls, DrawingPicture(_draw, WIDTH), _describe)


def _published(state: State) -> ModelConfig:
    return _config(state.start)


@functools.cache
def _config(name: str) -> ModelConfig:
    return GALLERY[name].config()


def _heads(state: State) -> list[Any]:
    config = _published(state)
    if config.latent is not None:
        return [KEEP]
    most = [n for n in (1, 2, 4, 8, 16, 32, 64) if n % min(config.n_kv_heads, n) == 0]
    return [KEEP, *(n for n in most if n != config.n_heads)]


def _kv_heads(state: State) -> list[Any]:
    config = _published(state)
    if config.latent is not None:
        return [KEEP]
    heads = state.heads if int(state.heads) in _heads(state) else 0
    heads = heads or config.n_heads
    fits = heads % min(config.n_kv_heads, heads) == 0
    return [*([KEEP] if fits else []), *divisors(heads)]


def _windows(state: State) -> list[Any]:
    if _published(state).latent is not None:
        return [KEEP]
    return [KEEP, ("none", NONE), *(128, 512, 1024, 4096)]


def _experts(state: State) -> list[Any]:
    return [KEEP, ("none", NONE), 4, 8, 32, 128]


def _active(state: State) -> list[Any]:
    n_experts = state.experts or _published(state).n_experts or 0
    return [KEEP, *(n for n in (1, 2, 4, 8) if n <= n_experts)]


def _beside(state: State) -> list[tuple[str, str]]:
    """What can stand beside it: the published model if anything is changed, or any other."""
    others = [(name, name) for name in GALLERY if name != state.start]
    return [("the published one, if changed", "published"), ("nothing", "nothing"), *others]


def _draw(state: State) -> Diagram:
    diagram = _diagram(state)
    turned = _turned(state)
    for name, box in diagram.boxes.items():
        kind = "norm" if name.startswith("block.") and name.endswith("_norm") else name
        if kind in turned:
            words, changes = turned[kind]
            place = (box.x, box.y, box.width, box.height)
            diagram.shapes.append(Spot(*place, f"{box.tip}; click: {words}", changes))
    return diagram


def _diagram(state: State) -> Diagram:
    config, published = state.config(), _published(state)
    changed = config != published
    name = f"{state.start}, changed" if changed else state.start
    if state.beside == "nothing" or (state.beside == "published" and not changed):
        return architecture(config, names=[name])
    if state.beside == "published":
        return architecture(config, published, names=[name, state.start])
    other = GALLERY[state.beside].config()
    return architecture(config, other, names=[name, state.beside])


def _turned(state: State) -> dict[str, tuple[str, dict[str, Any]]]:
    """For each kind of box what a click on it does: in words, and as a change of the state."""
    config = _published(state)
    after = config.norm_placement != "post"
    other = ("norms after each sublayer", "post") if after else ("norms before them", "pre")
    ways = {"norm": ("placement", "published", *other)}
    if config.latent is None and config.n_kv_heads > 1:
        ways["attention"] = ("kv_heads", PUBLISHED, "one key head for all query heads", 1)
    many = ("experts", PUBLISHED, f"{FEW} experts in its place", FEW)
    dense = ("experts", PUBLISHED, "one feed-forward layer in their place", NONE)
    ways["experts"] = ways["feedforward"] = dense if config.n_experts else many
    found = {}
    for kind, (field, published, words, value) in ways.items():
        if getattr(state, field) != published:
            words, value = "as published", published
        found[kind] = (words, {field: value})
    return found


def _describe(state: State) -> str:
    now, before = facts(state.config()), facts(_published(state))
    active = f", {short(now.active)} active in a token" if now.active < now.parameters else ""
    text = (
        f"{short(now.parameters)} parameters{active}; the cache takes {now.cache:,} bytes a token, "
        f"a forward pass {short(now.flops)} FLOPs a token."
    )
    if now == before:
        return text
    ratios = (
        now.parameters / before.parameters,
        now.cache / before.cache,
        now.flops / before.flops,
    )
    words = "parameters × {:.2f}, cache × {:.2f}, FLOPs × {:.2f}".format(*ratios)
    return f"{text} Against the published model: {words}."
