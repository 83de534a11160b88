"""Answers to the exercises of the chapter on the transformer."""

import math
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.exercises.answers import exercise

CHECKS = "lib.exercises.transformer"

# --- 1. Parameters of a block


def block_parameters(d_model, n_heads, n_kv_heads, d_head, d_ff):
    attention = 2 * d_model * n_heads * d_head + 2 * d_model * n_kv_heads * d_head
    return attention + 3 * d_model * d_ff + 2 * d_model


def block_cases():
    return [
        (64, 4, 2, 16, 128),
        (576, 9, 3, 64, 1536),
        (4096, 32, 8, 128, 14336),
        (10, 3, 1, 5, 7),
        (8, 2, 2, 4, 32),
        (1024, 16, 8, 128, 3072),
        (4, 1, 1, 4, 8),
    ]


def count(d, h, k, w, f, attention=None, matrices=3, norms=2):
    attention = 2 * d * h * w + 2 * d * k * w if attention is None else attention
    return attention + matrices * d * f + norms * d


wrong, right = exercise(CHECKS, "check_block_parameters", block_parameters, block_cases)


@right("counts the parameters of modules on the meta device")
def _(d_model, n_heads, n_kv_heads, d_head, d_ff):
    q, kv = n_heads * d_head, n_kv_heads * d_head
    shapes = [
        (d_model, q),
        (d_model, kv),
        (d_model, kv),
        (q, d_model),
        (d_model, d_ff),
        (d_model, d_ff),
        (d_ff, d_model),
    ]
    layers = [nn.Linear(*shape, bias=False, device="meta") for shape in shapes]
    return sum(layer.weight.numel() for layer in layers) + 2 * d_model


right("factored", lambda d, h, k, w, f: d * (2 * w * (h + k) + 3 * f + 2))
right(
    "a sum over shapes",
    lambda d, h, k, w, f: sum(
        map(
            math.prod,
            [(d, h, w), (d, k, w), (d, k, w), (h, w, d), (f, d), (f, d), (d, f), (d,), (d,)],
        )
    ),
)

