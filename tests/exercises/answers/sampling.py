"""Answers to the exercises of the chapter on sampling."""

import math
from collections import Counter, defaultdict

import numpy as np
import torch

from tests.exercises.answers import exercise

CHECKS = "lib.exercises.sampling"
INF = math.inf

# --- 1. Effective vocabulary


def effective_vocabulary(logits):
    p = logits.softmax(dim=-1)
    p = p[p > 0]
    return math.exp(-(p * p.log()).sum().item())


def vocabulary_cases():
    torch.manual_seed(20)
    cases = [torch.randn(v) * 2 for v in (4, 7, 1, 30, 2)]
    cases += [
        torch.zeros(5),
        torch.zeros(1),
        torch.tensor([0.0, -INF]),
        torch.tensor([1.0, -INF, 0.5, -INF, 2.0]),
    ]
    cases += [
        torch.tensor([900.0, 0.0, -900.0]),
        torch.tensor([500.0, 500.0, 499.0]),
        torch.tensor([0.0, 0.0, -INF]),
        torch.randn(6) - 300,
    ]
    return [(case,) for case in cases]


def surprise(z):
    return -(z.softmax(-1) * z.log_softmax(-1).clamp(min=-1e30)).sum().item()


wrong, right = exercise(
    CHECKS, "check_effective_vocabulary", effective_vocabulary, vocabulary_cases
)
right(
    "torch.special.entr",
    lambda logits: torch.special.entr(logits.double().softmax(0)).sum().exp().item(),
)
right(
    "Categorical-like: nan_to_num",
    lambda logits: math.exp(-torch.nan_to_num(logits.softmax(-1) * logits.log_softmax(-1)).sum()),
)


@right("plain Python, with the largest subtracted")
def _(logits):
    z = [v for v in logits.tolist() if v > -INF]
    e = [math.exp(v - max(z)) for v in z]
    return math.exp(-sum(x / sum(e) * math.log(x / sum(e)) for x in e if x > 0))


@right("numpy: a product of powers")
def _(logits):
    z = logits.numpy().astype(np.float64)
    p = np.exp(z - z.max())
    p = p[p > 0] / p.sum()
    return float(np.prod(p**-p))


wrong(
    "NaN where a token is at -inf",
    lambda z: math.exp(-(z.softmax(-1) * z.softmax(-1).log()).sum().item()),
)
wrong("the entropy", surprise)
wrong("the entropy to base 2", lambda z: surprise(z) / math.log(2))
wrong("two to the entropy in nats", lambda z: 2 ** surprise(z))
wrong("e to the entropy in bits", lambda z: math.exp(surprise(z) / math.log(2)))
wrong("sign forgotten: 1 over it", lambda z: math.exp(-surprise(z)))
wrong("the number of tokens", lambda z: float(len(z)))
wrong("the number of possible tokens", lambda z: float((z > -INF).sum()))
wrong("inverse Simpson", lambda z: 1 / z.softmax(-1).square().sum().item())
wrong("1 over the largest probability", lambda z: 1 / z.softmax(-1).max().item())
wrong("mean, not sum", lambda z: math.exp(surprise(z) / len(z)))
wrong(
    "no softmax: of the logits",
    lambda z: math.exp(-torch.nan_to_num(z * z.abs().log()).sum().clamp(-50, 50).item()),
)
wrong(
    "exponentials overflow",
    lambda z: (lambda p: math.exp(-(p[p > 0] * p[p > 0].log()).sum().item()))(
        z.exp() / z.exp().sum()
    ),
)
wrong(
    "1e-3 added within the logarithm",
    lambda z: math.exp(-(z.softmax(-1) * (z.softmax(-1) + 1e-3).log()).sum().item()),
)
wrong("a tensor of shape (1,)", lambda z: torch.tensor([effective_vocabulary(z)]))
wrong("rounded to a whole number", lambda z: float(round(effective_vocabulary(z))))
wrong("softmax twice", lambda z: effective_vocabulary(z.softmax(-1)))
wrong(
    "the unweighted mean surprise",
    lambda z: math.exp(min(-z.log_softmax(-1).clamp(min=-100).mean().item(), 80)),
)
wrong(
    "p at 0 counts as 1e-2",
    lambda z: (lambda p: math.exp(-(p * p.log()).sum().item()))(z.softmax(-1).clamp(min=1e-2)),
)
wrong("both: entropy, to base 2, as an exponent of 10", lambda z: 10 ** (surprise(z) / math.log(2)))
wrong("both: sign forgotten and bits", lambda z: math.exp(-surprise(z) / math.log(2)))
wrong(
    "both: NaN at -inf, and mean for sum",
    lambda z: math.exp(-(z.softmax(-1) * z.softmax(-1).log()).mean().item()),
)

