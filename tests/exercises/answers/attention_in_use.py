"""Answers to "Rotary positions", "One step with a cache" and "Online softmax"."""

import math

import numpy as np
import torch

from tests.exercises.answers import exercise

CHECKS = "lib.exercises.attention_in_use"

# --- 4. Rotary positions


def rotate(x, base):
    length, width = x.shape
    frequencies = base ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] * frequencies
    a, b = x.chunk(2, dim=-1)
    return torch.cat(
        [a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], dim=-1
    )


def rotate_cases():
    torch.manual_seed(5)
    sizes = [
        (3, 4, 100.0),
        (1, 2, 10000.0),
        (5, 8, 10000.0),
        (4, 2, 10.0),
        (6, 6, 500.0),
        (7, 16, 1e6),
        (4, 4, 10000),
    ]
    return [(torch.randn(t, d), base) for t, d, base in sizes]


def turn(x, base, start=0, sign=1, exponent=lambda i, d: 2 * i / d, scale=lambda t: t):
    length, width = x.shape
    i = torch.arange(width // 2).double()
    frequencies = torch.tensor(float(base)).double() ** -exponent(i, width)
    positions = scale(torch.arange(start, start + length).double())
    angles = (sign * positions[:, None] * frequencies).float()
    a, b = x.chunk(2, -1)
    return torch.cat([a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], -1)


def paired(x, base, even=slice(0, None, 2), odd=slice(1, None, 2)):
    """Neighbors make the pairs, as in the first edition of RoPE."""
    out = torch.empty_like(x)
    angles = torch.arange(len(x))[:, None] * base ** (-torch.arange(0, x.shape[1], 2) / x.shape[1])
    out[:, even] = x[:, even] * angles.cos() - x[:, odd] * angles.sin()
    out[:, odd] = x[:, odd] * angles.cos() + x[:, even] * angles.sin()
    return out


wrong, right = exercise(CHECKS, "check_rotate", rotate, rotate_cases)


@right("complex numbers")
def _(x, base):
    t, d = x.shape
    z = torch.complex(x[:, : d // 2].contiguous(), x[:, d // 2 :].contiguous())
    angles = torch.arange(t)[:, None] / base ** (torch.arange(d // 2) * 2 / d)
    z = z * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([z.real, z.imag], dim=1)


@right("loops over positions and pairs")
def _(x, base):
    out = x.clone()
    half = x.shape[1] // 2
    for t in range(x.shape[0]):
        for i in range(half):
            angle = t * base ** (-2 * i / x.shape[1])
            c, s = math.cos(angle), math.sin(angle)
            out[t, i] = x[t, i] * c - x[t, i + half] * s
            out[t, i + half] = x[t, i + half] * c + x[t, i] * s
    return out


@right("rotate_half with tables of full width")
def _(x, base):
    d = x.shape[-1]
    inverse = 1.0 / (base ** (torch.arange(0, d, 2).float() / d))
    angles = torch.outer(torch.arange(len(x)).float(), inverse)
    cos, sin = torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()
    swapped = torch.cat([-x[:, d // 2 :], x[:, : d // 2]], -1)
    return x * cos + swapped * sin


@right("numpy")
def _(x, base):
    v = x.numpy().astype(np.float64)
    d = v.shape[1]
    angle = np.arange(len(v))[:, None] * np.exp(-np.log(base) * 2 * np.arange(d // 2) / d)
    a, b = v[:, : d // 2], v[:, d // 2 :]
    c, s = np.cos(angle), np.sin(angle)
    return torch.from_numpy(np.concatenate([a * c - b * s, b * c + a * s], axis=1)).float()


wrong("turns the other way", lambda x, base: turn(x, base, sign=-1))
wrong("positions begin at 1", lambda x, base: turn(x, base, start=1))
wrong("pairs neighbors", paired)
wrong(
    "exponent i / D, half of what it should be",
    lambda x, base: turn(x, base, exponent=lambda i, d: i / d),
)
wrong("exponent 4i / D", lambda x, base: turn(x, base, exponent=lambda i, d: 4 * i / d))
wrong(
    "exponent 2i / (D - 2), so that the last pair has 1/base",
    lambda x, base: turn(x, base, exponent=lambda i, d: 2 * i / max(d - 2, 1)),
)
wrong("exponent 2i, not divided by D", lambda x, base: turn(x, base, exponent=lambda i, d: 2 * i))
wrong("positive exponent", lambda x, base: turn(x, base, exponent=lambda i, d: -2 * i / d))
wrong(
    "exponent counts from 1", lambda x, base: turn(x, base, exponent=lambda i, d: 2 * (i + 1) / d)
)
wrong("the same angle for all pairs", lambda x, base: turn(x, base, exponent=lambda i, d: 0 * i))
wrong("base is always 10000", lambda x, base: turn(x, 10000.0))
wrong("angles in degrees", lambda x, base: turn(x, base, scale=torch.deg2rad))
wrong("positions times 2 pi", lambda x, base: turn(x, base, scale=lambda t: t * 2 * math.pi))
wrong("positions from the end", lambda x, base: turn(x.flip(0), base).flip(0))
wrong("does nothing", lambda x, base: x.clone())
wrong(
    "frequencies in reverse order",
    lambda x, base: turn(x, base, exponent=lambda i, d: 2 * i.flip(0) / d),
)
wrong(
    "integer division kills the exponent",
    lambda x, base: turn(x, base, exponent=lambda i, d: 2 * i // d),
)


def halves(combine):
    def function(x, base):
        angles = torch.arange(len(x))[:, None] * base ** (
            -torch.arange(0, x.shape[1], 2) / x.shape[1]
        )
        a, b = x.chunk(2, -1)
        return torch.cat(combine(a, b, angles.cos(), angles.sin()), -1)

    return function


wrong("adds in both halves", halves(lambda a, b, c, s: [a * c + b * s, b * c + a * s]))
wrong("subtracts in both halves", halves(lambda a, b, c, s: [a * c - b * s, b * c - a * s]))
wrong("sine and cosine swapped", halves(lambda a, b, c, s: [a * s - b * c, b * s + a * c]))
wrong("halves swapped in the result", halves(lambda a, b, c, s: [b * c + a * s, a * c - b * s]))
wrong("rotates the first half only", halves(lambda a, b, c, s: [a * c - b * s, b]))
wrong(
    "uses the new first half for the second",
    halves(lambda a, b, c, s: [a * c - b * s, b * c + (a * c - b * s) * s]),
)
wrong("returns angles' cosines times x", halves(lambda a, b, c, s: [a * c, b * c]))


@wrong("writes into x while it still reads it")
def _(x, base):
    half = x.shape[1] // 2
    angles = torch.arange(len(x))[:, None] * base ** (-torch.arange(0, x.shape[1], 2) / x.shape[1])
    x[:, :half] = x[:, :half] * angles.cos() - x[:, half:] * angles.sin()
    x[:, half:] = x[:, half:] * angles.cos() + x[:, :half] * angles.sin()
    return x


wrong(
    "both: turns the other way and positions begin at 1",
    lambda x, base: turn(x, base, start=1, sign=-1),
)
wrong(
    "both: turns the other way and exponent i / D",
    lambda x, base: turn(x, base, sign=-1, exponent=lambda i, d: i / d),
)
wrong(
    "both: pairs neighbors and turns the other way",
    lambda x, base: paired(x, base, slice(1, None, 2), slice(0, None, 2)),
)
wrong(
    "both: positions begin at 1 and exponent i / D",
    lambda x, base: turn(x, base, start=1, exponent=lambda i, d: i / d),
)


@wrong("adds sines and cosines, as to an embedding")
def _(x, base):
    half = x.shape[1] // 2
    angles = torch.arange(len(x))[:, None] * base ** (-torch.arange(half) / half)
    return x + torch.cat([angles.sin(), angles.cos()], dim=1)


@wrong("weaves the halves of the result together")
def _(x, base):
    return torch.stack(rotate(x, base).chunk(2, dim=1), dim=-1).flatten(1)


# --- 5. One step with a cache


def cached_step(query, key, value, keys, values):
    keys, values = torch.cat([keys, key[None]]), torch.cat([values, value[None]])
    weights = (keys @ query / math.sqrt(len(query))).softmax(dim=0)
    return weights @ values, keys, values


def cache_cases():
    torch.manual_seed(6)
    cases = []
    for s, d in [(3, 4), (0, 4), (1, 2), (5, 3), (4, 4), (6, 16), (2, 1)]:
        cases.append((*torch.randn(3, d).unbind(), torch.randn(s, d), torch.randn(s, d)))
    q, k, v, keys, values = cases[0]
    return [*cases, (q * 100, k * 100, v, keys * 100, values)]


def step(query, key, value, keys, values, scale=None, front=False, weigh=None):
    scale = math.sqrt(len(query)) if scale is None else scale
    parts = (lambda a, b: [b[None], a]) if front else (lambda a, b: [a, b[None]])
    keys, values = torch.cat(parts(keys, key)), torch.cat(parts(values, value))
    scores = keys @ query / scale
    return (scores.softmax(0) if weigh is None else weigh(scores)) @ values, keys, values


wrong, right = exercise(CHECKS, "check_cached_step", cached_step, cache_cases)


@right("vstack and einsum")
def _(query, key, value, keys, values):
    keys, values = torch.vstack([keys, key]), torch.vstack([values, value])
    w = torch.softmax(torch.einsum("sd,d->s", keys, query) / len(query) ** 0.5, -1)
    return torch.einsum("s,sd->d", w, values), keys, values


@right("a loop, with the maximum subtracted")
def _(query, key, value, keys, values):
    k, v = [*keys, key], [*values, value]
    scores = [float(query @ x) / math.sqrt(query.shape[0]) for x in k]
    e = [math.exp(s - max(scores)) for s in scores]
    output = sum(w / sum(e) * x for w, x in zip(e, v, strict=True))
    return output, torch.stack(k), torch.stack(v)


@right("copies into a longer tensor")
def _(query, key, value, keys, values):
    n, d = keys.shape
    new_keys, new_values = torch.empty(n + 1, d), torch.empty(n + 1, d)
    new_keys[:n], new_keys[n] = keys, key
    new_values[:n], new_values[n] = values, value
    scores = (query[None] @ new_keys.T) * d**-0.5
    return (scores.softmax(-1) @ new_values)[0], new_keys, new_values


@wrong("attends before it appends")
def _(query, key, value, keys, values):
    weights = (keys @ query / math.sqrt(len(query))).softmax(0)
    return weights @ values, torch.cat([keys, key[None]]), torch.cat([values, value[None]])


wrong("no scaling", lambda *a: step(*a, scale=1))
wrong("divides by d", lambda *a: step(*a, scale=len(a[0])))
wrong(
    "divides by the root of the number of keys", lambda *a: step(*a, scale=math.sqrt(len(a[3]) + 1))
)
wrong("appends at the front", lambda *a: step(*a, front=True))
wrong("returns the old cache", lambda *a: (cached_step(*a)[0], a[3], a[4]))
wrong("returns the output alone", lambda *a: cached_step(*a)[0])
wrong("values before keys", lambda *a: (cached_step(*a)[0], cached_step(*a)[2], cached_step(*a)[1]))
wrong("cache first, output last", lambda *a: (*cached_step(*a)[1:], cached_step(*a)[0]))
wrong("no softmax", lambda *a: step(*a, weigh=lambda s: s))
wrong("exponentials not normalized", lambda *a: step(*a, weigh=lambda s: s.exp()))
wrong("exponentials overflow", lambda *a: step(*a, weigh=lambda s: s.exp() / s.exp().sum()))
wrong("output of shape (1, D)", lambda *a: (cached_step(*a)[0][None], *cached_step(*a)[1:]))
wrong(
    "does not append the value",
    lambda q, k, v, keys, values: (
        step(q, k, v, keys, values)[0],
        torch.cat([keys, k[None]]),
        values,
    ),
)
wrong("appends the key to both", lambda q, k, v, keys, values: step(q, k, k, keys, values))
wrong("appends the query for the key", lambda q, k, v, keys, values: step(q, q, v, keys, values))
wrong("asks with the key", lambda q, k, v, keys, values: step(k, k, v, keys, values))
wrong(
    "the last token hides itself",
    lambda *a: step(*a, weigh=lambda s: torch.cat([s[:-1].softmax(0), s.new_zeros(1)])),
)
wrong("sees itself alone", lambda *a: step(*a, weigh=lambda s: torch.eye(len(s))[-1]))
wrong("replaces the last row", lambda q, k, v, keys, values: step(q, k, v, keys[:-1], values[:-1]))
wrong(
    "drops the oldest row, a window",
    lambda q, k, v, keys, values: step(q, k, v, keys[1:], values[1:]),
)
wrong(
    "fails on an empty cache",
    lambda q, k, v, keys, values: (keys[0], step(q, k, v, keys, values))[1],
)
wrong(
    "an empty cache gives zeros",
    lambda q, k, v, keys, values: (
        step(q, k, v, keys, values) if len(keys) else (torch.zeros_like(v), k[None], v[None])
    ),
)
wrong(
    "weights the keys, not the values",
    lambda q, k, v, keys, values: (step(q, k, k, keys, keys)[0], *step(q, k, v, keys, values)[1:]),
)


@wrong("overwrites the caller's cache")
def _(query, key, value, keys, values):
    if len(keys):
        keys[-1] = key
    return cached_step(query, key, value, keys, values)


@wrong("both: attends before it appends, without scaling")
def _(query, key, value, keys, values):
    weights = (keys @ query).softmax(0)
    return weights @ values, torch.cat([keys, key[None]]), torch.cat([values, value[None]])


wrong("both: no scaling and returns the old cache", lambda *a: (step(*a, scale=1)[0], a[3], a[4]))
wrong(
    "both: divides by d and appends at the front", lambda *a: step(*a, scale=len(a[0]), front=True)
)


@wrong("puts the new token at the front of the cache")
def _(query, key, value, keys, values):
    output, *_ = cached_step(query, key, value, keys, values)
    return output, torch.cat([key[None], keys]), torch.cat([value[None], values])


@wrong("gives the old cache back")
def _(query, key, value, keys, values):
    return cached_step(query, key, value, keys, values)[0], keys, values


@wrong("drops the oldest token from the cache")
def _(query, key, value, keys, values):
    output, longer, more = cached_step(query, key, value, keys, values)
    return (output, longer[1:], more[1:]) if len(keys) else (output, longer, more)


# --- 6. Online softmax


def online(query, key, value, tile):
    maximum = torch.full((len(query), 1), -math.inf)
    total, output = torch.zeros(len(query), 1), torch.zeros(len(query), value.shape[-1])
    for start in range(0, len(key), tile):
        scores = query @ key[start : start + tile].T / math.sqrt(query.shape[-1])
        new = torch.maximum(maximum, scores.amax(dim=-1, keepdim=True))
        shrink, exponentials = (maximum - new).exp(), (scores - new).exp()
        total = total * shrink + exponentials.sum(dim=-1, keepdim=True)
        output = output * shrink + exponentials @ value[start : start + tile]
        maximum = new
    return output / total


def online_cases():
    torch.manual_seed(7)
    cases = []
    sizes = [
        (3, 6, 4, 4, 2),
        (3, 7, 4, 5, 3),
        (1, 1, 2, 2, 1),
        (2, 5, 3, 3, 8),
        (4, 9, 8, 2, 1),
        (5, 8, 2, 3, 5),
    ]
    for t, s, d, n, tile in sizes:
        cases.append((torch.randn(t, d), torch.randn(s, d), torch.randn(s, n), tile))
    q, k, v, tile = cases[0]
    huge = (q * 60, k * 60, v, tile)
    low = (
        torch.ones(2, 4),
        -torch.ones(5, 4) * torch.arange(80.0, 130.0, 10.0)[:, None],
        torch.randn(5, 3),
        2,
    )
    rising = (
        torch.ones(2, 4),
        torch.ones(6, 4) * torch.arange(6.0)[:, None] * 30,
        torch.randn(6, 3),
        2,
    )
    lower = (torch.ones(2, 4), -torch.ones(5, 4) * 105, torch.randn(5, 3), 2)
    return [*cases, huge, low, lower, rising]


def tiled(
    query,
    key,
    value,
    tile,
    scale=None,
    first=-math.inf,
    last=0,
    drop=False,
    shrink=True,
    shrink_sum=True,
    sign=1,
):
    """The online softmax, to put slips in."""
    scale = math.sqrt(query.shape[-1]) if scale is None else scale
    maximum = torch.full((len(query), 1), first)
    total, output = torch.zeros(len(query), 1), torch.zeros(len(query), value.shape[-1])
    stop = len(key) // tile * tile if drop else len(key) - last
    for start in range(0, stop, tile):
        scores = query @ key[start : start + tile].T / scale
        new = torch.maximum(maximum, scores.amax(-1, keepdim=True))
        factor = (sign * (maximum - new)).exp() if start or sign == 1 else torch.ones_like(new)
        e = (scores - new).exp()
        total = total * (factor if shrink_sum else 1) + e.sum(-1, keepdim=True)
        output = output * (factor if shrink else 1) + e @ value[start : start + tile]
        maximum = new
    return output / total


wrong, right = exercise(CHECKS, "check_online_attention", online, online_cases)


@right("a loop over queries and tiles, in float64")
def _(query, key, value, tile):
    rows = []
    for q in query.double():
        m, total, out = torch.tensor(-math.inf).double(), 0.0, torch.zeros(value.shape[1]).double()
        for k, v in zip(key.double().split(tile), value.double().split(tile), strict=True):
            s = k @ q / math.sqrt(len(q))
            new = torch.max(m, s.max())
            total = total * torch.exp(m - new) + torch.exp(s - new).sum()
            out = out * torch.exp(m - new) + torch.exp(s - new) @ v
            m = new
        rows.append(out / total)
    return torch.stack(rows).float()


@right("normalized after each tile, by log-sum-exp")
def _(query, key, value, tile):
    log_total, output = (
        torch.full((len(query), 1), -math.inf),
        torch.zeros(len(query), value.shape[1]),
    )
    for start in range(0, len(key), tile):
        s = query @ key[start : start + tile].T * query.shape[1] ** -0.5
        part = s.logsumexp(-1, keepdim=True)
        new = torch.logaddexp(log_total, part)
        output = output * (log_total - new).exp() + (s - new).exp() @ value[start : start + tile]
        log_total = new
    return output


@wrong("two passes: first the maximum, then the sums", rule=True)
def _(query, key, value, tile):
    scale = math.sqrt(query.shape[-1])
    maximum = torch.stack([(query @ k.T / scale).amax(-1) for k in key.split(tile)]).amax(0)[
        :, None
    ]
    total, output = 0, 0
    for k, v in zip(key.split(tile), value.split(tile), strict=True):
        e = (query @ k.T / scale - maximum).exp()
        total, output = total + e.sum(-1, keepdim=True), output + e @ v
    return output / total


@right("one column at a time")
def _(query, key, value, tile):
    m = query @ key[0] / math.sqrt(query.shape[-1])
    total, output = torch.ones(len(query)), value[0].repeat(len(query), 1)
    for k, v in zip(key[1:], value[1:], strict=True):
        s = query @ k / math.sqrt(query.shape[-1])
        new = torch.maximum(m, s)
        total = total * (m - new).exp() + (s - new).exp()
        output = output * (m - new).exp()[:, None] + (s - new).exp()[:, None] * v
        m = new
    return output / total[:, None]


wrong("no scaling", lambda *a: tiled(*a, scale=1))
wrong("divides by d", lambda *a: tiled(*a, scale=a[0].shape[-1]))
wrong("divides by the root of the tile", lambda *a: tiled(*a, scale=math.sqrt(a[3])))
wrong("the running maximum begins at 0, so very low scores vanish", lambda *a: tiled(*a, first=0.0))
wrong("the running maximum begins at -10", lambda *a: tiled(*a, first=-10.0))
wrong("drops the last, shorter tile", lambda *a: tiled(*a, drop=True))
wrong("drops the last key", lambda *a: tiled(*a, last=1))
wrong("the output does not shrink", lambda *a: tiled(*a, shrink=False))
wrong("the sum does not shrink", lambda *a: tiled(*a, shrink_sum=False))
wrong("nothing shrinks", lambda *a: tiled(*a, shrink=False, shrink_sum=False))
wrong("grows where it should shrink", lambda *a: tiled(*a, sign=-1))


@wrong("each tile has its own softmax, averaged")
def _(query, key, value, tile):
    parts = [
        (query @ k.T / math.sqrt(query.shape[-1])).softmax(-1) @ v
        for k, v in zip(key.split(tile), value.split(tile), strict=True)
    ]
    return sum(parts) / len(parts)


@wrong("each tile has its own softmax, summed")
def _(query, key, value, tile):
    return sum(
        (query @ k.T / math.sqrt(query.shape[-1])).softmax(-1) @ v
        for k, v in zip(key.split(tile), value.split(tile), strict=True)
    )


@wrong("no maximum: large scores overflow")
def _(query, key, value, tile):
    total, output = 0, 0
    for k, v in zip(key.split(tile), value.split(tile), strict=True):
        e = (query @ k.T / math.sqrt(query.shape[-1])).exp()
        total, output = total + e.sum(-1, keepdim=True), output + e @ v
    return output / total


@wrong("each tile subtracts its own maximum and nothing corrects it")
def _(query, key, value, tile):
    total, output = 0, 0
    for k, v in zip(key.split(tile), value.split(tile), strict=True):
        s = query @ k.T / math.sqrt(query.shape[-1])
        e = (s - s.amax(-1, keepdim=True)).exp()
        total, output = total + e.sum(-1, keepdim=True), output + e @ v
    return output / total


@wrong("forgets to divide by the sum")
def _(query, key, value, tile):
    maximum, output = (
        torch.full((len(query), 1), -math.inf),
        torch.zeros(len(query), value.shape[-1]),
    )
    for k, v in zip(key.split(tile), value.split(tile), strict=True):
        s = query @ k.T / math.sqrt(query.shape[-1])
        new = torch.maximum(maximum, s.amax(-1, keepdim=True))
        output = output * (maximum - new).exp() + (s - new).exp() @ v
        maximum = new
    return output


@wrong("divides within the loop")
def _(query, key, value, tile):
    maximum = torch.full((len(query), 1), -math.inf)
    total, output = torch.zeros(len(query), 1), torch.zeros(len(query), value.shape[-1])
    for k, v in zip(key.split(tile), value.split(tile), strict=True):
        s = query @ k.T / math.sqrt(query.shape[-1])
        new = torch.maximum(maximum, s.amax(-1, keepdim=True))
        total = total * (maximum - new).exp() + (s - new).exp().sum(-1, keepdim=True)
        output = (output * (maximum - new).exp() + (s - new).exp() @ v) / total
        maximum = new
    return output


@wrong("one maximum for all rows, in a fixed shift that low rows cannot bear")
def _(query, key, value, tile):
    scale = math.sqrt(query.shape[-1])
    top = max((query @ k.T / scale).max() for k in key.split(tile))
    total, output = 0, 0
    for k, v in zip(key.split(tile), value.split(tile), strict=True):
        e = (query @ k.T / scale - top).exp()
        total, output = total + e.sum(-1, keepdim=True), output + e @ v
    return output / total


@wrong("the maximum of the last tile only")
def _(query, key, value, tile):
    maximum = torch.full((len(query), 1), -math.inf)
    total, output = torch.zeros(len(query), 1), torch.zeros(len(query), value.shape[-1])
    for k, v in zip(key.split(tile), value.split(tile), strict=True):
        s = query @ k.T / math.sqrt(query.shape[-1])
        new = s.amax(-1, keepdim=True)
        total = total * (maximum - new).exp() + (s - new).exp().sum(-1, keepdim=True)
        output = output * (maximum - new).exp() + (s - new).exp() @ v
        maximum = new
    return output / total


@wrong("the whole matrix of scores at once", rule=True)
def _(query, key, value, tile):
    return (query @ key.T / math.sqrt(query.shape[-1])).softmax(-1) @ value


@wrong("tiles the queries, with all columns at once", rule=True)
def _(query, key, value, tile):
    return torch.cat(
        [(q @ key.T / math.sqrt(q.shape[-1])).softmax(-1) @ value for q in query.split(tile)]
    )


@wrong("tiles the scores, but puts them together before the softmax", rule=True)
def _(query, key, value, tile):
    scores = torch.cat([query @ k.T for k in key.split(tile)], dim=-1) / math.sqrt(query.shape[-1])
    return scores.softmax(-1) @ value


@wrong("torch's attention", rule=True)
def _(query, key, value, tile):
    return torch.nn.functional.scaled_dot_product_attention(query[None], key[None], value[None])[0]


@wrong("tiles of one column more than allowed", rule=True)
def _(query, key, value, tile):
    return online(query, key, value, tile + 1)


wrong("the output transposed", lambda *a: online(*a).T)
wrong(
    "a causal mask",
    lambda q, k, v, tile: (
        (q @ k.T / math.sqrt(q.shape[-1]))
        .masked_fill(~torch.ones(len(q), len(k)).tril().bool(), -math.inf)
        .softmax(-1)
        @ v
    ),
)
wrong("both: no scaling and drops the shorter tile", lambda *a: tiled(*a, scale=1, drop=True))
wrong(
    "both: no scaling and the output does not shrink", lambda *a: tiled(*a, scale=1, shrink=False)
)
wrong(
    "both: divides by d and the sum does not shrink",
    lambda *a: tiled(*a, scale=a[0].shape[-1], shrink_sum=False),
)
wrong(
    "both: drops the shorter tile and nothing shrinks",
    lambda *a: tiled(*a, drop=True, shrink=False, shrink_sum=False),
)


@wrong("takes the mean of what the tiles give")
def _(query, key, value, tile):
    parts = list(zip(key.split(tile), value.split(tile), strict=True))
    return sum(online(query, k, v, tile) for k, v in parts) / len(parts)
