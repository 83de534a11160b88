"""Inside a block: where norms stand, what a gate does, which experts each token goes to."""

from collections.abc import Sequence

import torch
from torch import nn

from lib.diagrams.diagram import (
    ORANGE,
    TINTS,
    WIDTH,
    Diagram,
    Number,
    Shape,
    arrow,
    box,
    note,
    plus,
    shade,
    thousands,
)
from lib.display import Disk, Line, Text, visible
from lib.model import ModelConfig
from lib.model.feedforward import FeedForward
from lib.model.routing import Routing
from lib.model.transformer import Block

PLACEMENTS = ("pre", "post", "sandwich", "output")


def sublayer_order(placement: str) -> list[tuple[str, bool]]:
    """What a sublayer goes through, in order: (module, whether it stands on the stream itself).

    Found by running a small block: a norm that is given the sum stands on the stream, one that is
    given what attention wrote, or that attention then reads, is in the branch.
    """
    sizes = dict(vocab_size=2, context_length=8, d_model=8, n_layers=1, n_heads=2, d_ff=8)
    block = Block(ModelConfig(**sizes, norm_placement=placement), 0)
    seen: list[tuple[str, torch.Tensor, torch.Tensor]] = []
    for name in ("attention_norm", "attention", "attention_output_norm"):
        module = getattr(block, name)
        if module is not None and not isinstance(module, nn.Identity):
            module.register_forward_hook(
                lambda _, given, result, name=name: seen.append((name, given[0], result))
            )
    x = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        block(x)
    written = next(result for name, _, result in seen if name == "attention")
    return [
        (name, name != "attention" and torch.equal(given, x + written)) for name, given, _ in seen
    ]


def norm_placements() -> Diagram:
    """The four places of a norm around one sublayer, as the blocks of `lib.model` run them."""
    shapes: list[Shape] = []
    for i, placement in enumerate(PLACEMENTS):
        x, order = 14 + 148 * i, sublayer_order(placement)
        stream, left = x + 12, x + 32
        shapes.append(Text(x, 16, placement, 15, bold=True))
        shapes.append(note(x, 36, FORMULAS[placement], 11))
        y = 58
        shapes.append(Line([(stream, 50), (stream, 252)], "#222222", 2.5))
        shapes.append(Disk(stream, y, 3.5, "#222222"))
        shapes += arrow([(stream, y), (left + 50, y), (left + 50, y + 18)])
        y += 18
        inside = [name for name, on_stream in order if not on_stream]
        for place, name in enumerate(inside):
            kind = "attention" if name == "attention" else "norm"
            shapes += box(left, y, 100, 34, "sublayer" if kind != "norm" else "norm", TINTS[kind])
            y += 34
            if place + 1 < len(inside):
                shapes += arrow([(left + 50, y), (left + 50, y + 16)])
                y += 16
        y += 18
        shapes += arrow([(left + 50, y - 18), (left + 50, y), (stream + 10, y)])
        shapes += plus(stream, y)
        if len(inside) < len(order):
            shapes += box(x, y + 24, 130, 34, "norm", TINTS["norm"])
        shapes += arrow([(stream, 250), (stream, 268)], width=2.5)
    words = "; ".join(
        f"{p}: {', '.join(n + (' on the stream' if s else '') for n, s in sublayer_order(p))}"
        for p in PLACEMENTS
    )
    return Diagram(WIDTH, 276, shapes, alt=f"Four placements of the norm. {words}.")


FORMULAS = {
    "pre": "x + f(norm(x))",
    "post": "norm(x + f(x))",
    "sandwich": "x + norm(f(norm(x)))",
    "output": "x + norm(f(x))",
}


