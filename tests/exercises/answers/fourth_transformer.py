"""A fourth blind reading, of chapter 6: counts, ties, starts and the whole model."""

import math
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.exercises.answers import begin

# --- Parameters of a block

wrong, right = begin("check_block_parameters")


def block(c, h, k, d, f, q=1, kv=2, o=1, ff=3, norms=2, more=0):
    return (q + o) * c * h * d + kv * c * k * d + ff * c * f + norms * c + more


wrong("output from the key heads", lambda c, h, k, d, f: block(c, h, k, d, f, o=0) + c * k * d)
wrong("the output matrix is C by C", lambda c, h, k, d, f: block(c, h, k, d, f, o=0) + c * c)
wrong("biases of attention", lambda c, h, k, d, f: block(c, h, k, d, f) + h * d + 2 * k * d + c)
wrong("12 C squared", lambda c, h, k, d, f: 12 * c * c)
wrong("no head width", lambda c, h, k, d, f: block(c, h, k, 1, f))
right("heads and key heads exchanged: both count twice", lambda c, h, k, d, f: block(c, k, h, d, f))
wrong("in thousands", lambda c, h, k, d, f: block(c, h, k, d, f) // 1000 * 1000)


@right("modules of torch that take no memory")
def _(d_model, n_heads, n_kv_heads, d_head, d_ff):
    with torch.device("meta"):
        linear = partial(nn.Linear, bias=False)
        parts = [linear(d_model, n * d_head) for n in (n_heads, n_kv_heads, n_kv_heads)]
        parts += [linear(n_heads * d_head, d_model), linear(d_ff, d_model)]
        parts += [linear(d_model, 2 * d_ff), nn.RMSNorm(d_model), nn.RMSNorm(d_model)]
    return sum(p.numel() for part in parts for p in part.parameters())


right("all has the factor C", lambda c, h, k, d, f: c * (2 * d * (h + k) + 3 * f + 2))
right(
    "shapes and prod",
    lambda c, h, k, d, f: sum(
        math.prod(s) for s in [(c, d, h + 2 * k), (h, d, c), *[(f, c)] * 3, (c,), (c,)]
    ),
)

# --- Tie the weights

wrong, right = begin("check_tie")


@wrong("the mean of both in the embedding")
def _(embedding, head):
    with torch.no_grad():
        embedding.weight.add_(head.weight).div_(2)
    head.weight = embedding.weight


@wrong("tied, and started anew")
def _(embedding, head):
    head.weight = embedding.weight
    nn.init.normal_(head.weight, std=0.02)


@wrong("tied, and frozen", rule=True)
def _(embedding, head):
    head.weight = embedding.weight
    head.weight.requires_grad_(False)


@wrong("tied, with a bias")
def _(embedding, head):
    head.weight = embedding.weight
    head.bias = nn.Parameter(torch.zeros(head.out_features))


@wrong("tied at each call only")
def _(embedding, head):
    def copy(module, inputs):
        module.weight.data.copy_(embedding.weight)

    head.register_forward_pre_hook(copy)


@wrong("a comparison")
def _(embedding, head):
    assert embedding.weight.shape == head.weight.shape


@right("by setattr")
def _(embedding, head):
    setattr(head, "weight", getattr(embedding, "weight"))


@right("registered")
def _(embedding, head):
    head.register_parameter("weight", embedding.get_parameter("weight"))


@right("out of the table of parameters, and only if there is need")
def _(embedding, head):
    if head.weight is not embedding.weight:
        del head.weight
        head._parameters["weight"] = next(embedding.parameters())


# --- A start for deep models

wrong, right = begin("check_residual_scale")

wrong("half the layers", lambda n: 0.02 / (n / 2) ** 0.5)
wrong("one fewer", lambda n: 0.02 / (2 * n - 1) ** 0.5)
wrong("one more layer", lambda n: 0.02 / (2 * (n + 1)) ** 0.5)
wrong("three writes", lambda n: 0.02 / (3 * n) ** 0.5)
wrong("24 writes", lambda n: 0.02 / 24**0.5)
wrong("the cube root", lambda n: 0.02 / (2 * n) ** (1 / 3))
wrong("the logarithm", lambda n: 0.02 / (1 + math.log(2 * n)))
wrong("rounded", lambda n: round(0.02 / (2 * n) ** 0.5, 3))
wrong("less with each layer", lambda n: [0.02 / (2 * i) ** 0.5 for i in range(1, n + 1)])
wrong(
    "measured on random numbers",
    lambda n: (
        (
            0.02**2
            / torch.randn(2 * n, 300, generator=torch.Generator().manual_seed(n))
            .sum(0)
            .std()
            .item()
        )
        / 0.02
    ),
)

right("by the variance of all writes", lambda n: math.sqrt(0.02**2 / sum(1 for _ in range(2 * n))))
right("by logarithms", lambda n: math.exp(math.log(0.02) - 0.5 * math.log(n) - 0.5 * math.log(2)))
right("hypot of 2 n ones", lambda n: 0.02 / math.hypot(*[1] * (2 * n)))
right("NumPy", lambda n: np.true_divide(0.02, np.linalg.norm(np.ones((n, 2)))))

# --- Your whole transformer (capstone)

wrong, right = begin("check_my_model")


def transformer(
    weights, ids, config, *, eps=None, dim=-1, scale=None, start=0, sign=1, turn_key=True, span=None,
    mask=1, order=(0, 1, 2), soft=-1, curve=F.silu, post=False, final=True, layers=None,
    through=lambda x: x,
):  # fmt: skip
    """The model, with any of its parts exchanged."""
    width, n_heads, n_kv, t = config.d_head, config.n_heads, config.n_kv_heads, len(ids)

    def norm(x, name):
        size = x.square().mean(dim, keepdim=True) + (eps or config.norm_eps)
        return x * size.rsqrt() * weights[f"{name}.weight"]

    def rotate(x):
        speeds = config.rope_base ** (-torch.arange(0, width, 2) / (width * (span or 1)))
        angles = sign * (torch.arange(t) + start)[:, None] * speeds
        a, b = x.chunk(2, dim=-1)
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def attend(x, name):
        h = (x @ weights[f"{name}.query_key_value.weight"].T).view(t, -1, width).transpose(0, 1)
        parts = h.split((n_heads, n_kv, n_kv))
        query, key, value = (parts[i] for i in order)
        key, value = (y.repeat_interleave(n_heads // n_kv, 0) for y in (key, value))
        scores = rotate(query) @ (rotate(key) if turn_key else key).mT * (scale or width**-0.5)
        scores = scores.masked_fill(torch.ones(t, t).triu(mask).bool(), -math.inf)
        mixed = scores.softmax(soft).nan_to_num() @ value
        return mixed.transpose(0, 1).reshape(t, -1) @ weights[f"{name}.output.weight"].T

    def feed(x, name):
        gate, up, down = (weights[f"{name}.{p}.weight"].T for p in ("gate", "up", "down"))
        return (curve(x @ gate) * (x @ up)) @ down

    def around(x, layer, name, normed):
        return norm(x + layer(x, name), normed) if post else x + layer(norm(x, normed), name)

    x = weights["embedding.weight"][ids]
    for n in range(layers or config.n_layers):
        name = f"blocks.{n}."
        x = around(x, attend, f"{name}attention", f"{name}attention_norm")
        x = through(around(x, feed, f"{name}feedforward", f"{name}feedforward_norm"))
    return (norm(x, "final_norm") if final else x) @ weights["embedding.weight"].T


def model(**other):
    return partial(transformer, **other)


wrong("turned the other way, keys not", model(sign=-1, turn_key=False))
wrong("speeds by the width of all heads", lambda w, i, c: transformer(w, i, c, span=c.n_heads))
wrong("epsilon 1e-6", model(eps=1e-6))
wrong("norm over tokens", model(dim=0))
wrong("scores divided by the width", lambda w, i, c: transformer(w, i, c, scale=1 / c.d_head))
wrong(
    "scale of the whole width",
    lambda w, i, c: transformer(w, i, c, scale=(c.d_head * c.n_heads) ** -0.5),
)
wrong("itself hidden", model(mask=0))
wrong("one later token seen", model(mask=2))
wrong("softmax over queries", model(soft=-2))
wrong(
    "keys before queries, where as many",
    lambda w, i, c: transformer(
        w, i, c, order=(1, 0, 2) if c.n_heads == c.n_kv_heads else (0, 2, 1)
    ),
)
wrong("ReLU", model(curve=F.relu))
wrong("post-norm", model(post=True))
wrong("two layers", lambda w, i, c: transformer(w, i, c, layers=min(2, c.n_layers)))
wrong("the last position only", lambda w, i, c: transformer(w, i, c)[-1:])
wrong("probabilities", lambda w, i, c: transformer(w, i, c).softmax(-1))
wrong("log probabilities", lambda w, i, c: transformer(w, i, c).log_softmax(-1))
wrong("half precision between layers", model(through=lambda x: x.half().float()))
wrong("GELU and no last norm", model(curve=F.gelu, final=False))
wrong("a batch of one", lambda w, i, c: transformer(w, i, c)[None])


@wrong("scales the weights in place")
def _(weights, ids, config):
    result = transformer(weights, ids, config)
    weights["embedding.weight"] *= 0.5
    return result


right("positions from 1: only differences count", model(start=1))


@right("token by token, each prefix anew")
def _(weights, ids, config):
    return torch.stack([transformer(weights, ids[:n], config)[-1] for n in range(1, len(ids) + 1)])


@right("in double precision")
def _(weights, ids, config):
    wide = {name: w.double() for name, w in weights.items()}
    return transformer(wide, ids, config).float()
