"""Answers to the exercises of chapter 8: ranks by the lens, previous-token score, mean ablation."""

import torch

from tests.exercises.answers import exercise

CHECKS = "lib.exercises.inside"

# --- 1. Ranks through the lens


def ranks(stream, gain, eps, head, token):
    size = (stream.square().mean(dim=-1, keepdim=True) + eps).sqrt()
    logits = stream / size * gain @ head.T
    return ((logits > logits[:, [token]]).sum(dim=-1) + 1).tolist()


def rank_cases():
    torch.manual_seed(3)
    grown = torch.randn(5, 4) * torch.tensor([[1.0, 2, 4, 8]])
    cases = [(grown, torch.rand(4) + 0.2, 0.05, torch.randn(9, 4), 3)]
    for layers, width, vocabulary, token in [(4, 3, 6, 2), (7, 5, 11, 0), (3, 8, 5, 4)]:
        cases.append(
            (
                torch.randn(layers, width) * torch.tensor([[0.01], [1.0], [30.0]])[[0] * layers],
                torch.rand(width) + 0.2,
                0.05,
                torch.randn(vocabulary, width),
                token,
            )
        )
    stream, gain, eps, head, token = cases[0]
    return [
        *cases,
        (stream, gain * torch.tensor([1.0, -1, 1, -1]), eps, head, token),
        (stream, gain, eps, head[:1] + 2e-3 * torch.randn(14, 4), 12),
    ]


wrong, right = exercise(CHECKS, "check_ranks", ranks, rank_cases)


@right("a loop over layers")
def _(stream, gain, eps, head, token):
    found = []
    for row in stream:
        scores = head @ (row / (row.pow(2).mean() + eps) ** 0.5 * gain)
        found.append(1 + int((scores > scores[token]).sum()))
    return found


@right("rsqrt, and a sort")
def _(stream, gain, eps, head, token):
    normed = stream * torch.rsqrt(stream.pow(2).mean(-1, keepdim=True) + eps) * gain
    order = (normed @ head.mT).argsort(dim=-1, descending=True)
    return [(row == token).nonzero().item() + 1 for row in order]


@right("counts on softmax, which keeps the order")
def _(stream, gain, eps, head, token):
    normed = stream / (stream.square().mean(-1, keepdim=True) + eps).sqrt() * gain
    p = (normed.double() @ head.double().T).log_softmax(-1)
    return [(row > row[token]).sum().item() + 1 for row in p]


def _logits(stream, gain, eps, head):
    return stream / (stream.square().mean(-1, keepdim=True) + eps).sqrt() * gain @ head.T


def _ranks(logits, token, start=1):
    return ((logits > logits[:, [token]]).sum(-1) + start).tolist()


wrong("counts from 0", lambda s, g, e, h, t: _ranks(_logits(s, g, e, h), t, 0))
wrong("no gain", lambda s, g, e, h, t: _ranks(_logits(s, torch.ones_like(g), e, h), t))
wrong("the gain twice", lambda s, g, e, h, t: _ranks(_logits(s, g * g, e, h), t))
wrong(
    "counts the smaller ones",
    lambda s, g, e, h, t: (((x := _logits(s, g, e, h)) < x[:, [t]]).sum(-1) + 1).tolist(),
)
wrong("the logits of the token", lambda s, g, e, h, t: _logits(s, g, e, h)[:, t].tolist())
wrong("only the last layer", lambda s, g, e, h, t: _ranks(_logits(s, g, e, h), t)[-1:])
wrong("last layer first", lambda s, g, e, h, t: _ranks(_logits(s, g, e, h), t)[::-1])
wrong("the next token's rank", lambda s, g, e, h, t: _ranks(_logits(s, g, e, h), (t + 1) % len(h)))
wrong("the layer's own choice", lambda s, g, e, h, t: _logits(s, g, e, h).argmax(-1).tolist())
wrong(
    "greater or equal, from 1",
    lambda s, g, e, h, t: (((x := _logits(s, g, e, h)) >= x[:, [t]]).sum(-1) + 1).tolist(),
)
wrong(
    "both: no gain, and counts from 0",
    lambda s, g, e, h, t: _ranks(_logits(s, torch.ones_like(g), e, h), t, 0),
)
wrong(
    "the gain is added",
    lambda s, g, e, h, t: _ranks((s / (s.square().mean(-1, keepdim=True) + e).sqrt() + g) @ h.T, t),
)

# --- 2. The score of a previous-token head


def previous_token_score(weights):
    return weights.diagonal(offset=-1, dim1=1, dim2=2).mean(dim=-1)


def score_cases():
    torch.manual_seed(4)
    scores = [torch.randn(h, t, t) for h, t in [(1, 2), (2, 3), (3, 6)]]
    hidden = [torch.ones(x.shape[1:]).triu(1).bool() for x in scores]
    return [
        (x.masked_fill(m, -torch.inf).softmax(-1),) for x, m in zip(scores, hidden, strict=True)
    ]


wrong, right = exercise(CHECKS, "check_previous_token_score", previous_token_score, score_cases)


