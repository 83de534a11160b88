"""What training and serving cost: windows of a batch, bytes of a step, the roofline's two roofs."""

import math
from collections.abc import Callable, Mapping

from lib.diagrams.diagram import (
    BLUE,
    ORANGE,
    TINTS,
    WIDTH,
    Diagram,
    Number,
    Shape,
    arrow,
    cells,
    colored,
    note,
    short,
)
from lib.display import Disk, Line, Rectangle, Text, text_width
from lib.model import ModelConfig
from lib.scaling.devices import Device
from lib.scaling.memory import (
    activation_bytes,
    checkpointed_activation_bytes,
    training_state_bytes,
)
from lib.scaling.roofline import Step, attainable_flops
from lib.training.batches import Batches


def batch_windows(batches: Batches, name: Callable[[int], str], step: int = 0) -> Diagram:
    """Where the windows of one batch lie in the text, and their inputs and targets.

    The targets are the inputs one token later. `name` gives a token's text; at most four windows
    and eight positions are shown.
    """
    rows = batches.step(step)
    starts = [batches.start(step * batches.batch_size + i) for i in range(batches.batch_size)]
    total, length = len(batches.tokens), batches.context_length
    shapes: list[Shape] = [Text(12, 16, f"the text: {total:,} tokens", 13, bold=True)]
    shapes.append(Rectangle(12, 30, WIDTH - 24, 18, TINTS["plain"], "#555555"))
    scale = (WIDTH - 24) / total
    shown, most = min(len(rows), 4), min(length, 8)
    size = (WIDTH - 96) / most
    for i, start in enumerate(starts[:shown]):
        left = 12 + scale * start
        tip = f"window {i}: tokens {start} to {start + length}"
        shapes.append(Rectangle(left, 30, max(scale * (length + 1), 3), 18, BLUE, tip=tip))
        y = 78 + 80 * i
        shapes.append(Text(left + scale * length / 2, 59, f"{i}", 13, anchor="middle", bold=True))
        shapes.append(Text(12, y + 13, f"{i}", 14, bold=True))
        ids = rows[i].tolist()
        for j, (words, part) in enumerate((("inputs", ids[:-1]), ("targets", ids[1:]))):
            shapes.append(note(84, y + 13 + 30 * j, words, 12, "end"))
            texts = [_fit(name(t), size - 4) for t in part[:most]]
            fill = TINTS["embedding"] if j == 0 else TINTS["attention"]
            shapes += cells(90, y + 30 * j, [texts], size, 26, [[fill] * most])
    bottom = 78 + 80 * shown
    if length > most:
        shapes.append(note(90, bottom - 4, f"the first {most} of {length} positions"))
    alt = (
        f"A batch of {len(rows)} windows of {length} tokens from a text of {total:,}: they begin "
        f"at {', '.join(map(str, starts[:shown]))}; targets are the inputs one token later."
    )
    return Diagram(WIDTH, bottom + 12, shapes, alt=alt)


def _fit(text: str, width: Number) -> str:
    while text and text_width(text, 12, mono=True) > width:
        text = text[:-1]
    return text


def training_memory(config: ModelConfig, positions: int, batch: int) -> Diagram:
    """Where memory goes in a float32 training step with AdamW, with and without recomputation.

    The bytes are those of lib.scaling.memory, which the tests hold against torch's own count.
    """
    state = training_state_bytes(config)
    bars = {
        "all activations kept": state | {"activations": activation_bytes(config, positions, batch)},
        "each block computed again": state
        | {"activations": checkpointed_activation_bytes(config, positions, batch)},
    }
    most = max(sum(parts.values()) for parts in bars.values())
    fills = {
        "weights": "#0072B2",
        "gradients": "#9CC9E6",
        "optimizer": "#FBE3B8",
        "activations": "#E4E4E4",
    }
    shapes: list[Shape] = []
    for i, (title, parts) in enumerate(bars.items()):
        y, left = 34 + 92 * i, 12.0
        total = sum(parts.values())
        shapes.append(Text(12, y - 14, f"{title}: {total / 2**20:,.0f} MiB", 14, bold=True))
        for part, size in parts.items():
            wide = (WIDTH - 24) * size / most
            tip = f"{part}: {size} bytes"
            shapes.append(Rectangle(left, y, wide, 34, fills[part], "#333333", 1, tip=tip))
            color = "#FFFFFF" if part == "weights" else "#222222"
            label = f"{part} {size / 2**20:,.0f}"
            if text_width(label, 12) < wide - 6:
                shapes.append(Text(left + 6, y + 17, label, 12, color))
            else:
                shapes.append(note(left + wide / 2, y + 46, f"{size / 2**20:,.0f}", 12, "middle"))
            left += wide
    x = 12.0
    for part, fill in fills.items():
        shapes.append(Rectangle(x, 204, 14, 14, fill, "#333333"))
        shapes.append(note(x + 20, 211, part, 13))
        x += 46 + text_width(part, 13)
    words = "; ".join(
        f"{title}: {', '.join(f'{p} {n / 2**20:,.0f}' for p, n in parts.items())} MiB"
        for title, parts in bars.items()
    )
    return Diagram(WIDTH, 228, shapes, alt=f"Memory of a training step. {words}.")


