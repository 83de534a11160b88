"""Serving a model: latency, throughput and memory by batch and context, on a roofline."""

import math
from dataclasses import dataclass, replace

from lib.display import GRAY, PALE, PALETTE, Disk, Drawing, Line, Rectangle, Text
from lib.model import ModelConfig
from lib.scaling import (
    DEVICES,
    Device,
    Step,
    crossover_batch,
    decode_step,
    kv_cache_bytes,
    parameters,
    prefill_step,
)
from lib.widgets.choices import Dropdown
from lib.widgets.controls import LogSlider
from lib.widgets.explorer import Explorer
from lib.widgets.model_shape import size_text
from lib.widgets.pictures import DrawingPicture
from lib.widgets.tasks import Task
from lib.widgets.touch import Handle, Spot

MODELS = {
    "GPT-2": ModelConfig.gpt2(context_length=131_072),
    "SmolLM2 135M": ModelConfig.smollm2_135m(),
    "Qwen3 0.6B": ModelConfig.qwen3_0_6b(),
    "Llama 3 8B": ModelConfig.llama3_8b(),
    "Llama 3 70B": ModelConfig.llama3_8b(d_model=8192, n_layers=80, n_heads=64, d_ff=28_672),
    "Mixtral 8x7B": ModelConfig.llama3_8b(vocab_size=32_000, n_experts=8, n_active_experts=2),
}
TASKS = (
    Task("A batch of 64 instead of 1. How much longer does one step take?", {"batch": 64.0}),
    Task("Weights of 4 bits instead of 16. How much faster is a token?", {"weight_bytes": 0.5}),
)
PRECISIONS = (("16 bits", 2.0), ("8 bits", 1.0), ("4 bits", 0.5))
WIDTH, HEIGHT = 720, 408  # px
LEFT, RIGHT, TOP, BOTTOM = 66, 410, 44, 300  # the plot
INTENSITIES, SPEEDS = (0.3, 30_000.0), (1e10, 2e15)  # FLOPs a byte, FLOP/s
COLORS = {"decode": PALETTE["red"], "prefill": PALETTE["blue"]}
INKS = {"decode": "#A03000", "prefill": PALETTE["blue"]}  # of letters, which need more contrast


@dataclass(frozen=True)
class Serving:
    """State of the widget. `weight_bytes` is what one weight takes; the cache has 2 bytes."""

    model: str = "Llama 3 8B"
    device: str = "A100 40GB"
    batch: float = 1.0
    context: float = 1024.0
    weight_bytes: float = 2.0

    @property
    def sequences(self) -> int:
        """The batch as a whole number."""
        return round(self.batch)

    @property
    def tokens(self) -> int:
        """The context as a whole number."""
        return round(self.context)

    def step(self, kind: str) -> Step:
        """One decoding step, or the prefill of the whole context."""
        function = decode_step if kind == "decode" else prefill_step
        return function(
            MODELS[self.model],
            DEVICES[self.device],
            self.sequences,
            self.tokens,
            self.weight_bytes,
        )

    def memory(self) -> dict[str, float]:
        """Bytes of weights and of keys and values."""
        config = MODELS[self.model]
        return {
            "weights": self.weight_bytes * parameters(config),
            "KV cache": float(kv_cache_bytes(config, self.tokens, self.sequences)),
        }


def compute_explorer(start: Serving = Serving()) -> Explorer:
    """The widget; at first Llama 3 8B on an A100, one sequence of 1,024 tokens."""
    controls = [
        Dropdown("model", "model", "Its shape decides FLOPs and bytes.", list(MODELS)),
        Dropdown("device", "device", "Its peak and its bandwidth make the roof.", list(DEVICES)),
        LogSlider("batch", "batch", "Sequences decoded together.", 1, 4096),
        LogSlider("context", "context", "Tokens of each in the cache.", 16, 131_072, unit="tokens"),
        Dropdown("weight_bytes", "weights", "What one weight takes in memory.", PRECISIONS),
    ]
    return Explorer(start, controls, DrawingPicture(_draw, WIDTH), _describe, TASKS)


def time_text(seconds: float) -> str:
    """Three significant digits: 8.1 ms."""
    for factor, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _x(intensity: float) -> float:
    low, high = map(math.log10, INTENSITIES)
    share = (math.log10(intensity) - low) / (high - low)
    return LEFT + (RIGHT - LEFT) * min(max(share, 0.0), 1.0)


def _y(speed: float) -> float:
    low, high = map(math.log10, SPEEDS)
    share = (math.log10(speed) - low) / (high - low)
    return BOTTOM - (BOTTOM - TOP) * min(max(share, 0.0), 1.0)


def _axes(device: Device) -> list:
    shapes = [Text(8, 18, f"The roof of {device.name}", size=15, bold=True)]
    for exponent in range(5):
        x = _x(10.0**exponent)
        shapes += [
            Line([(x, TOP), (x, BOTTOM)], PALE),
            Text(x, BOTTOM + 14, f"{10**exponent:,}", size=11, color=GRAY, anchor="middle"),
        ]
    for exponent, label in ((10, "0.01"), (11, "0.1"), (12, "1"), (13, "10"), (14, "100")):
        y = _y(10.0**exponent)
        shapes += [
            Line([(LEFT, y), (RIGHT, y)], PALE),
            Text(LEFT - 6, y, label, size=11, color=GRAY, anchor="end"),
        ]
    y = _y(1e15)
    shapes += [
        Line([(LEFT, y), (RIGHT, y)], PALE),
        Text(LEFT - 6, y, "1,000", size=11, color=GRAY, anchor="end"),
        Text(
            (LEFT + RIGHT) / 2, BOTTOM + 32, "FLOPs for each byte moved", size=12, anchor="middle"
        ),
        Text(8, TOP - 10, "TFLOP/s", size=12),
    ]
    corner = INTENSITIES[0] * device.bandwidth
    roof = [(_x(INTENSITIES[0]), _y(corner)), (_x(device.ridge), _y(device.flops))]
    shapes.append(Line([*roof, (RIGHT, _y(device.flops))], "#222222", 2.5))
    shapes.append(
        Text(
            _x(device.ridge) - 6,
            _y(device.flops) - 8,
            f"ridge {device.ridge:.0f}",
            size=11,
            anchor="end",
        )
    )
    return shapes


