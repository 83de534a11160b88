"""The shape of a model: layers, width, heads, vocabulary; where its parameters and bytes are."""

from dataclasses import dataclass

from lib.display import GRAY, PALE, PALETTE, Drawing, Rectangle, Text
from lib.model import ModelConfig
from lib.model.config import RANGES
from lib.model.parameters import non_embedding_parameters, parameters, parameters_by_part
from lib.scaling.memory import BYTES, kv_cache_bytes, training_state_bytes
from lib.widgets.choices import Button, Dropdown, Toggle
from lib.widgets.controls import IntSlider, LogSlider, within
from lib.widgets.explorer import Explorer
from lib.widgets.pictures import DrawingPicture
from lib.widgets.touch import Spot

COLORS = {
    "embedding": PALETTE["blue"],
    "positions": PALETTE["sky"],
    "attention": PALETTE["orange"],
    "feed-forward": PALETTE["green"],
    "norms": PALETTE["black"],
    "head": PALETTE["purple"],
}
WIDTH, LEFT, BAR = 720, 110, 380  # px


@dataclass(frozen=True)
class Shape:
    """State of the widget: sizes of a model, which is GPT-2's kind or, gated, Llama's."""

    layers: int = 12
    width: int = 768
    heads: int = 12
    kv_heads: int = 12
    head_width: int = 64
    feed_forward: float = 3072.0
    vocabulary: float = 50257.0
    context: float = 1024.0
    gated: bool = False
    tied: bool = True
    qk_norm: bool = False

    def config(self) -> ModelConfig:
        """The model of these sizes."""
        make = ModelConfig.llama3_8b if self.gated else ModelConfig.gpt2
        return make(
            vocab_size=round(self.vocabulary),
            context_length=round(self.context),
            d_model=self.width,
            n_layers=self.layers,
            n_heads=self.heads,
            n_kv_heads=self.kv_heads,
            d_head=self.head_width,
            d_ff=round(self.feed_forward),
            tie_embeddings=self.tied,
            qk_norm=self.qk_norm,
        )


def shape_of(config: ModelConfig) -> Shape:
    """The widget's state for a model."""
    return Shape(
        layers=config.n_layers,
        width=config.d_model,
        heads=config.n_heads,
        kv_heads=config.n_kv_heads,
        head_width=config.d_head,
        feed_forward=float(config.d_ff),
        vocabulary=float(config.vocab_size),
        context=float(config.context_length),
        gated=config.gated,
        tied=config.tie_embeddings,
        qk_norm=config.qk_norm,
    )


PRESETS = {
    "GPT-2": shape_of(ModelConfig.gpt2()),
    "SmolLM2 135M": shape_of(ModelConfig.smollm2_135m()),
    "Qwen3 0.6B": shape_of(ModelConfig.qwen3_0_6b()),
    "Llama 3 8B": shape_of(ModelConfig.llama3_8b()),
}


def model_shape_explorer() -> Explorer:
    """The widget, at the shape of GPT-2."""
    controls = [
        Button(name, name, f"Start from {name}.", lambda _, shape=shape: shape)
        for name, shape in PRESETS.items()
    ]
    controls += [
        IntSlider("layers", "layers, L", "Blocks, one after another.", *limits("n_layers", 1, 100)),
        IntSlider(
            "width", "width, C", "Features of a token.", *limits("d_model", 16, 8192), "features"
        ),
        IntSlider(
            "heads", "query heads, H", "Heads that look for something.", *limits("n_heads", 1, 96)
        ),
        Dropdown(
            "kv_heads",
            "key heads, K",
            "Each serves H / K query heads.",
            lambda s: divisors(s.heads),
        ),
        Dropdown(
            "head_width", "head width, D", "Features of one head.", [16, 32, 64, 96, 128, 256]
        ),
        LogSlider(
            "feed_forward",
            "feed-forward, F",
            "Its inner width.",
            *limits("d_ff", 16, 65536),
            "features",
        ),
        LogSlider(
            "vocabulary",
            "vocabulary, V",
            "Known tokens.",
            *limits("vocab_size", 256, 262_144),
            "tokens",
        ),
        LogSlider(
            "context",
            "context, T",
            "Longest text.",
            *limits("context_length", 64, 131_072),
            "tokens",
        ),
        Toggle("gated", "Llama's kind", "Gated, RMSNorm, RoPE, no biases; off: GPT-2's kind."),
        Toggle("tied", "tied embeddings", "The head is the embedding."),
    ]
    return Explorer(PRESETS["GPT-2"], controls, DrawingPicture(_draw, WIDTH), _describe)


