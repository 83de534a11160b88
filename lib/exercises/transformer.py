"""Exercises of chapter 6: parameters, the loss, the learning rate, tied weights, initialization."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from lib.exercises.checking import Exercise, Mistake

# Parameter count


def block_parameters(d_model: int, n_heads: int, n_kv_heads: int, d_head: int, d_ff: int) -> int:
    """Parameters of one block of Llama: no biases, a gated feed-forward layer, two RMSNorms."""
    query_and_output = 2 * d_model * n_heads * d_head
    key_and_value = 2 * d_model * n_kv_heads * d_head
    return query_and_output + key_and_value + 3 * d_model * d_ff + 2 * d_model


check_block_parameters = Exercise(
    title="Parameters of a block",
    reference=block_parameters,
    cases=lambda seed: [(4, 2, 1, 2, 8), (576, 9, 3, 64, 1536), (1024, 16, 8, 128, 3072 + seed)],
    mistakes=[
        Mistake(
            lambda d_model, n_heads, n_kv_heads, d_head, d_ff: (
                4 * d_model * n_heads * d_head + 3 * d_model * d_ff + 2 * d_model
            ),
            "Keys and values have n_kv_heads heads, fewer than the queries.",
        ),
        Mistake(
            lambda d_model, n_heads, n_kv_heads, d_head, d_ff: (
                block_parameters(d_model, n_heads, n_kv_heads, d_head, d_ff) - d_model * d_ff
            ),
            "A gated feed-forward layer has three matrices: gate, up and down.",
        ),
        Mistake(
            lambda d_model, n_heads, n_kv_heads, d_head, d_ff: (
                block_parameters(d_model, n_heads, n_kv_heads, d_head, d_ff) - 2 * d_model
            ),
            "The two norms are missing: each has a gain for every feature.",
        ),
        Mistake(
            lambda d_model, n_heads, n_kv_heads, d_head, d_ff: block_parameters(
                d_model, n_heads, n_kv_heads, d_model // n_heads, d_ff
            ),
            "d_head is given: it need not be d_model / n_heads.",
        ),
    ],
    difficulty=1,
    minutes=10,
)


# The loss


def language_model_loss(
    logits: Float[Tensor, "B T V"], ids: Int[Tensor, "B T"]
) -> Float[Tensor, ""]:
    """Mean cross-entropy: the logits at position t against the token at t + 1."""
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def _loss_cases(seed: int) -> list[tuple]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            2 * torch.randn(b, t, v, generator=generator),
            torch.randint(v, (b, t), generator=generator),
        )
        for b, t, v in [(1, 3, 4), (2, 5, 7), (3, 8, 11)]
    ]


check_language_model_loss = Exercise(
    title="The loss of a language model",
    reference=language_model_loss,
    cases=_loss_cases,
    mistakes=[
        Mistake(
            lambda logits, ids: F.cross_entropy(logits.flatten(0, 1), ids.flatten()),
            "The targets are not shifted: the logits at t predict the token at t + 1.",
        ),
        Mistake(
            lambda logits, ids: F.cross_entropy(logits[:, 1:].flatten(0, 1), ids[:, :-1].flatten()),
            "Shifted the wrong way: this predicts the token before.",
        ),
        Mistake(
            lambda logits, ids: language_model_loss(logits, ids) * ids[:, 1:].numel(),
            "This is the sum: divide by the number of predictions, B (T - 1).",
        ),
        Mistake(
            lambda logits, ids: language_model_loss(logits, ids) / math.log(2),
            "This is in bits: use the natural logarithm.",
        ),
        Mistake(
            lambda logits, ids: language_model_loss(logits.softmax(-1), ids),
            "cross_entropy takes logits: it applies the softmax itself.",
        ),
    ],
    difficulty=1,
    minutes=10,
)


# The learning rate


def learning_rate(step: int, total: int, warmup: int, peak: float) -> float:
    """peak (s + 1) / (w + 1) in the warmup, then half a cosine from peak down to a tenth of it."""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    progress = (step - warmup) / (total - warmup)
    return peak * (0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2)


def _after_warmup(step: int, warmup: int, peak: float, share: float) -> float:
    """The right warmup, then `share` of the cosine."""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * (0.1 + 0.9 * (1 + math.cos(math.pi * share)) / 2)


check_learning_rate = Exercise(
    title="Warmup and cosine",
    reference=learning_rate,
    cases=lambda seed: [
        (step, total, warmup, 0.5 + seed)
        for total, warmup in [(10, 2), (40, 0), (25, 10)]
        for step in (0, 1, warmup, total // 2, total - 1)
    ],
    mistakes=[
        Mistake(
            lambda step, total, warmup, peak: _after_warmup(step, warmup, peak, step / total),
            "The cosine starts after the warmup: measure its progress from there.",
        ),
        Mistake(
            lambda step, total, warmup, peak: (
                peak * step / warmup if step < warmup else learning_rate(step, total, warmup, peak)
            ),
            "The first step has a learning rate of zero, so it is wasted.",
        ),
        Mistake(
            lambda step, total, warmup, peak: (
                learning_rate(step, total, warmup, peak)
                if step < warmup
                else peak * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2
            ),
            "The cosine falls to zero, not to a tenth of the peak.",
        ),
        Mistake(
            lambda step, total, warmup, peak: (
                learning_rate(step, total, warmup, peak)
                if step < warmup
                else peak * (1 - 0.9 * (step - warmup) / (total - warmup))
            ),
            "This is a straight line down, not a cosine.",
        ),
    ],
    difficulty=2,
    minutes=15,
)


# Tied weights


def tie(embedding: nn.Embedding, head: nn.Linear) -> None:
    """Let the head use the embedding's weight: one tensor, not two equal ones."""
    head.weight = embedding.weight


