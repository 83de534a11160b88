"""Checks of chapter 14: the clipped objective, with its gradient."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Probe

Numbers = Float[Tensor, "N"]


def objective(
    log_p: Numbers,
    old_log_p: Numbers,
    advantage: Numbers,
    clip: float,
    *,
    ratio: Callable = lambda p, old: (p - old).exp(),
    bound: Callable = lambda r, c: r.clamp(1 - c, 1 + c),
    join: Callable = lambda r, b, a: torch.minimum(r * a, b * a),
    result: Callable = lambda x: x,
) -> Numbers | Any:
    """min(ratio A, clip(ratio, 1 - clip, 1 + clip) A) for each token."""
    r = ratio(log_p, old_log_p)
    return result(join(r, bound(r, clip), advantage))


def with_gradient(answer: Callable, *case: Any, **settings: Any) -> tuple[Tensor, Tensor]:
    """What an answer returns, and its sum's gradient with respect to log_p."""
    log_p, *rest = case
    log_p = log_p.clone().requires_grad_()
    value = answer(log_p, *rest, **settings)
    gradient = torch.zeros_like(log_p)
    if isinstance(value, Tensor) and value.requires_grad:
        (found,) = torch.autograd.grad(value.sum(), log_p, allow_unused=True)
        gradient = gradient if found is None else found
    return value, gradient


def clipped(
    log_p: Numbers, old_log_p: Numbers, advantage: Numbers, clip: float, **settings: Any
) -> tuple[Tensor, Tensor]:
    """The clipped objective of each token, and its gradient."""
    return with_gradient(objective, log_p, old_log_p, advantage, clip, **settings)


def _clip_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    old = torch.tensor([-1.0, -1.0, -1.0, -1.0])
    moved = old + torch.tensor([0.5, -0.5, 0.5, -0.5])
    n = 8 + seed
    return [
        (moved, old, torch.tensor([1.0, 1.0, -1.0, -1.0]), 0.2),
        (-torch.rand(n), -torch.rand(n), torch.randn(n), 0.1),
        (-2 * torch.rand(12), -2 * torch.rand(12), torch.randn(12), 0.4),
    ]


def _moved(by: float, advantage: float, sentence: str) -> Probe:
    """One token whose ratio is e to the power of `by`."""
    old = torch.tensor([-4.0])
    return Probe(sentence, (old + by, old, torch.tensor([advantage]), 0.2))


PRODUCTS = "The minimum is over the products with A: "
RATIO = "The ratio is exp(log p - log p_old)"

