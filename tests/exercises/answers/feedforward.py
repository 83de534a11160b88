"""Answers to "A SwiGLU layer", "The 2/3 rule" and "What a capacity drops"."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F

from tests.exercises.answers import exercise

CHECKS = "lib.exercises.feedforward"

# --- 1. A SwiGLU layer


def swiglu(x, gate, up, down):
    return (F.silu(x @ gate.T) * (x @ up.T)) @ down.T


def swiglu_cases():
    torch.manual_seed(13)
    sizes = [(2, 3, 5), (4, 4, 4), (1, 2, 6), (3, 6, 2), (5, 1, 3)]
    cases = [
        (torch.randn(n, c), torch.randn(h, c), torch.randn(h, c), torch.randn(c, h))
        for n, c, h in sizes
    ]
    return [*cases, tuple(5 * part for part in cases[0])]


def gated(x, gate, up, down, act=F.silu, mix=lambda a, b: a * b):
    return mix(act(x @ gate.T), x @ up.T) @ down.T


wrong, right = exercise(CHECKS, "check_swiglu", swiglu, swiglu_cases)
right(
    "F.linear",
    lambda x, gate, up, down: F.linear(F.silu(F.linear(x, gate)) * F.linear(x, up), down),
)


@right("einsum and a sigmoid")
def _(x, gate, up, down):
    g = torch.einsum("nc,hc->nh", x, gate)
    hidden = g * torch.sigmoid(g) * torch.einsum("nc,hc->nh", x, up)
    return torch.einsum("nh,ch->nc", hidden, down)


@right("numpy in float64")
def _(x, gate, up, down):
    x, gate, up, down = (t.double().numpy() for t in (x, gate, up, down))
    g = x @ gate.T
    return torch.from_numpy((g / (1 + np.exp(-g)) * (x @ up.T)) @ down.T)


@right("a loop over neurons")
def _(x, gate, up, down):
    out = torch.zeros_like(x)
    for g, u, d in zip(gate, up, down.T, strict=True):
        out += (F.silu(x @ g) * (x @ u))[:, None] * d
    return out


wrong("the gate and up exchanged", lambda x, g, u, d: swiglu(x, u, g, d))
wrong("swish on both branches", lambda x, g, u, d: (F.silu(x @ g.T) * F.silu(x @ u.T)) @ d.T)
wrong("swish on the product", lambda x, g, u, d: F.silu((x @ g.T) * (x @ u.T)) @ d.T)
wrong("no activation", lambda x, g, u, d: gated(x, g, u, d, lambda z: z))
wrong("GELU: a GEGLU", lambda x, g, u, d: gated(x, g, u, d, F.gelu))
wrong("ReLU", lambda x, g, u, d: gated(x, g, u, d, F.relu))
wrong("a sigmoid alone: GLU", lambda x, g, u, d: gated(x, g, u, d, torch.sigmoid))
wrong("tanh", lambda x, g, u, d: gated(x, g, u, d, torch.tanh))
wrong("adds the branches", lambda x, g, u, d: gated(x, g, u, d, mix=lambda a, b: a + b))
wrong("no gate", lambda x, g, u, d: F.silu(x @ u.T) @ d.T)
wrong("the gate alone", lambda x, g, u, d: F.silu(x @ g.T) @ d.T)
wrong("does not transpose", lambda x, g, u, d: (F.silu(x @ g) * (x @ u)) @ d)
wrong("does not project down", lambda x, g, u, d: F.silu(x @ g.T) * (x @ u.T))
wrong("adds a residual", lambda x, g, u, d: x + swiglu(x, g, u, d))
wrong("swish after the projection down", lambda x, g, u, d: F.silu(gated(x, g, u, d, lambda z: z)))
wrong("softmax for swish", lambda x, g, u, d: gated(x, g, u, d, lambda z: z.softmax(-1)))
wrong(
    "x times gate's sigmoid twice",
    lambda x, g, u, d: gated(x, g, u, d, lambda z: z * torch.sigmoid(z) ** 2),
)
wrong(
    "swish with 1.702, the fast GELU",
    lambda x, g, u, d: gated(x, g, u, d, lambda z: z * torch.sigmoid(1.702 * z)),
)
wrong(
    "the sigmoid's sign is wrong",
    lambda x, g, u, d: gated(x, g, u, d, lambda z: z * torch.sigmoid(-z)),
)
wrong("the output transposed", lambda x, g, u, d: swiglu(x, g, u, d).T)
wrong("both: ReLU and the branches exchanged", lambda x, g, u, d: gated(x, u, g, d, F.relu))
wrong(
    "both: GELU and the branches added",
    lambda x, g, u, d: gated(x, g, u, d, F.gelu, lambda a, b: a + b),
)
wrong("both: the branches exchanged and a residual", lambda x, g, u, d: x + swiglu(x, u, g, d))


wrong(
    "the activation of the gate's weights",
    lambda x, gate, up, down: ((x @ F.silu(gate).T) * (x @ up.T)) @ down.T,
)


# --- 2. The 2/3 rule


def gated_width(d_ff, multiple_of):
    return -(-(2 * d_ff // 3) // multiple_of) * multiple_of


def width_cases():
    pairs = [
        (16384, 256),
        (3072, 64),
        (10, 2),
        (5120, 256),
        (1, 1),
        (2, 1),
        (3, 2),
        (12, 8),
        (100, 1),
        (11, 4),
        (768, 128),
        (7, 3),
        (4, 2),
        (6, 4),
        (1, 8),
        (384, 256),
        (20480, 256),
        (50, 33),
        (10**9 + 7, 2),
    ]
    return pairs


wrong, right = exercise(CHECKS, "check_gated_width", gated_width, width_cases)


@right("counts up")
def _(d_ff, multiple_of):
    width = d_ff * 2 // 3
    return width + (-width) % multiple_of


@right("the usual formula")
def _(d_ff, multiple_of):
    width = (2 * d_ff) // 3
    return multiple_of * ((width + multiple_of - 1) // multiple_of)


@right("fractions")
def _(d_ff, multiple_of):
    return math.ceil(Fraction(math.floor(Fraction(2 * d_ff, 3)), multiple_of)) * multiple_of


@right("divmod")
def _(d_ff, multiple_of):
    whole, rest = divmod(2 * d_ff // 3, multiple_of)
    return (whole + (rest > 0)) * multiple_of


wrong("rounds down to the multiple", lambda f, m: 2 * f // 3 // m * m)
wrong("rounds to the nearest multiple", lambda f, m: round(2 * f / 3 / m) * m)
wrong("always adds a multiple", lambda f, m: (2 * f // 3 // m + 1) * m)
wrong("does not round to the multiple", lambda f, m: 2 * f // 3)
wrong("does not take two thirds", lambda f, m: -(-f // m) * m)
wrong("three halves", lambda f, m: -(-(3 * f // 2) // m) * m)
wrong("a third", lambda f, m: -(-(f // 3) // m) * m)
wrong("rounds two thirds up", lambda f, m: -(-2 * f // (3 * m)) * m)
wrong("rounds two thirds to the nearest", lambda f, m: -(-round(2 * f / 3) // m) * m)
wrong("divides first, then doubles", lambda f, m: -(-(f // 3 * 2) // m) * m)
wrong("returns the number of multiples", lambda f, m: -(-(2 * f // 3) // m))
wrong("a multiple of 256 always", lambda f, m: -(-(2 * f // 3) // 256) * 256)
wrong("up to a power of two", lambda f, m: 1 << max(2 * f // 3 - 1, 0).bit_length())
wrong(
    "two thirds of the multiple as well",
    lambda f, m: -(-(2 * f // 3) // max(2 * m // 3, 1)) * max(2 * m // 3, 1),
)
wrong("rounds before it takes two thirds", lambda f, m: 2 * (-(-f // m) * m) // 3)
wrong("adds m - 1 without dividing", lambda f, m: 2 * f // 3 + m - 1)
wrong("0.66 for two thirds", lambda f, m: math.ceil(int(0.66 * f) / m) * m)
wrong("subtracts the remainder", lambda f, m: 2 * f // 3 - (2 * f // 3) % m)
wrong(
    "both: rounds two thirds up and then down to the multiple", lambda f, m: -(-2 * f // 3) // m * m
)
wrong("both: no two thirds and rounds down", lambda f, m: f // m * m)
wrong("both: a third, and always adds a multiple", lambda f, m: (f // 3 // m + 1) * m)

# --- 6. What a capacity drops


def kept(experts, n_experts, capacity):
    room = [capacity] * n_experts
    kept = torch.zeros_like(experts, dtype=torch.bool)
    for choice in range(experts.shape[1]):
        for token in range(experts.shape[0]):
            expert = int(experts[token, choice])
            if room[expert] > 0:
                room[expert] -= 1
                kept[token, choice] = True
    return kept


def kept_cases():
    torch.manual_seed(14)
    cases = [
        (torch.rand(n, e).topk(k, -1).indices, e, c)
        for n, e, k, c in [
            (5, 3, 2, 2),
            (6, 4, 1, 1),
            (4, 4, 4, 3),
            (8, 3, 2, 3),
            (3, 5, 2, 0),
            (7, 2, 2, 4),
            (6, 6, 3, 2),
            (4, 3, 2, 99),
        ]
    ]
    first = torch.tensor([[0, 1], [0, 1], [1, 0], [0, 2]])
    return [
        *cases,
        (first, 3, 2),
        (torch.tensor([[0, 1], [1, 0]]), 2, 1),
        (torch.tensor([[2, 0], [2, 1], [2, 0]]), 5, 1),
        (torch.tensor([[1]]), 2, 1),
    ]


def by_count(experts, n_experts, capacity, order, room=None):
    """Fill the experts in the order given."""
    room, found = [capacity] * n_experts, torch.zeros_like(experts, dtype=torch.bool)
    for token, choice in order:
        expert = int(experts[token, choice])
        if room[expert] > 0:
            room[expert] -= 1
            found[token, choice] = True
    return found


def choices(experts):
    return [(t, c) for c in range(experts.shape[1]) for t in range(experts.shape[0])]


wrong, right = exercise(CHECKS, "check_kept", kept, kept_cases)


@right("one_hot and cumsum")
def _(experts, n_experts, capacity):
    flat = experts.T.flatten()
    one_hot = F.one_hot(flat, n_experts)
    place = (one_hot.cumsum(0) * one_hot).sum(-1)
    return (place <= capacity).view(experts.T.shape).T


@right("a Counter")
def _(experts, n_experts, capacity):
    taken, rows = Counter(), experts.tolist()
    found = [[False] * len(row) for row in rows]
    for choice in range(len(rows[0])):
        for token, row in enumerate(rows):
            found[token][choice] = taken[row[choice]] < capacity
            taken[row[choice]] += 1
    return torch.tensor(found)


@right("a loop over the experts")
def _(experts, n_experts, capacity):
    flat = experts.T.reshape(-1)
    found = torch.zeros(len(flat), dtype=torch.bool)
    for e in range(n_experts):
        found[torch.nonzero(flat == e)[:capacity, 0]] = True
    return found.reshape(experts.shape[1], experts.shape[0]).T


wrong("token by token, all its choices", lambda e, n, c: by_count(e, n, c, sorted(choices(e))))
wrong(
    "tokens from the last",
    lambda e, n, c: by_count(e, n, c, [(len(e) - 1 - t, k) for t, k in choices(e)]),
)
wrong(
    "second choices first",
    lambda e, n, c: by_count(e, n, c, [(t, e.shape[1] - 1 - k) for t, k in choices(e)]),
)
wrong("room for one more", lambda e, n, c: kept(e, n, c + 1))
wrong("room for one less", lambda e, n, c: kept(e, n, c - 1))
wrong(
    "the capacity holds for each choice anew",
    lambda e, n, c: torch.cat([kept(e[:, k : k + 1], n, c) for k in range(e.shape[1])], 1),
)
wrong("True where dropped", lambda e, n, c: ~kept(e, n, c))
wrong(
    "first choices only",
    lambda e, n, c: torch.cat(
        [kept(e[:, :1], n, c), torch.zeros_like(e[:, 1:], dtype=torch.bool)], 1
    ),
)
wrong(
    "drops a token whole if one choice is full",
    lambda e, n, c: kept(e, n, c).all(1, keepdim=True).expand(e.shape),
)
wrong(
    "keeps a token whole if one choice has room",
    lambda e, n, c: kept(e, n, c).any(1, keepdim=True).expand(e.shape),
)
wrong("one value for each token", lambda e, n, c: kept(e, n, c).any(1))
wrong(
    "capacity for all experts together",
    lambda e, n, c: torch.arange(e.numel()).view(e.T.shape).T < c,
)
wrong(
    "capacity times the number of experts, for all",
    lambda e, n, c: torch.arange(e.numel()).view(e.T.shape).T < c * n,
)
wrong("everything is kept", lambda e, n, c: torch.ones_like(e, dtype=torch.bool))
wrong(
    "drops an expert whole that is too popular",
    lambda e, n, c: (e.flatten().bincount(minlength=n) <= c)[e],
)
wrong(
    "counts tokens, not experts",
    lambda e, n, c: (torch.arange(len(e))[:, None] < c).expand(e.shape),
)
wrong(
    "returns the chosen experts, dropped as -1", lambda e, n, c: e.masked_fill(~kept(e, n, c), -1)
)
wrong("shape (k, N)", lambda e, n, c: kept(e, n, c).T)
wrong(
    "integers that count the place",
    lambda e, n, c: (lambda o: (o.cumsum(0) * o).sum(-1).view(e.T.shape).T)(
        F.one_hot(e.T.flatten(), n)
    ),
)
wrong(
    "cumsum over tokens of each choice in order of tokens",
    lambda e, n, c: (lambda o: ((o.cumsum(0) * o).sum(-1) <= c).view(e.shape))(
        F.one_hot(e.flatten(), n)
    ),
)
wrong("as many experts as tokens: an error with more", lambda e, n, c: kept(e, len(e), c))
wrong(
    "both: token by token, and room for one more",
    lambda e, n, c: by_count(e, n, c + 1, sorted(choices(e))),
)
wrong("both: room for one less, and True where dropped", lambda e, n, c: ~kept(e, n, c - 1))
wrong(
    "both: second choices first, tokens from the last",
    lambda e, n, c: by_count(e, n, c, choices(e)[::-1]),
)


def by_place(experts, n_experts):
    """The place of each assignment at its expert, counted from 1, as (k, N)."""
    flat = experts.T.flatten()
    place = F.one_hot(flat, n_experts).cumsum(0).gather(1, flat[:, None])
    return place.view(experts.T.shape)


wrong(
    "the choices' rows cut to (N, k) without a transpose",
    lambda experts, n, capacity: (by_place(experts, n) <= capacity).reshape(experts.shape),
)


@wrong("a token whose first choice was dropped gets no other")
def _(experts, n_experts, capacity):
    result, room = torch.zeros_like(experts, dtype=torch.bool), [capacity] * n_experts
    for token, choice in choices(experts):
        expert = int(experts[token, choice])
        if room[expert] > 0 and result[token, :choice].all():
            room[expert] -= 1
            result[token, choice] = True
    return result


wrong(
    "an expert that is asked too often keeps none",
    lambda experts, n, capacity: (experts.flatten().bincount(minlength=n) <= capacity)[experts],
)
wrong(
    "both: last choices and last tokens first",
    lambda experts, n, capacity: (by_place(experts.flip(0, 1), n) <= capacity).T.flip(0, 1),
)
