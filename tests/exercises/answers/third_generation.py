"""A third blind reading, of chapters 9 to 11: slips that the first two did not make."""

import math
from collections import Counter

import numpy as np
import torch

from tests.exercises.answers import begin

INF = math.inf

# --- Effective vocabulary

wrong, right = begin("check_effective_vocabulary")


def entropy(z, log=torch.log, keep=lambda p: p[p > 0]):
    p = keep(z.softmax(-1))
    return -(p * log(p)).sum().item()


wrong("H", lambda z: entropy(z))
wrong("2 to the power of H in nats", lambda z: 2 ** entropy(z))
wrong("e to the power of H in bits", lambda z: math.exp(entropy(z, torch.log2)))
wrong("the sign of H is missing", lambda z: math.exp(-entropy(z)))
wrong("the mean for the sum", lambda z: math.exp(entropy(z) / len(z)))
wrong("one over the sum of squares", lambda z: 1 / z.softmax(-1).square().sum().item())
wrong(
    "a small number in the logarithm",
    lambda z: math.exp(-(z.softmax(-1) * (z.softmax(-1) + 1e-2).log()).sum().item()),
)
wrong(
    "NaN with a hidden token",
    lambda z: math.exp(-(z.softmax(-1) * z.softmax(-1).log()).sum().item()),
)
wrong("how many tokens have a probability", lambda z: float((z.softmax(-1) > 0).sum()))
wrong(
    "1 over the smallest that is above 0",
    lambda z: 1 / z.softmax(-1)[z.softmax(-1) > 0].min().item(),
)
right(
    "the product of p to the -p, float64",
    lambda z: (z.double().softmax(-1) ** -z.double().softmax(-1)).nan_to_num(1.0).prod().item(),
)
right("xlogy", lambda z: math.exp(-torch.special.xlogy(z.softmax(-1), z.softmax(-1)).sum().item()))
right(
    "a loop in plain Python",
    lambda z: math.exp(-sum(p * math.log(p) for p in z.double().softmax(-1).tolist() if p)),
)

# --- The nucleus

wrong, right = begin("check_top_p")


def nucleus(z, keep, fill=-INF):
    probability, order = z.softmax(-1).sort(descending=True)
    kept = torch.zeros_like(z, dtype=torch.bool)
    kept[order[keep(probability)]] = True
    return z.masked_fill(~kept, fill)


def above(q):
    return q.cumsum(0) - q


wrong("the token that crosses p goes", lambda z, p: nucleus(z, lambda q: q.cumsum(0) <= p))
wrong(
    "the token that crosses p goes, but the first stays",
    lambda z, p: nucleus(z, lambda q: (q.cumsum(0) <= p) | (torch.arange(len(q)) == 0)),
)
wrong(
    "one token too many",
    lambda z, p: nucleus(z, lambda q: torch.cat([torch.tensor([True]), (above(q) < p)[:-1]])),
)
wrong("all with probability at least p", lambda z, p: nucleus(z, lambda q: q >= p))
wrong("all with probability at least 1 - p", lambda z, p: nucleus(z, lambda q: q >= 1 - p))
wrong(
    "the fraction p of the tokens",
    lambda z, p: nucleus(z, lambda q: torch.arange(len(q)) < max(1, round(p * len(q)))),
)
wrong("0 for -inf", lambda z, p: nucleus(z, lambda q: above(q) < p, 0.0))
wrong("min_p", lambda z, p: nucleus(z, lambda q: q >= p * q[0]))
wrong("1 - p for p", lambda z, p: nucleus(z, lambda q: above(q) < 1 - p))
wrong(
    "in the order of the ids",
    lambda z, p: z.masked_fill(z.softmax(0).cumsum(0) - z.softmax(0) >= p, -INF),
)
wrong(
    "the mask in sorted order",
    lambda z, p: z.masked_fill(above(z.softmax(0).sort(descending=True).values) >= p, -INF),
)
wrong(
    "the sorted logits",
    lambda z, p: z.sort(descending=True).values.masked_fill(
        above(z.softmax(0).sort(descending=True).values) >= p, -INF
    ),
)
wrong(
    "rising order",
    lambda z, p: z.masked_fill(
        ~torch.zeros_like(z, dtype=torch.bool).scatter(
            0, z.argsort(), above(z.softmax(0).sort().values) < p
        ),
        -INF,
    ),
)
wrong(
    "sums of logits",
    lambda z, p: z.masked_fill(
        ~torch.zeros_like(z, dtype=torch.bool).scatter(
            0, z.argsort(descending=True), above(z.sort(descending=True).values) < p
        ),
        -INF,
    ),
)
wrong("probabilities scaled to 1", lambda z, p: nucleus(z, lambda q: above(q) < p).softmax(0))
wrong(
    "the ids that stay",
    lambda z, p: nucleus(z, lambda q: above(q) < p).isfinite().nonzero().flatten(),
)
right(
    "float64, argsort twice",
    lambda z, p: z.masked_fill(
        ~(above(z.double().softmax(0).sort(descending=True).values) < p - 1e-9)[
            z.argsort(descending=True).argsort()
        ],
        -INF,
    ),
)


