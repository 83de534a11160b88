"""Answers to "Scaled attention", "Causal weights" and "Split and merge"."""

import math

import numpy as np
import torch
from einops import rearrange

from tests.exercises.answers import exercise

CHECKS = "lib.exercises.attention"

# --- 1. Scaled attention


def attention(query, key, value):
    scores = query @ key.T
    weights = (scores / math.sqrt(query.shape[-1])).softmax(dim=-1)
    return weights @ value


def attention_cases():
    torch.manual_seed(1)
    sizes = [(3, 5, 4, 2), (1, 1, 3, 3), (4, 4, 4, 4), (2, 7, 1, 5), (6, 2, 16, 3), (1, 4, 8, 8)]
    cases = [tuple(map(torch.randn, [(t, d), (s, d), (s, n)])) for t, s, d, n in sizes]
    query, key, value = cases[0]
    return [*cases, (query * 100, key * 100, value), (query * 30, key, value)]


def attend(query, key, value, scale=None, dim=-1):
    scale = math.sqrt(query.shape[-1]) if scale is None else scale
    return (query @ key.T / scale).softmax(dim=dim) @ value


wrong, right = exercise(CHECKS, "check_scaled_attention", attention, attention_cases)


@right("einsum")
def _(query, key, value):
    scores = torch.einsum("td,sd->ts", query, key) * query.shape[1] ** -0.5
    return torch.einsum("ts,sn->tn", torch.softmax(scores, 1), value)


@right("loops over queries and keys")
def _(query, key, value):
    rows = []
    for q in query:
        scores = torch.stack([(q * k).sum() for k in key]) / math.sqrt(len(q))
        e = torch.exp(scores - scores.max())
        rows.append(sum(w * v for w, v in zip(e / e.sum(), value, strict=True)))
    return torch.stack(rows)


@right("float64 within")
def _(query, key, value):
    q, k, v = query.double(), key.double(), value.double()
    weights = torch.softmax(q @ k.T / math.sqrt(q.shape[-1]), dim=-1)
    return (weights @ v).to(value.dtype)


@right("scales query and key by the fourth root each")
def _(query, key, value):
    root = query.shape[-1] ** 0.25
    scores = (query / root) @ (key / root).mT
    return (scores - scores.logsumexp(-1, keepdim=True)).exp() @ value


@right("numpy, returns float64")
def _(query, key, value):
    q, k, v = (np.asarray(x, dtype=np.float64) for x in (query, key, value))
    s = q @ k.T / np.sqrt(q.shape[1])
    e = np.exp(s - s.max(axis=1, keepdims=True))
    return torch.from_numpy(e / e.sum(axis=1, keepdims=True) @ v)


