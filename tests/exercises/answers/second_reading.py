"""A second blind reading of chapters 7 to 10: what their checks let pass, or did not name."""

import math
from functools import partial
from itertools import groupby

import torch
import torch.nn.functional as F

from tests.exercises.answers import _note
from tests.exercises.answers.decoding import argbest
from tests.exercises.answers.inside import _logits, _ranks

# --- Chapter 7

wrong = partial(_note, "check_language_model_loss", "wrong")


@wrong("a small number within the logarithm")
def _(logits, ids):
    p = logits[:, :-1].softmax(-1).gather(-1, ids[:, 1:, None])
    return -(p + 1e-8).log().mean()


wrong("only the first text", lambda z, ids: F.cross_entropy(z[0, :-1], ids[0, 1:]))

# --- Chapter 8

wrong = partial(_note, "check_ranks", "wrong")


@wrong("the token at a place of the order")
def _(stream, gain, eps, head, token):
    order = _logits(stream, gain, eps, head).argsort(-1, descending=True)
    return (order[:, token] + 1).tolist()


@wrong("against the last layer's logit")
def _(stream, gain, eps, head, token):
    logits = _logits(stream, gain, eps, head)
    return ((logits > logits[-1, token]).sum(-1) + 1).tolist()


@wrong("ranks of the layers")
def _(stream, gain, eps, head, token):
    own = _logits(stream, gain, eps, head)[:, token]
    return [int((own > x).sum()) + 1 for x in own]


@wrong("the mean square over layers")
def _(stream, gain, eps, head, token):
    normed = stream / (stream.square().mean(0, keepdim=True) + eps).sqrt()
    return _ranks(normed * gain @ head.T, token)


wrong("without signs", lambda s, g, e, h, t: _ranks(_logits(s, g, e, h).abs(), t))
wrong("summed over layers", lambda s, g, e, h, t: _ranks(_logits(s.cumsum(0), g, e, h), t))
wrong("divided by the gain", lambda s, g, e, h, t: _ranks(_logits(s, 1 / g, e, h), t))

wrong = partial(_note, "check_previous_token_score", "wrong")
wrong("the mean over heads", lambda w: w.diagonal(offset=-1, dim1=1, dim2=2).mean(0))
wrong("heads and queries", lambda w: w.diagonal(offset=-1, dim1=0, dim2=1).mean(-1))
wrong("all tokens before", lambda w: w.tril(-1).sum(-1)[:, 1:].mean(-1))


@wrong("without the first pair")
def _(weights):
    seen = weights.diagonal(offset=-1, dim1=1, dim2=2)
    return seen[:, 1:].mean(-1)


@wrong("without the last pair")
def _(weights):
    seen = weights.diagonal(offset=-1, dim1=1, dim2=2)
    return seen[:, :-1].mean(-1)


wrong = partial(_note, "check_mean_ablation", "wrong")


@wrong("one mean for all that are gone")
def _(outputs, gone, reference):
    changed = outputs.clone()
    for head in gone:
        changed[head] = reference[gone].mean((0, 1))
    return changed


@wrong("returns within the loop")
def _(outputs, gone, reference):
    changed = outputs.clone()
    for head in gone:
        changed[head] = reference[head].mean(0)
        return changed


@wrong("the reference by its place in the list")
def _(outputs, gone, reference):
    changed = outputs.clone()
    for i, head in enumerate(gone):
        changed[head] = reference[i].mean(0)
    return changed


# --- Chapter 9

wrong = partial(_note, "check_vote", "wrong")


@wrong("None left out of the answers alone")
def _(answers, log_p):
    given = [a for a in answers if a is not None]
    pairs = [(given.count(a), p, a) for a, p in zip(given, log_p, strict=False)]
    return max(pairs)[2]


@wrong("None may win")
def _(answers, log_p):
    best = max((answers.count(a), p, i) for i, (a, p) in enumerate(zip(answers, log_p)))
    return answers[best[2]]


@wrong("the longest run of equal answers")
def _(answers, log_p):
    runs = [(len(list(run)), answer) for answer, run in groupby(answers) if answer is not None]
    return max(runs, key=lambda pair: pair[0])[1]


# --- Chapter 10

wrong = partial(_note, "check_beam_step", "wrong")


@wrong("fills up from the first beam")
def _(totals, log_p, k):
    table = totals[:, None] + log_p
    best = table.topk(min(k, table.shape[1])).indices.tolist()
    return [(beam, token) for beam, tokens in enumerate(best) for token in tokens][:k]


@wrong("each token once")
def _(totals, log_p, k):
    found, seen = [], set()
    for i in (totals[:, None] + log_p).flatten().argsort(descending=True).tolist():
        beam, token = divmod(i, log_p.shape[1])
        if token not in seen and len(found) < k:
            found.append((beam, token))
        seen.add(token)
    return found


@wrong("tokens from 1")
def _(totals, log_p, k):
    best = (totals[:, None] + log_p).flatten().topk(k).indices.tolist()
    return [(i // log_p.shape[1], i % log_p.shape[1] + 1) for i in best]


wrong = partial(_note, "check_winner", "wrong")
wrong(
    "the last of equal scores",
    lambda t, lp: max((a / n**lp, i) for i, (a, n) in enumerate(t))[1],
)
wrong(
    "the shortest of equal scores",
    lambda t, lp: max((a / n**lp, -n, i) for i, (a, n) in enumerate(t))[2],
)
wrong("p for ln p", lambda t, lp: argbest(t, lambda a, n: math.exp(a) / n**lp))
wrong("the mean, raised", lambda t, lp: argbest(t, lambda a, n: -((-a / n) ** lp)))
wrong("the mean, multiplied", lambda t, lp: argbest(t, lambda a, n: a / n * lp))
wrong("penalty to the length", lambda t, lp: argbest(t, lambda a, n: a / lp**n if lp else a))
wrong("length plus penalty", lambda t, lp: argbest(t, lambda a, n: a / (n + lp)))
wrong("a whole penalty", lambda t, lp: argbest(t, lambda a, n: a / n ** int(lp)))

wrong = partial(_note, "check_contrastive", "wrong")


@wrong("a distance between the vectors as they are")
def _(p, candidates, states, alpha):
    return int(((1 - alpha) * p + alpha * torch.cdist(candidates, states).amin(-1)).argmax())