@right("a loop that takes the largest left")
def _(logits, p):
    q, total = logits.softmax(0), 0.0
    result = torch.full_like(logits, -INF)
    for i in q.argsort(descending=True).tolist():
        result[i] = logits[i]
        total += q[i].item()
        if total >= p - 1e-7:
            break
    return result


right(
    "numpy",
    lambda z, p: np.where(
        np.isin(
            np.arange(len(z)),
            (o := np.argsort(-z.numpy()))[
                : np.searchsorted(np.cumsum(z.softmax(0).numpy()[o]), p - 1e-7) + 1
            ],
        ),
        z.numpy(),
        -np.inf,
    ),
)

# --- min_p

wrong, right = begin("check_min_p")
wrong(
    "log(p) below the mean",
    lambda z, p: z.masked_fill(z < z[z.isfinite()].mean() + math.log(p), -INF),
)
wrong("p times the largest logit", lambda z, p: z.masked_fill(z < p * z.max(), -INF))
wrong("p below the largest logit", lambda z, p: z.masked_fill(z < z.max() - p, -INF))
wrong("minus the logarithm", lambda z, p: z.masked_fill(z < z.max() - math.log(p), -INF))
wrong("the logarithm to base 10", lambda z, p: z.masked_fill(z < z.max() + math.log10(p), -INF))
wrong("the logarithm to base 2", lambda z, p: z.masked_fill(z < z.max() + math.log2(p), -INF))
wrong("p itself as the limit", lambda z, p: z.masked_fill(z < math.log(p), -INF))
wrong("above the limit only", lambda z, p: z.masked_fill(z <= z.max() + math.log(p), -INF))
wrong("1 - p", lambda z, p: z.masked_fill(z < z.max() + math.log(max(1 - p, 1e-9)), -INF))
wrong("keeps what is below", lambda z, p: z.masked_fill(z >= z.max() + math.log(p), -INF))
wrong(
    "exponentials of the logits compared", lambda z, p: z.masked_fill(z.exp() < p * z.max(), -INF)
)
wrong("0 for -inf", lambda z, p: z.masked_fill(z < z.max() + math.log(p), 0.0))
wrong(
    "relative to the smallest",
    lambda z, p: z.masked_fill(z < z[z.isfinite()].min() - math.log(p), -INF),
)
wrong("only those that stay", lambda z, p: z[z >= z.max() + math.log(p)])
wrong(
    "the differences to the largest",
    lambda z, p: (z - z.max()).masked_fill(z < z.max() + math.log(p), -INF),
)
wrong(
    "its own softmax, by exp",
    lambda z, p: z.masked_fill(
        ((z - z.max()).exp() / (z - z.max()).exp().sum())
        < p * ((z - z.max()).exp() / (z - z.max()).exp().sum()).max(),
        -INF,
    ),
    rule=True,
)
right(
    "where, float64",
    lambda z, p: torch.where(z.double() - z.double().max() >= math.log(p), z, torch.tensor(-INF)),
)
right(
    "numpy",
    lambda z, p: np.where(z.numpy() >= z.numpy().max() + np.log(np.float32(p)), z.numpy(), -np.inf),
)