wrong("keys and values with all heads", lambda d, h, k, w, f: count(d, h, h, w, f))
wrong("all matrices with the heads of the keys", lambda d, h, k, w, f: count(d, k, k, w, f))
wrong("4 d_model squared for attention", lambda d, h, k, w, f: count(d, h, k, w, f, 4 * d * d))
wrong(
    "2 d_model squared and the keys and values",
    lambda d, h, k, w, f: count(d, h, k, w, f, 2 * d * d + 2 * d * k * w),
)
wrong("no output projection", lambda d, h, k, w, f: count(d, h, k, w, f, d * h * w + 2 * d * k * w))
wrong("keys but no values", lambda d, h, k, w, f: count(d, h, k, w, f, 2 * d * h * w + d * k * w))
wrong("an ungated feed-forward layer", lambda d, h, k, w, f: count(d, h, k, w, f, matrices=2))
wrong("no norms", lambda d, h, k, w, f: count(d, h, k, w, f, norms=0))
wrong("one norm", lambda d, h, k, w, f: count(d, h, k, w, f, norms=1))
wrong("norms with biases", lambda d, h, k, w, f: count(d, h, k, w, f, norms=4))
wrong("norms of one number each", lambda d, h, k, w, f: count(d, h, k, w, f, norms=0) + 2)
wrong("a third norm", lambda d, h, k, w, f: count(d, h, k, w, f, norms=3))
wrong("QK-norms too", lambda d, h, k, w, f: count(d, h, k, w, f) + 2 * w)
wrong("biases in attention", lambda d, h, k, w, f: count(d, h, k, w, f) + h * w + 2 * k * w)
wrong("biases in the feed-forward layer", lambda d, h, k, w, f: count(d, h, k, w, f) + 2 * f + d)
wrong("heads forgotten", lambda d, h, k, w, f: count(d, h, k, w, f, 4 * d * w))
wrong(
    "three query-wide and one shared matrix",
    lambda d, h, k, w, f: count(d, h, k, w, f, 3 * d * h * w + d * k * w),
)
wrong("d_ff squared", lambda d, h, k, w, f: 2 * d * w * (h + k) + 3 * f * f + 2 * d)
wrong("4 d_model for d_ff", lambda d, h, k, w, f: count(d, h, k, w, 4 * d))
wrong("d_head is d_model / n_heads", lambda d, h, k, w, f: count(d, h, k, d // h, f))
wrong("each head has keys of all groups", lambda d, h, k, w, f: count(d, h, k * h, w, f))
wrong("FLOPs, two a parameter", lambda d, h, k, w, f: 2 * count(d, h, k, w, f))
wrong(
    "both: keys and values with all heads and no norms",
    lambda d, h, k, w, f: count(d, h, h, w, f, norms=0),
)
wrong(
    "both: ungated, and one norm", lambda d, h, k, w, f: count(d, h, k, w, f, matrices=2, norms=1)
)
wrong(
    "both: no output projection and norms with biases",
    lambda d, h, k, w, f: count(d, h, k, w, f, d * h * w + 2 * d * k * w, norms=4),
)
wrong(
    "both: keys and values with all heads, ungated",
    lambda d, h, k, w, f: count(d, h, h, w, f, matrices=2),
)

# --- 2. The loss, with its shift


def loss(logits, ids):
    predictions, targets = logits[:, :-1], ids[:, 1:]
    return F.cross_entropy(predictions.flatten(0, 1), targets.flatten())


def loss_cases():
    torch.manual_seed(18)
    sizes = [(2, 3, 5), (1, 2, 4), (4, 4, 4), (3, 6, 7), (2, 5, 3), (1, 8, 2)]
    cases = [(torch.randn(b, t, v) * 2, torch.randint(v, (b, t))) for b, t, v in sizes]
    return [
        *cases,
        (torch.randn(2, 4, 5) * 400, torch.randint(5, (2, 4))),
        (torch.randn(2, 4, 5), torch.zeros(2, 4, dtype=torch.long)),
    ]


def cross(predictions, targets, reduction="mean"):
    return F.cross_entropy(predictions.flatten(0, 1), targets.flatten(), reduction=reduction)


wrong, right = exercise(CHECKS, "check_language_model_loss", loss, loss_cases)
right(
    "log_softmax and gather",
    lambda z, ids: -z[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None]).mean(),
)
right(
    "classes in the second dimension",
    lambda z, ids: F.cross_entropy(z[:, :-1].transpose(1, 2), ids[:, 1:]),
)
right(
    "logsumexp minus the right logit",
    lambda z, ids: (
        z.double().logsumexp(-1)[:, :-1]
        - z.double()[:, :-1].gather(-1, ids[:, 1:].unsqueeze(-1)).squeeze(-1)
    ).mean(),
)
wrong(
    "einsum with one_hot, a float",
    lambda z, ids: (
        -(
            torch.einsum(
                "btv,btv->", z[:, :-1].log_softmax(-1), F.one_hot(ids[:, 1:], z.shape[-1]).float()
            )
            / ids[:, 1:].numel()
        ).item()
    ),
    rule=True,
)


@right("loops")
def _(logits, ids):
    losses = []
    for b in range(len(ids)):
        for t in range(ids.shape[1] - 1):
            losses.append(-logits[b, t].log_softmax(0)[ids[b, t + 1]])
    return torch.stack(losses).mean()


wrong("no shift", lambda z, ids: cross(z, ids))
wrong("shifts the other way", lambda z, ids: cross(z[:, 1:], ids[:, :-1]))
wrong("drops the last of both", lambda z, ids: cross(z[:, :-1], ids[:, :-1]))
wrong("drops the first of both", lambda z, ids: cross(z[:, 1:], ids[:, 1:]))
wrong("shifts by two", lambda z, ids: cross(z[:, :-2], ids[:, 2:]))
wrong("rolls: the last predicts the first", lambda z, ids: cross(z, ids.roll(-1, 1)))
wrong("the sum", lambda z, ids: cross(z[:, :-1], ids[:, 1:], "sum"))
wrong(
    "summed over positions, averaged over texts",
    lambda z, ids: cross(z[:, :-1], ids[:, 1:], "sum") / len(ids),
)
wrong("divides by T, not T - 1", lambda z, ids: cross(z[:, :-1], ids[:, 1:], "sum") / ids.numel())
wrong(
    "a loss for each position",
    lambda z, ids: cross(z[:, :-1], ids[:, 1:], "none").view(len(ids), -1),
)
wrong("shifts along the batch", lambda z, ids: cross(z[:-1], ids[1:]))
wrong(
    "shifts the flattened texts, across their ends",
    lambda z, ids: F.cross_entropy(z.flatten(0, 1)[:-1], ids.flatten()[1:]),
)
wrong("softmax before cross_entropy", lambda z, ids: cross(z.softmax(-1)[:, :-1], ids[:, 1:]))
wrong(
    "the mean probability", lambda z, ids: z.softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None]).mean()
)
wrong(
    "log of the mean probability",
    lambda z, ids: -z.softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None]).mean().log(),
)
wrong("forgets the minus sign", lambda z, ids: -loss(z, ids))
wrong("logarithm to base 2", lambda z, ids: loss(z, ids) / math.log(2))
wrong("perplexity", lambda z, ids: loss(z, ids).exp())
wrong(
    "the right logit, without normalization",
    lambda z, ids: -z[:, :-1].gather(-1, ids[:, 1:, None]).mean(),
)
wrong(
    "skips token 0, as if it were padding",
    lambda z, ids: F.cross_entropy(z[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), ignore_index=0),
)
wrong(
    "softmax over the positions",
    lambda z, ids: -z.log_softmax(1)[:, :-1].gather(-1, ids[:, 1:, None]).mean(),
)
wrong(
    "log of softmax: overflows to infinity",
    lambda z, ids: -z.softmax(-1).log()[:, :-1].gather(-1, ids[:, 1:, None]).mean(),
)
wrong("the last position only", lambda z, ids: F.cross_entropy(z[:, -2], ids[:, -1]))
wrong(
    "label smoothing",
    lambda z, ids: F.cross_entropy(
        z[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), label_smoothing=0.1
    ),
)
wrong("both: no shift, and the sum", lambda z, ids: cross(z, ids, "sum"))
wrong(
    "both: shifts the other way, in base 2",
    lambda z, ids: cross(z[:, 1:], ids[:, :-1]) / math.log(2),
)
wrong("both: softmax before cross_entropy, no shift", lambda z, ids: cross(z.softmax(-1), ids))