# --- 2. The nucleus


def top_p(logits, p):
    probability, order = logits.softmax(dim=-1).sort(descending=True)
    above = probability.cumsum(dim=-1) - probability
    kept = torch.zeros_like(logits, dtype=torch.bool)
    kept[order[above < p]] = True
    return logits.masked_fill(~kept, -math.inf)


def nucleus_cases():
    torch.manual_seed(21)
    cases = [
        (torch.randn(v) * 2, p)
        for v, p in [
            (5, 0.9),
            (8, 0.5),
            (4, 0.1),
            (1, 0.5),
            (12, 0.95),
            (6, 0.999),
            (7, 0.3),
            (9, 0.75),
            (3, 0.6),
        ]
    ]
    half = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    return [
        *cases,
        (half, 0.6),
        (half.flip(0), 0.3),
        (half[[2, 0, 3, 1]], 0.8),
        (torch.tensor([0.0, -INF, 1.0, -INF]), 0.9),
        (torch.tensor([3.0, 1.0, 2.0]) - 50, 0.7),
        (torch.tensor([1.0, 5.0, 2.0]), 1e-6),
    ]


def nucleus(z, p, keep=lambda q, c, p: c - q < p, fill=-INF, descending=True):
    q, order = z.softmax(-1).sort(descending=descending)
    kept = torch.zeros(len(z), dtype=torch.bool)
    kept[order[keep(q, q.cumsum(-1), p)]] = True
    return z.masked_fill(~kept, fill)


wrong, right = exercise(CHECKS, "check_top_p", top_p, nucleus_cases)


@right("a loop over the order")
def _(logits, p):
    probabilities, out, total = logits.softmax(-1), torch.full_like(logits, -INF), 0.0
    for i in logits.argsort(descending=True).tolist():
        if total >= p:
            break
        out[i] = logits[i]
        total += probabilities[i].item()
    return out


@right("the rank from argsort twice")
def _(logits, p):
    order = torch.argsort(-logits)
    q = torch.softmax(logits, 0)[order].double()
    n = int((q.cumsum(0) < p).sum()) + 1
    return torch.where(order.argsort() < n, logits, -INF)


@right("removed positions shifted by one, as in transformers")
def _(logits, p):
    ordered, order = torch.sort(logits, descending=True)
    remove = ordered.softmax(-1).cumsum(-1) >= p
    remove[1:] = remove[:-1].clone()
    remove[0] = False
    return logits.masked_fill(remove.scatter(0, order, remove), -INF)