# --- Three penalties

wrong, right = begin("check_penalize")


def penalized(
    z, ids, repetition, presence, frequency, scale=None, tokens=set, count=None, amount=None
):
    result = z.clone()
    scale = scale or (lambda x, r: x * r if x < 0 else x / r)
    for i in tokens(ids):
        n = (count or (lambda i: ids.count(i)))(i)
        less = (amount or (lambda n: presence + frequency * n))(n)
        result[i] = scale(result[i], repetition) - less
    return result


wrong("always divided", lambda *a: penalized(*a, scale=lambda x, r: x / r))
wrong("always multiplied", lambda *a: penalized(*a, scale=lambda x, r: x * r))
wrong(
    "the signs the other way round",
    lambda *a: penalized(*a, scale=lambda x, r: x / r if x < 0 else x * r),
)
wrong("repetition at each place", lambda *a: penalized(*a, tokens=list, amount=lambda n: 0.0))
wrong("all at each place", lambda *a: penalized(*a, tokens=list))
wrong("frequency once", lambda z, ids, r, p, f: penalized(z, ids, r, p, f, amount=lambda n: p + f))
wrong(
    "one occurrence is free",
    lambda z, ids, r, p, f: penalized(z, ids, r, p, f, amount=lambda n: p + f * (n - 1)),
)
wrong(
    "relative frequency",
    lambda z, ids, r, p, f: penalized(z, ids, r, p, f, amount=lambda n: p + f * n / len(ids)),
)
wrong("added", lambda z, ids, r, p, f: penalized(z, ids, r, p, f, amount=lambda n: -p - f * n))
wrong(
    "presence and frequency multiplied",
    lambda z, ids, r, p, f: penalized(z, ids, r, p, f, amount=lambda n: p * f * n),
)
wrong(
    "subtracted first",
    lambda z, ids, r, p, f: penalized(
        z - torch.tensor([(i in ids) * p + f * ids.count(i) for i in range(len(z))]), ids, r, 0, 0
    ),
)
wrong(
    "the last token alone",
    lambda z, ids, r, p, f: penalized(z, ids, r, p, f, tokens=lambda ids: ids[-1:]),
)
wrong("all tokens pay presence", lambda z, ids, r, p, f: penalized(z, ids, r, 0, f) - p)
wrong(
    "penalizes what does not occur",
    lambda z, ids, r, p, f: penalized(
        z, ids, r, p, f, tokens=lambda ids: set(range(len(z))) - set(ids)
    ),
)
wrong(
    "exponential of the penalty",
    lambda z, ids, r, p, f: penalized(z, ids, r, p, f, scale=lambda x, r: x - math.log(r)),
)


@wrong("in place")
def _(logits, ids, repetition, presence, frequency):
    for i in set(ids):
        z = logits[i]
        logits[i] = (
            (z * repetition if z < 0 else z / repetition) - presence - frequency * ids.count(i)
        )
    return logits


@right("bincount, where")
def _(logits, ids, repetition, presence, frequency):
    n = torch.bincount(torch.tensor(ids, dtype=torch.long), minlength=len(logits))
    z = torch.where(logits < 0, logits * repetition, logits / repetition)
    return torch.where(n > 0, z - presence - frequency * n, logits)


right(
    "a Counter and a list",
    lambda z, ids, r, p, f: torch.tensor(
        [
            x if not (n := Counter(ids)[i]) else (x * r if x < 0 else x / r) - p - f * n
            for i, x in enumerate(z.tolist())
        ]
    ),
)
right(
    "float64 numpy",
    lambda z, ids, r, p, f: (
        lambda x, n: np.where(n > 0, np.where(x < 0, x * r, x / r) - p - f * n, x)
    )(z.double().numpy(), np.array([ids.count(i) for i in range(len(z))])),
)

# --- Vote

wrong, right = begin("check_vote")