wrong("no scaling", lambda q, k, v: attend(q, k, v, 1))
wrong("divides by d", lambda q, k, v: attend(q, k, v, q.shape[-1]))
wrong("multiplies by the square root of d", lambda q, k, v: attend(q, k, v, q.shape[-1] ** -0.5))
wrong("square root of the number of keys", lambda q, k, v: attend(q, k, v, len(k) ** 0.5))
wrong("square root of the number of queries", lambda q, k, v: attend(q, k, v, len(q) ** 0.5))
wrong("square root of the value's width", lambda q, k, v: attend(q, k, v, v.shape[-1] ** 0.5))
wrong("a fixed 8", lambda q, k, v: attend(q, k, v, 8))
wrong("softmax over the queries", lambda q, k, v: attend(q, k, v, dim=0))
wrong(
    "scales after the softmax",
    lambda q, k, v: (q @ k.T).softmax(-1) / math.sqrt(q.shape[-1]) @ v,
)
wrong("no softmax", lambda q, k, v: q @ k.T / math.sqrt(q.shape[-1]) @ v)
wrong(
    "softmax over everything",
    lambda q, k, v: (q @ k.T / math.sqrt(q.shape[-1])).flatten().softmax(0).view(len(q), -1) @ v,
)
wrong(
    "exponentials that are not normalized",
    lambda q, k, v: (q @ k.T / math.sqrt(q.shape[-1])).exp() @ v,
)
wrong(
    "divides by the sum, without exponentials",
    lambda q, k, v: (lambda s: s / s.sum(-1, keepdim=True))(q @ k.T / math.sqrt(q.shape[-1])) @ v,
)
wrong(
    "exponentials overflow: nothing is subtracted",
    lambda q, k, v: (
        (lambda e: e / e.sum(-1, keepdim=True))((q @ k.T / math.sqrt(q.shape[-1])).exp()) @ v
    ),
)
wrong("attends to the keys, not the values", lambda q, k, v: attend(q, k, k))
wrong("returns the weights", lambda q, k, v: (q @ k.T / math.sqrt(q.shape[-1])).softmax(-1))
wrong(
    "a causal mask",
    lambda q, k, v: (
        (q @ k.T / math.sqrt(q.shape[-1]))
        .masked_fill(~torch.ones(len(q), len(k)).tril().bool(), -math.inf)
        .softmax(-1)
        @ v
    ),
)
wrong("log_softmax", lambda q, k, v: (q @ k.T / math.sqrt(q.shape[-1])).log_softmax(-1) @ v)
wrong(
    "cosines in place of products",
    lambda q, k, v: attend(q / q.norm(dim=-1, keepdim=True), k / k.norm(dim=-1, keepdim=True), v),
)
wrong(
    "half precision within",
    lambda q, k, v: attend(q.bfloat16(), k.bfloat16(), v.bfloat16()).float(),
)
wrong("the output transposed", lambda q, k, v: attend(q, k, v).T)
wrong(
    "scales in place: the caller's query changes",
    lambda q, k, v: attend(q.div_(math.sqrt(q.shape[-1])), k, v, 1),
)
wrong("prints and forgets the return", lambda q, k, v: print(attend(q, k, v)))
wrong("argmax: the best key's value alone", lambda q, k, v: v[(q @ k.T).argmax(-1)])
wrong(
    "uses scaled_dot_product_attention",
    lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None])[0],
    rule=True,
)
wrong(
    "uses torch's multi_head attention",
    lambda q, k, v: torch.ops.aten.scaled_dot_product_attention(q[None], k[None], v[None])[0],
    rule=True,
)
wrong(
    "both: divides by d and softmax over the queries",
    lambda q, k, v: attend(q, k, v, q.shape[-1], 0),
)
wrong(
    "both: no scaling and a causal mask",
    lambda q, k, v: (
        (q @ k.T).masked_fill(~torch.ones(len(q), len(k)).tril().bool(), -math.inf).softmax(-1) @ v
    ),
)
wrong("both: no scaling and softmax over the queries", lambda q, k, v: attend(q, k, v, 1, 0))
wrong("both: no softmax and divides by d", lambda q, k, v: q @ k.T / q.shape[-1] @ v)


@wrong("subtracts the largest of all scores, so that rows vanish")
def _(query, key, value):
    scores = query @ key.T / query.shape[-1] ** 0.5
    exponentials = (scores - scores.max()).exp()
    return exponentials / exponentials.sum(-1, keepdim=True) @ value


@wrong("cuts scores off at 20, against the overflow")
def _(query, key, value):
    exponentials = (query @ key.T / query.shape[-1] ** 0.5).clamp(max=20).exp()
    return exponentials / exponentials.sum(-1, keepdim=True) @ value


# --- 2. Causal weights


def causal_weights(scores):
    n_query, n_key = scores.shape
    visible = torch.ones(n_query, n_key, dtype=torch.bool).tril(diagonal=n_key - n_query)
    return scores.masked_fill(~visible, -math.inf).softmax(dim=-1)


def score_cases():
    torch.manual_seed(2)
    sizes = [(4, 4), (1, 1), (1, 5), (2, 6), (3, 4), (5, 9)]
    cases = [(torch.randn(size),) for size in sizes]
    return [
        *cases,
        (torch.randn(3, 5) * 100,),
        (torch.randn(3, 3) - 1000,),
        (torch.randn(2, 4) + 1e4,),
        (torch.zeros(3, 4),),
    ]


def masked(scores, shift, fill=-math.inf, dim=-1):
    """`shift` keys may be seen beyond the first by the first query."""
    visible = torch.ones(scores.shape).tril(shift).bool()
    return scores.masked_fill(~visible, fill).softmax(dim)