wrong("drops the token that reaches p", lambda z, p: nucleus(z, p, lambda q, c, p: c < p))
wrong(
    "drops the token that reaches p, keeps at least one",
    lambda z, p: nucleus(z, p, lambda q, c, p: (c < p) | (torch.arange(len(c)) == 0)),
)
wrong(
    "one token more than needed",
    lambda z, p: nucleus(
        z, p, lambda q, c, p: torch.cat([torch.ones(1, dtype=torch.bool), (c - q < p)[:-1]])
    ),
)
wrong("the least probable tokens", lambda z, p: nucleus(z, p, descending=False))
wrong("tokens above p", lambda z, p: nucleus(z, p, lambda q, c, p: q > p))
wrong("p times the largest: min_p", lambda z, p: nucleus(z, p, lambda q, c, p: q >= p * q[0]))
wrong(
    "a share p of the vocabulary",
    lambda z, p: nucleus(z, p, lambda q, c, p: torch.arange(len(q)) < math.ceil(p * len(q))),
)
wrong("zeros, not -inf", lambda z, p: nucleus(z, p, fill=0.0))
wrong("-1e9, not -inf", lambda z, p: nucleus(z, p, fill=-1e9))
wrong("no sort", lambda z, p: z.masked_fill(z.softmax(-1).cumsum(-1) - z.softmax(-1) >= p, -INF))
wrong(
    "the decision is not carried back",
    lambda z, p: z.masked_fill(
        (lambda q: q.cumsum(-1) - q >= p)(z.softmax(-1).sort(descending=True).values), -INF
    ),
)
wrong(
    "order used as if it were its inverse",
    lambda z, p: (lambda q, o: z.masked_fill((q.cumsum(-1) - q >= p)[o], -INF))(
        *z.softmax(-1).sort(descending=True)
    ),
)
wrong("returns the sorted logits", lambda z, p: top_p(z, p).sort(descending=True).values)
wrong("returns probabilities", lambda z, p: top_p(z, p).softmax(-1))
wrong("log-probabilities of the nucleus", lambda z, p: top_p(z, p).log_softmax(-1))
wrong(
    "softmax forgotten: sums of logits",
    lambda z, p: (
        lambda q, o: z.masked_fill(
            ~torch.zeros(len(z), dtype=torch.bool).scatter(0, o, q.cumsum(-1) - q < p), -INF
        )
    )(*z.sort(descending=True)),
)
wrong("1 - p", lambda z, p: nucleus(z, 1 - p))
wrong("the indices that are kept", lambda z, p: (top_p(z, p) > -INF).nonzero().flatten())
wrong("writes into the caller's logits", lambda z, p: z.copy_(top_p(z, p)))
wrong(
    "always the likeliest three",
    lambda z, p: nucleus(z, p, lambda q, c, p: torch.arange(len(q)) < 3),
)
wrong(
    "the dropped ones are kept, the kept ones dropped",
    lambda z, p: z.masked_fill(top_p(z, p) > -INF, -INF),
)
wrong("the shorter vector of kept logits", lambda z, p: z[top_p(z, p) > -INF])


@wrong("softmax forgotten: counts the sums of logits below p")
def _(logits, p):
    ordered, order = logits.sort(descending=True)
    n = int((ordered.cumsum(0) < p).sum()) + 1
    kept = torch.full_like(logits, -INF)
    kept[order[:n]] = logits[order[:n]]
    return kept


wrong(
    "both: drops the token that reaches p, and zeros",
    lambda z, p: nucleus(z, p, lambda q, c, p: c < p, fill=0.0),
)
wrong(
    "both: no sort, and drops the token that reaches p",
    lambda z, p: z.masked_fill(z.softmax(-1).cumsum(-1) >= p, -INF),
)
wrong(
    "both: least probable, and probabilities",
    lambda z, p: nucleus(z, p, descending=False).softmax(-1),
)

# --- 3. min_p without softmax


def min_p(logits, p):
    return logits.masked_fill(logits < logits.max() + math.log(p), -math.inf)


def min_p_cases():
    torch.manual_seed(22)
    cases = [
        (torch.randn(v) * 2, p)
        for v, p in [(5, 0.1), (8, 0.5), (4, 0.9), (1, 0.3), (12, 0.02), (20, 0.2), (6, 0.05)]
    ]
    return [
        *cases,
        (torch.zeros(4), 0.7),
        (torch.tensor([0.0, -INF, -1.0]), 0.2),
        (torch.tensor([300.0, 299.0, 250.0]), 0.1),
        (torch.randn(6) - 200, 0.3),
        (torch.randn(5), 1.0),
        (-torch.rand(6) * 5 - 3, 0.25),
    ]