@right("loops")
def _(weights):
    h, t, _ = weights.shape
    return torch.stack([sum(weights[i, j, j - 1] for j in range(1, t)) / (t - 1) for i in range(h)])


@right("by two ranges")
def _(weights):
    rows = torch.arange(1, weights.shape[1])
    return weights[:, rows, rows - 1].mean(1)


@right("without the first row, then the diagonal")
def _(weights):
    return torch.einsum("hii->h", weights[:, 1:, :-1]) / (weights.shape[1] - 1)


wrong("looks at itself", lambda w: w.diagonal(dim1=1, dim2=2).mean(-1))
wrong("the next token", lambda w: w.diagonal(offset=1, dim1=1, dim2=2).mean(-1))
wrong("the sum", lambda w: w.diagonal(offset=-1, dim1=1, dim2=2).sum(-1))
wrong("divided by all T", lambda w: w.diagonal(offset=-1, dim1=1, dim2=2).sum(-1) / w.shape[1])
wrong("one number for all heads", lambda w: w.diagonal(offset=-1, dim1=1, dim2=2).mean())
wrong("the largest", lambda w: w.diagonal(offset=-1, dim1=1, dim2=2).amax(-1))
wrong("the first token", lambda w: w[:, 1:, 0].mean(-1))
wrong("the median", lambda w: w.diagonal(offset=-1, dim1=1, dim2=2).median(-1).values)
wrong(
    "how often it is the largest",
    lambda w: (w.argmax(-1)[:, 1:] == torch.arange(w.shape[1] - 1)).float().mean(-1),
)
wrong("for each position", lambda w: w.diagonal(offset=-1, dim1=1, dim2=2))
wrong("the last row alone", lambda w: w[:, -1, -2])
wrong("two back", lambda w: w.diagonal(offset=-2, dim1=1, dim2=2).sum(-1) / (w.shape[1] - 1))
wrong("both: itself, and the sum", lambda w: w.diagonal(dim1=1, dim2=2).sum(-1))

# --- 3. Mean ablation


def mean_ablation(outputs, gone, reference):
    changed = outputs.clone()
    changed[gone] = reference[gone].mean(dim=1, keepdim=True)
    return changed


def ablation_cases():
    torch.manual_seed(5)
    return [
        (torch.randn(h, t, d), gone, torch.randn(h, n, d) + 2)
        for h, t, d, gone, n in [
            (3, 2, 2, [1], 4),
            (4, 5, 3, [0, 3], 6),
            (2, 3, 4, [], 5),
            (5, 3, 2, [4, 1], 4),
        ]
    ]


wrong, right = exercise(CHECKS, "check_mean_ablation", mean_ablation, ablation_cases)


@right("a list of heads")
def _(outputs, gone, reference):
    heads = [reference[h].mean(0).expand_as(x) if h in gone else x for h, x in enumerate(outputs)]
    return torch.stack(heads)


@right("a mask")
def _(outputs, gone, reference):
    mask = torch.tensor([h in gone for h in range(len(outputs))])[:, None, None]
    return torch.where(mask, reference.mean(1, keepdim=True), outputs)


@right("head by head, into a copy")
def _(outputs, gone, reference):
    result = outputs.clone()
    for h in gone:
        for t in range(outputs.shape[1]):
            result[h, t] = reference[h].sum(0) / reference.shape[1]
    return result


def _ablated(outputs, gone, value):
    result = outputs.clone()
    for h in gone:
        result[h] = value(h)
    return result


wrong("zeros", lambda o, g, r: _ablated(o, g, lambda h: 0))
wrong("the mean of its own outputs", lambda o, g, r: _ablated(o, g, lambda h: o[h].mean(0)))
wrong("the mean over all heads", lambda o, g, r: _ablated(o, g, lambda h: r.mean((0, 1))))
wrong("one number for the head", lambda o, g, r: _ablated(o, g, lambda h: r[h].mean()))
wrong("the reference's first position", lambda o, g, r: _ablated(o, g, lambda h: r[h, 0]))
wrong("the sum", lambda o, g, r: _ablated(o, g, lambda h: r[h].sum(0)))
wrong("the median", lambda o, g, r: _ablated(o, g, lambda h: r[h].median(0).values))
wrong("takes the mean away", lambda o, g, r: _ablated(o, g, lambda h: o[h] - r[h].mean(0)))
wrong(
    "the other heads",
    lambda o, g, r: _ablated(o, [h for h in range(len(o)) if h not in g], lambda h: r[h].mean(0)),
)
wrong("every head", lambda o, g, r: _ablated(o, range(len(o)), lambda h: r[h].mean(0)))
wrong("drops the heads", lambda o, g, r: o[[h for h in range(len(o)) if h not in g]])
wrong("only the last position", lambda o, g, r: _last(o, g, r))
wrong(
    "both: the other heads, and zeros",
    lambda o, g, r: _ablated(o, [h for h in range(len(o)) if h not in g], lambda h: 0),
)


def _last(outputs, gone, reference):
    result = outputs.clone()
    for h in gone:
        result[h, -1] = reference[h].mean(0)
    return result
