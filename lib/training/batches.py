"""Batches: which tokens each training step sees, computed from the step alone.

Because nothing is remembered from one step to the next, a run can be resumed at any step, and any
number of processes can each take their share of a step's sequences.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from lib.settings import require, shortened

Tokens = np.ndarray | Tensor  # one dimension; an array may be mapped from a file
WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True)
class Batches:
    """Training sequences of `context_length` + 1 tokens, in random order, pass after pass.

    In each pass the text is cut into windows that share only their end tokens (the last target of
    one is the first input of the next), so that every token is predicted once. The cuts and the
    order depend on `seed` and the number of the pass. `batch_size` counts the sequences of one
    step. Raises ValueError if the tokens do not fill one window.
    """

    tokens: Tokens
    context_length: int
    batch_size: int
    seed: int = 0

    def __post_init__(self):
        require("batch_size", self.batch_size, "[1, inf)", whole=True)
        require("seed", self.seed, "[0, inf)", whole=True)
        check_tokens(self.tokens, self.context_length)

    @property
    def windows(self) -> int:
        """Sequences in one pass; one fewer than would fit, so that the first cut can be random."""
        whole = (len(self.tokens) - 1) // self.context_length
        return max(min(whole, 1), whole - 1)

    def step(self, step: int, share: slice = slice(None)) -> Int[Tensor, "B T_plus_1"]:
        """The sequences of training step `step`, or those of them that `share` selects."""
        numbers = range(step * self.batch_size, (step + 1) * self.batch_size)[share]
        return cut(self.tokens, [self.start(n) for n in numbers], self.context_length + 1)

    def start(self, number: int) -> int:
        """Where sequence `number`, counted over all passes, begins in the text."""
        pass_, place = divmod(number, self.windows)
        spare = len(self.tokens) - 1 - self.windows * self.context_length
        first, order = _shuffle(self.windows, spare, self.seed, pass_)
        return first + int(order[place]) * self.context_length


@lru_cache(maxsize=8)
def _shuffle(windows: int, spare: int, seed: int, pass_: int) -> tuple[int, np.ndarray]:
    random = np.random.default_rng([seed, pass_])
    return int(random.integers(spare + 1)), random.permutation(windows)


def cut(tokens: Tokens, starts: list[int], length: int) -> Int[Tensor, "B length"]:
    """The windows of `length` tokens that begin at `starts`, as 64-bit ids."""
    if isinstance(tokens, Tensor):
        return torch.stack([tokens[start : start + length] for start in starts]).long()
    windows = np.stack([tokens[start : start + length] for start in starts])
    return torch.from_numpy(windows.astype(np.int64))


def windows_in_order(
    tokens: Tokens, context_length: int, batch_size: int, most: int | None = None
) -> Iterator[Int[Tensor, "B T_plus_1"]]:
    """All whole windows of a text in order, for evaluation; `most` takes that many, spread evenly.

    Raises ValueError if there is none.
    """
    check_tokens(tokens, context_length)
    require("batch_size", batch_size, "[1, inf)", whole=True)
    if most is not None:
        require("the number of sequences", most, "[1, inf)", whole=True)
    starts = list(range(0, len(tokens) - context_length, context_length))
    if most is not None and most < len(starts):
        starts = [starts[i * len(starts) // most] for i in range(most)]
    for i in range(0, len(starts), batch_size):
        yield cut(tokens, starts[i : i + batch_size], context_length + 1)


def split(tokens: Tokens, validation: float = 0.1, blocks: int = 10) -> tuple[Tokens, Tokens]:
    """Training and validation tokens: the end of each of `blocks` equal parts is for validation.

    A text often changes from its beginning to its end; so both parts see all of it.
    """
    require("validation (a share of the tokens)", validation, "(0, 1)")
    require("blocks", blocks, "[1, inf)", whole=True)
    check_tokens(tokens)
    join = torch.cat if isinstance(tokens, Tensor) else np.concatenate
    edges = [len(tokens) * i // blocks for i in range(blocks + 1)]
    train, held_out = [], []
    for begin, end in pairwise(edges):
        middle = end - round((end - begin) * validation)
        train.append(tokens[begin:middle])
        held_out.append(tokens[middle:end])
    return join(train), join(held_out)


def check_tokens(tokens: Tokens, context_length: int | None = None, name: str = "training") -> None:
    """Raise ValueError unless `tokens` are whole numbers in one dimension that fill a sequence.

    A sequence is `context_length` + 1 tokens, since each but the first is predicted.
    """
    if context_length is not None:
        require("context_length", context_length, "[1, inf)", whole=True)
    if not isinstance(tokens, (np.ndarray, Tensor)):
        raise ValueError(
            f"{name} tokens must be an array or a tensor, got {shortened(tokens)}: encode a text "
            "with byte_tokens(text) or a tokenizer"
        )
    if isinstance(tokens, Tensor) and (tokens.layout != torch.strided or tokens.is_meta):
        raise ValueError(f"{name} tokens must be a plain tensor, got {shortened(tokens)}")
    dtype = tokens.dtype
    whole = dtype.kind in "iu" if isinstance(tokens, np.ndarray) else dtype in WHOLE
    if tokens.ndim != 1 or not whole:
        raise ValueError(
            f"{name} tokens must be whole numbers in one dimension, got {dtype} of shape "
            f"{tuple(tokens.shape)}"
        )
    if context_length is not None and len(tokens) <= context_length:
        raise ValueError(
            f"{len(tokens)} {name} tokens do not fill a sequence of {context_length} + 1; give at "
            f"least {context_length + 1} or a shorter context_length"
        )
