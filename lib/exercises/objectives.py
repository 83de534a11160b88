"""An exercise of chapter 7: the loss of a language model, with its shift and its gradient."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from lib.exercises.checking import Exercise, Probe
from lib.exercises.comparing import difference

# The loss

SHIFTS: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "next": lambda z, ids: (z[:, :-1], ids[:, 1:]),
    "none": lambda z, ids: (z, ids),
    "none_short": lambda z, ids: (z[:, :-1], ids[:, :-1]),
    "first_dropped": lambda z, ids: (z[:, 1:], ids[:, 1:]),
    "back": lambda z, ids: (z[:, 1:], ids[:, :-1]),
    "two": lambda z, ids: (z[:, :-2], ids[:, 2:]),
    "roll": lambda z, ids: (z, ids.roll(-1, 1)),
    "flat": lambda z, ids: (z.flatten(0, 1)[None, :-1], ids.flatten()[None, 1:]),
    "batch": lambda z, ids: (z[:-1], ids[1:]),
    "last": lambda z, ids: (z[:, -2:-1], ids[:, -1:]),
    "first": lambda z, ids: (z[:, :1], ids[:, 1:2]),
}
PREPARED: dict[str, Callable[[Tensor], Tensor]] = {
    "log_softmax": lambda z: z.log_softmax(-1),
    "twice": lambda z: z.softmax(-1).log_softmax(-1),
    "positions": lambda z: z.log_softmax(1),
    "raw": lambda z: z,
    "probabilities": lambda z: z.softmax(-1),
    "sigmoid": F.logsigmoid,
    "base 2": lambda z: z.log_softmax(-1) / math.log(2),
    "base 10": lambda z: z.log_softmax(-1) / math.log(10),
    "largest": lambda z: z - z.amax(-1, keepdim=True),
    "all positions": lambda z: z,
    "smooth": lambda z: 0.9 * z.log_softmax(-1) + 0.1 * z.log_softmax(-1).mean(-1, keepdim=True),
}
JOINED: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": torch.mean,
    "sum": torch.sum,
    "texts": lambda x: x.sum(1).mean(),
    "positions": lambda x: x.sum(0).mean(),
    "T": lambda x: x.sum() / (len(x) * (x.shape[1] + 1)),
    "each": lambda x: x,
    "each_text": lambda x: x.mean(1),
    "one text": lambda x: x[0].mean(),
    "median": torch.median,
    "log mean": lambda x: -(-x).exp().mean().log(),
    "exp": lambda x: x.mean().exp(),
}


def language_model_loss(
    logits: Float[Tensor, "B T V"],
    ids: Int[Tensor, "B T"],
    *,
    shift: str = "next",
    of: str = "log_softmax",
    joined: str = "mean",
    sign: int = -1,
    skipped: int | str = -1,
    graph: str = "kept",
) -> Float[Tensor, ""] | Any:
    """Mean cross-entropy: the logits at position t against the token at t + 1."""
    skipped = logits.shape[-1] - 1 if skipped == "last" else skipped
    logits = logits.log_softmax(1) if of == "all positions" else logits
    logits, targets = SHIFTS[shift](logits, ids)
    logits = logits.detach() if graph == "cut" else logits
    surprise = sign * PREPARED[of](logits).gather(-1, targets[..., None])[..., 0]
    if skipped >= 0:
        surprise = surprise[targets != skipped][None]
    return JOINED[joined](surprise)


def _loss_cases(seed: int) -> list[tuple]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            (2 * torch.randn(b, t, v, generator=generator)).requires_grad_(),
            torch.randint(v, (b, t), generator=generator),
        )
        for b, t, v in [(1, 3, 4), (2, 5, 7), (3, 8, 11)]
    ]


def _with_gradient(expected: Tensor, got: Any) -> str | None:
    """As always, and a loss that training can use: its gradient is right too."""
    problem = difference(expected, got)
    if problem or not expected.requires_grad:
        return problem
    gradients = [_gradient(x) if x.requires_grad and x.grad_fn else None for x in (expected, got)]
    return difference(*gradients) and "The number is right, but not its gradient."


def _gradient(loss: Tensor) -> Tensor | None:
    """The gradient of a loss with respect to the tensor from which it was computed."""
    nodes = [loss.grad_fn]
    for node in nodes:
        if hasattr(node, "variable"):
            return torch.autograd.grad(loss, node.variable, retain_graph=True)[0]
        nodes += [inner for inner, _ in node.next_functions if inner is not None]
    return None


def _sure(ids: list, heights: list) -> tuple[Tensor, Tensor]:
    """Logits that are 0 but for a height at each position's id in `ids`, and heights' ids."""
    ids = torch.tensor(ids)
    return F.one_hot(torch.tensor(heights), 4).float() * 10, ids


check_language_model_loss = Exercise(
    title="The loss of a language model",
    reference=language_model_loss,
    cases=_loss_cases,
    compare=_with_gradient,
    switches={
        "shift": {
            "none": "The targets are not shifted: the logits at t predict the token at t + 1.",
            "none_short": "The last is dropped of both: logits at t predict the token at t + 1.",
            "first_dropped": "The first is dropped of both: the logits at t predict the token at "
            "t + 1.",
            "back": "Shifted the wrong way: this predicts the token before.",
            "two": "Shifted by two: the logits at t predict the token at t + 1.",
            "roll": "`roll` makes the last position predict the first token: drop the last logits.",
            "flat": "The texts are put in a row before the shift: the end of one then predicts the "
            "start of the next.",
            "batch": "It shifts along the batch: shift along the positions.",
            "last": "Only the last token is predicted: take the mean over all.",
            "first": "Only the first prediction counts: take the mean over all.",
        },
        "of": {
            "twice": "The softmax is taken twice: cross_entropy takes logits.",
            "positions": "The softmax runs over positions: it belongs to the vocabulary.",
            "all positions": "The softmax runs over positions: it belongs to the vocabulary.",
            "raw": "The logits are not normalized: take the log-softmax.",
            "probabilities": "The mean probability is taken: take logarithms.",
            "sigmoid": "A sigmoid is taken for each token: take the softmax over all.",
            "base 2": "This is in bits: use the natural logarithm.",
            "base 10": "The logarithm has base 10: use the natural one.",
            "largest": "The largest logit is taken for the log of the sum of exponentials.",
            "smooth": "The targets are smoothed: all of a target belongs to one token.",
        },
        "joined": {
            "sum": "This is the sum: divide by the number of predictions, B (T - 1).",
            "texts": "The positions are summed: divide by T - 1, too.",
            "positions": "The texts are summed: divide by B, too.",
            "T": "It divides by T: there are T - 1 predictions in a text.",
            "each": "A loss for each position is returned: take the mean.",
            "each_text": "A loss for each text is returned: take the mean.",
            "one text": "Only the first text counts: take the mean over all.",
            "median": "The median is returned: take the mean.",
            "log mean": "The logarithm of the mean probability is returned: take the mean of "
            "logarithms.",
            "exp": "This is the perplexity: do not take the exponential.",
        },
        "sign": {1: "The sign is turned: surprise is the negative logarithm."},
        "graph": {
            "cut": "The number is right, but not its gradient: detach nothing, make no new tensor "
            "of a number, and return the tensor itself.",
        },
        "skipped": {
            0: "Token 0 is left out, as if it were padding: it is a token.",
            "last": "The last token of the vocabulary is left out, as if it were padding.",
        },
    },
    probes=[
        Probe(
            "Equal logits for 4 tokens: the loss is ln 4, whatever the ids are.",
            (torch.zeros(1, 3, 4), torch.tensor([[1, 2, 3]])),
        ),
        Probe(
            "A wrong guess that was sure must cost its full surprise, here 10.0001.",
            _sure([[0, 1]], [[2, 2]]),
        ),
        Probe(
            "With logits far apart the logarithm of a softmax is infinite, or capped by what is "
            "added to it: take `log_softmax` or `cross_entropy`.",
            (torch.tensor([[[200.0, 0.0], [0.0, 0.0]]]), torch.tensor([[0, 1]])),
            alone=True,
        ),
    ],
    difficulty=1,
    minutes=10,
)  # fmt: skip