def gap(scores):
    return scores.shape[1] - scores.shape[0]


wrong, right = exercise(CHECKS, "check_causal_weights", causal_weights, score_cases)


@wrong("hides what may be seen and shows what comes later")
def _(scores):
    seen = torch.ones_like(scores).tril(gap(scores)).bool()
    return scores.masked_fill(seen, -math.inf).softmax(-1)


@right("a loop over the rows")
def _(scores):
    weights = torch.zeros_like(scores)
    for t in range(scores.shape[0]):
        seen = scores.shape[1] - scores.shape[0] + t + 1
        weights[t, :seen] = scores[t, :seen].softmax(0)
    return weights


@right("triu of -inf, added")
def _(scores):
    mask = torch.full_like(scores, -math.inf).triu(1 + gap(scores))
    return torch.softmax(scores + mask, dim=1)


@right("positions compared, exponentials by hand")
def _(scores):
    t, s = scores.shape
    later = torch.arange(s)[None, :] > torch.arange(s - t, s)[:, None]
    hidden = torch.where(later, torch.tensor(-math.inf), scores)
    e = (hidden - hidden.amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


@right("float64 and numpy")
def _(scores):
    x = scores.double().numpy().copy()
    t, s = x.shape
    x[np.triu(np.ones((t, s), dtype=bool), k=s - t + 1)] = -np.inf
    x = np.exp(x - x.max(1, keepdims=True))
    return torch.from_numpy(x / x.sum(1, keepdims=True))


wrong("no mask", lambda scores: scores.softmax(-1))
wrong("the triangle from the top left, as if T were S", lambda scores: masked(scores, 0))
wrong("sees one later key", lambda scores: masked(scores, gap(scores) + 1))
wrong("does not see itself", lambda scores: masked(scores, gap(scores) - 1).nan_to_num())
wrong("does not see itself, so NaN with one key", lambda scores: masked(scores, gap(scores) - 1))
wrong("softmax over the queries", lambda scores: masked(scores, gap(scores), dim=0))
wrong("masks with zero", lambda scores: masked(scores, gap(scores), fill=0.0))
wrong("masks with -1", lambda scores: masked(scores, gap(scores), fill=-1.0))
wrong(
    "masks with -100, which low scores reach",
    lambda scores: masked(scores, gap(scores), fill=-100.0),
)
wrong(
    "softmax first, mask later: rows do not sum to one",
    lambda scores: scores.softmax(-1).tril(gap(scores)),
)
wrong(
    "keeps the later keys, hides the earlier",
    lambda scores: scores.masked_fill(
        torch.ones(scores.shape).tril(gap(scores) - 1).bool(), -math.inf
    ).softmax(-1),
)
wrong("shifts the wrong way", lambda scores: masked(scores, -gap(scores)).nan_to_num())
wrong(
    "returns the masked scores",
    lambda scores: scores.masked_fill(
        ~torch.ones(scores.shape).tril(gap(scores)).bool(), -math.inf
    ),
)
wrong(
    "divides by the square root of the keys",
    lambda scores: masked(scores / math.sqrt(scores.shape[1]), gap(scores)),
)
wrong(
    "multiplies by the mask",
    lambda scores: (scores * torch.ones(scores.shape).tril(gap(scores))).softmax(-1),
)
wrong(
    "adds 1 where seen, 0 elsewhere",
    lambda scores: (scores + torch.ones(scores.shape).tril(gap(scores))).softmax(-1),
)
wrong(
    "square mask of the queries, the rest of the keys hidden",
    lambda scores: masked(scores, 0)[:, : len(scores)],
)
wrong(
    "masks the caller's scores in place",
    lambda scores: scores.masked_fill_(
        ~torch.ones(scores.shape).tril(gap(scores)).bool(), -math.inf
    ).softmax(-1),
)
wrong(
    "exponentials overflow",
    lambda scores: (lambda e: e / e.sum(-1, keepdim=True))(scores.exp().tril(gap(scores))),
)
wrong(
    "log_softmax",
    lambda scores: scores.masked_fill(
        ~torch.ones(scores.shape).tril(gap(scores)).bool(), -math.inf
    ).log_softmax(-1),
)
wrong(
    "only keys before the first query", lambda scores: masked(scores[:, : gap(scores)], gap(scores))
)
wrong("a uniform average of what is seen", lambda scores: masked(scores * 0, gap(scores)))
wrong("both: triangle from the top left and masks with zero", lambda scores: masked(scores, 0, 0.0))
wrong(
    "both: softmax first, and one later key is seen",
    lambda scores: scores.softmax(-1).tril(gap(scores) + 1),
)
wrong(
    "both: one later key and softmax over the queries",
    lambda scores: masked(scores, gap(scores) + 1, dim=0),
)

wrong("scales again", lambda scores: causal_weights(scores / scores.shape[-1] ** 0.5))
wrong("drops the columns of the cache", lambda scores: masked(scores[:, gap(scores) :], 0))


@wrong("cuts the softmax to a triangle and divides by the rows' sums")
def _(scores):
    weights = scores.softmax(-1).tril(gap(scores))
    return weights / weights.sum(-1, keepdim=True)


@wrong("fills where the mask shows what is to be seen")
def _(scores):
    seen = torch.ones_like(scores).tril(gap(scores)).bool()
    return scores.masked_fill(seen, -math.inf).softmax(-1)


@wrong("hides the keys of the cache")
def _(scores):
    hidden = ~torch.ones_like(scores).tril(gap(scores)).bool()
    hidden[:, : gap(scores)] = True
    return scores.masked_fill(hidden, -math.inf).softmax(-1)


# --- 3. Split and merge


def split_heads(x, n_heads):
    batch, length, width = x.shape
    return x.view(batch, length, n_heads, width // n_heads).transpose(1, 2)


def split_cases():
    torch.manual_seed(3)
    sizes = [
        (2, 3, 8, 2),
        (1, 1, 4, 4),
        (3, 4, 12, 4),
        (2, 4, 16, 4),
        (2, 5, 6, 1),
        (1, 2, 6, 3),
        (4, 2, 6, 2),
    ]
    return [(torch.randn(b, t, c), h) for b, t, c, h in sizes]


wrong, right = exercise(CHECKS, "check_split_heads", split_heads, split_cases)
right("rearrange", lambda x, n_heads: rearrange(x, "b t (h d) -> b h t d", h=n_heads))
right("chunks, stacked", lambda x, n_heads: torch.stack(x.chunk(n_heads, dim=-1), dim=1))
right(
    "unflatten and permute",
    lambda x, n_heads: x.unflatten(-1, (n_heads, -1)).permute(0, 2, 1, 3).contiguous(),
)


@right("a loop over heads")
def _(x, n_heads):
    batch, length, width = x.shape
    d = width // n_heads
    out = x.new_zeros(batch, n_heads, length, d)
    for h in range(n_heads):
        out[:, h] = x[:, :, h * d : (h + 1) * d]
    return out


wrong("views straight as (B, H, T, D)", lambda x, n: x.reshape(x.shape[0], n, x.shape[1], -1))
wrong("forgets to swap", lambda x, n: x.unflatten(-1, (n, -1)))
wrong("takes D for H", lambda x, n: x.unflatten(-1, (-1, n)).transpose(1, 2))
wrong("neighbors go to different heads", lambda x, n: x.unflatten(-1, (-1, n)).permute(0, 3, 1, 2))
wrong("heads first", lambda x, n: x.unflatten(-1, (n, -1)).permute(2, 0, 1, 3))
wrong(
    "swaps batch and heads",
    lambda x, n: (
        x.unflatten(-1, (n, -1)).permute(2, 0, 1, 3).reshape(n, x.shape[0], x.shape[1], -1)
    ),
)
wrong("swaps the last two", lambda x, n: x.unflatten(-1, (n, -1)).permute(0, 2, 3, 1))
wrong("cuts the positions", lambda x, n: torch.stack(x[:, : x.shape[1] // n * n].chunk(n, 1), 1))
wrong("heads in reverse order", lambda x, n: split_heads(x, n).flip(1))
wrong("merges batch and heads", lambda x, n: split_heads(x, n).flatten(0, 1))
wrong("returns a list of heads", lambda x, n: list(x.chunk(n, -1)))
wrong(
    "transposes before it cuts",
    lambda x, n: x.transpose(1, 2).reshape(x.shape[0], n, -1, x.shape[1]).transpose(2, 3).flip(-1),
)
wrong("always two heads", lambda x, n: split_heads(x, 2))
wrong("always heads of width 4", lambda x, n: split_heads(x, x.shape[-1] // 4 or 1))
wrong("repeats x for each head", lambda x, n: x[:, None].expand(-1, n, -1, -1))
wrong("drops the batch", lambda x, n: split_heads(x, n)[0])
wrong("takes every n-th feature", lambda x, n: torch.stack([x[..., i::n] for i in range(n)], 1))
wrong(
    "both: neighbors go to different heads, and no swap",
    lambda x, n: x.unflatten(-1, (-1, n)).transpose(2, 3),
)
wrong("both: views straight, with D for H", lambda x, n: x.reshape(x.shape[0], -1, x.shape[1], n))


wrong("returns the first text alone", lambda x, n_heads: split_heads(x, n_heads)[:1])


def merge_heads(heads):
    batch, n_heads, length, d_head = heads.shape
    return heads.transpose(1, 2).reshape(batch, length, n_heads * d_head)


def merge_cases():
    torch.manual_seed(4)
    sizes = [(2, 2, 3, 4), (1, 4, 1, 1), (3, 4, 4, 3), (2, 4, 4, 4), (2, 1, 5, 6), (1, 3, 2, 2)]
    return [(torch.randn(size),) for size in sizes]


wrong, right = exercise(CHECKS, "check_merge_heads", merge_heads, merge_cases)
right("rearrange", lambda heads: rearrange(heads, "b h t d -> b t (h d)"))
right("concatenates the heads", lambda heads: torch.cat(heads.unbind(1), dim=-1))
right(
    "permute, contiguous, view",
    lambda heads: heads.permute(0, 2, 1, 3).contiguous().view(heads.shape[0], heads.shape[2], -1),
)


@right("a loop over heads")
def _(heads):
    b, h, t, d = heads.shape
    out = heads.new_empty(b, t, h * d)
    for i in range(h):
        out[..., i * d : (i + 1) * d] = heads[:, i]
    return out


wrong("reshapes without the swap", lambda heads: heads.reshape(heads.shape[0], heads.shape[2], -1))
wrong(
    "view after transpose: an error",
    lambda heads: heads.transpose(1, 2).view(heads.shape[0], heads.shape[2], -1),
)
wrong("forgets to merge", lambda heads: heads.transpose(1, 2))
wrong("interleaves the heads", lambda heads: heads.permute(0, 2, 3, 1).flatten(2))
wrong("merges positions with heads", lambda heads: heads.flatten(1, 2))
wrong("adds the heads", lambda heads: heads.sum(1))
wrong("averages the heads", lambda heads: heads.mean(1))
wrong("heads in reverse order", lambda heads: torch.cat(heads.unbind(1)[::-1], -1))
wrong(
    "swaps the last two dimensions",
    lambda heads: heads.transpose(2, 3).reshape(heads.shape[0], heads.shape[2], -1),
)
wrong("the first head alone", lambda heads: heads[:, 0])
wrong("concatenates along positions", lambda heads: torch.cat(heads.unbind(1), 1))
wrong("swaps batch and heads", lambda heads: heads.transpose(0, 1).transpose(1, 2).flatten(2))
wrong("drops the batch", lambda heads: merge_heads(heads)[0])
wrong("width before length", lambda heads: merge_heads(heads).transpose(1, 2))
wrong(
    "always width 16",
    lambda heads: heads.transpose(1, 2).reshape(heads.shape[0], heads.shape[2], 16),
)
wrong("returns a list of heads", lambda heads: [h for h in heads.unbind(1)])
wrong(
    "both: interleaved and without a swap",
    lambda heads: heads.transpose(1, 3).reshape(heads.shape[0], heads.shape[2], -1),
)
wrong(
    "both: heads in reverse order and no swap",
    lambda heads: heads.flip(1).reshape(heads.shape[0], heads.shape[2], -1),
)


@wrong("asks for a view of what is not contiguous")
def _(heads):
    batch, n_heads, length, width = heads.shape
    return heads.transpose(1, 2).view(batch, length, n_heads * width)
