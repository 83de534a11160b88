"""Any model as a picture: `architecture(config)`, and two side by side, `architecture(a, b)`.

All numbers come from the model itself (`lib.diagrams.parts`), built from the configuration without
memory for its weights.
"""

from collections.abc import Sequence

from lib.diagrams.column import Column, column, title
from lib.diagrams.diagram import (
    BLUE,
    ORANGE,
    TINTS,
    WIDTH,
    Diagram,
    Number,
    Shape,
    colored,
    note,
    short,
    thousands,
)
from lib.diagrams.facts import Facts, facts
from lib.diagrams.parts import Anatomy, LayerKind, anatomy
from lib.display import Disk, Rectangle, Text
from lib.model import ModelConfig

COLUMN = 284  # px
TOP = 40
SQUARE = 15


def architecture(
    config: ModelConfig, other: ModelConfig | None = None, *, names: Sequence[str] | None = None
) -> Diagram:
    """The picture of a model, or of two, where bold orange lines are those that the other lacks.

    `names` are written above. The widths of arrows are those of one token. Parameters are those of
    one layer. `boxes` are those of the first model. Raises ValueError for names that do not fit.
    """
    configs = [config] if other is None else [config, other]
    names = list(names or ("a model", "another")[: len(configs)])
    if len(names) != len(configs):
        raise ValueError(f"names must hold {len(configs)} names, got {len(names)}")
    anatomies = [anatomy(each) for each in configs]
    if other is None:
        return _one(anatomies[0], names[0])
    return _two(anatomies, names)


def _one(found: Anatomy, name: str) -> Diagram:
    left = column(found, 10, TOP, COLUMN)
    shapes = [*left.shapes, title(10, 18, name, WIDTH - 20)]
    x, numbers = COLUMN + 42, facts(found.config)
    shapes += _facts(numbers, x, TOP + 6)
    y = TOP + 6 + 46 * len(numbers.rows())
    below, bottom = _layer_map(found, x, y + 12)
    height = max(left.y, bottom) + 8
    alt = _alt(name, found, numbers)
    return Diagram(WIDTH, round(height), shapes + below, alt=alt, boxes=left.boxes)


def _two(found: list[Anatomy], names: list[str]) -> Diagram:
    shapes: list[Shape] = []
    columns: list[Column] = []
    for i, each in enumerate(found):
        x = 8 + 300 * i
        columns.append(column(each, x, TOP, COLUMN - 4, found[1 - i]))
        shapes += [*columns[-1].shapes, title(x, 18, names[i], COLUMN)]
    y = max(each.y for each in columns) + 14
    bottoms = []
    for i, each in enumerate(found):
        x, numbers = 8 + 300 * i, facts(each.config)
        rows, others = numbers.rows(), facts(found[1 - i].config).rows()
        for j, (label, value) in enumerate(rows):
            line = y + 19 * j
            color = "#222222" if (label, value) in others else colored(ORANGE)
            shapes.append(note(x, line, label))
            where = (x + COLUMN - 4, line, value, 12, color, "end")
            shapes.append(Text(*where, (label, value) not in others))
        strip, bottom = _layer_map(each, x, y + 19 * len(rows) + 6)
        shapes += strip
        bottoms.append(bottom)
    alt = " Beside it: ".join(
        _alt(name, each, facts(each.config)) for name, each in zip(names, found, strict=True)
    )
    height = round(max(bottoms)) + 8
    return Diagram(WIDTH, height, shapes, alt=alt, boxes=columns[0].boxes)


def _facts(numbers: Facts, x: Number, y: Number) -> list[Shape]:
    shapes: list[Shape] = []
    for i, (label, value) in enumerate(numbers.rows()):
        shapes.append(note(x, y + 46 * i, label))
        shapes.append(Text(x, y + 46 * i + 19, value, 15, bold=True))
    return shapes


def _layer_map(found: Anatomy, x: Number, y: Number) -> tuple[list[Shape], Number]:
    """A square for each layer, and what its filling means; nothing where all layers are alike."""
    kinds = list(dict.fromkeys(found.kinds))
    if len(kinds) == 1:
        return [], y
    shapes: list[Shape] = [note(x, y, "layers, first to last")]
    per_row = 15
    for i, kind in enumerate(found.kinds):
        left = x + (SQUARE + 2) * (i % per_row)
        top = y + 12 + (SQUARE + 2) * (i // per_row)
        shapes += _square(left, top, kind, f"layer {i}: {_words(kind, found.config)}")
    y += 12 + (SQUARE + 2) * ((len(found.kinds) - 1) // per_row + 1) + 14
    for kind in kinds:
        shapes += _square(x, y - 8, kind, "")
        count = found.kinds.count(kind)
        words = f"{_words(kind, found.config)}: {count} layer{'s' * (count > 1)}"
        shapes.append(Text(x + SQUARE + 7, y, words, 12))
        y += 20
    return shapes, y


def _square(x: Number, y: Number, kind: LayerKind, tip: str) -> list[Shape]:
    """Filled: sees everything; a low filling: a window. A dot: no positions. Green: experts."""
    edge = "#333333"
    tint = TINTS["feedforward"] if kind.experts else TINTS["plain"]
    shapes: list[Shape] = [Rectangle(x, y, SQUARE, SQUARE, tint, edge, 1, tip=tip)]
    height = SQUARE - 2 if kind.window is None else 5
    shapes.append(Rectangle(x + 1, y + SQUARE - 1 - height, SQUARE - 2, height, BLUE, tip=tip))
    if kind.experts:
        shapes.append(Rectangle(x + SQUARE - 7, y + 1, 6, 6, TINTS["feedforward"], edge, 0.8))
    if not kind.rotates:
        shapes.append(Disk(x + SQUARE / 2 - 1, y + SQUARE - 5, 2.5, "#FFFFFF"))
    return shapes


def _words(kind: LayerKind, config: ModelConfig) -> str:
    words = ["sees all" if kind.window is None else f"window {thousands(kind.window)}"]
    if config.positions == "rope" and not kind.rotates:
        words.append("no positions")
    if config.n_experts is not None:
        words.append("experts" if kind.experts else "one feed-forward")
    return ", ".join(words)


def _alt(name: str, found: Anatomy, numbers: Facts) -> str:
    config = found.config
    parts = [
        f"{part.title} ({'; '.join((*part.details, short(part.parameters)))})"
        for part in found.parts.values()
        if part.kind != "norm"
    ]
    return (
        f"Architecture of {name}: {config.n_layers} layers on a stream {config.d_model} wide; "
        f"norms {config.norm_placement}. {', '.join(parts)}. "
        f"{'; '.join(f'{label}: {value}' for label, value in numbers.rows())}."
    )
