"""A third blind reading, of chapters 2 and 3: slips that the first two did not make."""

import math
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from tests.exercises.answers import _note

# --- Scaled attention

wrong, right = (
    partial(_note, "check_scaled_attention", "wrong"),
    partial(_note, "check_scaled_attention", "right"),
)


def attend(q, k, v, scale=None, soft=lambda s: s.softmax(-1)):
    scale = math.sqrt(q.shape[-1]) if scale is None else scale
    return soft(q @ k.T / scale) @ v


wrong(
    "softmax in float16",
    lambda q, k, v: attend(q, k, v, soft=lambda s: s.half().softmax(-1).float()),
)
wrong(
    "scores in bfloat16",
    lambda q, k, v: attend(q, k, v, soft=lambda s: s.bfloat16().softmax(-1).float()),
)
wrong(
    "softmax in bfloat16 after subtraction of the maximum",
    lambda q, k, v: attend(
        q, k, v, soft=lambda s: (s - s.amax(-1, keepdim=True)).bfloat16().softmax(-1).to(s.dtype)
    ),
)
wrong("√ of the values' width", lambda q, k, v: attend(q, k, v, math.sqrt(v.shape[-1])))
wrong("√ of the number of queries", lambda q, k, v: attend(q, k, v, math.sqrt(len(q))))
wrong(
    "both q and k divided by √d",
    lambda q, k, v: attend(q / q.shape[-1] ** 0.5, k / q.shape[-1] ** 0.5, v, 1),
)
wrong("multiplied by √d", lambda q, k, v: attend(q, k, v, q.shape[-1] ** -0.5))
wrong("scaled after the softmax", lambda q, k, v: (q @ k.T).softmax(-1) / q.shape[-1] ** 0.5 @ v)
wrong(
    "the maximum of all scores clamped at 80",
    lambda q, k, v: attend(q, k, v, soft=lambda s: s.clamp(max=80).softmax(-1)),
)
wrong(
    "exp without the maximum, nan to zero",
    lambda q, k, v: attend(
        q, k, v, soft=lambda s: (s.exp() / s.exp().sum(-1, keepdim=True)).nan_to_num()
    ),
)
wrong(
    "one softmax over all scores",
    lambda q, k, v: attend(q, k, v, soft=lambda s: s.flatten().softmax(0).view_as(s)),
)
wrong(
    "sum of weights without keepdim, by queries",
    lambda q, k, v: attend(
        q, k, v, soft=lambda s: (s - s.max()).exp() / (s - s.max()).exp().sum(0, keepdim=True)
    ),
)
wrong(
    "normalized by the maximum, not the sum",
    lambda q, k, v: attend(q, k, v, soft=lambda s: (s - s.amax(-1, keepdim=True)).exp()),
)
wrong("the value of the best key alone", lambda q, k, v: v[(q @ k.T).argmax(-1)])
wrong(
    "cosine similarity",
    lambda q, k, v: (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).T).softmax(-1) @ v,
)
wrong("returns the weights too", lambda q, k, v: (attend(q, k, v), (q @ k.T).softmax(-1)))
wrong(
    "causal where none is asked",
    lambda q, k, v: attend(
        q,
        k,
        v,
        soft=lambda s: s.masked_fill(torch.ones_like(s).triu(1).bool(), -math.inf).softmax(-1),
    ),
)
wrong(
    "a small number added to the sum",
    lambda q, k, v: attend(
        q,
        k,
        v,
        soft=lambda s: (
            (s - s.amax(-1, keepdim=True)).exp()
            / ((s - s.amax(-1, keepdim=True)).exp().sum(-1, keepdim=True) + 1)
        ),
    ),
)
right(
    "einsum in float64",
    lambda q, k, v: torch.einsum(
        "ts,sn->tn",
        (torch.einsum("td,sd->ts", q.double(), k.double()) / q.shape[-1] ** 0.5).softmax(-1),
        v.double(),
    ),
)
right(
    "scaled query first, log_softmax",
    lambda q, k, v: (q * q.shape[-1] ** -0.5 @ k.T).log_softmax(-1).exp() @ v,
)