def _draw(state: Serving) -> Drawing:
    device = DEVICES[state.device]
    shapes = _axes(device)
    for kind, color in COLORS.items():
        step = state.step(kind)
        x, y = _x(step.intensity), _y(step.flops / step.seconds)
        left = kind == "prefill"
        shapes += [
            Line([(x, y), (x, BOTTOM)], color, 1.2, dashed=True),
            Disk(x, y, 6, color, tip=f"{kind}: {step.intensity:.3g} FLOPs a byte"),
            Text(x + (-9 if left else 9), y + 18, kind, size=12, color=INKS[kind],
                 anchor="end" if left else "start", bold=True),
        ]  # fmt: skip
    column = RIGHT + 34
    for row, kind in enumerate(COLORS):
        step, y = state.step(kind), 34 + 108 * row
        what = "decode: one token for each" if kind == "decode" else "prefill: the whole context"
        shapes += [
            Text(column, y, what, size=13, bold=True, color=INKS[kind]),
            Text(column, y + 22, f"{time_text(step.seconds)}, bound by {step.bound}", size=13),
            Text(column, y + 42, f"{size_text(step.tokens_per_second)} tokens/s", size=13),
        ]
        longest = max(step.compute_seconds, step.memory_seconds)
        for line, (name, seconds) in enumerate(
            {"arithmetic": step.compute_seconds, "memory": step.memory_seconds}.items()
        ):
            at = y + 60 + 17 * line
            shapes += [
                Text(column, at, name, size=11, color=GRAY),
                Rectangle(column + 70, at - 6, 110, 12, PALE),
                Rectangle(column + 70, at - 6, 110 * seconds / longest, 12, COLORS[kind]),
                Text(column + 186, at, time_text(seconds), size=11),
            ]
    return Drawing(WIDTH, HEIGHT, shapes + _memory_bar(state, device) + _touch(state))


def _touch(state: Serving) -> list:
    """Decoding's point, whose place on the roof follows the batch; and the precisions."""
    step = state.step("decode")
    x, y = _x(step.intensity), _y(step.flops / step.seconds)
    batches = [float(2**i) for i in range(13)]
    at = [_x(replace(state, batch=batch).step("decode").intensity) for batch in batches]
    grip, shapes = (x - 12, y - 12, 24, 24), []
    for i, (name, count) in enumerate(PRECISIONS):
        chosen = count == state.weight_bytes
        box = (RIGHT + 34 + 88 * i, 252, 84, 26)
        edge = {"edge": GRAY, "edge_width": 2} if chosen else {"edge": PALE}
        shapes += [
            Rectangle(*box, **edge),
            Text(box[0] + 42, 265, name, size=12, anchor="middle", bold=chosen),
            Spot(*box, f"weights of {name}", {"weight_bytes": count}, chosen),
        ]
    return [*shapes, Handle(*grip, "batch", "batch", state.batch, batches, at, log=True)]


def _memory_bar(state: Serving, device: Device) -> list:
    memory = state.memory()
    total = sum(memory.values())
    scale = (WIDTH - 40) / max(total, device.memory)
    verdict = "fits" if total <= device.memory else "does not fit"
    shapes = [
        Text(8, 362, f"Memory: {size_text(total, 'B')} of {size_text(device.memory, 'B')}, "
             f"{verdict}", size=13, bold=True),
        Rectangle(8, 376, device.memory * scale, 18, PALE, edge=GRAY),
    ]  # fmt: skip
    x = 8.0
    for (name, count), color in zip(
        memory.items(), (PALETTE["sky"], PALETTE["orange"]), strict=True
    ):
        width = count * scale
        shapes.append(Rectangle(x, 378, width, 14, color, tip=f"{name}: {size_text(count, 'B')}"))
        if width > 130:
            shapes.append(Text(x + 6, 385, f"{name} {size_text(count, 'B')}", size=11))
        x += width
    return shapes


def _describe(state: Serving) -> str:
    decode, prefill = state.step("decode"), state.step("prefill")
    config, device = MODELS[state.model], DEVICES[state.device]
    total = sum(state.memory().values())
    crossover = crossover_batch(config, device, state.tokens, state.weight_bytes)
    turns = (
        f"Decoding turns compute-bound at a batch of {crossover:,.0f}."
        if crossover < math.inf
        else "At this context no batch makes decoding compute-bound."
    )
    return (
        f"{state.model} on {state.device}, a batch of {state.sequences:,}, {state.tokens:,} tokens "
        f"each: one more token for each takes {time_text(decode.seconds)}, "
        f"{size_text(decode.tokens_per_second)} tokens/s, bound by {decode.bound}; "
        f"the prefill {time_text(prefill.seconds)}, bound by {prefill.bound}. {turns} "
        f"Weights and cache take {size_text(total, 'B')} of {size_text(device.memory, 'B')}. "
        "These are limits, which programs approach from below."
    )
