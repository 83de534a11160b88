"""One model as a column of boxes: what a token goes through from its id to the logits.

The residual stream is the thick line at the left; what a sublayer reads leaves it, and what it
writes comes back at a +. A norm that stands on the stream itself is drawn on the line.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lib.diagrams.diagram import (
    ORANGE,
    TINTS,
    Number,
    Shape,
    arrow,
    colored,
    note,
    plus,
    thousands,
    wrap,
)
from lib.diagrams.parts import Anatomy, Part
from lib.display import Disk, Line, Rectangle, Text, text_width

GAP = 25  # px between two boxes
STREAM, LEFT = 17, 42  # where the stream and the boxes are, from the left edge of the column
SIZE = 12


@dataclass
class Column:
    """A column at `x`, `width` px wide, that grows downward; compared with `other`, if given."""

    anatomy: Anatomy
    x: Number
    width: Number
    other: Anatomy | None = None

    def __post_init__(self):
        self.shapes: list[Shape] = []
        self.boxes: dict[str, Rectangle] = {}  # where each part of the model is drawn
        self.y: Number = 0
        self.left = self.x + LEFT
        self.stream = self.x + STREAM
        self.middle = self.left + (self.width - LEFT) / 2

    # One box

    def is_new(self, name: str, line: str) -> bool:
        """Whether the other model has no such line in this box."""
        if self.other is None:
            return False
        part = self.other.parts.get(name)
        return part is None or line not in (*part.details, part.title, _count(part))

    def lines(self, name: str) -> list[tuple[str, bool]]:
        """The details of a box, cut to its width, each with whether it is new."""
        found = []
        for line in self.anatomy.parts[name].details:
            new = self.is_new(name, line)
            room = self.width - LEFT - 18
            found += [(piece, new) for piece in wrap(line, room, SIZE, bold=new)]
        return found

    def height(self, name: str) -> Number:
        """How tall the box is."""
        return 24 + 15.5 * len(self.lines(name)) + (3 if self.lines(name) else 0)

    def box(self, name: str, left: Number | None = None, dashed: bool = False) -> None:
        """Draw the box at the present height and go below it."""
        part, height = self.anatomy.parts[name], self.height(name)
        left = self.left if left is None else left
        width = self.x + self.width - left
        alone = self.other is not None and name not in self.other.parts
        edge, thick = (ORANGE, 2.2) if alone else ("#555555", 1.2)
        tip = f"{name}: {thousands(part.parameters)} parameters"
        look = (TINTS[part.kind], edge, thick, tip)
        drawn = Rectangle(left, self.y, width, height, *look, radius=5, dashed=dashed or alone)
        self.boxes[name] = drawn
        self.shapes.append(drawn)
        title, right = left + 8, left + width - 8
        row = self.y + 12
        self.text(title, row, part.title, self.is_new(name, part.title), bold=True, size=13)
        count = _count(part)
        self.text(right, row, count, self.is_new(name, count), anchor="end")
        for i, (line, new) in enumerate(self.lines(name)):
            self.text(title, self.y + 31 + 15.5 * i, line, new)
        self.y += height

    def text(
        self,
        x: Number,
        y: Number,
        text: str,
        new: bool,
        anchor: str = "start",
        bold: bool = False,
        size: Number = SIZE,
    ) -> None:
        """A line of a box; what is new is bold and orange."""
        color = colored(ORANGE) if new else "#222222"
        self.shapes.append(Text(x, y, text, size, color, anchor, bold or new))

    # The stream and what branches off

    def down(self, width: str) -> None:
        """An arrow down the stream, with the width of what flows."""
        self.shapes += arrow([(self.stream, self.y), (self.stream, self.y + GAP)], width=2.5)
        self.shapes.append(note(self.stream + 9, self.y + GAP / 2, width, SIZE))
        self.y += GAP

    def between(self, width: str) -> None:
        """An arrow from one box of a branch to the next."""
        self.shapes += arrow([(self.middle, self.y), (self.middle, self.y + GAP - 5)])
        self.shapes.append(note(self.middle + 9, self.y + (GAP - 7) / 2, width, SIZE))
        self.y += GAP - 5

    def branch(self, boxes: Sequence[str], widths: Sequence[str], instead: str | None) -> None:
        """Leave the stream, go through the boxes, come back at a +.

        `widths` are those before each box and after the last. `instead` is a box that takes the
        last one's place in some layers.
        """
        top, start = self.y, self.y + 10
        self.shapes.append(Disk(self.stream, start, 3.5, "#222222"))
        self.y = start + 16
        path = [(self.stream, start), (self.middle, start), (self.middle, self.y)]
        self.shapes += arrow(path)
        self.shapes.append(note(self.stream + 26, start - 8, widths[0], SIZE))
        for i, name in enumerate(boxes):
            self.box(name)
            if name == "experts" and instead:
                self.y += 5
                self.box(instead, dashed=True)
            if i + 1 < len(boxes):
                self.between(widths[i + 1])
        meet = self.y + 17
        back = [(self.middle, self.y), (self.middle, meet), (self.stream + 10, meet)]
        self.shapes += arrow(back)
        self.shapes.append(note(self.stream + 26, meet - 9, widths[-1], SIZE))
        self.line(top, meet)
        self.shapes += plus(self.stream, meet)
        self.y = meet + 10

    def line(self, start: Number, end: Number) -> None:
        """The stream itself, below everything else."""
        self.shapes.insert(0, Line([(self.stream, start), (self.stream, end)], "#222222", 2.5))


def column(
    anatomy: Anatomy, x: Number, y: Number, width: Number, other: Anatomy | None = None
) -> Column:
    """The whole model from height `y` down."""
    config, widths = anatomy.config, anatomy.widths
    c = Column(anatomy, x, width, other)
    stream = thousands(widths["embedding"])
    c.y = y
    c.shapes.append(note(x + STREAM - 8, c.y + 7, "token ids", SIZE))
    c.y += 16
    c.shapes += arrow([(c.stream, c.y), (c.stream, c.y + 16)], width=2.5)
    c.y += 16
    c.box("embedding", x)
    if "position" in anatomy.parts:
        c.shapes += arrow([(c.stream, c.y), (c.stream, c.y + 12)], width=2.5)
        c.y += 12
        c.box("position", x)
    c.down(stream)
    _block(c, stream)
    c.down(stream)
    if "final_norm" in anatomy.parts:
        c.box("final_norm", x)
        c.down(stream)
    c.box("head", x)
    c.down(thousands(widths["head"]))
    c.shapes.append(note(x + STREAM - 8, c.y + 8, f"logits of {config.vocab_size:,} tokens", SIZE))
    c.y += 18
    return c


def _block(c: Column, stream: str) -> None:
    """All layers as one frame: they are alike, but for what their boxes say."""
    config, parts, top = c.anatomy.config, c.anatomy.parts, c.y
    count = f"{config.n_layers} layers"
    new = c.other is not None and c.other.config.n_layers != config.n_layers
    c.y += 22
    c.line(top, c.y)
    first = "experts" if "experts" in parts else "feedforward"
    instead = "feedforward" if first == "experts" and "feedforward" in parts else None
    sublayers = [("attention", "attention", None), ("feedforward", first, instead)]
    if config.parallel_residual:
        _parallel(c, stream)
        sublayers = []
    for name, body, other in sublayers:
        before, after = f"block.{name}_norm", f"block.{name}_output_norm"
        boxes = [box for box in (before, body) if box in parts]
        on_stream = config.norm_placement == "post"
        if after in parts and not on_stream:
            boxes.append(after)
        c.branch(boxes, [stream] * (len(boxes) + 1), other)
        if on_stream:
            c.down(stream)
            c.box(after, c.x + 6)
        if name == "attention":
            c.down(stream)
    end = c.y
    c.y += 8
    c.line(end - 2, c.y)
    frame = Rectangle(c.x, top, c.width + 6, c.y - top, TINTS["block"], "#777777", 1.2, radius=8)
    c.shapes.insert(0, frame)
    color = colored(ORANGE) if new else "#222222"
    c.shapes.append(Text(c.x + c.width - 2, top + 13, f"× {count}", 13, color, "end", True))


def _parallel(c: Column, stream: str) -> None:
    """Attention and feed-forward read the same stream; their sum is added at once."""
    top, start = c.y, c.y + 10
    c.shapes.append(Disk(c.stream, start, 3.5, "#222222"))
    c.shapes.append(note(c.stream + 26, start - 8, stream, SIZE))
    c.y = start + 16
    c.shapes += arrow([(c.stream, start), (c.middle, start), (c.middle, c.y)])
    for i, name in enumerate(("attention", "feedforward")):
        c.box(f"block.{name}_norm")
        c.between(stream)
        c.box(name)
        if i == 0:  # the second branch begins where the first did
            c.y += 6
            c.shapes.append(note(c.left, c.y + 8, "and, from the same stream:", SIZE))
            c.y += 18
    meet = c.y + 17
    c.shapes += arrow([(c.middle, c.y), (c.middle, meet), (c.stream + 10, meet)])
    c.shapes.append(note(c.stream + 26, meet - 9, stream, SIZE))
    c.line(top, meet)
    c.shapes += plus(c.stream, meet)
    c.y = meet + 10


def _count(part: Part) -> str:
    return thousands(part.parameters)


def title(x: Number, y: Number, text: str, width: Number) -> Text:
    """The name above a column, as large as it fits."""
    size = 17
    while size > 11 and text_width(text, size, bold=True) > width:
        size -= 1
    return Text(x, y, text, size, bold=True)
