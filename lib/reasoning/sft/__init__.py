"""Supervised fine-tuning: learn the response, read the prompt.

An example is a prompt and a response in one sequence. The loss counts only the response's tokens:
nobody wants a model that is good at asking. Examples differ in length, so several are packed into
one row; each sees only itself and has its own positions, so packing changes nothing but the speed.
Works for any LanguageModel: the small ones of this chapter, and SmolLM2 with its chat template.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.model import LanguageModel
from lib.model.inputs import check_ids
from lib.model.masks import causal_mask
from lib.reasoning.examples import Example, chat_example, check_examples, conversation_example
from lib.settings import require, require_all, shortened
from lib.training.optimizer import (
    DivergedError,
    check_clipping,
    clipped_step,
    make_optimizer,
    set_learning_rate,
)
from lib.training.schedules import warmup_cosine

__all__ = [
    "Example",
    "Packed",
    "SFTConfig",
    "batches",
    "chat_example",
    "conversation_example",
    "only_last_layers",
    "pack",
    "packed_hidden",
    "sft",
    "sft_loss",
]
RANGES = {
    **dict.fromkeys(("steps", "batch_size"), "[1, inf)"),
    **dict.fromkeys(("warmup", "weight_decay", "seed"), "[0, inf)"),
    "learning_rate": "(0, inf)",
    "row_length": "[2, inf)",
}


@dataclass(frozen=True)
class Packed:
    """Several examples in each row. `segments` numbers them; -1 is padding."""

    ids: Int[Tensor, "B T"]
    positions: Int[Tensor, "B T"]  # from 0 in each example
    segments: Int[Tensor, "B T"]
    learned: Bool[Tensor, "B T"]  # the tokens that the loss counts

    @property
    def filled(self) -> float:
        """Share of the positions that are not padding."""
        return (self.segments >= 0).float().mean().item()


def pack(examples: Sequence[Example], row_length: int, pad_id: int = 0) -> Packed:
    """Put each example, longest first, into the first row that has room for it.

    Raises ValueError for an example longer than a row.
    """
    check_examples("pack", examples)
    require("row_length", row_length, "[2, inf)", whole=True)
    require("pad_id", pad_id, "[0, inf)", whole=True)
    rows: list[list[int]] = []  # places in `examples`
    room: list[int] = []
    for i in sorted(range(len(examples)), key=lambda i: -len(examples[i].ids)):
        n = len(examples[i].ids)
        if n > row_length:
            raise ValueError(f"an example has {n} tokens, a row only {row_length}; lengthen it")
        row = next((r for r, free in enumerate(room) if free >= n), None)
        if row is None:
            row = len(rows)
            rows.append([])
            room.append(row_length)
        rows[row].append(i)
        room[row] -= n
    shape = (len(rows), row_length - min(room))  # no column that is padding in all rows
    ids, positions = torch.full(shape, pad_id), torch.zeros(shape, dtype=torch.long)
    segments, learned = torch.full(shape, -1), torch.zeros(shape, dtype=torch.bool)
    for r, members in enumerate(rows):
        begin = 0
        for i in members:
            end = begin + len(examples[i].ids)
            ids[r, begin:end] = torch.tensor(examples[i].ids)
            positions[r, begin:end] = torch.arange(end - begin)
            segments[r, begin:end] = i
            learned[r, begin:end] = torch.tensor(examples[i].mask)
            begin = end
    return Packed(ids, positions, segments, learned)


def packed_hidden(model: LanguageModel, packed: Packed) -> Float[Tensor, "B T C"]:
    """The residual stream of packed examples: a token
    sees its own example, up to itself.

    Raises ValueError for ids that the model does not have, for parts of `packed` that
    do not match, and for a model with `window_sinks`, which are the first tokens of a
    row, not of an example.
    """
    _check_packed(model, packed)
    x, rotary = model.embed_at(packed.ids, packed.positions)
    same = packed.segments[:, None, :, None] == packed.segments[:, None, None, :]
    length = packed.ids.shape[1]
    mask = same & causal_mask(length, length, packed.ids.device)
    for block in model.blocks:
        x = block(x, rotary, mask)
    return x


def _check_packed(model: LanguageModel, packed: Packed) -> None:
    if not isinstance(packed, Packed):
        given = shortened(packed)
        raise ValueError(f"packed must be what pack(examples, …) returns, got {given}")
    if model.config.window_sinks:
        raise ValueError(
            f"window_sinks={model.config.window_sinks} cannot be packed: only the "
            "first example of a row would see its own first tokens; give each example "
            "a batch of its own"
        )
    check_ids(model.config, packed.ids)
    for name in ("positions", "segments", "learned"):
        part = getattr(packed, name)
        if not isinstance(part, Tensor):
            raise ValueError(f"{name} must be a tensor, got {shortened(part)}")
        if (shape := part.shape) != packed.ids.shape:
            sizes = f"{tuple(shape)}, ids {tuple(packed.ids.shape)}"
            raise ValueError(f"{name} has shape {sizes}")
        kinds = (torch.bool,) if name == "learned" else (torch.int64, torch.int32)
        if part.dtype not in kinds:
            given = "True and False" if name == "learned" else "whole numbers"
            raise ValueError(f"{name} must hold {given}, got {part.dtype}")
    least, most = (int(value) for value in packed.positions.aminmax())
    if least < 0:
        raise ValueError(f"positions must count from 0 in each example, got {least}")
    if most >= model.config.context_length:
        raise ValueError(
            f"an example has {most + 1} tokens, and the model a context of "
            f"{model.config.context_length}; shorten it"
        )


def _check_learned(packed: Packed) -> None:
    first = packed.segments != packed.segments.roll(1, dims=1)
    first[:, 0] = True
    if (packed.learned & (first | (packed.segments < 0))).any() or not packed.learned.any():
        raise ValueError(
            "learned must be True somewhere, and only at tokens that others of their example "
            "stand before"
        )


def sft_loss(model: LanguageModel, packed: Packed) -> Float[Tensor, ""]:
    """Mean surprise in nats of the learned tokens; those of prompts count nothing.

    Only the positions that predict a learned token are unembedded: with a large
    vocabulary the logits are most of the memory. Raises ValueError if nothing is
    learned, and for a learned token that no token of its example stands before.
    """
    hidden = packed_hidden(model, packed)[:, :-1]
    _check_learned(packed)
    predicts = packed.learned[:, 1:]
    logits = model.unembed(hidden[predicts]).float()
    return F.cross_entropy(logits, packed.ids[:, 1:][predicts])


@dataclass(frozen=True)
class SFTConfig:
    """Steps of AdamW with a short warmup, then half a cosine to a tenth of `learning_rate`."""

    steps: int
    batch_size: int = 32  # examples, not rows
    learning_rate: float | int = 1e-3
    warmup: int = 10
    weight_decay: float | int = 0.01
    max_gradient_norm: float | int = 1.0
    row_length: int | None = None  # of packing; None: the model's context
    seed: int = 0

    def __post_init__(self):
        require_all(self, RANGES, skip=("max_gradient_norm",))
        check_clipping(self.max_gradient_norm)


def only_last_layers(model: LanguageModel, n_layers: int) -> int:
    """Let only the last `n_layers` blocks learn; returns their number of weights.

    What lies below keeps no activations and no optimizer state: memory falls by that much.
    """
    require("n_layers", n_layers, f"[1, {len(model.blocks)}]", whole=True)
    model.requires_grad_(False)
    for block in model.blocks[-n_layers:]:
        block.requires_grad_(True)
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def batches(examples: Sequence[Example], config: SFTConfig) -> Iterator[list[Example]]:
    """`config.steps` batches, pass after pass, each pass in a new order."""
    dice, waiting = random.Random(f"batches {config.seed}"), []
    for _ in range(config.steps):
        while len(waiting) < config.batch_size:
            waiting += dice.sample(range(len(examples)), len(examples))
        taken, waiting = waiting[: config.batch_size], waiting[config.batch_size :]
        yield [examples[i] for i in taken]


def sft(
    model: LanguageModel,
    examples: Sequence[Example],
    config: SFTConfig,
    on_step: Callable[[int, float], object] | None = None,
) -> list[float]:
    """Fine-tune the weights that require gradients; return the loss before each step.

    `on_step(step, loss)` is called after each step. Raises ValueError if there are no examples, and
    DivergedError at the first loss that is not finite: no weight has changed by it.
    """
    for value, kind in ((model, LanguageModel), (config, SFTConfig)):
        if not isinstance(value, kind):
            raise TypeError(f"sft needs a {kind.__name__}, got {shortened(value)}")
    check_examples("learn", examples)
    row_length = config.row_length or model.config.context_length
    pack([max(examples, key=lambda example: len(example.ids))], row_length)  # before any step
    optimizer = make_optimizer(model, config.learning_rate, config.weight_decay)
    warmup = min(config.warmup, config.steps - 1)
    schedule = warmup_cosine(config.learning_rate, config.steps, warmup)
    losses: list[float] = []
    model.train()
    for step, batch in enumerate(batches(examples, config)):
        set_learning_rate(optimizer, schedule(step))
        loss = sft_loss(model, pack(batch, row_length))
        loss.backward()
        try:
            clipped_step(optimizer, loss, model.parameters(), config.max_gradient_norm)
        except DivergedError as error:
            raise DivergedError(f"SFT stopped at step {step + 1}: {error}") from error
        losses.append(loss.item())
        if on_step is not None:
            on_step(step, losses[-1])
    model.eval()
    return losses