# --- 3. Warmup and cosine


def learning_rate(step, total, warmup, peak):
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    progress = (step - warmup) / (total - warmup)
    return peak * (0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2)


def rate_cases():
    cases = [(s, 100, 10, 3e-4) for s in (0, 1, 5, 9, 10, 11, 50, 55, 99, 100)]
    cases += [(s, 20, 0, 1.0) for s in (0, 1, 10, 19, 20)] + [(s, 8, 1, 2.0) for s in range(9)]
    return cases + [(s, 50, 25, 6e-4) for s in (0, 24, 25, 30, 49)]


def rate(
    step,
    total,
    warmup,
    peak,
    rise=lambda s, w: (s + 1) / (w + 1),
    done=lambda s, t, w: (s - w) / (t - w),
    end=0.1,
    curve=lambda p: (1 + math.cos(math.pi * p)) / 2,
    switch=lambda s, w: s < w,
):
    if switch(step, warmup):
        return peak * rise(step, warmup)
    return peak * (end + (1 - end) * curve(done(step, total, warmup)))


wrong, right = exercise(CHECKS, "check_learning_rate", learning_rate, rate_cases)


@right("from the lowest rate upwards, numpy")
def _(step, total, warmup, peak):
    low = peak / 10
    cosine = low + (peak - low) * 0.5 * (1 + np.cos(np.pi * (step - warmup) / (total - warmup)))
    return float(np.where(step >= warmup, cosine, peak * (step + 1) / (warmup + 1)))


@right("the square of a half angle's cosine")
def _(step, total, warmup, peak):
    if step >= warmup:
        return peak * (0.1 + 0.9 * math.cos(math.pi / 2 * (step - warmup) / (total - warmup)) ** 2)
    return (step + 1) * peak / (warmup + 1)


@right("torch")
def _(step, total, warmup, peak):
    if step < warmup:
        return peak / (warmup + 1) * (step + 1)
    angle = torch.tensor(math.pi * (step - warmup) / (total - warmup), dtype=torch.float64)
    return (0.55 * peak + 0.45 * peak * torch.cos(angle)).item()