def voted(answers, log_p, key, good=lambda a: a is not None):
    pairs = [(a, p) for a, p in zip(answers, log_p) if good(a)]
    return max(pairs, key=lambda x: key(*x, pairs))[0]


def count(a, pairs):
    return sum(b == a for b, _ in pairs)


def own(a, pairs):
    return [p for b, p in pairs if b == a]


wrong("the likeliest continuation", lambda a, p: voted(a, p, lambda x, q, s: q))
wrong("the largest sum of log_p", lambda a, p: voted(a, p, lambda x, q, s: sum(own(x, s))))
wrong(
    "the largest sum of p", lambda a, p: voted(a, p, lambda x, q, s: sum(map(math.exp, own(x, s))))
)
wrong(
    "ties by the mean of log_p",
    lambda a, p: voted(a, p, lambda x, q, s: (count(x, s), sum(own(x, s)) / count(x, s))),
)
wrong(
    "ties by the sum of log_p",
    lambda a, p: voted(a, p, lambda x, q, s: (count(x, s), sum(own(x, s)))),
)
wrong(
    "ties by the worst continuation",
    lambda a, p: voted(a, p, lambda x, q, s: (count(x, s), min(own(x, s)))),
)
wrong("ties by the lowest log_p", lambda a, p: voted(a, p, lambda x, q, s: (count(x, s), -q)))
wrong(
    "ties by who came first",
    lambda a, p: Counter(x for x in a if x is not None).most_common(1)[0][0],
)
wrong("ties by who came last", lambda a, p: voted(a[::-1], p[::-1], lambda x, q, s: count(x, s)))
wrong("ties by the larger answer", lambda a, p: voted(a, p, lambda x, q, s: (count(x, s), str(x))))
wrong(
    "0 is taken for no answer",
    lambda a, p: voted(a, p, lambda x, q, s: (count(x, s), q), lambda x: bool(x)) if any(a) else 0,
)
wrong("the index", lambda a, p: a.index(voted(a, p, lambda x, q, s: (count(x, s), q))))
wrong("the number of votes too", lambda a, p: (voted(a, p, lambda x, q, s: (count(x, s), q)), 1))
right(
    "a Counter, then the best of the leaders",
    lambda a, p: max(
        (
            (q, x)
            for x, q in zip(a, p)
            if x is not None and a.count(x) == max(a.count(y) for y in a if y is not None)
        ),
        key=lambda t: t[0],
    )[1],
)


@right("sorted twice")
def _(answers, log_p):
    order = sorted(range(len(answers)), key=lambda i: -log_p[i])
    order = [i for i in order if answers[i] is not None]
    return sorted((answers[i] for i in order), key=lambda a: -answers.count(a))[0]


@right("dictionaries of counts and bests")
def _(answers, log_p):
    votes, best = {}, {}
    for a, p in zip(answers, log_p):
        if a is not None:
            votes[a] = votes.get(a, 0) + 1
            best[a] = max(best.get(a, -INF), p)
    return max(votes, key=lambda a: (votes[a], best[a]))


# --- Contrastive choice

wrong, right = begin("check_contrastive")


def contrast(p, c, s, alpha, sim=None, over=lambda x: x.amax(-1), score=None, pick=torch.argmax):
    def unit(x):
        return x / x.norm(dim=-1, keepdim=True)

    penalty = over((sim or (lambda c, s: unit(c) @ unit(s).T))(c, s))
    score = (score or (lambda p, q: (1 - alpha) * p - alpha * q))(p, penalty)
    return int(pick(score))