def filtered(z, keep, fill=-INF):
    return torch.where(keep, z, torch.full_like(z, fill))


wrong, right = exercise(CHECKS, "check_min_p", min_p, min_p_cases)
right("differences and where", lambda z, p: torch.where(z - z.max() >= math.log(p), z, -INF))


@right("a list comprehension")
def _(logits, p):
    threshold = max(logits.tolist()) + math.log(p)
    return torch.tensor([z if z >= threshold else -INF for z in logits.tolist()])


@right("numpy in float64")
def _(logits, p):
    z = logits.numpy().astype(np.float64)
    return torch.from_numpy(np.where(z >= z.max() + np.log(p), z, -np.inf))


@right("assigns into a clone")
def _(logits, p):
    out = logits.clone()
    out[logits < torch.amax(logits) + torch.log(torch.tensor(p))] = float("-inf")
    return out


wrong("threshold p times the largest logit", lambda z, p: filtered(z, z >= p * z.max()))
wrong(
    "threshold p on the probability itself",
    lambda z, p: filtered(z, z.log_softmax(-1) >= math.log(p)),
)
wrong("subtracts ln p", lambda z, p: filtered(z, z >= z.max() - math.log(p)))
wrong("adds p, not ln p", lambda z, p: filtered(z, z >= z.max() + p))
wrong("subtracts p", lambda z, p: filtered(z, z >= z.max() - p))
wrong("logarithm to base 2", lambda z, p: filtered(z, z >= z.max() + math.log2(p)))
wrong("logarithm to base 10", lambda z, p: filtered(z, z >= z.max() + math.log10(p)))
wrong("keeps the improbable ones", lambda z, p: filtered(z, z < z.max() + math.log(p)))
wrong(
    "strictly greater: the largest goes with p = 1",
    lambda z, p: filtered(z, z > z.max() + math.log(p)),
)
wrong("zeros, not -inf", lambda z, p: filtered(z, z >= z.max() + math.log(p), 0.0))
wrong("-1e9, not -inf", lambda z, p: filtered(z, z >= z.max() + math.log(p), -1e9))
wrong("ln (1 - p)", lambda z, p: filtered(z, z >= z.max() + math.log(max(1 - p, 1e-9))))
wrong(
    "the mean for the largest",
    lambda z, p: filtered(z, z >= z.clamp(min=-500).mean() + math.log(p)),
)
wrong("returns a mask", lambda z, p: z >= z.max() + math.log(p))
wrong("returns the kept ones only", lambda z, p: z[z >= z.max() + math.log(p)])
wrong(
    "shifts the logits by the largest",
    lambda z, p: filtered(z - z.max(), z - z.max() >= math.log(p)),
)
wrong("the exponential of p", lambda z, p: filtered(z, z >= z.max() - math.exp(p)))
wrong("the first token for the largest", lambda z, p: filtered(z, z >= z[0] + math.log(p)))
wrong(
    "the second largest for the largest",
    lambda z, p: filtered(z, z >= z.sort().values[-min(2, len(z))] + math.log(p)),
)
wrong(
    "writes into the caller's logits", lambda z, p: z.masked_fill_(z < z.max() + math.log(p), -INF)
)
wrong("absolute values", lambda z, p: filtered(z, z.abs() >= z.abs().max() * p))
wrong(
    "with softmax",
    lambda z, p: filtered(z, z.softmax(-1) >= p * z.softmax(-1).max() * (1 - 1e-6)),
    rule=True,
)
wrong(
    "softmax by hand",
    lambda z, p: (lambda q: filtered(z, q >= p * q.max() * (1 - 1e-6)))(
        (z - z.max()).exp() / (z - z.max()).exp().sum()
    ),
    rule=True,
)
wrong(
    "log_softmax",
    lambda z, p: (lambda q: filtered(z, q >= q.max() + math.log(p) - 1e-6))(z.log_softmax(-1)),
    rule=True,
)
wrong(
    "exponentials overflow",
    lambda z, p: z.masked_fill(z.exp() < p * z.exp().max(), -INF),
)
wrong(
    "ln (1 - p), but for p = 1",
    lambda z, p: z.masked_fill(z < z.max() + (math.log1p(-p) if p < 1 else 0), -INF),
)
wrong(
    "drops the probable ones, and those at the threshold stay",
    lambda z, p: z.masked_fill(z > z.max() + math.log(p), -INF),
)
wrong("both: base 10, and zeros", lambda z, p: filtered(z, z >= z.max() + math.log10(p), 0.0))
wrong("both: subtracts ln p, and -1e9", lambda z, p: filtered(z, z >= z.max() - math.log(p), -1e9))
wrong("both: adds p, and returns a mask", lambda z, p: z >= z.max() + p)