def feedforward(config: ModelConfig) -> Diagram:
    """A feed-forward layer of this model: its matrices, and where the gate multiplies in."""
    with torch.device("meta"):
        layer = FeedForward(config)
    inner, width = layer.up.weight.shape
    count = sum(weight.numel() for weight in layer.parameters())
    name = config.activation.replace("_", " ")
    shapes: list[Shape] = [Text(12, 44, "x", 16, bold=True)]
    shapes.append(note(12, 64, thousands(width)))

    def matrix(x: Number, y: Number, words: str, linear: nn.Linear) -> None:
        rows, columns = linear.weight.shape
        lines = [words, f"{thousands(columns)} → {thousands(rows)}"]
        shapes.extend(box(x, y, 128, 46, lines, TINTS["feedforward"], bold=True))

    y = 44
    if layer.gate is None:
        shapes += arrow([(26, y), (64, y)])
        matrix(64, y - 23, "up", layer.up)
        shapes += arrow([(192, y), (222, y)])
    else:
        shapes += arrow([(26, y), (64, y)])
        shapes += arrow([(54, y), (54, y + 80), (64, y + 80)])
        matrix(64, y - 23, "gate", layer.gate)
        matrix(64, y + 57, "up", layer.up)
        shapes += arrow([(192, y), (222, y)])
        shapes += arrow([(192, y + 80), (356, y + 80), (356, y + 11)])
        shapes.append(note(200, y + 68, thousands(inner)))
    shapes += box(222, y - 20, 92, 40, name, TINTS["attention"])
    end = 314 if layer.gate is None else 346
    shapes += arrow([(314, y), (end, y)]) if end > 314 else []
    if layer.gate is not None:
        shapes += plus(356, y, sign="×")
        end = 366
    shapes += arrow([(end, y), (408, y)])
    shapes.append(note((end + 404) / 2, y - 14, thousands(inner), 11, "middle"))
    matrix(408, y - 23, "down", layer.down)
    shapes += arrow([(536, y), (566, y)])
    shapes.append(Text(570, y, "y", 16, bold=True))
    shapes.append(note(596, y + 18, thousands(width), 12, "end"))
    bottom = 170 if layer.gate is not None else 104
    shapes.append(note(408, bottom - 16, f"{thousands(count)} parameters"))
    gate = f"; {name} of the gate multiplies up" if layer.gate is not None else f", {name} between"
    alt = f"A feed-forward layer, {width} to {inner} and back{gate}: {count:,} parameters."
    return Diagram(WIDTH, bottom, shapes, alt=alt)


def router_choices(routing: Routing, tokens: Sequence[str]) -> Diagram:
    """Which experts each token goes to, and with what weight, as a router has decided.

    A dashed line is a choice for which its expert was full. Raises ValueError unless there is a
    text for each token of the routing.
    """
    if len(tokens) != len(routing.experts):
        raise ValueError(f"tokens must hold {len(routing.experts)} texts, got {len(tokens)}")
    n_experts = routing.logits.shape[-1]
    height = max(30 * len(tokens), 36 * n_experts)
    shapes: list[Shape] = [Text(14, 16, "tokens", 13, bold=True)]
    shapes.append(note(252, 16, "expert: weight", 12, "end"))
    shapes.append(Text(470, 16, "experts", 13, bold=True))
    sources = [34 + height * (i + 0.5) / len(tokens) for i in range(len(tokens))]
    targets = [34 + height * (i + 0.5) / n_experts for i in range(n_experts)]
    loads = [0] * n_experts
    for i, (chosen, weights) in enumerate(
        zip(routing.experts.tolist(), routing.weights.tolist(), strict=True)
    ):
        kept = [True] * len(chosen) if routing.kept is None else routing.kept[i].tolist()
        for expert, weight, held in zip(chosen, weights, kept, strict=True):
            loads[expert] += held
            line = [(258, sources[i]), (470, targets[expert])]
            color = "#222222" if held else ORANGE
            shapes.append(Line(line, color, 0.8 + 4 * weight, dashed=not held))
        shapes += box(14, sources[i] - 12, 96, 24, visible(tokens[i])[:11], TINTS["embedding"])
        words = ", ".join(f"{e}: {w:.2f}" for e, w in zip(chosen, weights, strict=True))
        shapes.append(Text(252, sources[i], words, 12, anchor="end"))
    most = max(loads) or 1
    for expert, load in enumerate(loads):
        fill = shade(0.5 * load / most)
        words = f"{expert}: {load} token{'s' * (load != 1)}"
        shapes += box(470, targets[expert] - 15, 116, 30, words, fill)
    alt = f"A router sends {len(tokens)} tokens to {n_experts} experts: " + "; ".join(
        f"{visible(token)} to {', '.join(map(str, chosen))}"
        for token, chosen in zip(tokens, routing.experts.tolist(), strict=True)
    )
    return Diagram(WIDTH, round(34 + height + 10), shapes, alt=alt + ".")
