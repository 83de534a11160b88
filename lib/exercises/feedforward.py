"""Checks of chapter 5, feed-forward layers and experts. N tokens, E experts, k choices."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.exercises.checking import Exercise, Mistake, Probe
from lib.exercises.comparing import difference
from lib.model.feedforward import gated_width
from lib.model.routing import route, within_capacity


def swiglu(
    x: Float[Tensor, "N C"],
    gate: Float[Tensor, "F C"],
    up: Float[Tensor, "F C"],
    down: Float[Tensor, "C F"],
) -> Float[Tensor, "N C"]:
    """A SwiGLU layer; weights as in nn.Linear, (out, in)."""
    return (F.silu(x @ gate.T) * (x @ up.T)) @ down.T


def _layer_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    sizes = [(2, 3, 4), (5, 8, 6), (1, 4, 12)]
    return [
        (torch.randn(n, c), torch.randn(f, c), torch.randn(f, c), torch.randn(c, f))
        for n, c, f in sizes
    ]


check_swiglu = Exercise(
    title="A SwiGLU layer",
    reference=swiglu,
    cases=_layer_cases,
    mistakes=[
        Mistake(
            lambda x, gate, up, down: (x @ gate.T * F.silu(x @ up.T)) @ down.T,
            "The activation stands on the wrong branch: it belongs to the gate, not to up.",
        ),
        Mistake(
            lambda x, gate, up, down: (torch.sigmoid(x @ gate.T) * (x @ up.T)) @ down.T,
            "This is GLU: the gate is a sigmoid. Swish is z · sigmoid(z).",
        ),
        Mistake(
            lambda x, gate, up, down: (F.silu(x @ gate.T) + x @ up.T) @ down.T,
            "The branches are added; a gate multiplies, feature by feature.",
        ),
        Mistake(
            lambda x, gate, up, down: F.silu(x @ up.T) @ down.T,
            "The gate is not used: this is the plain layer.",
        ),
    ],
    difficulty=1,
    minutes=8,
)


check_gated_width = Exercise(
    title="The 2/3 rule",
    reference=gated_width,
    cases=lambda seed: [(12, 1), (16384, 256), (3072, 64), (1000 + seed, 100), (10, 8)],
    mistakes=[
        Mistake(
            lambda d_ff, multiple_of: 2 * d_ff // 3 // multiple_of * multiple_of,
            "It rounds down; the width is rounded up to the next multiple.",
        ),
        Mistake(
            lambda d_ff, multiple_of: math.ceil(3 * d_ff // 2 / multiple_of) * multiple_of,
            "The fraction is upside down: three matrices must be narrower than two, by 2/3.",
        ),
        Mistake(
            lambda d_ff, multiple_of: math.ceil(d_ff / multiple_of) * multiple_of,
            "The width is rounded but not reduced: take 2/3 of it first.",
        ),
        Mistake(
            lambda d_ff, multiple_of: 2 * d_ff // 3,
            "2/3 is right; what is missing is to round up to a multiple of `multiple_of`.",
        ),
    ],
    probes=[
        Probe("Of 2/3 · d_ff first the whole part is taken, then it is rounded up.", (10, 2)),
        Probe("Multiply by 2 before you divide by 3: 11 // 3 · 2 is 6, not 7.", (11, 1)),
    ],
    compare=lambda e, g: "It returns a float." if isinstance(g, float) else difference(e, g),
    difficulty=1,
    minutes=6,
)


def routing_weights(logits: Float[Tensor, "N E"], k: int) -> Float[Tensor, "N E"]:
    """The weight of each expert for each token: softmax over the k largest logits, 0 elsewhere."""
    routing = route(logits, k)
    return torch.zeros_like(logits).scatter(-1, routing.experts, routing.weights)


def _logit_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    small = torch.tensor([[2.0, 1.0, 0.0, -1.0], [-1.0, 3.0, 0.5, 1.0]])
    return [(small, 2), (torch.randn(7, 5), 1), (torch.randn(6, 8) * 2, 3)]


def _masked(values: Tensor, by: Tensor, k: int, fill: float) -> Tensor:
    kept = torch.zeros_like(values, dtype=torch.bool)
    return values.masked_fill(~kept.scatter(-1, by.topk(k, dim=-1).indices, True), fill)


check_routing_weights = Exercise(
    title="The weights of a top-k router",
    reference=routing_weights,
    cases=_logit_cases,
    mistakes=[
        Mistake(
            lambda logits, k: _masked(logits.softmax(-1), logits, k, 0.0),
            "The weights of a token do not sum to 1: divide by the sum over the chosen, or take "
            "the softmax over the chosen logits only.",
        ),
        Mistake(
            lambda logits, k: _masked(logits, logits, k, 0.0).softmax(-1),
            "Experts that were not chosen have a weight: their logits were set to 0, and e^0 = 1. "
            "Set them to -inf.",
        ),
        Mistake(
            lambda logits, k: (
                _masked(logits.T.contiguous(), logits.T, min(k, len(logits)), -math.inf)
                .softmax(-1)
                .T
            ),
            "It chooses tokens for each expert: the k best are over the last dimension.",
        ),
    ],
    difficulty=2,
    minutes=12,
)


def balancing_loss(probabilities: Float[Tensor, "N E"], experts: Int[Tensor, "N k"]) -> float:
    """E sum_i f_i P_i, f_i the number of choices of expert i for each token."""
    n_tokens, n_experts = probabilities.shape
    chosen = experts.flatten().bincount(minlength=n_experts) / n_tokens
    return (n_experts * (chosen * probabilities.mean(0)).sum()).item()


def _choice_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    cases = []
    for n, n_experts, k in ((4, 3, 1), (20, 4, 2), (50, 8, 3)):
        routing = route(torch.randn(n, n_experts) * 2, k)
        cases.append((routing.probabilities, routing.experts))
    return cases


def _counts(probabilities: Tensor, experts: Tensor) -> Tensor:
    return experts.flatten().bincount(minlength=probabilities.shape[1]).float()


check_balancing_loss = Exercise(
    title="The load-balancing loss",
    reference=balancing_loss,
    cases=_choice_cases,
    mistakes=[
        Mistake(
            lambda p, e: (_counts(p, e) / len(p) * p.mean(0)).sum().item(),
            "The factor E is missing: with it, the value at balance does not depend on E.",
        ),
        Mistake(
            lambda p, e: (p.shape[1] * p.mean(0).square().sum()).item(),
            "Both factors are mean probabilities. f counts choices: that is where an expert is "
            "overloaded.",
        ),
        Mistake(
            lambda p, e: (p.shape[1] * (_counts(p, e) * p.mean(0)).sum()).item(),
            "f is a count: divide it by the number of tokens (and take the mean for P, once).",
        ),
        Mistake(
            lambda p, e: (p.shape[1] * (_counts(p, e) / e.numel() * p.mean(0)).sum()).item(),
            "f is divided by k as well: here it counts choices for each token, so that the loss at "
            "balance is k.",
        ),
    ],
    probes=[
        Probe(
            "It fails where nobody chose the last expert: its count is 0 (`minlength`).",
            (torch.tensor([[0.5, 0.3, 0.2], [0.3, 0.6, 0.1]]), torch.tensor([[0], [1]])),
        ),
    ],
    difficulty=2,
    minutes=12,
)


def biased_weights(
    scores: Float[Tensor, "N E"], bias: Float[Tensor, "E"], k: int
) -> Float[Tensor, "N E"]:
    """Choose by score plus bias; weigh by the scores alone, made to sum to 1."""
    experts = (scores + bias).topk(k, dim=-1).indices
    chosen = scores.gather(-1, experts)
    return torch.zeros_like(scores).scatter(-1, experts, chosen / chosen.sum(-1, keepdim=True))


def _score_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    small = torch.tensor([[0.9, 0.6, 0.5, 0.1], [0.2, 0.7, 0.6, 0.55]])
    cases = [(small, torch.tensor([-0.5, 0.0, 0.0, 0.2]), 2)]
    for n, n_experts, k in ((5, 6, 2), (9, 8, 3)):
        cases.append((torch.rand(n, n_experts), torch.randn(n_experts) * 0.4, k))
    return cases


def _weights_of(values: Tensor, by: Tensor, k: int) -> Tensor:
    chosen = _masked(values, by, k, 0.0)
    return chosen / chosen.sum(-1, keepdim=True)


check_biased_weights = Exercise(
    title="Balancing by a bias",
    reference=biased_weights,
    cases=_score_cases,
    mistakes=[
        Mistake(
            lambda scores, bias, k: _weights_of(scores + bias, scores + bias, k),
            "The bias changes the weights: it enters the choice only, so that the output is not "
            "distorted.",
        ),
        Mistake(
            lambda scores, bias, k: _weights_of(scores, scores, k),
            "The bias is not used in the choice.",
        ),
        Mistake(
            lambda scores, bias, k: _masked(scores, scores + bias, k, 0.0),
            "The weights of a token do not sum to 1: divide by the sum over the chosen.",
        ),
    ],
    difficulty=2,
    minutes=12,
)


def kept(experts: Int[Tensor, "N k"], n_experts: int, capacity: int) -> Bool[Tensor, "N k"]:
    """True where an expert still had room; first choices of all tokens come first."""
    return within_capacity(experts, n_experts, capacity)


def _capacity_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    small = torch.tensor([[0, 1], [1, 0], [1, 2], [1, 2]])
    cases = [(small, 3, 2)]
    for n, n_experts, k, most in ((9, 4, 2, 3), (15, 5, 3, 6), (6, 3, 1, 1)):
        logits = torch.randn(n, n_experts) + torch.linspace(1, 0, n_experts)
        cases.append((logits.topk(k, dim=-1).indices, n_experts, most))
    return cases


def _in_order(flat: Tensor, n_experts: int, most: int, strict: bool = False) -> Tensor:
    chosen = F.one_hot(flat, n_experts)
    place = (chosen.cumsum(0) * chosen).sum(-1)
    return place < most if strict else place <= most


check_kept = Exercise(
    title="What a capacity drops",
    reference=kept,
    cases=_capacity_cases,
    mistakes=[
        Mistake(
            lambda experts, n_experts, most: _in_order(experts.flatten(), n_experts, most).view_as(
                experts
            ),
            "It goes token by token: the first choices of all tokens are served before any second "
            "choice.",
        ),
        Mistake(
            lambda experts, n_experts, most: (
                _in_order(experts.T.flatten(), n_experts, most, strict=True).view_as(experts.T).T
            ),
            "One place too few: an expert takes `capacity` tokens, the last one included.",
        ),
        Mistake(
            lambda experts, n_experts, most: torch.stack(
                [_in_order(column, n_experts, most) for column in experts.T], dim=1
            ),
            "Each choice gets a capacity of its own: an expert's places are shared by first and "
            "further choices.",
        ),
        Mistake(
            lambda experts, n_experts, most: (
                _in_order(experts.T.flip(1).flatten(), n_experts, most).view_as(experts.T).flip(1).T
            ),
            "The last tokens are served first: go in the order of the text.",
        ),
    ],
    difficulty=3,
    minutes=20,
)
