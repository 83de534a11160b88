"""Answers to the exercises of the chapter on decoding."""

import math
import random

import numpy as np
import torch
import torch.nn.functional as F

from tests.exercises.answers import exercise

CHECKS = "lib.exercises.decoding"

# --- 1. One step of a beam search


def beam_step(totals, log_p, k):
    total = totals[:, None] + log_p
    best = total.flatten().topk(k).indices.tolist()
    return [divmod(i, log_p.shape[1]) for i in best]


def beam_cases():
    torch.manual_seed(24)
    cases = []
    for beams, v, k in [
        (2, 5, 2),
        (3, 4, 3),
        (1, 6, 4),
        (4, 4, 4),
        (5, 3, 2),
        (2, 3, 6),
        (3, 7, 1),
        (2, 2, 3),
        (6, 3, 5),
    ]:
        cases.append((-torch.rand(beams) * 2, (torch.randn(beams, v) * 1.5).log_softmax(-1), k))
    return [
        *cases,
        (torch.tensor([-1.0, -30.0]), torch.randn(2, 4).log_softmax(-1), 3),
        (torch.tensor([-200.0, -201.0]), torch.randn(2, 5).log_softmax(-1), 3),
    ]


def best_of(total, k, width=None, largest=True):
    width = total.shape[1] if width is None else width
    return [divmod(i, width) for i in total.flatten().topk(k, largest=largest).indices.tolist()]


wrong, right = exercise(CHECKS, "check_beam_step", beam_step, beam_cases)


@right("sorts a list of tuples")
def _(totals, log_p, k):
    found = []
    for beam, before in enumerate(totals.tolist()):
        for token, value in enumerate(log_p[beam].tolist()):
            found.append((before + value, beam, token))
    return [(beam, token) for _, beam, token in sorted(found, reverse=True)[:k]]


@right("numpy: argsort and unravel_index")
def _(totals, log_p, k):
    total = totals.numpy()[:, None] + log_p.numpy()
    order = np.argsort(-total, axis=None, kind="stable")[:k]
    beams, tokens = np.unravel_index(order, total.shape)
    return [(int(b), int(t)) for b, t in zip(beams, tokens, strict=True)]