def roofline(device: Device, steps: Mapping[str, Step]) -> Diagram:
    """The two roofs of a device, and where steps stand under them.

    The slope is what memory allows, the flat part what arithmetic allows; they meet at the ridge.
    A step stands at its arithmetic intensity, at the FLOP/s that the longer of its times gives.
    """
    low = min([0.3, *(s.intensity / 2 for s in steps.values())])
    high = max([30 * device.ridge, *(2 * s.intensity for s in steps.values())])
    top, bottom = device.flops * 3, attainable_flops(low, device)
    left, right, roof, floor = 70, WIDTH - 16, 16, 300

    def at(intensity: Number, flops: Number) -> tuple[Number, Number]:
        x = left + (right - left) * math.log(intensity / low) / math.log(high / low)
        y = floor - (floor - roof) * math.log(flops / bottom) / math.log(top / bottom)
        return x, y

    shapes: list[Shape] = []
    for exponent in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1):
        x, _ = at(10.0**exponent, bottom)
        shapes.append(Line([(x, roof), (x, floor)], "#E4E4E4"))
        shapes.append(note(x, floor + 14, f"{10.0**exponent:g}", 12, "middle"))
    for exponent in range(math.ceil(math.log10(bottom)), math.floor(math.log10(top)) + 1):
        _, y = at(low, 10.0**exponent)
        shapes.append(Line([(left, y), (right, y)], "#E4E4E4"))
        shapes.append(note(left - 6, y, short(10.0**exponent), 12, "end"))
    ridge = at(device.ridge, device.flops)
    shapes.append(Line([at(low, bottom), ridge], BLUE, 3))
    shapes.append(Line([ridge, at(high, device.flops)], ORANGE, 3, dashed=True))
    x, y = at(
        math.sqrt(low * device.ridge), attainable_flops(math.sqrt(low * device.ridge), device)
    )
    shapes.append(Text(x - 12, y - 12, "memory's roof", 13, colored(BLUE), "end", True))
    x, y = at(math.sqrt(high * device.ridge), device.flops)
    shapes.append(Text(x, y - 13, "arithmetic's roof", 13, colored(ORANGE), "middle", True))
    shapes += [
        Disk(*ridge, 4, "#222222"),
        note(ridge[0] - 8, ridge[1] - 12, f"ridge: {device.ridge:.0f}", 13, "end"),
    ]
    labels: list[tuple[Number, Number, Number]] = []  # where a name begins, ends, and how high
    for name, step in steps.items():
        x, y = at(step.intensity, step.flops / step.seconds)
        shapes += arrow([(x, floor), (x, y + 7)], "#555555", 1.2, dashed=True)
        shapes.append(Disk(x, y, 6, "#222222", tip=f"{name}: {step.intensity:.3g} FLOPs a byte"))
        near = x > right - 150
        start, height = x - 10 - 8 * len(name) if near else x + 10, y + 15
        while any(start < b and a < start + 8 * len(name) and h == height for a, b, h in labels):
            height += 18
        labels.append((start, start + 8 * len(name), height))
        where = (x - 10, height, name, 13, "#222222", "end") if near else (x + 10, height, name, 13)
        shapes.append(Text(*where))
    shapes.append(note((left + right) / 2, floor + 34, "FLOPs for each byte moved", 13, "middle"))
    shapes.append(note(10, 10, f"FLOP/s on {device.name}", 13))
    alt = f"Roofline of {device.name}, ridge at {device.ridge:.0f} FLOPs a byte: " + "; ".join(
        f"{name} at {step.intensity:.3g}, bound by {step.bound}" for name, step in steps.items()
    )
    return Diagram(WIDTH, floor + 48, shapes, alt=alt + ".")