def limits(name: str, low: int, high: int) -> tuple[int, int]:
    """A slider's limits, checked against those of the ModelConfig's own field."""
    return within(RANGES[name], low, high)


def divisors(number: int) -> list[int]:
    """All divisors, the largest first."""
    return [n for n in range(number, 0, -1) if number % n == 0]


def memory(config: ModelConfig) -> dict[str, int]:
    """Bytes of weights, of training before activations, and of one full context's cache."""
    count = parameters(config)
    return {
        "weights, bfloat16": BYTES["bfloat16"] * count,
        "weights, float32": BYTES["float32"] * count,
        "training, AdamW, float32": sum(training_state_bytes(config).values()),
        "KV cache, bfloat16": kv_cache_bytes(config, config.context_length),
    }


def size_text(count: int | float, unit: str = "") -> str:
    """Three significant digits and a letter: 124 M, 16.1 GB."""
    for factor, letter in ((1e12, "T"), (1e9, "B" if not unit else "G"), (1e6, "M"), (1e3, "k")):
        if count >= factor:
            return f"{count / factor:.3g} {letter}{unit}"
    return f"{count:.3g} {unit}".strip()


def _draw(state: Shape) -> Drawing:
    config = state.config()
    parts = parameters_by_part(config)
    total, most = sum(parts.values()), max(parts.values())
    shapes = [Text(8, 20, f"{total:,} parameters", size=18, bold=True)]
    x = 8.0
    for name, count in parts.items():  # the whole, in one bar
        width = (WIDTH - 16) * count / total
        tip = f"{name}: {count:,} ({count / total:.1%})"
        shapes.append(Rectangle(x, 40, width, 22, COLORS[name], edge="white", tip=tip))
        x += width
    for row, (name, count) in enumerate(parts.items()):
        y = 88 + 22 * row
        note = "tied: the embedding" if name == "head" and not count else f"{count / total:.1%}"
        shapes += [
            Text(LEFT - 8, y, name, anchor="end"),
            Rectangle(LEFT, y - 8, BAR, 16, PALE),
            Rectangle(LEFT, y - 8, BAR * count / most, 16, COLORS[name]),
            Text(LEFT + BAR + 8, y, f"{size_text(count)}  ({note})"),
        ]
        box = (4, y - 11, LEFT + BAR, 22)
        if name == "head":
            said = "give the head its own matrix" if state.tied else "tie the head to the embedding"
            shapes.append(Spot(*box, said, {"tied": not state.tied}))
        elif name == "feed-forward":
            said = "GPT-2's kind" if state.gated else "Llama's kind"
            shapes.append(Spot(*box, said, {"gated": not state.gated}))
    for column, (name, count) in enumerate(memory(config).items()):
        x = 8 + (WIDTH - 16) / 4 * column
        shapes += [
            Text(x, 232, size_text(count, "B"), size=16, bold=True),
            Text(x, 252, name, size=11, color=GRAY),
        ]
    return Drawing(WIDTH, 268, shapes)


def _describe(state: Shape) -> str:
    config = state.config()
    parts = parameters_by_part(config)
    largest = max(parts, key=parts.get)
    bytes_ = memory(config)
    return (
        f"{sum(parts.values()):,} parameters, {non_embedding_parameters(config):,} of them in the "
        f"blocks and the last norm; most are in the {largest} part "
        f"({parts[largest] / sum(parts.values()):.0%}). "
        f"Weights in bfloat16 take {size_text(bytes_['weights, bfloat16'], 'B')}; keys and values "
        f"of {config.context_length:,} tokens {size_text(bytes_['KV cache, bfloat16'], 'B')}."
    )