wrong("begins at 0: s / (warmup + 1)", lambda *a: rate(*a, rise=lambda s, w: s / (w + 1)))
wrong("s / warmup", lambda *a: rate(*a, rise=lambda s, w: s / w))
wrong(
    "(s + 1) / warmup: the peak one step early", lambda *a: rate(*a, rise=lambda s, w: (s + 1) / w)
)
wrong("no warmup", lambda *a: rate(*a, switch=lambda s, w: False))
wrong("the peak during the warmup", lambda *a: rate(*a, rise=lambda s, w: 1))
wrong("ends at 0", lambda *a: rate(*a, end=0.0))
wrong("ends at 0.01 of the peak", lambda *a: rate(*a, end=0.01))
wrong(
    "0.1 added, so it begins at 1.1",
    lambda s, t, w, p: (
        p * (s + 1) / (w + 1)
        if s < w
        else p * (0.1 + (1 + math.cos(math.pi * (s - w) / (t - w))) / 2)
    ),
)
wrong(
    "never below a tenth: max",
    lambda s, t, w, p: (
        p * (s + 1) / (w + 1)
        if s < w
        else p * max(0.1, (1 + math.cos(math.pi * (s - w) / (t - w))) / 2)
    ),
)
wrong("progress over total", lambda *a: rate(*a, done=lambda s, t, w: s / t))
wrong("progress (s - warmup) / total", lambda *a: rate(*a, done=lambda s, t, w: (s - w) / t))
wrong(
    "reaches the end at step total - 1",
    lambda *a: rate(*a, done=lambda s, t, w: (s - w) / (t - w - 1)),
)
wrong(
    "progress counts one step more", lambda *a: rate(*a, done=lambda s, t, w: (s - w + 1) / (t - w))
)
wrong("a line", lambda *a: rate(*a, curve=lambda p: 1 - p))
wrong("a whole cosine", lambda *a: rate(*a, curve=lambda p: (1 + math.cos(2 * math.pi * p)) / 2))
wrong("a quarter of a cosine", lambda *a: rate(*a, curve=lambda p: math.cos(math.pi * p / 2)))
wrong("the cosine without its half", lambda *a: rate(*a, curve=lambda p: 1 + math.cos(math.pi * p)))
wrong("cosine of -1 to 1", lambda *a: rate(*a, curve=lambda p: math.cos(math.pi * p)))
wrong("rises: minus", lambda *a: rate(*a, curve=lambda p: (1 - math.cos(math.pi * p)) / 2))
wrong("degrees", lambda *a: rate(*a, curve=lambda p: (1 + math.cos(180 * p)) / 2))
wrong("forgets pi", lambda *a: rate(*a, curve=lambda p: (1 + math.cos(p)) / 2))
wrong(
    "warms up at step warmup too",
    lambda *a: rate(*a, switch=lambda s, w: s <= w, done=lambda s, t, w: (s - w - 1) / (t - w - 1)),
)
wrong("constant after the warmup", lambda *a: rate(*a, curve=lambda p: 1))
wrong("integer division", lambda *a: rate(*a, done=lambda s, t, w: (s - w) // (t - w)))
wrong("ignores the peak", lambda s, t, w, p: learning_rate(s, t, w, 1.0) * (1 if p != 1 else 2))
wrong(
    "both: begins at 0 and ends at 0", lambda *a: rate(*a, rise=lambda s, w: s / (w + 1), end=0.0)
)
wrong(
    "both: (s + 1) / warmup and progress over total",
    lambda *a: rate(*a, rise=lambda s, w: (s + 1) / w, done=lambda s, t, w: s / t),
)
wrong("both: a line that ends at 0", lambda *a: rate(*a, curve=lambda p: 1 - p, end=0.0))

# --- 4. Tie the weights


def tie(embedding, head):
    head.weight = embedding.weight


def tie_cases():
    torch.manual_seed(19)
    return [
        (nn.Embedding(v, d), nn.Linear(d, v, bias=False))
        for v, d in [(5, 3), (4, 4), (10, 2), (1, 6)]
    ]


wrong, right = exercise(CHECKS, "check_tie", tie, tie_cases)
right("setattr", lambda embedding, head: setattr(head, "weight", embedding.weight))
right(
    "register_parameter",
    lambda embedding, head: head.register_parameter("weight", embedding.weight),
)


@right("deletes the old weight first")
def _(embedding, head):
    del head.weight
    head.weight = embedding.weight


@right("through the dictionary of parameters")
def _(embedding, head):
    head._parameters["weight"] = embedding._parameters["weight"]


@wrong("copies the values")
def _(embedding, head):
    head.weight.data.copy_(embedding.weight)


@wrong("copy_ without gradient")
def _(embedding, head):
    with torch.no_grad():
        head.weight.copy_(embedding.weight)


@wrong("the head's weight for the embedding")
def _(embedding, head):
    embedding.weight = head.weight


@wrong("a new Parameter of the same tensor")
def _(embedding, head):
    head.weight = nn.Parameter(embedding.weight)


@wrong("a clone")
def _(embedding, head):
    head.weight = nn.Parameter(embedding.weight.clone())


@wrong("shares the data: two parameters of one storage")
def _(embedding, head):
    head.weight.data = embedding.weight.data


@wrong("load_state_dict")
def _(embedding, head):
    head.load_state_dict(embedding.state_dict())


@wrong("only a local name")
def _(embedding, head):
    weight = head.weight
    weight = embedding.weight  # noqa: F841


@wrong("a new head, which the caller never sees")
def _(embedding, head):
    head = nn.Linear(embedding.embedding_dim, embedding.num_embeddings, bias=False)
    head.weight = embedding.weight


@wrong("the transposed weight")
def _(embedding, head):
    head.weight = nn.Parameter(embedding.weight.T)


@wrong("both weights become their mean")
def _(embedding, head):
    embedding.weight = nn.Parameter((embedding.weight + head.weight) / 2)
    head.weight = embedding.weight


@wrong("swaps the weights")
def _(embedding, head):
    head.weight, embedding.weight = embedding.weight, head.weight


@wrong("assigns a plain tensor: an error")
def _(embedding, head):
    head.weight = embedding.weight.data


@wrong("another attribute's name")
def _(embedding, head):
    head.weights = embedding.weight


@wrong("returns a head in place of changing it")
def _(embedding, head):
    return lambda x: x @ embedding.weight.T


@wrong("ties, then draws new values")
def _(embedding, head):
    head.weight = embedding.weight
    nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(1))


@wrong("both: the head's weight, copied into the embedding")
def _(embedding, head):
    embedding.weight.data.copy_(head.weight.data)


@wrong("both: the head's weight, in a new Parameter")
def _(embedding, head):
    embedding.weight = nn.Parameter(head.weight.data)


@wrong("the head gets a tensor, no parameter")
def _(embedding, head):
    del head.weight
    head.weight = embedding.weight.detach()


@wrong("the head gets a bias too")
def _(embedding, head):
    head.weight, head.bias = embedding.weight, nn.Parameter(torch.zeros(head.out_features))


# --- 5. A start for deep models


def residual_scale(n_layers):
    return 0.02 / math.sqrt(2 * n_layers)


wrong, right = exercise(
    CHECKS,
    "check_residual_scale",
    residual_scale,
    lambda: [(n,) for n in (1, 2, 6, 8, 12, 24, 32, 50, 96)],
)
right("a power", lambda n: 0.02 * (2 * n) ** -0.5)
right("through the variance", lambda n: (0.02**2 / (2 * n)) ** 0.5)
right("numpy", lambda n: np.float64(0.02) / np.sqrt(n) / np.sqrt(2))
right("exact to the last step", lambda n: math.sqrt(Fraction(1, 2500) / (2 * n)))

wrong("one write a layer", lambda n: 0.02 / math.sqrt(n))
wrong("no root", lambda n: 0.02 / (2 * n))
wrong("one write a layer, no root", lambda n: 0.02 / n)
wrong("grows", lambda n: 0.02 * math.sqrt(2 * n))
wrong("the same as elsewhere", lambda n: 0.02)
wrong("forgets the 0.02", lambda n: 1 / math.sqrt(2 * n))
wrong("the variance", lambda n: 0.0004 / (2 * n))
wrong("root of 2, n outside", lambda n: 0.02 / (math.sqrt(2) * n))
wrong("2 outside the root", lambda n: 0.02 / (2 * math.sqrt(n)))
wrong("precedence: 0.02 / 2 * n", lambda n: 0.02 / 2 * n)
wrong("root of the whole", lambda n: math.sqrt(0.02 / (2 * n)))
wrong("four writes a layer", lambda n: 0.02 / math.sqrt(4 * n))
wrong("2n + 1: counts the embedding", lambda n: 0.02 / math.sqrt(2 * n + 1))
wrong("24 layers hard-coded", lambda n: 0.02 / math.sqrt(48))
wrong("fourth root", lambda n: 0.02 / (2 * n) ** 0.25)
wrong("whole root", lambda n: 0.02 / math.isqrt(2 * n))
wrong("0.2", lambda n: 0.2 / math.sqrt(2 * n))
wrong("logarithm", lambda n: 0.02 / math.log(2 * n + 1))
wrong("both: one write a layer, and no 0.02", lambda n: 1 / math.sqrt(n))
wrong("both: no root and no 0.02", lambda n: 1 / (2 * n))