check_clipped = Exercise(
    title="The clipped objective",
    reference=clipped,
    cases=_clip_cases,
    call=with_gradient,
    switches={
        "join": {
            lambda r, b, a: r * a: (
                "Nothing is clipped: the ratio could run away from the policy that drew the data."
            ),
            lambda r, b, a: b * a: (
                "The minimum is missing: where the ratio has gone the wrong way, the clipped term "
                "alone would have no gradient to bring it back."
            ),
            lambda r, b, a: torch.maximum(r * a, b * a): (
                "It takes the larger of the two terms: the objective is the pessimistic one, the "
                "minimum."
            ),
            lambda r, b, a: torch.minimum(r, b) * a: f"{PRODUCTS}a negative A turns the order.",
            lambda r, b, a: torch.maximum(r, b) * a: f"{PRODUCTS}this takes the larger ratio.",
            lambda r, b, a: torch.minimum(r * a, b): "The clipped ratio is not multiplied with A.",
            lambda r, b, a: torch.minimum(r, b * a): "The ratio itself is not multiplied with A.",
            lambda r, b, a: torch.minimum(r * a, b * a.abs()): "Where A is negative nothing is "
            "clipped.",
            lambda r, b, a: torch.minimum(r * a, (r + (b - r).detach()) * a): "The numbers are "
            "right, but where the clipped term is the smaller the gradient must be 0.",
            lambda r, b, a: torch.minimum(r * a.abs(), b * a.abs()): "The sign of A is lost.",
            lambda r, b, a: torch.minimum(r * a, (r * a).clamp(b.min(), b.max())): "It clips the "
            "product with A: clip the ratio.",
            lambda r, b, a: b: "The advantage is missing.",
            lambda r, b, a: torch.minimum(r, b): "The advantage is missing.",
            lambda r, b, a: (r * a + b * a) / 2: "It takes the mean of the two terms.",
            lambda r, b, a: r * a + b * a: "It adds the two terms: take the smaller.",
            lambda r, b, a: torch.minimum(r.detach() * a, b.detach() * a): "The numbers are right, "
            "but no gradient flows through the ratio: do not detach it.",
            lambda r, b, a: torch.minimum(r * a, b.detach() * a): "The numbers are right, but no "
            "gradient flows through the clipped term: do not detach it.",
            lambda r, b, a: torch.minimum(r.detach() * a, b * a): "The numbers are right, but no "
            "gradient flows through the ratio: do not detach it.",
        },
        "ratio": {
            lambda p, old: p - old: (
                "log p - log p_old is the logarithm of the ratio: take exp of it."
            ),
            lambda p, old: p / old: f"{RATIO}, not a quotient of logarithms.",
            lambda p, old: (old - p).exp(): f"{RATIO}: it is upside down.",
            lambda p, old: p.exp(): f"{RATIO}: p_old is missing.",
            lambda p, old: p: f"{RATIO}, not log p.",
            lambda p, old: (p + old).exp(): f"{RATIO}: the two are added.",
            lambda p, old: p.exp() - old.exp(): f"{RATIO}, not a difference of probabilities.",
            lambda p, old: 2 ** (p - old): f"{RATIO}, and exp has base e.",
            lambda p, old: 1 + p - old: f"{RATIO}: 1 + x is near exp x for small x alone.",
            lambda p, old: (p - p.detach()).exp(): f"{RATIO}: p_old is not log_p itself.",
            lambda p, old: (p / old).exp(): f"{RATIO}, not of a quotient.",
            lambda p, old: (p - old).sigmoid(): f"{RATIO}, not a sigmoid.",
        },
        "bound": {
            lambda r, c: r.clamp(-c, c): "It clips to [-clip, clip]: the ratio is near 1.",
            lambda r, c: r.clamp(max=1 + c): "It clips from above alone.",
            lambda r, c: r.clamp(min=1 - c): "It clips from below alone.",
            lambda r, c: r.clamp(1 / (1 + c), 1 + c): "The lower bound is 1 - clip, not 1 / "
            "(1 + clip).",
            lambda r, c: r.clamp(1 - c, 1 / (1 - c)): "The upper bound is 1 + clip, not 1 / "
            "(1 - clip).",
            lambda r, c: r.log().clamp(-c, c).exp(): "It clips the ratio's logarithm: clip the "
            "ratio.",
            lambda r, c: r.clamp(1 - 0.2, 1 + 0.2): "`clip` is not used: it is not always 0.2.",
            lambda r, c: r.clamp(1 - 0.1, 1 + 0.1): "`clip` is not used: it is not always 0.1.",
            lambda r, c: r.clamp(1 - 2 * c, 1 + 2 * c): "It clips at twice `clip`.",
            lambda r, c: r.clamp(1 - c / 2, 1 + c / 2): "It clips at half of `clip`.",
            lambda r, c: r.clamp(0, 1 + c): "The lower bound is 1 - clip, not 0.",
            lambda r, c: r.clamp(1, 1 + c): "The lower bound is 1 - clip, not 1.",
            lambda r, c: r.clamp(c, 1 + c): "The lower bound is 1 - clip, not clip.",
        },
        "result": {
            torch.neg: "This is a loss, with its sign turned: return what is to grow.",
            torch.mean: "The mean is returned: give one number for each token.",
            torch.sum: "The sum is returned: give one number for each token.",
            lambda x: -x.mean(): "The negative mean is returned: give one number for each token.",
            lambda x: -x.sum(): "The negative sum is returned: give one number for each token.",
            torch.detach: "The numbers are right, but no gradient flows: do not detach it.",
        },
    },
    probes=[
        _moved(0.1, 2.0, "Where nothing is clipped it is the ratio times A: e^0.1 times 2 is 2.21, "
               "and so is its gradient."),
        _moved(0.1, -2.0, "Where nothing is clipped it is the ratio times A: e^0.1 times -2 is "
               "-2.21, and so is its gradient."),
        _moved(0.5, 2.0, "A is 2, the ratio e^0.5, clip 0.2: it is 1.2 times 2, with a gradient "
               "of 0."),
        _moved(-0.5, -2.0, "A is -2, the ratio e^-0.5, clip 0.2: it is 0.8 times -2, with a "
               "gradient of 0."),
        _moved(-0.5, 2.0, "A is 2 and the ratio has fallen to e^-0.5: it is the ratio times A, "
               "unclipped."),
        _moved(0.5, -2.0, "A is -2 and the ratio has grown to e^0.5: it is the ratio times A, "
               "unclipped."),
        _moved(3.0, -2.0, "A is -2 and the ratio has grown to e^3: it is the ratio times A, "
               "without a bound."),
    ],
    difficulty=2,
    minutes=15,
)  # fmt: skip