wrong("the minimum over the text", lambda *a: contrast(*a, over=lambda x: x.amin(-1)))
wrong("the last state alone", lambda *a: contrast(*a, over=lambda x: x[:, -1]))
wrong("products for cosines", lambda *a: contrast(*a, sim=lambda c, s: c @ s.T))
wrong("distances for cosines", lambda *a: contrast(*a, sim=lambda c, s: torch.cdist(c, s)))
wrong(
    "the penalty is added",
    lambda p, c, s, a: contrast(p, c, s, a, score=lambda p, q: (1 - a) * p + a * q),
)
wrong("p counts in full", lambda p, c, s, a: contrast(p, c, s, a, score=lambda p, q: p - a * q))
wrong("among the candidates themselves", lambda p, c, s, a: contrast(p, c, c, a))
wrong("absolute cosines", lambda *a: contrast(*a, over=lambda x: x.abs().amax(-1)))
wrong(
    "normalized over the wrong dimension",
    lambda p, c, s, a: contrast(
        p, c, s, a, sim=lambda c, s: c / c.norm(dim=0) @ (s / s.norm(dim=0)).T
    ),
)
wrong("from 1", lambda *a: contrast(*a) + 1)
wrong("without the penalty", lambda p, c, s, a: int(p.argmax()))
right(
    "float64, numpy",
    lambda p, c, s, a: int(
        np.argmax(
            (1 - a) * p.double().numpy()
            - a
            * (
                (c.double() @ s.double().T)
                / c.double().norm(dim=1)[:, None]
                / s.double().norm(dim=1)
            )
            .amax(1)
            .numpy()
        )
    ),
)
right(
    "loops",
    lambda p, c, s, a: max(
        range(len(p)),
        key=lambda i: (
            (1 - a) * p[i].item() - a * max(float(c[i] @ h / (c[i].norm() * h.norm())) for h in s)
        ),
    ),
)

# --- What follows a rejected guess

wrong, right = begin("check_rejection")


def reject(p, q, accept=None, rest=None, norm=lambda r: r / r.sum()):
    accept = accept(p, q) if accept else torch.minimum(p, q).sum()
    return float(accept), norm(rest(p, q) if rest else (p - q).clamp(min=0))


wrong(
    "the mean of min(1, p / q)",
    lambda p, q: reject(p, q, lambda p, q: (p / q.clamp(min=1e-30)).clamp(max=1).mean()),
)
wrong(
    "weighted by p",
    lambda p, q: reject(p, q, lambda p, q: (p * (p / q.clamp(min=1e-30)).clamp(max=1)).sum()),
)
wrong(
    "the probability of a rejection",
    lambda p, q: reject(p, q, lambda p, q: 1 - torch.minimum(p, q).sum()),
)
wrong("the sum of products", lambda p, q: reject(p, q, lambda p, q: (p * q).sum()))
wrong(
    "the smaller of the largest", lambda p, q: reject(p, q, lambda p, q: torch.minimum(p, q).max())
)
wrong("the sum of the larger", lambda p, q: reject(p, q, lambda p, q: torch.maximum(p, q).sum()))
wrong("p itself is drawn from", lambda p, q: reject(p, q, rest=lambda p, q: p))
wrong("sizes of the differences", lambda p, q: reject(p, q, rest=lambda p, q: (p - q).abs()))
wrong("not scaled to 1", lambda p, q: reject(p, q, norm=lambda r: r))
wrong(
    "a softmax of the difference",
    lambda p, q: reject(p, q, rest=lambda p, q: p - q, norm=lambda r: r.softmax(0)),
)
wrong(
    "divided by the acceptance",
    lambda p, q: reject(p, q, norm=lambda r: r / torch.minimum(p, q).sum().clamp(min=1e-9)),
)
wrong(
    "negative parts stay",
    lambda p, q: reject(p, q, rest=lambda p, q: p - q, norm=lambda r: r / r.clamp(min=0).sum()),
)
wrong(
    "p without the guesses of q",
    lambda p, q: reject(p, q, rest=lambda p, q: p * (q == 0) if (p * (q == 0)).sum() > 0 else p),
)
wrong(
    "p (1 - min(1, p / q))",
    lambda p, q: reject(p, q, rest=lambda p, q: q * (1 - (p / q.clamp(min=1e-30)).clamp(max=1))),
)
wrong("the distribution alone", lambda p, q: reject(p, q)[1])
wrong("the wrong order", lambda p, q: reject(p, q)[::-1])
wrong(
    "NaN where q is zero", lambda p, q: reject(p, q, lambda p, q: (q * (p / q).clamp(max=1)).sum())
)
right(
    "1 minus half the distance",
    lambda p, q: (1 - (p - q).abs().sum().item() / 2, (p - q).relu() / (p - q).relu().sum()),
)
right(
    "p minus the minimum, float64",
    lambda p, q: (
        float(torch.minimum(p.double(), q.double()).sum()),
        (p.double() - torch.minimum(p.double(), q.double()))
        / (p.double() - torch.minimum(p.double(), q.double())).sum(),
    ),
)