# --- 4. Three penalties


def penalize(logits, ids, repetition, presence, frequency):
    result = logits.clone()
    for i in set(ids):
        z = result[i]
        result[i] = z * repetition if z < 0 else z / repetition
        result[i] -= presence + frequency * ids.count(i)
    return result


def penalty_cases():
    torch.manual_seed(23)
    cases = []
    for v, ids, r, p, f in [
        (5, [0, 2, 2], 1.3, 0.5, 0.2),
        (6, [1], 2.0, 0.0, 0.0),
        (4, [3, 3, 3, 0], 1.0, 0.0, 0.7),
        (5, [4, 1], 1.0, 0.9, 0.0),
        (3, [], 1.5, 0.4, 0.2),
        (8, [7, 7, 2, 1, 7], 1.2, 0.3, 0.1),
        (6, [0, 1, 2, 3, 4, 5], 1.7, 0.2, 0.1),
        (4, [0, 0, 1], 0.5, -0.4, -0.2),
    ]:
        cases += [(torch.randn(v) * 2, ids, r, p, f), (-torch.rand(v) - 0.1, ids, r, p, f)]
    return [
        *cases,
        (torch.tensor([0.0, 1.0, -1.0]), [0, 1, 2, 2], 1.5, 0.1, 0.2),
        (torch.tensor([0.3, -INF, 2.0, 0.1]), [1, 3], 1.2, 0.5, 0.5),
        (torch.tensor([0.2, 0.1]), [0, 0], 1.5, 1.0, 0.5),
    ]


def penalties(
    z,
    ids,
    r,
    p,
    f,
    up=lambda x, r: x / r,
    down=lambda x, r: x * r,
    times=None,
    after=True,
    over=None,
):
    out, counts = z.clone(), Counter(ids)
    for i in over(ids) if over else counts:
        if not after:
            out[i] -= p + f * counts[i]
        out[i] = down(out[i], r) if out[i] < 0 else up(out[i], r)
        if after:
            out[i] -= p + f * (counts[i] if times is None else times(counts[i]))
    return out


wrong, right = exercise(CHECKS, "check_penalize", penalize, penalty_cases)


@right("bincount and where")
def _(logits, ids, repetition, presence, frequency):
    counts = torch.tensor(ids, dtype=torch.long).bincount(minlength=len(logits))
    scaled = torch.where(logits < 0, logits * repetition, logits / repetition)
    return torch.where(counts > 0, scaled - presence - frequency * counts, logits)


@right("lists and a Counter")
def _(logits, ids, repetition, presence, frequency):
    counts, out = Counter(ids), []
    for i, z in enumerate(logits.tolist()):
        if counts[i]:
            z = (z / repetition if z > 0 else z * repetition) - presence - frequency * counts[i]
        out.append(z)
    return torch.tensor(out)


@right("three passes, numpy in float64")
def _(logits, ids, repetition, presence, frequency):
    z = logits.double().numpy().copy()
    seen = sorted(set(ids))
    z[seen] = np.where(z[seen] < 0, z[seen] * repetition, z[seen] / repetition)
    z[seen] -= presence
    for i in ids:
        z[i] -= frequency
    return torch.from_numpy(z)


