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
from lib.model.masks import causal_mask
from lib.tokenization import BPETokenizer
from lib.tokenization.chat import render_chat
from lib.training.optimizer import clip_gradients, make_optimizer, set_learning_rate
from lib.training.schedules import warmup_cosine


@dataclass(frozen=True)
class Example:
    """Token ids of prompt and response; the first `n_prompt` are read, the others learned.

    A text to learn as a whole has n_prompt = 1: nothing comes before its first token.
    """

    ids: Sequence[int]
    n_prompt: int = 1

    def __post_init__(self):
        if not 1 <= self.n_prompt < len(self.ids):
            raise ValueError(
                f"n_prompt must be in 1 .. {len(self.ids) - 1}, so that a prompt and a response "
                f"are there, got {self.n_prompt}"
            )


def chat_example(
    tokenizer: BPETokenizer, question: str, answer: str, template: str | None = None
) -> Example:
    """A question and its answer in the tokenizer's chat template; the answer is learned.

    What the template writes after the answer (the end of the turn) is learned too: without it the
    model would never stop. Raises ValueError if the template changes the prompt when an answer
    follows.
    """
    template = template or tokenizer.chat_template
    messages = [{"role": "user", "content": question}]
    prompt = render_chat(template, messages)
    messages.append({"role": "assistant", "content": answer})
    whole = render_chat(template, messages, add_generation_prompt=False)
    if not whole.startswith(prompt):
        raise ValueError("the template writes a question with an answer in another way than alone")
    n_prompt = len(tokenizer.encode(prompt, allowed_special="all"))
    response = tokenizer.encode(whole[len(prompt) :].rstrip("\n"), allowed_special="all")
    ids = tokenizer.encode(prompt, allowed_special="all") + response
    return Example(ids, n_prompt)


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
    if not examples:
        raise ValueError("there is nothing to pack: examples is empty")
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
            learned[r, begin + examples[i].n_prompt : end] = True
            begin = end
    return Packed(ids, positions, segments, learned)


def packed_hidden(model: LanguageModel, packed: Packed) -> Float[Tensor, "B T C"]:
    """The residual stream of packed examples: a token sees its own example, up to itself."""
    x, rotary = model.embed_at(packed.ids, packed.positions)
    same = packed.segments[:, None, :, None] == packed.segments[:, None, None, :]
    mask = same & causal_mask(packed.ids.shape[1], packed.ids.shape[1], packed.ids.device)
    for block in model.blocks:
        x = block(x, rotary, mask)
    return x


def sft_loss(model: LanguageModel, packed: Packed) -> Float[Tensor, ""]:
    """Mean surprise in nats of the learned tokens; those of prompts count nothing.

    Only the positions that predict a learned token are unembedded: with a large vocabulary the
    logits are most of the memory.
    """
    predicts = packed.learned[:, 1:]
    hidden = packed_hidden(model, packed)[:, :-1][predicts]
    return F.cross_entropy(model.unembed(hidden).float(), packed.ids[:, 1:][predicts])


@dataclass(frozen=True)
class SFTConfig:
    """Steps of AdamW with a short warmup, then half a cosine to a tenth of `learning_rate`."""

    steps: int
    batch_size: int = 32  # examples, not rows
    learning_rate: float = 1e-3
    warmup: int = 10
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    row_length: int | None = None  # of packing; None: the model's context
    seed: int = 0

    def __post_init__(self):
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


def only_last_layers(model: LanguageModel, n_layers: int) -> int:
    """Let only the last `n_layers` blocks learn; returns their number of weights.

    What lies below keeps no activations and no optimizer state: memory falls by that much.
    """
    if not 1 <= n_layers <= len(model.blocks):
        raise ValueError(f"n_layers must be in 1 .. {len(model.blocks)}, got {n_layers}")
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

    `on_step(step, loss)` is called after each step. Raises ValueError if there are no examples.
    """
    if not examples:
        raise ValueError("there is nothing to learn: examples is empty")
    optimizer = make_optimizer(model, config.learning_rate, config.weight_decay)
    warmup = min(config.warmup, config.steps - 1)
    schedule = warmup_cosine(config.learning_rate, config.steps, warmup)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    row_length = config.row_length or model.config.context_length
    losses: list[float] = []
    model.train()
    for step, batch in enumerate(batches(examples, config)):
        set_learning_rate(optimizer, schedule(step))
        loss = sft_loss(model, pack(batch, row_length))
        loss.backward()
        clip_gradients(weights, config.max_gradient_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if on_step is not None:
            on_step(step, losses[-1])
    model.eval()
    return losses
