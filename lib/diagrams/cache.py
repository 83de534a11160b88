"""The key/value cache in pictures: what stands in each slot after each token, read off the cache.

A real `KVCache` is filled with keys that hold their own position, and its memory is drawn.
"""

import torch

from lib.diagrams.diagram import WIDTH, Diagram, Number, Shape, cells, note
from lib.display import Text
from lib.model import KVCache, ModelConfig

NEW, OLD, FREE = "#0072B2", "#CFE3F2", "#FFFFFF"


def cache_filling(prompt: int = 4, steps: int = 4, capacity: int = 10) -> Diagram:
    """A cache without a window: the prompt at once, then one slot for each token."""
    return _picture(_tiny(), prompt, steps, capacity, "Each new token adds its key and value")


def ring_cache(
    window: int = 4, sinks: int = 0, prompt: int = 3, steps: int = 5, capacity: int = 20
) -> Diagram:
    """A cache of a layer with a window: a new position takes the slot of the oldest one."""
    config = _tiny().replace(window=window, window_sinks=sinks)
    kept = f", and the first {sinks}" if sinks else ""
    return _picture(config, prompt, steps, capacity, f"A window keeps the last {window}{kept}")


def _tiny() -> ModelConfig:
    sizes = dict(vocab_size=2, context_length=64, d_model=2, n_layers=1, n_heads=1, d_ff=2)
    return ModelConfig(**sizes)


def slots_after(
    config: ModelConfig, prompt: int, steps: int, capacity: int
) -> list[list[int | None]]:
    """The position in each slot of layer 0 after the prompt and after each further token.

    None where nothing was written yet.
    """
    cache = KVCache(config, 1, capacity)
    cache.keys[0].fill_(-1)
    found = []
    for new in [prompt] + [1] * steps:
        positions = torch.arange(cache.length, cache.length + new).float()
        key = positions[None, None, :, None].expand(1, config.n_kv_heads, new, config.d_head)
        cache.append(0, key, key)
        cache.advance(new)
        held = cache.keys[0][0, 0, :, 0].tolist()
        found.append([int(position) if position >= 0 else None for position in held])
    return found


def _picture(config: ModelConfig, prompt: int, steps: int, capacity: int, title: str) -> Diagram:
    rows = slots_after(config, prompt, steps, capacity)
    slots = len(rows[0])
    size: Number = min(44, (WIDTH - 170) / slots)
    shapes: list[Shape] = [Text(12, 18, title, 15, bold=True)]
    shapes.append(note(150, 44, f"{slots} slots; the number is the position whose key it holds"))
    before: list[int | None] = [None] * slots
    for i, row in enumerate(rows):
        y = 58 + 34 * i
        label = f"prompt of {prompt}" if i == 0 else f"token {prompt + i - 1}"
        shapes.append(Text(140, y + 14, label, 13, anchor="end"))
        texts = ["" if position is None else str(position) for position in row]
        fills = [
            FREE if now is None else NEW if now != then else OLD
            for now, then in zip(row, before, strict=True)
        ]
        shapes += cells(150, y, [texts], size, 28, [fills], size=13)
        before = row
    y = 58 + 34 * len(rows) + 14
    for x, (fill, words) in zip(
        (150, 270, 400), ((NEW, "written now"), (OLD, "kept"), (FREE, "free")), strict=True
    ):
        shapes += cells(x, y - 8, [[""]], 16, 16, [[fill]])
        shapes.append(note(x + 22, y, words))
    last = [position for position in rows[-1] if position is not None]
    alt = (
        f"{title}: {slots} slots after a prompt of {prompt} and {steps} more tokens; "
        f"at the end they hold positions {', '.join(map(str, last))} in this order."
    )
    return Diagram(WIDTH, y + 18, shapes, alt=alt)