wrong("divides negative logits too", lambda *a: penalties(*a, down=lambda x, r: x / r))
wrong("multiplies positive logits too", lambda *a: penalties(*a, up=lambda x, r: x * r))
wrong(
    "multiplies positive, divides negative",
    lambda *a: penalties(*a, up=lambda x, r: x * r, down=lambda x, r: x / r),
)
wrong(
    "subtracts the repetition penalty",
    lambda *a: penalties(*a, up=lambda x, r: x - r, down=lambda x, r: x - r),
)
wrong("presence and frequency before repetition", lambda *a: penalties(*a, after=False))
wrong("once for each occurrence", lambda *a: penalties(*a, over=lambda ids: ids))
wrong("frequency ignores the count", lambda *a: penalties(*a, times=lambda n: 1))
wrong("frequency counts one occurrence less", lambda *a: penalties(*a, times=lambda n: n - 1))
wrong("presence times the count", lambda z, ids, r, p, f: penalties(z, ids, r, 0, p + f))
wrong("presence and frequency exchanged", lambda z, ids, r, p, f: penalties(z, ids, r, f, p))
wrong("adds presence and frequency", lambda z, ids, r, p, f: penalties(z, ids, r, -p, -f))
wrong("no repetition penalty", lambda z, ids, r, p, f: penalties(z, ids, 1, p, f))
wrong("no presence penalty", lambda z, ids, r, p, f: penalties(z, ids, r, 0, f))
wrong("no frequency penalty", lambda z, ids, r, p, f: penalties(z, ids, r, p, 0))
wrong("presence on all tokens", lambda z, ids, r, p, f: penalties(z, ids, r, 0, f) - p)
wrong(
    "frequency is a share of the text",
    lambda z, ids, r, p, f: penalties(z, ids, r, p, f / max(len(ids), 1)),
)
wrong(
    "repetition to the power of the count",
    lambda z, ids, r, p, f: (
        lambda c: torch.stack(
            [
                (x * r ** c[i] if x < 0 else x / r ** c[i]) - (p + f * c[i] if c[i] else 0)
                for i, x in enumerate(z)
            ]
        )
    )(Counter(ids)),
)
wrong(
    "penalizes the tokens that are not in ids",
    lambda z, ids, r, p, f: penalties(z, [i for i in range(len(z)) if i not in ids], r, p, f),
)
wrong("the last token only", lambda z, ids, r, p, f: penalties(z, ids[-1:], r, p, f))
wrong(
    "neighbors only",
    lambda z, ids, r, p, f: penalties(
        z, [a for a, b in zip(ids, ids[1:], strict=False) if a == b], r, p, f
    ),
)
wrong(
    "sends all seen tokens to -inf",
    lambda z, ids, r, p, f: z.index_fill(0, torch.tensor(ids, dtype=torch.long), -INF),
)
wrong(
    "the sign is asked after the subtraction",
    lambda z, ids, r, p, f: penalties(z, ids, r, p, f, after=False),
)
wrong("fails without ids", lambda z, ids, r, p, f: (max(ids), penalize(z, ids, r, p, f))[1])


@wrong("changes the caller's logits")
def _(logits, ids, repetition, presence, frequency):
    logits.copy_(penalize(logits, ids, repetition, presence, frequency))
    return logits


@wrong("fancy indexing subtracts the frequency once")
def _(logits, ids, repetition, presence, frequency):
    out = logits.clone()
    index = torch.tensor(ids, dtype=torch.long)
    out[index] = torch.where(out[index] < 0, out[index] * repetition, out[index] / repetition)
    out[index] -= presence + frequency
    return out


@wrong("repetition penalty on all tokens")
def _(logits, ids, repetition, presence, frequency):
    out = torch.where(logits < 0, logits * repetition, logits / repetition)
    for i in set(ids):
        out[i] -= presence + frequency * ids.count(i)
    return out