@right("the k best of each beam first, then of all")
def _(totals, log_p, k):
    values, tokens = log_p.topk(min(k, log_p.shape[1]), dim=1)
    total = (totals.unsqueeze(1) + values).double()
    places = total.flatten().argsort(descending=True)[:k]
    return [(int(i) // values.shape[1], int(tokens.flatten()[i])) for i in places]


wrong("ignores the totals", lambda t, lp, k: best_of(lp, k))
wrong("divides by k", lambda t, lp, k: best_of(t[:, None] + lp, k, k))
wrong("divides by the number of beams", lambda t, lp, k: best_of(t[:, None] + lp, k, len(t)))
wrong("the worst", lambda t, lp, k: best_of(t[:, None] + lp, k, largest=False))
wrong("worst first", lambda t, lp, k: beam_step(t, lp, k)[::-1])
wrong("(token, beam)", lambda t, lp, k: [(b, a) for a, b in beam_step(t, lp, k)])
wrong("in order of the beams", lambda t, lp, k: sorted(beam_step(t, lp, k)))
wrong(
    "the best of each beam",
    lambda t, lp, k: [
        (b, int(lp[b].argmax())) for b in (t + lp.amax(1)).argsort(descending=True).tolist()
    ][:k],
)
wrong(
    "k for each beam",
    lambda t, lp, k: [
        (b, i) for b in range(len(t)) for i in lp[b].topk(min(k, lp.shape[1])).indices.tolist()
    ],
)
wrong("multiplies", lambda t, lp, k: best_of(t[:, None] * lp, k))
wrong("subtracts the totals", lambda t, lp, k: best_of(lp - t[:, None], k))
wrong("adds ln p to p", lambda t, lp, k: best_of(t[:, None] + lp.exp(), k))
wrong("multiplies p with ln p", lambda t, lp, k: best_of(t.exp()[:, None] * lp, k))
wrong("probabilities that underflow", lambda t, lp, k: best_of(t.exp()[:, None] * lp.exp(), k))
wrong("flat indices", lambda t, lp, k: (t[:, None] + lp).flatten().topk(k).indices.tolist())
wrong(
    "the totals, not the places",
    lambda t, lp, k: (t[:, None] + lp).flatten().topk(k).values.tolist(),
)
wrong("softmax over the totals", lambda t, lp, k: best_of(t.softmax(0)[:, None] + lp, k))
wrong("one continuation only", lambda t, lp, k: best_of(t[:, None] + lp, 1))
wrong(
    "one more than asked",
    lambda t, lp, k: (
        best_of(t[:, None] + lp, min(k + 1, lp.numel())) + [(0, 0)] * (k == lp.numel())
    ),
)
wrong("totals along the vocabulary", lambda t, lp, k: best_of(t[None, :] + lp, k))
wrong("the mean of total and log_p by length", lambda t, lp, k: best_of(t[:, None] / 2 + lp, k))
wrong(
    "flattens the transposed table",
    lambda t, lp, k: best_of((t[:, None] + lp).T.contiguous(), k, lp.shape[1]),
)
wrong(
    "normalizes log_p once more by each beam's largest",
    lambda t, lp, k: best_of(t[:, None] + lp - lp.amax(1, keepdim=True), k),
)
wrong(
    "both: ignores the totals, and (token, beam)",
    lambda t, lp, k: [(b, a) for a, b in best_of(lp, k)],
)
wrong(
    "both: divides by the number of beams, worst first",
    lambda t, lp, k: best_of(t[:, None] + lp, k, len(t))[::-1],
)
wrong("both: ignores the totals, worst first", lambda t, lp, k: best_of(lp, k)[::-1])

# --- 2. Which finished text wins?


def winner(texts, length_penalty):
    scores = [log_p / length**length_penalty for log_p, length in texts]
    return scores.index(max(scores))


def winner_cases():
    dice = random.Random(25)
    cases = [([(-2.0, 2), (-2.4, 3)], p) for p in (0.0, 0.5, 1.0, 2.0, -1.0)]
    cases += [
        ([(-5.0, 1)], 1.0),
        ([(-1.0, 1), (-3.0, 4), (-9.0, 30)], 1.0),
        ([(-9.0, 30), (-3.0, 4), (-1.0, 1)], 0.6),
    ]
    cases.append(([(-2.0, 2), (-11.0, 10)], 1.0))
    cases.append(([(-9.0, 3), (-2.0, 5), (-2.0, 2), (-2.0, 7)], 0.0))  # three are equal
    for _ in range(25):
        texts = [(-dice.uniform(1, 12), dice.randint(1, 20)) for _ in range(dice.randint(2, 6))]
        cases.append((texts, dice.choice([0.0, 0.3, 0.6, 1.0, 1.5, 2.0, -0.5])))
    return cases


def argbest(texts, score, pick=max):
    values = [score(a, n) for a, n in texts]
    return values.index(pick(values))


wrong, right = exercise(CHECKS, "check_winner", winner, winner_cases)
right(
    "max over indices",
    lambda texts, lp: max(range(len(texts)), key=lambda i: texts[i][0] * texts[i][1] ** -lp),
)
right(
    "tensors",
    lambda texts, lp: (lambda t: int((t[:, 0] / t[:, 1].pow(lp)).argmax()))(
        torch.tensor(texts, dtype=torch.float64)
    ),
)
right(
    "numpy, through exponentials of logarithms",
    lambda texts, lp: int(np.argmax([a * math.exp(-lp * math.log(n)) for a, n in texts])),
)


@right("a loop that remembers the best")
def _(texts, length_penalty):
    best, best_score = 0, -math.inf
    for i, (log_p, length) in enumerate(texts):
        score = log_p / math.pow(length, length_penalty)
        if score > best_score:
            best, best_score = i, score
    return best


wrong("no penalty", lambda t, lp: argbest(t, lambda a, n: a))
wrong("always the mean", lambda t, lp: argbest(t, lambda a, n: a / n))
wrong("multiplies", lambda t, lp: argbest(t, lambda a, n: a * n**lp))
wrong(
    "divides by length times penalty",
    lambda t, lp: argbest(t, lambda a, n: a / (n * lp) if lp else a),
)
wrong("subtracts penalty times length", lambda t, lp: argbest(t, lambda a, n: a - lp * n))
wrong("adds penalty times length", lambda t, lp: argbest(t, lambda a, n: a + lp * n))
wrong("the lowest", lambda t, lp: argbest(t, lambda a, n: a / n**lp, min))
wrong(
    "penalty to the power of the length",
    lambda t, lp: argbest(t, lambda a, n: a / max(lp, 0.5) ** n),
)
wrong("absolute values", lambda t, lp: argbest(t, lambda a, n: abs(a) / n**lp))
wrong(
    "Google's ((5 + n) / 6) ** penalty",
    lambda t, lp: argbest(t, lambda a, n: a / ((5 + n) / 6) ** lp),
)
wrong("length plus one", lambda t, lp: argbest(t, lambda a, n: a / (n + 1) ** lp))
wrong("length less one", lambda t, lp: argbest(t, lambda a, n: a / max(n - 1, 1) ** lp))
wrong("probability, not its logarithm", lambda t, lp: argbest(t, lambda a, n: math.exp(a) / n**lp))
wrong("the score of the best", lambda t, lp: max(a / n**lp for a, n in t))
wrong("the best text itself", lambda t, lp: t[winner(t, lp)])
wrong("the longest", lambda t, lp: argbest(t, lambda a, n: n))
wrong("the shortest", lambda t, lp: argbest(t, lambda a, n: -n))
wrong(
    "the logarithm of the length",
    lambda t, lp: argbest(t, lambda a, n: a / (1 + math.log(n)) ** lp),
)
wrong(
    "the root, penalty in the denominator of the exponent",
    lambda t, lp: argbest(t, lambda a, n: a / n ** (1 / lp) if lp else a),
)
wrong("counts from 1", lambda t, lp: winner(t, lp) + 1)
wrong(
    "the order of the best",
    lambda t, lp: sorted(range(len(t)), key=lambda i: -t[i][0] / t[i][1] ** lp),
)
wrong("the first two texts only", lambda t, lp: winner(t[:2], lp))
wrong("both: multiplies, and the lowest", lambda t, lp: argbest(t, lambda a, n: a * n**lp, min))
wrong("both: always the mean, and counts from 1", lambda t, lp: argbest(t, lambda a, n: a / n) + 1)
wrong(
    "both: probability for its logarithm, and multiplies",
    lambda t, lp: argbest(t, lambda a, n: math.exp(a) * n**lp),
)

# --- 3. Contrastive choice


def contrastive(p, candidates, states, alpha):
    a = candidates / candidates.norm(dim=-1, keepdim=True)
    b = states / states.norm(dim=-1, keepdim=True)
    penalty = (a @ b.T).amax(dim=-1)
    return ((1 - alpha) * p - alpha * penalty).argmax().item()


def contrastive_cases():
    torch.manual_seed(26)
    cases = []
    for i in range(60):
        k, c, t = [(4, 3, 5), (3, 4, 2), (6, 2, 4), (5, 5, 5), (2, 3, 1), (4, 8, 3)][i % 6]
        alpha = (0.6, 0.1, 0.9, 0.5, 0.3, 0.0, 1.0)[i % 7]
        scale = torch.rand(k, 1) * 3 + 0.2
        cases.append(
            (
                (torch.randn(k) * 1.5).softmax(0),
                torch.randn(k, c) * scale,
                torch.randn(t, c) * (torch.rand(t, 1) * 3 + 0.2),
                alpha,
            )
        )
    return cases


def choose(
    p,
    h,
    s,
    alpha,
    score=lambda p, q, a: (1 - a) * p - a * q,
    reduce=lambda m: m.amax(1),
    unit=(True, True),
    dim=-1,
    pick=torch.argmax,
):
    h = h / h.norm(dim=dim, keepdim=True) if unit[0] else h
    s = s / s.norm(dim=dim, keepdim=True) if unit[1] else s
    return pick(score(p, reduce(h @ s.T), alpha)).item()


wrong, right = exercise(CHECKS, "check_contrastive", contrastive, contrastive_cases)


@right("cosine_similarity")
def _(p, candidates, states, alpha):
    cosines = F.cosine_similarity(candidates[:, None], states[None], dim=-1)
    return int(torch.argmax((1 - alpha) * p - alpha * cosines.max(dim=1).values))


@right("F.normalize and einsum")
def _(p, candidates, states, alpha):
    cosines = torch.einsum("kc,tc->kt", F.normalize(candidates, dim=1), F.normalize(states, dim=1))
    return torch.argmax(torch.lerp(p, -cosines.amax(1), alpha)).item()


@right("loops in plain Python")
def _(p, candidates, states, alpha):
    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    scores = []
    for q, h in zip(p.tolist(), candidates.tolist(), strict=True):
        scores.append((1 - alpha) * q - alpha * max(cosine(h, s) for s in states.tolist()))
    return scores.index(max(scores))


wrong(
    "alpha and 1 - alpha exchanged",
    lambda *a: choose(*a, score=lambda p, q, a: a * p - (1 - a) * q),
)
wrong("adds the penalty", lambda *a: choose(*a, score=lambda p, q, a: (1 - a) * p + a * q))
wrong("p not weighted", lambda *a: choose(*a, score=lambda p, q, a: p - a * q))
wrong("penalty not weighted", lambda *a: choose(*a, score=lambda p, q, a: (1 - a) * p - q))
wrong("ln p", lambda *a: choose(*a, score=lambda p, q, a: (1 - a) * p.log() - a * q))
wrong("the mean over the text", lambda *a: choose(*a, reduce=lambda m: m.mean(1)))
wrong("the smallest cosine", lambda *a: choose(*a, reduce=lambda m: m.amin(1)))
wrong("the sum over the text", lambda *a: choose(*a, reduce=lambda m: m.sum(1)))
wrong("the last state only", lambda *a: choose(*a, reduce=lambda m: m[:, -1]))
wrong("the first state only", lambda *a: choose(*a, reduce=lambda m: m[:, 0]))
wrong("largest size of a cosine", lambda *a: choose(*a, reduce=lambda m: m.abs().amax(1)))
wrong("no normalization", lambda *a: choose(*a, unit=(False, False)))
wrong("candidates not normalized", lambda *a: choose(*a, unit=(False, True)))
wrong("states not normalized", lambda *a: choose(*a, unit=(True, False)))
wrong("norm over the wrong dimension", lambda *a: choose(*a, dim=0))
wrong("the lowest score", lambda *a: choose(*a, pick=torch.argmin))
wrong("the most probable candidate", lambda p, h, s, a: p.argmax().item())
wrong("the most different candidate", lambda p, h, s, a: choose(p, h, s, 1.0))
wrong(
    "distance for cosine",
    lambda p, h, s, a: ((1 - a) * p - a * torch.cdist(h, s).amin(1)).argmax().item(),
)
wrong("alpha always 0.6", lambda p, h, s, a: choose(p, h, s, 0.6))
wrong(
    "similar to the other candidates",
    lambda p, h, s, a: choose(p, h, h, a, reduce=lambda m: (m - 2 * torch.eye(len(m))).amax(1)),
)
wrong(
    "the score",
    lambda p, h, s, a: (
        ((1 - a) * p - a * (F.normalize(h, dim=-1) @ F.normalize(s, dim=-1).T).amax(1)).max().item()
    ),
)
wrong(
    "all scores",
    lambda p, h, s, a: (
        (1 - a) * p - a * (F.normalize(h, dim=-1) @ F.normalize(s, dim=-1).T).amax(1)
    ),
)
wrong(
    "divides by the length of the text",
    lambda *a: choose(*a, reduce=lambda m: m.amax(1) / m.shape[1]),
)
wrong(
    "both: exchanged weights, and the mean over the text",
    lambda *a: choose(*a, score=lambda p, q, a: a * p - (1 - a) * q, reduce=lambda m: m.mean(1)),
)
wrong(
    "both: no normalization and the penalty added",
    lambda *a: choose(*a, score=lambda p, q, a: (1 - a) * p + a * q, unit=(False, False)),
)
wrong(
    "both: ln p and the mean over the text",
    lambda *a: choose(
        *a, score=lambda p, q, a: (1 - a) * p.log() - a * q, reduce=lambda m: m.mean(1)
    ),
)

# --- 4. What follows a rejected guess


def rejection(p, q):
    missing = (p - q).clamp(min=0)
    return torch.minimum(p, q).sum().item(), missing / missing.sum()


def rejection_cases():
    torch.manual_seed(27)
    cases = [
        ((torch.randn(v) * 1.5).softmax(0), (torch.randn(v) * 1.5).softmax(0))
        for v in (3, 5, 8, 2, 20, 4, 6)
    ]
    t = torch.tensor
    return [
        *cases,
        (t([0.5, 0.5, 0.0]), t([0.0, 0.5, 0.5])),
        (t([1.0, 0.0]), t([0.0, 1.0])),
        (t([0.25, 0.75]), t([0.75, 0.25])),
        (t([0.2, 0.3, 0.5]), t([1.0, 0.0, 0.0])),
        (t([0.4, 0.6, 0.0, 0.0]), t([0.0, 0.5, 0.5, 0.0])),
    ]


def rest(p, q):
    return (p - q).clamp(min=0) / (p - q).clamp(min=0).sum()


wrong, right = exercise(CHECKS, "check_rejection", rejection, rejection_cases)
wrong(
    "0 / 0 becomes NaN where both are 0",
    lambda p, q: ((q * (p / q).clamp(max=1)).sum().item(), rejection(p, q)[1]),
)
wrong(
    "a softmax of p - q",
    lambda p, q: (torch.minimum(p, q).sum().item(), (p - q).softmax(0)),
)
right(
    "from half the distance, in float64",
    lambda p, q: (
        1 - (p.double() - q.double()).abs().sum().item() / 2,
        torch.relu(p.double() - q.double()) / torch.relu(p.double() - q.double()).sum(),
    ),
)
right(
    "1 minus half the total variation",
    lambda p, q: (1 - (p - q).abs().sum().item() / 2, torch.relu(p - q) / torch.relu(p - q).sum()),
)


@right("a sum over the guesses")
def _(p, q):
    accepted = sum(b * min(1, a / b) for a, b in zip(p.tolist(), q.tolist(), strict=True) if b > 0)
    left = [max(a - b, 0) for a, b in zip(p.tolist(), q.tolist(), strict=True)]
    return accepted, torch.tensor([x / sum(left) for x in left])


@right("numpy in float64, divided by the probability of rejection")
def _(p, q):
    a, b = p.double().numpy(), q.double().numpy()
    accepted = np.minimum(a, b).sum()
    return float(accepted), torch.from_numpy(np.maximum(a - b, 0) / np.maximum(a - b, 0).sum())


right(
    "p minus the minimum",
    lambda p, q: (
        torch.where(p < q, p, q).sum().item(),
        (p - torch.minimum(p, q)) / (p - torch.minimum(p, q)).sum(),
    ),
)

ACCEPTED = lambda p, q: torch.minimum(p, q).sum().item()
wrong("draws from p again", lambda p, q: (ACCEPTED(p, q), p))
wrong("draws from q again", lambda p, q: (ACCEPTED(p, q), q))
wrong("q - p", lambda p, q: (ACCEPTED(p, q), rest(q, p)))
wrong("the absolute difference", lambda p, q: (ACCEPTED(p, q), (p - q).abs() / (p - q).abs().sum()))
wrong("not normalized", lambda p, q: (ACCEPTED(p, q), (p - q).clamp(min=0)))
wrong("negative values are left in", lambda p, q: (ACCEPTED(p, q), p - q))
wrong("softmax of the differences", lambda p, q: (ACCEPTED(p, q), (p - q).softmax(0)))
wrong("softmax of what is missing", lambda p, q: (ACCEPTED(p, q), (p - q).clamp(min=0).softmax(0)))
wrong(
    "p where it is larger, normalized",
    lambda p, q: (ACCEPTED(p, q), p * (p > q) / (p * (p > q)).sum()),
)
wrong("divides by the sum of p", lambda p, q: (ACCEPTED(p, q), (p - q).clamp(min=0) / p.sum()))
wrong(
    "divides by the accepted share",
    lambda p, q: (ACCEPTED(p, q), (p - q).clamp(min=0) / max(ACCEPTED(p, q), 1e-9)),
)
wrong("the probability that it is rejected", lambda p, q: (1 - ACCEPTED(p, q), rest(p, q)))
wrong(
    "the mean of min(1, p/q)",
    lambda p, q: ((p / q).clamp(max=1).nan_to_num().mean().item(), rest(p, q)),
)
wrong(
    "the sum of min(1, p/q)",
    lambda p, q: ((p / q).clamp(max=1).nan_to_num().sum().item(), rest(p, q)),
)
wrong(
    "weighs min(1, p/q) with p",
    lambda p, q: ((p * (p / q).clamp(max=1)).nan_to_num().sum().item(), rest(p, q)),
)
wrong("p/q not cut off at 1", lambda p, q: ((q * (p / q)).nan_to_num().sum().item(), rest(p, q)))
wrong(
    "q/p for p/q", lambda p, q: ((q * (q / p).clamp(max=1)).nan_to_num().sum().item(), rest(p, q))
)
wrong("a vector of probabilities of acceptance", lambda p, q: ((p / q).clamp(max=1), rest(p, q)))
wrong(
    "NaN where q is 0",
    lambda p, q: (
        (q * (p / q).clamp(max=1)).sum().item() if (q > 0).all() else math.nan,
        rest(p, q),
    ),
)
wrong("the chance that two draws agree", lambda p, q: ((p * q).sum().item(), rest(p, q)))
wrong("the maximum, not the minimum", lambda p, q: (torch.maximum(p, q).sum().item(), rest(p, q)))
wrong("the distribution first", lambda p, q: (rest(p, q), ACCEPTED(p, q)))
wrong("p and q exchanged", lambda p, q: rejection(q, p))
wrong("overlap by Bhattacharyya", lambda p, q: ((p * q).sqrt().sum().item(), rest(p, q)))
wrong("both: probability of rejection, and q - p", lambda p, q: (1 - ACCEPTED(p, q), rest(q, p)))
wrong(
    "both: mean of min(1, p/q), and not normalized",
    lambda p, q: ((p / q).clamp(max=1).nan_to_num().mean().item(), (p - q).clamp(min=0)),
)
wrong(
    "both: the chance that two draws agree, and draws from p again",
    lambda p, q: ((p * q).sum().item(), p),
)

# --- 5. Which tokens does a grammar allow?


def allowed(table, state, tokens):
    found = []
    for i, token in enumerate(tokens):
        here = state
        for byte in token:
            here = table[here][byte] if here >= 0 else -1
        if token and here >= 0:
            found.append(i)
    return found


def automaton(n, edges):
    table = [[-1] * 256 for _ in range(n)]
    for source, letters, target in edges:
        for byte in letters if isinstance(letters, bytes) else [letters]:
            table[source][byte] = target
    return table


def grammar_cases():
    dice = random.Random(28)
    number = automaton(
        3, [(0, b"0123456789", 1), (1, b"0123456789", 1), (1, b".", 2), (2, b"0123456789", 2)]
    )
    trap = automaton(3, [(0, b"a", 1), (1, b"b", 2), (2, b"xyab", 2)])
    utf = automaton(
        3, [(0, b"\xc3", 1), (1, b"\xa9\xbc", 2), (2, b"\xc3", 1), (0, b"\x00", 2), (2, b"\xff", 0)]
    )
    words = [
        b"1",
        b"12",
        b"1.5",
        b".",
        b".5",
        b"a",
        b"",
        b"1a",
        b"a1",
        b"3.",
        b"..",
        b"1.2.3",
        b"0",
    ]
    letters = [b"a", b"ab", b"abx", b"b", b"ba", b"x", b"ax", b"axy", b"", b"abab", b"zx", b"bx"]
    marks = [
        b"\xc3",
        b"\xc3\xa9",
        b"\xa9",
        b"\xc3\xc3",
        b"\x00",
        b"\x00\xff",
        b"\xff",
        b"",
        "é".encode(),
        "ü".encode(),
    ]
    cases = (
        [(number, s, words) for s in range(3)]
        + [(trap, s, letters) for s in range(3)]
        + [(utf, s, marks) for s in range(3)]
    )
    for _ in range(10):
        n = dice.randint(1, 4)
        edges = [(dice.randrange(n), dice.choice(b"abcd"), dice.randrange(n)) for _ in range(8)]
        tokens = [bytes(dice.choices(b"abcd", k=dice.randint(0, 4))) for _ in range(12)]
        cases.append((automaton(n, edges), dice.randrange(n), tokens))
    return [*cases, (number, 0, []), (number, 0, [b""])]


def run(table, state, token):
    for byte in token:
        if state < 0:
            return -1
        state = table[state][byte]
    return state


wrong, right = exercise(CHECKS, "check_allowed", allowed, grammar_cases)


@wrong("a token goes on from the last state that was read")
def _(table, state, tokens):
    found = []
    for i, token in enumerate(tokens):
        for byte in token:
            if table[state][byte] < 0:
                break
            state = table[state][byte]
        else:
            if token:
                found.append(i)
    return found


def reads_on_while(good):
    def answer(table, state, tokens):
        found = []
        for i, token in enumerate(tokens):
            here = state
            for byte in token:
                here = table[here][byte]
                if not good(here, byte):
                    here = -1
                    break
            if token and here >= 0:
                found.append(i)
        return found

    return answer


wrong("stops in state 0 as in -1", reads_on_while(lambda here, byte: here > 0))
wrong("bytes above 127 are refused", reads_on_while(lambda here, byte: here >= 0 and byte < 128))
right(
    "a recursive function",
    lambda table, state, tokens: (
        lambda reads: [i for i, t in enumerate(tokens) if t and reads(state, t)]
    )(
        (lambda f: lambda s, t: f(f, s, t))(
            lambda f, s, t: s >= 0 and (not t or f(f, table[s][t[0]], t[1:]))
        )
    ),
)


@right("for and else")
def _(table, state, tokens):
    found = []
    for i, token in enumerate(tokens):
        if len(token) == 0:
            continue
        here = state
        for byte in token:
            here = table[here][byte]
            if here == -1:
                break
        else:
            found.append(i)
    return found


@right("all tokens at once, byte by byte, numpy")
def _(table, state, tokens):
    rows = np.array(table)
    here = np.array([state if t else -1 for t in tokens], dtype=int)
    for place in range(max(map(len, tokens), default=0)):
        for i, token in enumerate(tokens):
            if place < len(token) and here[i] >= 0:
                here[i] = rows[here[i], token[place]]
    return [i for i in range(len(tokens)) if here[i] >= 0]


right(
    "a list comprehension",
    lambda table, state, tokens: [
        i for i, t in enumerate(tokens) if t and run(table, state, t) != -1
    ],
)

wrong(
    "goes on after -1, in the last row",
    lambda table, s, tokens: [
        i
        for i, t in enumerate(tokens)
        if t and (lambda h: [h := table[h][b] for b in t][-1])(s) >= 0
    ],
)
wrong(
    "the empty token is allowed",
    lambda table, s, tokens: [i for i, t in enumerate(tokens) if run(table, s, t) >= 0],
)
wrong(
    "the first byte only",
    lambda table, s, tokens: [i for i, t in enumerate(tokens) if t and table[s][t[0]] >= 0],
)
wrong(
    "the last byte only",
    lambda table, s, tokens: [i for i, t in enumerate(tokens) if t and table[s][t[-1]] >= 0],
)
wrong(
    "each byte from the same state",
    lambda table, s, tokens: [
        i for i, t in enumerate(tokens) if t and all(table[s][b] >= 0 for b in t)
    ],
)
wrong(
    "always from state 0",
    lambda table, s, tokens: [i for i, t in enumerate(tokens) if t and run(table, 0, t) >= 0],
)
wrong(
    "state 0 counts as a failure",
    lambda table, s, tokens: [i for i, t in enumerate(tokens) if t and run(table, s, t) > 0],
)
wrong(
    "only if it ends in the last state",
    lambda table, s, tokens: [
        i for i, t in enumerate(tokens) if t and run(table, s, t) == len(table) - 1
    ],
)
wrong(
    "the state is carried from token to token",
    lambda table, s, tokens: (
        lambda box: [
            i
            for i, t in enumerate(tokens)
            if t and (box.append(run(table, box[-1], t)) or box[-1] >= 0)
        ]
    )([s]),
)
wrong(
    "the tokens, not their ids",
    lambda table, s, tokens: [tokens[i] for i in allowed(table, s, tokens)],
)
wrong("a mask", lambda table, s, tokens: [bool(t) and run(table, s, t) >= 0 for t in tokens])
wrong(
    "the forbidden ones",
    lambda table, s, tokens: [i for i, t in enumerate(tokens) if not t or run(table, s, t) < 0],
)
wrong(
    "tokens whose beginning can be read",
    lambda table, s, tokens: [
        i
        for i, t in enumerate(tokens)
        if any(run(table, s, t[:n]) >= 0 for n in range(1, len(t) + 1))
    ],
)
wrong(
    "reads backwards",
    lambda table, s, tokens: [i for i, t in enumerate(tokens) if t and run(table, s, t[::-1]) >= 0],
)
wrong(
    "leaves the last byte out",
    lambda table, s, tokens: [i for i, t in enumerate(tokens) if t and run(table, s, t[:-1]) >= 0],
)
wrong(
    "leaves the first byte out",
    lambda table, s, tokens: [i for i, t in enumerate(tokens) if t and run(table, s, t[1:]) >= 0],
)
wrong(
    "tokens of one byte only",
    lambda table, s, tokens: [i for i in allowed(table, s, tokens) if len(tokens[i]) == 1],
)
wrong(
    "the longest one only",
    lambda table, s, tokens: max(
        ([i] for i in allowed(table, s, tokens)), key=lambda i: len(tokens[i[0]]), default=[]
    ),
)
wrong(
    "stops at the first forbidden token",
    lambda table, s, tokens: next(
        (list(range(i)) for i, t in enumerate(tokens) if not t or run(table, s, t) < 0),
        list(range(len(tokens))),
    ),
)
wrong(
    "a set of states",
    lambda table, s, tokens: sorted({run(table, s, t) for t in tokens if t} - {-1}),
)
wrong(
    "sorted by token, not by id",
    lambda table, s, tokens: sorted(allowed(table, s, tokens), key=lambda i: tokens[i]),
)
wrong(
    "characters, not bytes: fails beyond ASCII",
    lambda table, s, tokens: [
        i
        for i, t in enumerate(tokens)
        if t and run(table, s, [ord(c) for c in t.decode("ascii")]) >= 0
    ],
)
wrong(
    "decodes UTF-8, so halves of characters are lost",
    lambda table, s, tokens: [
        i
        for i, t in enumerate(tokens)
        if t.decode(errors="ignore") and run(table, s, t.decode(errors="ignore").encode()) >= 0
    ],
)
wrong(
    "both: the empty token is allowed, and goes on in the last row",
    lambda table, s, tokens: [
        i
        for i, t in enumerate(tokens)
        if (lambda h: [h, *[h := table[h][b] for b in t]][-1])(s) >= 0
    ],
)
wrong(
    "both: always from state 0, and the empty token is allowed",
    lambda table, s, tokens: [i for i, t in enumerate(tokens) if run(table, 0, t) >= 0],
)
wrong(
    "both: state 0 is a failure, and a mask",
    lambda table, s, tokens: [bool(t) and run(table, s, t) > 0 for t in tokens],
)