def _tied_after_a_step(answer: Callable, vocab_size: int, width: int) -> list:
    """Whether one tensor serves both, and what both are after one step of training."""
    torch.manual_seed(vocab_size)
    embedding, head = nn.Embedding(vocab_size, width), nn.Linear(width, vocab_size, bias=False)
    before = embedding.weight.detach().clone()
    answer(embedding, head)
    kept = torch.equal(embedding.weight, before)
    trained = {id(w): w for w in (*embedding.parameters(), *head.parameters())}
    optimizer = torch.optim.SGD(trained.values(), lr=0.1)
    F.cross_entropy(head(embedding(torch.tensor([0, 1]))), torch.tensor([1, 2])).backward()
    optimizer.step()
    return [
        kept,
        len(trained),
        torch.equal(embedding.weight, head.weight),
        embedding.weight.detach(),
    ]


def _copy_values(embedding: nn.Embedding, head: nn.Linear) -> None:
    head.weight.data = embedding.weight.data.clone()


def _wrap_again(embedding: nn.Embedding, head: nn.Linear) -> None:
    head.weight = nn.Parameter(embedding.weight)


def _other_way(embedding: nn.Embedding, head: nn.Linear) -> None:
    embedding.weight = head.weight


check_tie = Exercise(
    title="Tied weights",
    reference=lambda vocab_size, width: _tied_after_a_step(tie, vocab_size, width),
    cases=lambda seed: [(5, 3), (11, 8 + seed)],
    call=_tied_after_a_step,
    mistakes=[
        Mistake(
            _copy_values,
            "The values are copied: after one step of training the two differ again.",
        ),
        Mistake(
            _wrap_again,
            "nn.Parameter(...) makes a second parameter on the same memory: an optimizer would "
            "update it twice. Assign the parameter itself.",
        ),
        Mistake(
            _other_way,
            "The embedding lost its values to the head's: keep the embedding's.",
        ),
        Mistake(lambda embedding, head: 0, "Nothing is tied."),
    ],
    difficulty=2,
    minutes=10,
)


# Initialization


def residual_scale(n_layers: int) -> float:
    """Standard deviation for weights that write to the residual stream, with 0.02 for the others.

    2 L independent writes add up in variance: each must be smaller by sqrt(2 L).
    """
    return 0.02 / math.sqrt(2 * n_layers)


check_residual_scale = Exercise(
    title="Initialization of what writes to the residual stream",
    reference=residual_scale,
    cases=lambda seed: [(n + seed,) for n in (1, 12, 30)],
    mistakes=[
        Mistake(
            lambda n_layers: 0.02 / (2 * n_layers),
            "It is the variances that add up: divide by the root.",
        ),
        Mistake(
            lambda n_layers: 0.02 / math.sqrt(n_layers),
            "Each layer writes twice: attention and feed-forward.",
        ),
        Mistake(
            lambda n_layers: 0.02 * math.sqrt(2 * n_layers),
            "More layers need smaller weights, not larger ones.",
        ),
    ],
    difficulty=1,
    minutes=5,
)