@wrong("a share r - 1 of the size is subtracted")
def _(logits, ids, repetition, presence, frequency):
    out = logits.clone()
    for i in set(ids):
        out[i] -= abs(logits[i]) * (repetition - 1) + presence + frequency * ids.count(i)
    return out


wrong(
    "both: divides negative logits, and once for each occurrence",
    lambda *a: penalties(*a, down=lambda x, r: x / r, over=lambda ids: ids),
)
wrong("both: exchanged penalties, and added", lambda z, ids, r, p, f: penalties(z, ids, r, -f, -p))
wrong(
    "both: divides negative logits and frequency ignores the count",
    lambda *a: penalties(*a, down=lambda x, r: x / r, times=lambda n: 1),
)

# --- 5. Vote, and break ties by likelihood


def vote(answers, log_p):
    given = [(answers.count(a), p, a) for a, p in zip(answers, log_p, strict=True) if a is not None]
    return max(given)[2]


def vote_cases():
    return [
        ([1, 2, 1], [-1.0, -0.5, -3.0]),
        ([1, 2], [-1.0, -0.5]),
        ([1, 2, 2, 1], [-1.0, -2.0, -0.5, -4.0]),
        ([1, 1, 2, 2], [-1.0, -9.0, -2.0, -2.5]),
        ([1, 1, 2, 2], [-5.0, -5.0, -1.0, -20.0]),
        ([None, None, None, 3], [-0.1, -0.2, -0.3, -9.0]),
        ([None, 4, 5, None], [-0.1, -3.0, -2.0, -0.2]),
        ([0, 0, 7], [-1.0, -2.0, -0.1]),
        ([0, 7], [-1.0, -2.0]),
        (["b", "a", "a", "b"], [-1.0, -2.0, -0.3, -5.0]),
        (["a"], [-1.0]),
        ([1, 1, 2, 2], [-1.0, -1.0, -0.9, -9.0]),
        ([3, 9, 9, 3, 1], [-4.0, -3.0, -8.0, -2.5, -0.1]),
        ([5, 4, 3], [-3.0, -1.0, -2.0]),
        ([2, 2, 1, 1, None, None, None], [-6.0, -1.0, -2.0, -2.0, -0.1, -0.1, -0.1]),
        ([8, 8, 6, 6, 6], [-0.1, -0.2, -9.0, -8.0, -7.0]),
        ([1, 2, 3, 3, 2], [-0.01, -50.0, -3.0, -4.0, -2.0]),
        ([10, 9, 10, 9], [-1.5, -1.0, -3.0, -8.0]),
    ]


def given(answers, log_p):
    return [(a, p) for a, p in zip(answers, log_p, strict=True) if a is not None]


def tallied(answers, log_p, key):
    """The answer with the largest key(its log-probabilities)."""
    groups = defaultdict(list)
    for a, p in given(answers, log_p):
        groups[a].append(p)
    return max(groups, key=lambda a: key(groups[a]))


wrong, right = exercise(CHECKS, "check_vote", vote, vote_cases)
right(
    "groups of log-probabilities",
    lambda answers, log_p: tallied(answers, log_p, lambda ps: (len(ps), max(ps))),
)


@right("walks from the likeliest down")
def _(answers, log_p):
    counts = Counter(a for a in answers if a is not None)
    most = max(counts.values())
    for i in sorted(range(len(answers)), key=lambda i: log_p[i], reverse=True):
        if answers[i] is not None and counts[answers[i]] == most:
            return answers[i]
    return None


@right("loops that remember the best")
def _(answers, log_p):
    best, best_votes, best_p = None, 0, -INF
    for a in answers:
        if a is None:
            continue
        votes = sum(1 for b in answers if b == a)
        p = max(q for b, q in zip(answers, log_p, strict=True) if b == a)
        if votes > best_votes or (votes == best_votes and p > best_p):
            best, best_votes, best_p = a, votes, p
    return best