@right("loops")
def _(p, q):
    missing = [max(a - b, 0.0) for a, b in zip(p.tolist(), q.tolist())]
    accepted = sum(map(min, p.tolist(), q.tolist()))
    return accepted, torch.tensor([m / sum(missing) for m in missing])


# --- Which tokens does a grammar allow?

wrong, right = begin("check_allowed")


def allow(
    table, state, tokens, step=None, ends=lambda here: here >= 0, empty=False, first=lambda t: t
):
    found = []
    for i, token in enumerate(tokens):
        here = state
        for byte in first(token):
            here = table[here][byte] if here >= 0 else -1
        if (token or empty) and ends(here):
            found.append(i)
    return found


wrong("the first byte alone", lambda *a: allow(*a, first=lambda t: t[:1]))
wrong("all but the last byte", lambda *a: allow(*a, first=lambda t: t[:-1]))
wrong("the last byte alone", lambda *a: allow(*a, first=lambda t: t[-1:]))
wrong("backward", lambda *a: allow(*a, first=lambda t: t[::-1]))
wrong("empty tokens are allowed", lambda *a: allow(*a, empty=True))
wrong("state 0 at the end is taken for a stop", lambda *a: allow(*a, ends=lambda h: h > 0))
wrong("from state 0", lambda t, s, k: allow(t, 0, k))
wrong("tokens, not ids", lambda t, s, k: [k[i] for i in allow(t, s, k)])
wrong("a list of True and False", lambda t, s, k: [i in allow(t, s, k) for i in range(len(k))])
wrong("a set", lambda t, s, k: set(allow(t, s, k)))
wrong(
    "those that are not allowed",
    lambda t, s, k: [i for i in range(len(k)) if i not in allow(t, s, k)],
)
wrong("ids from 1", lambda t, s, k: [i + 1 for i in allow(t, s, k)])
wrong("from the longest token", lambda t, s, k: sorted(allow(t, s, k), key=lambda i: -len(k[i])))
wrong(
    "only printable bytes",
    lambda t, s, k: [i for i in allow(t, s, k) if all(32 <= b < 127 for b in k[i])],
)
wrong(
    "stops at the first that fails",
    lambda t, s, k: next(
        (list(range(i)) for i in range(len(k)) if i not in allow(t, s, k)), list(range(len(k)))
    ),
)


@wrong("-1 as an index: goes on in the last row")
def _(table, state, tokens):
    found = []
    for i, token in enumerate(tokens):
        here = state
        for byte in token:
            here = table[here][byte]
        if token and here >= 0:
            found.append(i)
    return found


@wrong("each token goes on where the one before ended")
def _(table, state, tokens):
    found, here = [], state
    for i, token in enumerate(tokens):
        for byte in token:
            here = table[here][byte] if here >= 0 else -1
        if token and here >= 0:
            found.append(i)
        else:
            here = state
    return found


@wrong("must come back to the state")
def _(table, state, tokens):
    return [i for i in allow(table, state, tokens) if allow(table, state, [tokens[i] + tokens[i]])]


@right("recursive")
def _(table, state, tokens):
    def reads(at, rest):
        return not rest or (table[at][rest[0]] >= 0 and reads(table[at][rest[0]], rest[1:]))

    return [i for i, token in enumerate(tokens) if token and reads(state, token)]


right(
    "reduce",
    lambda t, s, k: [
        i
        for i, x in enumerate(k)
        if x and __import__("functools").reduce(lambda h, b: -1 if h < 0 else t[h][b], x, s) != -1
    ],
)