@right("numpy, row by row")
def _(query, key, value):
    q, k, v = (x.numpy().astype(float) for x in (query, key, value))
    rows = []
    for row in q:
        s = k @ row / np.sqrt(len(row))
        w = np.exp(s - s.max())
        rows.append(w @ v / w.sum())
    return torch.tensor(np.array(rows), dtype=torch.float32)


# --- Causal weights

wrong, right = (
    partial(_note, "check_causal_weights", "wrong"),
    partial(_note, "check_causal_weights", "right"),
)


def seen(s, diagonal):
    return torch.ones_like(s).tril(diagonal).bool()


wrong("the mask of equal sizes", lambda s: s.masked_fill(~seen(s, 0), -math.inf).softmax(-1))
wrong(
    "sees one key too many",
    lambda s: s.masked_fill(~seen(s, s.shape[1] - s.shape[0] + 1), -math.inf).softmax(-1),
)
wrong(
    "does not see itself, but for the first",
    lambda s: s.masked_fill(
        ~(seen(s, s.shape[1] - s.shape[0] - 1) | (torch.arange(s.shape[1]) == 0)), -math.inf
    ).softmax(-1),
)
wrong(
    "triu for tril",
    lambda s: s.masked_fill(
        ~torch.ones_like(s).triu(s.shape[1] - s.shape[0]).bool(), -math.inf
    ).softmax(-1),
)
wrong(
    "multiplied by the mask before the softmax",
    lambda s: (s * seen(s, s.shape[1] - s.shape[0])).softmax(-1),
)
wrong("masked after the softmax", lambda s: s.softmax(-1) * seen(s, s.shape[1] - s.shape[0]))
wrong("masked with 0", lambda s: s.masked_fill(~seen(s, s.shape[1] - s.shape[0]), 0).softmax(-1))
wrong("masked with -1", lambda s: s.masked_fill(~seen(s, s.shape[1] - s.shape[0]), -1).softmax(-1))
wrong(
    "masked with -100", lambda s: s.masked_fill(~seen(s, s.shape[1] - s.shape[0]), -100).softmax(-1)
)
wrong(
    "masked with the smallest positive number",
    lambda s: s.masked_fill(~seen(s, s.shape[1] - s.shape[0]), torch.finfo(s.dtype).tiny).softmax(
        -1
    ),
)
wrong(
    "softmax over queries",
    lambda s: s.masked_fill(~seen(s, s.shape[1] - s.shape[0]), -math.inf).softmax(0).nan_to_num(),
)
wrong(
    "softmax, mask, softmax again",
    lambda s: s.softmax(-1).masked_fill(~seen(s, s.shape[1] - s.shape[0]), -math.inf).softmax(-1),
)
wrong(
    "softmax, mask, divided by the sum of all",
    lambda s: (
        s.exp()
        * seen(s, s.shape[1] - s.shape[0])
        / (s.exp() * seen(s, s.shape[1] - s.shape[0])).sum()
    ),
)
wrong(
    "scaled once more",
    lambda s: (
        (s / math.sqrt(s.shape[1]))
        .masked_fill(~seen(s, s.shape[1] - s.shape[0]), -math.inf)
        .softmax(-1)
    ),
)
wrong("the masked scores", lambda s: s.masked_fill(~seen(s, s.shape[1] - s.shape[0]), -math.inf))
wrong(
    "the first T of S positions for many, own for one",
    lambda s: s.masked_fill(~seen(s, 0), -math.inf).softmax(-1) if len(s) > 1 else s.softmax(-1),
)
wrong(
    "a window: the last T keys alone",
    lambda s: s.masked_fill(
        ~(
            seen(s, s.shape[1] - s.shape[0])
            & ~seen(s, -1).flip(1).flip(0).T.flip(0)[: s.shape[0], : s.shape[1]]
            if s.shape[0] == s.shape[1]
            else seen(s, s.shape[1] - s.shape[0])
            & (torch.arange(s.shape[1]) >= s.shape[1] - s.shape[0])
        ),
        -math.inf,
    ).softmax(-1),
)
wrong(
    "exponentials without subtracting the largest",
    lambda s: (
        (s.exp() * seen(s, s.shape[1] - s.shape[0]))
        / (s.exp() * seen(s, s.shape[1] - s.shape[0])).sum(-1, keepdim=True)
    ),
)
right(
    "row by row",
    lambda s: torch.stack(
        [
            torch.cat([row[: len(row) - len(s) + i + 1].softmax(0), torch.zeros(len(s) - i - 1)])
            for i, row in enumerate(s)
        ]
    ),
)
right(
    "comparison of positions, float64",
    lambda s: (
        s.double()
        .masked_fill(
            torch.arange(s.shape[1])[None]
            > (torch.arange(s.shape[0]) + s.shape[1] - s.shape[0])[:, None],
            -math.inf,
        )
        .softmax(-1)
    ),
)
right(
    "added mask",
    lambda s: (s + torch.full_like(s, -math.inf).triu(1 + s.shape[1] - s.shape[0])).softmax(-1),
)