wrong("ties go to the first", lambda a, p: Counter(x for x, _ in given(a, p)).most_common(1)[0][0])
wrong(
    "ties go to the last",
    lambda a, p: Counter(x for x, _ in given(a, p)[::-1]).most_common(1)[0][0],
)
wrong("ties go to the largest answer", lambda a, p: max((a.count(x), x) for x, _ in given(a, p))[1])
wrong(
    "ties go to the smallest answer", lambda a, p: min((-a.count(x), x) for x, _ in given(a, p))[1]
)
wrong("ties go to the least likely", lambda a, p: tallied(a, p, lambda ps: (len(ps), -max(ps))))
wrong(
    "ties go to the likeliest sum of logarithms",
    lambda a, p: tallied(a, p, lambda ps: (len(ps), sum(ps))),
)
wrong(
    "ties go to the largest total probability",
    lambda a, p: tallied(a, p, lambda ps: (len(ps), sum(map(math.exp, ps)))),
)
wrong("ties go to the best worst case", lambda a, p: tallied(a, p, lambda ps: (len(ps), min(ps))))
wrong(
    "ties go to the one whose first continuation is likelier",
    lambda a, p: tallied(a, p, lambda ps: (len(ps), ps[0])),
)
wrong(
    "ties go to the one whose last continuation is likelier",
    lambda a, p: tallied(a, p, lambda ps: (len(ps), ps[-1])),
)
wrong("None counts", lambda a, p: a[max(range(len(a)), key=lambda i: (a.count(a[i]), p[i]))])
wrong(
    "None wins, if most frequent", lambda a, p: None if a.count(None) * 2 > len(a) else vote(a, p)
)
wrong(
    "an answer of 0 counts for nothing",
    lambda a, p: max((a.count(x), q, x) for x, q in zip(a, p, strict=True) if x)[2],
)
wrong("the likeliest continuation, no votes", lambda a, p: max((q, x) for x, q in given(a, p))[1])
wrong(
    "the largest total probability, no votes",
    lambda a, p: tallied(a, p, lambda ps: sum(map(math.exp, ps))),
)
wrong("the largest mean, no votes", lambda a, p: tallied(a, p, lambda ps: sum(ps) / len(ps)))
wrong("the fewest votes", lambda a, p: tallied(a, p, lambda ps: (-len(ps), max(ps))))
wrong(
    "needs a majority, else None",
    lambda a, p: vote(a, p) if a.count(vote(a, p)) * 2 > len(a) else None,
)
wrong("log-probability before votes", lambda a, p: tallied(a, p, lambda ps: (max(ps), len(ps))))
wrong("returns the index", lambda a, p: a.index(vote(a, p)))
wrong("returns the answer and its votes", lambda a, p: (vote(a, p), a.count(vote(a, p))))
wrong(
    "ties go to the likeliest continuation of all, voted or not",
    lambda a, p: (
        tallied(a, p, lambda ps: (len(ps), 0))
        if len(set(Counter(x for x, _ in given(a, p)).values())) > 1
        else a[p.index(max(p))]
    ),
)
wrong(
    "returns the log-probability of the winner",
    lambda a, p: max((a.count(x), q, x) for x, q in given(a, p))[1],
)
wrong("the last answer that is given", lambda a, p: [x for x, _ in given(a, p)][-1])
wrong(
    "both: the sign of log_p turned, and a text",
    lambda a, p: min((-a.count(x), q, str(x)) for x, q in given(a, p))[2],
)
wrong(
    "both: an answer of 0 counts for nothing and ties go to the first",
    lambda a, p: Counter(x for x in a if x).most_common(1)[0][0],
)
wrong("both: None counts, and ties go to the first", lambda a, p: Counter(a).most_common(1)[0][0])
wrong(
    "both: ties go to the sum, None counts",
    lambda a, p: max(
        set(a), key=lambda x: (a.count(x), sum(q for y, q in zip(a, p, strict=True) if x == y))
    ),
)