# --- Split and merge

wrong, right = (
    partial(_note, "check_split_heads", "wrong"),
    partial(_note, "check_split_heads", "right"),
)
wrong(
    "squeezed: a batch of one is gone",
    lambda x, h: x.unflatten(-1, (h, -1)).transpose(1, 2).squeeze(0),
)
wrong("squeezed everywhere", lambda x, h: x.unflatten(-1, (h, -1)).transpose(1, 2).squeeze())
wrong("the first text alone", lambda x, h: x.unflatten(-1, (h, -1)).transpose(1, 2)[:1])
wrong("viewed as (B, H, T, D) at once", lambda x, h: x.reshape(x.shape[0], h, x.shape[1], -1))
wrong("every H-th feature", lambda x, h: x.unflatten(-1, (-1, h)).permute(0, 3, 1, 2))
wrong("heads before the batch", lambda x, h: x.unflatten(-1, (h, -1)).permute(2, 0, 1, 3))
wrong("(B, T, H, D)", lambda x, h: x.unflatten(-1, (h, -1)))
wrong("(B, H, D, T)", lambda x, h: x.unflatten(-1, (h, -1)).permute(0, 2, 3, 1))
wrong("n_heads taken for the head width", lambda x, h: x.unflatten(-1, (-1, h)).transpose(1, 2))
wrong("heads in reverse", lambda x, h: x.unflatten(-1, (h, -1)).transpose(1, 2).flip(1))
wrong("a list of heads", lambda x, h: list(x.chunk(h, -1)))
wrong(
    "batch and heads folded together",
    lambda x, h: x.unflatten(-1, (h, -1)).transpose(1, 2).flatten(0, 1),
)
wrong(
    "scaled by √D",
    lambda x, h: x.unflatten(-1, (h, -1)).transpose(1, 2) / (x.shape[-1] // h) ** 0.5,
)
wrong("one head less", lambda x, h: x.unflatten(-1, (h, -1)).transpose(1, 2)[:, : max(h - 1, 1)])
right(
    "einops by hand: stack of slices",
    lambda x, h: torch.stack(
        [x[..., i * (x.shape[-1] // h) : (i + 1) * (x.shape[-1] // h)] for i in range(h)], 1
    ),
)
right("stack of chunks", lambda x, h: torch.stack(x.chunk(h, dim=-1), dim=1))
right("numpy", lambda x, h: x.numpy().reshape(*x.shape[:2], h, -1).swapaxes(1, 2))

wrong, right = (
    partial(_note, "check_merge_heads", "wrong"),
    partial(_note, "check_merge_heads", "right"),
)
wrong("squeezed: a batch of one is gone", lambda h: h.transpose(1, 2).flatten(2).squeeze(0))
wrong("squeezed everywhere", lambda h: h.transpose(1, 2).flatten(2).squeeze())
wrong("reshaped without the swap", lambda h: h.reshape(h.shape[0], h.shape[2], -1))
wrong("view after the swap", lambda h: h.transpose(1, 2).view(h.shape[0], h.shape[2], -1))
wrong("features before heads", lambda h: h.permute(0, 2, 3, 1).flatten(2))
wrong("the heads summed", lambda h: h.sum(1))
wrong("the heads averaged", lambda h: h.mean(1))
wrong("(B, C, T)", lambda h: h.transpose(1, 2).flatten(2).mT)
wrong("heads in reverse", lambda h: h.flip(1).transpose(1, 2).flatten(2))
wrong("one row of all tokens", lambda h: h.transpose(1, 2).flatten(1))
wrong("the batch folded into the positions", lambda h: h.transpose(1, 2).flatten(2).flatten(0, 1))
right("cat of heads", lambda h: torch.cat(list(h.unbind(1)), dim=-1))
right("einsum and flatten", lambda h: torch.einsum("bhtd->bthd", h).flatten(2))
right(
    "filled slice by slice", lambda h: torch.cat([h[:, i] for i in range(h.shape[1])], 2).double()
)

# --- Rotary positions

wrong, right = partial(_note, "check_rotate", "wrong"), partial(_note, "check_rotate", "right")


def rotary(x, base, power=None, start=0, turn=None, pairs="halves", positions=None):
    n, d = x.shape
    power = power or (lambda i: 2 * i / d)
    freq = torch.tensor([float(base) ** -power(i) for i in range(d // 2)])
    angles = (torch.arange(start, start + n) if positions is None else positions)[:, None] * freq
    cos, sin = angles.cos().to(x), angles.sin().to(x)
    a, b = x.chunk(2, -1) if pairs == "halves" else (x[:, ::2], x[:, 1::2])
    new = turn(a, b, cos, sin) if turn else (a * cos - b * sin, b * cos + a * sin)
    return torch.cat(new, -1) if pairs == "halves" else torch.stack(new, -1).flatten(1)


wrong("positions from 1", lambda x, b: rotary(x, b, start=1))
wrong(
    "turned the other way",
    lambda x, b: rotary(x, b, turn=lambda p, q, c, s: (p * c + q * s, q * c - p * s)),
)
wrong("neighbors paired", lambda x, b: rotary(x, b, pairs="neighbors"))
wrong("i/D for 2i/D", lambda x, b: rotary(x, b, lambda i: i / x.shape[1]))
wrong("4i/D for 2i/D", lambda x, b: rotary(x, b, lambda i: 4 * i / x.shape[1]))
wrong(
    "2i/(D - 2): the last pair at 1/base",
    lambda x, b: rotary(x, b, lambda i: 2 * i / max(x.shape[1] - 2, 1)),
)
wrong("(2i + 2)/D: counted from 1", lambda x, b: rotary(x, b, lambda i: (2 * i + 2) / x.shape[1]))
wrong("angles times 2π", lambda x, b: rotary(x, b, positions=torch.arange(len(x)) * 2 * math.pi))
wrong(
    "the new half used for the second",
    lambda x, b: rotary(x, b, turn=lambda p, q, c, s: (p * c - q * s, q * c + (p * c - q * s) * s)),
)
wrong(
    "both plus", lambda x, b: rotary(x, b, turn=lambda p, q, c, s: (p * c + q * s, q * c + p * s))
)
wrong(
    "both minus", lambda x, b: rotary(x, b, turn=lambda p, q, c, s: (p * c - q * s, q * c - p * s))
)
wrong(
    "halves swapped at the end",
    lambda x, b: rotary(x, b, turn=lambda p, q, c, s: (q * c + p * s, p * c - q * s)),
)
wrong(
    "added sines, as in the first transformer",
    lambda x, b: x + rotary(torch.ones_like(x), b, turn=lambda p, q, c, s: (s, c)),
)
wrong("base forgotten: 10,000", lambda x, b: rotary(x, 10000.0))
wrong(
    "positions divided by the length",
    lambda x, b: rotary(x, b, positions=torch.arange(len(x)) / len(x)),
)
wrong(
    "frequencies in the reverse order",
    lambda x, b: rotary(x, b, lambda i: 2 * (x.shape[1] // 2 - 1 - i) / x.shape[1]),
)
wrong("exponent cut to whole numbers", lambda x, b: rotary(x, b, lambda i: 2 * i // x.shape[1]))
wrong(
    "paired halves, written out interleaved",
    lambda x, b: rotary(x, b).unflatten(1, (2, -1)).mT.flatten(1),
)
wrong("angles in float16", lambda x, b: rotary(x.half(), b).float())


@right("exp and log for the power, outer product")
def _(x, base):
    d = x.shape[1]
    freq = torch.exp(torch.arange(0, d, 2, dtype=torch.float32) * (-math.log(base) / d))
    angles = torch.outer(torch.arange(len(x), dtype=torch.float32), freq).repeat(1, 2)
    a, b = x[:, : d // 2], x[:, d // 2 :]
    return x * angles.cos() + torch.cat([-b, a], 1) * angles.sin()


@right("numpy, pair by pair")
def _(x, base):
    old, d = x.numpy().astype(float), x.shape[1]
    new = old.copy()
    for t in range(len(old)):
        for i in range(d // 2):
            angle = t / base ** (2 * i / d)
            c, s = math.cos(angle), math.sin(angle)
            p, q = old[t, i], old[t, i + d // 2]
            new[t, i], new[t, i + d // 2] = p * c - q * s, q * c + p * s
    return torch.tensor(new)


# --- One step with a cache

wrong, right = (
    partial(_note, "check_cached_step", "wrong"),
    partial(_note, "check_cached_step", "right"),
)


def step(q, k, v, ks, vs, scale=None, soft=lambda s: s.softmax(0)):
    ks, vs = torch.cat([ks, k[None]]), torch.cat([vs, v[None]])
    return soft(ks @ q / (scale or math.sqrt(len(q)))) @ vs, ks, vs


wrong(
    "√ of the number of keys", lambda q, k, v, ks, vs: step(q, k, v, ks, vs, math.sqrt(len(ks) + 1))
)
wrong("divided by d", lambda q, k, v, ks, vs: step(q, k, v, ks, vs, len(q)))
wrong("not divided", lambda q, k, v, ks, vs: step(q, k, v, ks, vs, 1))
wrong(
    "softmax in float16",
    lambda q, k, v, ks, vs: step(q, k, v, ks, vs, soft=lambda s: s.half().softmax(0).float()),
)
wrong(
    "attends before the value is appended",
    lambda q, k, v, ks, vs: (
        (torch.cat([ks, k[None]]) @ q / len(q) ** 0.5).softmax(0)[:-1] @ vs,
        *step(q, k, v, ks, vs)[1:],
    ),
)
wrong("the old cache is returned", lambda q, k, v, ks, vs: (step(q, k, v, ks, vs)[0], ks, vs))
wrong(
    "the new token in the first row",
    lambda q, k, v, ks, vs: (
        step(q, k, v, ks, vs)[0],
        torch.cat([k[None], ks]),
        torch.cat([v[None], vs]),
    ),
)
wrong(
    "output (1, D)",
    lambda q, k, v, ks, vs: (step(q, k, v, ks, vs)[0][None], *step(q, k, v, ks, vs)[1:]),
)
wrong(
    "key appended twice",
    lambda q, k, v, ks, vs: (
        step(q, k, v, ks, vs)[0],
        torch.cat([ks, k[None], k[None]]),
        step(q, k, v, ks, vs)[2],
    ),
)
wrong("the query appended to the keys", lambda q, k, v, ks, vs: step(q, q, v, ks, vs))
wrong("output alone", lambda q, k, v, ks, vs: step(q, k, v, ks, vs)[0])
wrong(
    "a dictionary",
    lambda q, k, v, ks, vs: dict(zip(("output", "keys", "values"), step(q, k, v, ks, vs))),
)
wrong(
    "the empty cache gives the value of zeros",
    lambda q, k, v, ks, vs: (
        step(q, k, v, ks, vs)[0] if len(ks) else torch.zeros_like(v),
        *step(q, k, v, ks, vs)[1:],
    ),
)
wrong(
    "drops the oldest token, so that the cache stays as long",
    lambda q, k, v, ks, vs: step(q, k, v, ks[1:], vs[1:]),
)
wrong(
    "exponentials without subtracting the largest",
    lambda q, k, v, ks, vs: step(q, k, v, ks, vs, soft=lambda s: s.exp() / s.exp().sum()),
)
wrong(
    "weights of the key's own softmax",
    lambda q, k, v, ks, vs: step(q, k, v, ks, vs, soft=lambda s: s / s.sum()),
)
right(
    "einsum and float64",
    lambda q, k, v, ks, vs: tuple(
        x.float() for x in step(*(x.double() for x in (q, k, v, ks, vs)))
    ),
)
right(
    "vstack, log-sum-exp",
    lambda q, k, v, ks, vs: (
        (
            (torch.vstack([ks, k]) @ q / len(q) ** 0.5)
            - (torch.vstack([ks, k]) @ q / len(q) ** 0.5).logsumexp(0)
        ).exp()
        @ torch.vstack([vs, v]),
        torch.vstack([ks, k]),
        torch.vstack([vs, v]),
    ),
)


@right("new tensors filled, a list is returned")
def _(query, key, value, keys, values):
    n, d = keys.shape
    new_keys, new_values = torch.empty(n + 1, d), torch.empty(n + 1, values.shape[1])
    new_keys[:n], new_keys[n], new_values[:n], new_values[n] = keys, key, values, value
    scores = (new_keys * query).sum(1) / d**0.5
    weights = (scores - scores.max()).exp()
    return [(weights[:, None] * new_values).sum(0) / weights.sum(), new_keys, new_values]


# --- Online softmax

wrong, right = (
    partial(_note, "check_online_attention", "wrong"),
    partial(_note, "check_online_attention", "right"),
)


def online(
    q, k, v, tile, begin=-math.inf, scale=None, shrink_total=True, shrink_output=True,
    divide=True, peak=lambda s: s.amax(-1, keepdim=True), maximum=torch.maximum,
    stop=None, shrinking=lambda old, new: (old - new).exp(),
):  # fmt: skip
    top = torch.full((len(q), 1), begin)
    total, out = torch.zeros(len(q), 1), torch.zeros(len(q), v.shape[1])
    for i in range(0, len(k) if stop is None else stop, tile):
        s = q @ k[i : i + tile].T / (scale or math.sqrt(q.shape[1]))
        new = maximum(top, peak(s))
        w, shrink = (s - new).exp(), shrinking(top, new)
        total = total * (shrink if shrink_total else 1) + w.sum(-1, keepdim=True)
        out = out * (shrink if shrink_output else 1) + w @ v[i : i + tile]
        top = new
    return out / total if divide else out


wrong("the running maximum starts at 0", lambda q, k, v, t: online(q, k, v, t, 0.0))
wrong("the running maximum starts at -100", lambda q, k, v, t: online(q, k, v, t, -100.0))
wrong(
    "the running maximum starts at the smallest positive float",
    lambda q, k, v, t: online(q, k, v, t, torch.finfo(torch.float32).tiny),
)
wrong(
    "neither shrinks",
    lambda q, k, v, t: online(q, k, v, t, shrink_output=False, shrink_total=False),
)
wrong("never divided", lambda q, k, v, t: online(q, k, v, t, divide=False))
wrong(
    "the least score of a tile is subtracted",
    lambda q, k, v, t: online(q, k, v, t, peak=lambda s: s.amin(-1, keepdim=True)),
)
wrong(
    "the maximum of the last tile, not the running one",
    lambda q, k, v, t: online(q, k, v, t, maximum=lambda old, new: new),
)
wrong(
    "the last, shorter tile is left out",
    lambda q, k, v, t: online(q, k, v, t, stop=len(k) // t * t or len(k)),
)
wrong(
    "new - old for old - new",
    lambda q, k, v, t: online(
        q, k, v, t, shrinking=lambda old, new: torch.where(old.isinf(), 0.0, (new - old).exp())
    ),
)
wrong("divided by the tile's size", lambda q, k, v, t: online(q, k, v, t, -math.inf, math.sqrt(t)))
wrong("not scaled", lambda q, k, v, t: online(q, k, v, t, scale=1.0))
wrong(
    "the mean of the tiles' attentions",
    lambda q, k, v, t: torch.stack(
        [attend(q, k[i : i + t], v[i : i + t]) for i in range(0, len(k), t)]
    ).mean(0),
)
wrong("the first tile alone", lambda q, k, v, t: attend(q, k[:t], v[:t]))
wrong(
    "the last tile alone",
    lambda q, k, v, t: attend(q, k[(len(k) - 1) // t * t :], v[(len(k) - 1) // t * t :]),
)
wrong(
    "causal",
    lambda q, k, v, t: attend(
        q,
        k,
        v,
        soft=lambda s: s.masked_fill(torch.ones_like(s).triu(1).bool(), -math.inf).softmax(-1),
    ),
)


@wrong("divides at each tile too")
def _(query, key, value, tile):
    top, total = torch.full((len(query), 1), -math.inf), torch.zeros(len(query), 1)
    out = torch.zeros(len(query), value.shape[1])
    for i in range(0, len(key), tile):
        s = query @ key[i : i + tile].T / math.sqrt(query.shape[1])
        new = torch.maximum(top, s.amax(-1, keepdim=True))
        w = (s - new).exp()
        total = total * (top - new).exp() + w.sum(-1, keepdim=True)
        out = (out * (top - new).exp() + w @ value[i : i + tile]) / total
        top = new
    return out


@wrong("a list of scores, joined at the end", rule=True)
def _(query, key, value, tile):
    parts = [query @ key[i : i + tile].T for i in range(0, len(key), tile)]
    return (torch.cat(parts, -1) / math.sqrt(query.shape[1])).softmax(-1) @ value


@wrong("the keys backward beside the values forward")
def _(query, key, value, tile):
    return online(query, key.flip(0), value, tile)


@right("with log-sum-exp of what is done")
def _(query, key, value, tile):
    q, k, v = query.double(), key.double(), value.double()
    done, out = torch.full((len(q),), -math.inf).double(), torch.zeros(len(q), v.shape[1]).double()
    for i in range(0, len(k), tile):
        s = torch.einsum("td,sd->ts", q, k[i : i + tile]) / q.shape[1] ** 0.5
        here = s.logsumexp(-1)
        both = torch.logaddexp(done, here)
        out = out * (done - both).exp()[:, None] + (s - both[:, None]).exp() @ v[i : i + tile]
        done = both
    return out


@right("query by query, key by key")
def _(query, key, value, tile):
    rows = []
    for q in query:
        top, total, out = -math.inf, 0.0, torch.zeros(value.shape[1])
        for k, v in zip(key, value):
            s = float(q @ k) / math.sqrt(len(q))
            new = max(top, s)
            shrink, w = math.exp(top - new), math.exp(s - new)
            top, total, out = new, total * shrink + w, out * shrink + w * v
        rows.append(out / total)
    return torch.stack(rows)


@right("tiles from the end, split")
def _(query, key, value, tile):
    top, total, out = None, None, None
    for k, v in [*zip(key.split(tile), value.split(tile))][::-1]:
        s = query @ k.mT * query.shape[1] ** -0.5
        m = s.max(-1, keepdim=True).values
        if top is None:
            w = (s - m).exp()
            top, total, out = m, w.sum(-1, keepdim=True), w @ v
            continue
        new = torch.where(m > top, m, top)
        w, shrink = torch.exp(s - new), torch.exp(top - new)
        total, out, top = total * shrink + w.sum(-1, keepdim=True), out * shrink + w @ v, new
    return out / total
