"""Answers to "The weights of a top-k router", "The load-balancing loss", "Balancing by a bias"."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from tests.exercises.answers import exercise

CHECKS = "lib.exercises.feedforward"

# --- 3. The weights of a top-k router


def routing_weights(logits, k):
    best = logits.topk(k, dim=-1)
    masked = torch.full_like(logits, float("-inf"))
    return masked.scatter(-1, best.indices, best.values).softmax(dim=-1)


def routing_cases():
    torch.manual_seed(15)
    sizes = [(4, 5, 2), (3, 3, 1), (1, 6, 3), (4, 4, 4), (6, 2, 1), (5, 8, 3), (3, 4, 2)]
    return [(torch.randn(n, e) * 2, k) for n, e, k in sizes] + [
        (-torch.rand(4, 5) - 1, 2),
        (torch.randn(3, 4) - 200, 2),
        (torch.tensor([[120.0, 119.0, 0.0]]), 2),
    ]


def chosen(logits, k, largest=True, dim=-1):
    return torch.zeros_like(logits, dtype=torch.bool).scatter(
        dim, logits.topk(k, dim, largest=largest).indices, True
    )


wrong, right = exercise(CHECKS, "check_routing_weights", routing_weights, routing_cases)


@right("softmax over the chosen, scattered into zeros")
def _(logits, k):
    values, indices = torch.topk(logits, k, dim=1)
    return torch.zeros_like(logits).scatter_(1, indices, F.softmax(values, dim=1))


@right("the threshold is the k-th logit")
def _(logits, k):
    threshold = logits.sort(dim=-1, descending=True).values[:, k - 1 : k]
    return logits.masked_fill(logits < threshold, -math.inf).softmax(-1)


@right("a loop over tokens")
def _(logits, k):
    weights = torch.zeros(logits.shape)
    for n, row in enumerate(logits.tolist()):
        best = sorted(range(len(row)), key=lambda i: -row[i])[:k]
        total = sum(math.exp(row[i] - row[best[0]]) for i in best)
        for i in best:
            weights[n, i] = math.exp(row[i] - row[best[0]]) / total
    return weights


@right("exponentials times a mask, normalized, in float64")
def _(logits, k):
    wide = logits.double()
    e = (wide - wide.amax(-1, keepdim=True)).exp() * chosen(logits, k)
    return e / e.sum(-1, keepdim=True)


wrong(
    "softmax over all, the rest set to 0, not normalized again",
    lambda z, k: z.softmax(-1) * chosen(z, k),
)
wrong("softmax over all, none dropped", lambda z, k: z.softmax(-1))
wrong("equal weights for the chosen", lambda z, k: chosen(z, k).float() / k)
wrong("the k smallest", lambda z, k: z.masked_fill(~chosen(z, k, False), -math.inf).softmax(-1))
wrong(
    "over the tokens",
    lambda z, k: z.masked_fill(~chosen(z, min(k, len(z)), dim=0), -math.inf).softmax(0),
)
wrong(
    "the largest in a row, softmax over the tokens",
    lambda z, k: z.masked_fill(~chosen(z, k), -math.inf).softmax(0).nan_to_num(),
)
wrong("logits of the others set to 0 before softmax", lambda z, k: (z * chosen(z, k)).softmax(-1))
wrong("one expert more", lambda z, k: routing_weights(z, min(k + 1, z.shape[1])))
wrong("one expert less", lambda z, k: routing_weights(z, max(k - 1, 1)))
wrong("shape (N, k)", lambda z, k: z.topk(k).values.softmax(-1))
wrong(
    "logits divided by their sum",
    lambda z, k: (lambda c: c / c.sum(-1, keepdim=True))(z * chosen(z, k)),
)
wrong("the chosen logits without softmax", lambda z, k: z * chosen(z, k))
wrong("sigmoids of the chosen", lambda z, k: z.sigmoid() * chosen(z, k))
wrong(
    "sigmoids, normalized",
    lambda z, k: (lambda c: c / c.sum(-1, keepdim=True))(z.sigmoid() * chosen(z, k)),
)
wrong("always two", lambda z, k: routing_weights(z, 2))
wrong("the largest only", lambda z, k: routing_weights(z, 1))
wrong(
    "weights in order of size, at the first k places",
    lambda z, k: F.pad(z.topk(k).values.softmax(-1), (0, z.shape[1] - k)),
)
wrong("softmax twice", lambda z, k: z.softmax(-1).masked_fill(~chosen(z, k), -math.inf).softmax(-1))
wrong(
    "-inf left for the others",
    lambda z, k: routing_weights(z, k).masked_fill(~chosen(z, k), -math.inf),
)
wrong("others masked with -100", lambda z, k: z.masked_fill(~chosen(z, k), -100.0).softmax(-1))
wrong(
    "fills the caller's logits in place",
    lambda z, k: z.masked_fill_(~chosen(z, k), -math.inf).softmax(-1),
)
wrong(
    "top k of all tokens together",
    lambda z, k: (
        z.masked_fill(z < z.flatten().topk(k).values[-1], -math.inf).softmax(-1).nan_to_num()
    ),
)
wrong(
    "both: one expert more and not normalized again",
    lambda z, k: z.softmax(-1) * chosen(z, min(k + 1, z.shape[1])),
)
wrong(
    "both: the k smallest, not normalized again", lambda z, k: z.softmax(-1) * chosen(z, k, False)
)
wrong(
    "both: one expert more, with equal weights",
    lambda z, k: chosen(z, min(k + 1, z.shape[1])).float() / min(k + 1, z.shape[1]),
)


@wrong("both: by absolute values, and the probabilities are not scaled to sum to 1")
def _(logits, k):
    p, indices = logits.softmax(-1), logits.abs().topk(k, -1).indices
    return torch.zeros_like(p).scatter(-1, indices, p.gather(-1, indices))


# --- 4. The load-balancing loss


def balancing_loss(probabilities, experts):
    n_tokens, n_experts = probabilities.shape
    chosen = experts.flatten().bincount(minlength=n_experts) / n_tokens
    return (n_experts * (chosen * probabilities.mean(dim=0)).sum()).item()


def balancing_cases():
    torch.manual_seed(16)
    cases = []
    for n, e, k in [(6, 4, 1), (5, 3, 2), (8, 8, 2), (1, 4, 2), (4, 4, 3), (10, 2, 1), (7, 5, 5)]:
        p = (torch.randn(n, e) * 2).softmax(-1)
        cases.append((p, p.topk(k).indices))
    p = torch.tensor([[0.6, 0.3, 0.05, 0.05], [0.7, 0.2, 0.05, 0.05], [0.2, 0.6, 0.1, 0.1]])
    return [
        *cases,
        (p, torch.tensor([[0], [0], [1]])),
        (p, torch.tensor([[0, 1], [0, 1], [1, 0]])),
        (p, torch.tensor([[2, 3], [0, 3], [1, 3]])),
    ]


def balance(p, x, over=None, factor=None, mean=True):
    n, e = p.shape
    f = x.flatten().bincount(minlength=e) / (n if over is None else over(p, x))
    prob = p.mean(0) if mean else p.sum(0)
    return ((e if factor is None else factor(p, x)) * (f * prob).sum()).item()


wrong, right = exercise(CHECKS, "check_balancing_loss", balancing_loss, balancing_cases)


@right("one_hot and einsum")
def _(probabilities, experts):
    n, e = probabilities.shape
    f = F.one_hot(experts, e).sum(1).float().mean(0)
    return float(e * torch.einsum("e,e->", f, probabilities.mean(0)))


@right("loops")
def _(probabilities, experts):
    n, e = probabilities.shape
    total = 0.0
    for i in range(e):
        f = sum(row.count(i) for row in experts.tolist()) / n
        total += f * sum(float(p) for p in probabilities[:, i]) / n
    return e * total


@right("numpy")
def _(probabilities, experts):
    p = probabilities.double().numpy()
    f = np.bincount(experts.numpy().ravel(), minlength=p.shape[1]) / len(p)
    return float(p.shape[1] * f @ p.mean(axis=0))


right(
    "gathers the mean probability of each choice",
    lambda p, x: (p.mean(0)[x].sum() * p.shape[1] / len(p)).item(),
)

wrong("forgets the factor E", lambda p, x: balance(p, x, factor=lambda p, x: 1))
wrong("factor N", lambda p, x: balance(p, x, factor=lambda p, x: len(p)))
wrong("factor k", lambda p, x: balance(p, x, factor=lambda p, x: x.shape[1]))
wrong("factor E squared", lambda p, x: balance(p, x, factor=lambda p, x: p.shape[1] ** 2))
wrong("f divided by N times k", lambda p, x: balance(p, x, over=lambda p, x: x.numel()))
wrong("f not divided", lambda p, x: balance(p, x, over=lambda p, x: 1))
wrong("f divided by E", lambda p, x: balance(p, x, over=lambda p, x: p.shape[1]))
wrong("f divided by k", lambda p, x: balance(p, x, over=lambda p, x: x.shape[1]))
wrong("sums the probabilities", lambda p, x: balance(p, x, mean=False))
wrong("first choices only", lambda p, x: balance(p, x[:, :1]))
wrong(
    "no minlength: fails if the last expert is not chosen",
    lambda p, x: (p.shape[1] * (x.flatten().bincount() / len(p) * p.mean(0)).sum()).item(),
)
wrong(
    "E is the number of experts that were chosen",
    lambda p, x: balance(p, x, factor=lambda p, x: len(x.unique())),
)
wrong("the mean over the experts, not the sum", lambda p, x: balance(p, x) / p.shape[1])
wrong(
    "one mean probability for all experts",
    lambda p, x: (
        p.shape[1]
        * (x.flatten().bincount(minlength=p.shape[1]) / len(p)).sum().item()
        * p.mean().item()
    ),
)
wrong(
    "f squared, no probabilities",
    lambda p, x: (
        p.shape[1] * (x.flatten().bincount(minlength=p.shape[1]) / len(p)).square().sum()
    ).item(),
)
wrong("P squared, no choices", lambda p, x: (p.shape[1] * p.mean(0).square().sum()).item())
wrong(
    "the chosen are those of largest probability",
    lambda p, x: balance(p, p.argmax(-1, keepdim=True)),
)
wrong(
    "a product for each expert",
    lambda p, x: (
        p.shape[1] * (x.flatten().bincount(minlength=p.shape[1]) / len(p)) * p.mean(0)
    ).tolist(),
)
wrong("less 1, so that balance is 0", lambda p, x: balance(p, x) - 1)
wrong("negative", lambda p, x: -balance(p, x))
wrong(
    "the squared coefficient of variation",
    lambda p, x: (p.sum(0).var() / p.sum(0).mean() ** 2).item(),
)
wrong(
    "probabilities of the chosen only",
    lambda p, x: (
        p.shape[1]
        * (
            (x.flatten().bincount(minlength=p.shape[1]) / len(p))
            * torch.zeros_like(p).scatter(1, x, p.gather(1, x)).mean(0)
        ).sum()
    ).item(),
)
wrong("softmax over probabilities once more", lambda p, x: balance(p.softmax(-1), x))
wrong(
    "both: no factor E and f divided by N times k",
    lambda p, x: balance(p, x, over=lambda p, x: x.numel(), factor=lambda p, x: 1),
)
wrong(
    "both: probabilities summed and f divided by N times k",
    lambda p, x: balance(p, x, over=lambda p, x: x.numel(), mean=False),
)
wrong(
    "both: first choices only and no factor E",
    lambda p, x: balance(p, x[:, :1], factor=lambda p, x: 1),
)

# --- 5. Balancing by a bias


def biased_weights(scores, bias, k):
    experts = (scores + bias).topk(k, dim=-1).indices
    weights = torch.zeros_like(scores).scatter(-1, experts, scores.gather(-1, experts))
    return weights / weights.sum(dim=-1, keepdim=True)


def biased_cases():
    torch.manual_seed(17)
    sizes = [(4, 5, 2), (3, 3, 1), (1, 6, 3), (4, 4, 4), (6, 3, 2), (5, 8, 3), (4, 4, 2)]
    drawn = [(torch.rand(n, e) * 0.9 + 0.05, torch.randn(e) * 0.5, k) for n, e, k in sizes]
    return [*drawn, (torch.tensor([[0.2, 0.6, 0.1]]), torch.tensor([-3.0, -2.0, -2.0]), 2)]


wrong, right = exercise(CHECKS, "check_biased_weights", biased_weights, biased_cases)


@right("a mask of the chosen")
def _(scores, bias, k):
    biased = scores + bias
    mask = biased >= biased.sort(-1, descending=True).values[:, k - 1, None]
    kept = torch.where(mask, scores, torch.zeros_like(scores))
    return kept / kept.sum(-1, keepdim=True)


@right("a loop over tokens")
def _(scores, bias, k):
    out = torch.zeros_like(scores)
    for n in range(len(scores)):
        order = sorted(range(len(bias)), key=lambda e: -(scores[n, e] + bias[e]).item())[:k]
        total = sum(scores[n, e] for e in order)
        for e in order:
            out[n, e] = scores[n, e] / total
    return out


@right("normalizes before it scatters")
def _(scores, bias, k):
    _, indices = torch.topk(scores + bias[None], k, dim=1)
    picked = scores.gather(1, indices).double()
    return torch.zeros(scores.shape, dtype=torch.float64).scatter_(
        1, indices, picked / picked.sum(1, keepdim=True)
    )


def weigh(scores, choose, k, weight=None, normalize=True, largest=True):
    mask = chosen(choose, k, largest)
    out = (scores if weight is None else weight) * mask
    return out / out.sum(-1, keepdim=True) if normalize else out


wrong("weights from scores + bias", lambda s, b, k: weigh(s, s + b, k, s + b))
wrong("ignores the bias", lambda s, b, k: weigh(s, s, k))
wrong("subtracts the bias", lambda s, b, k: weigh(s, s - b, k))
wrong("multiplies by the bias", lambda s, b, k: weigh(s, s * b, k))
wrong("chooses by the bias alone", lambda s, b, k: weigh(s, b.expand_as(s), k))
wrong("does not normalize", lambda s, b, k: weigh(s, s + b, k, normalize=False))
wrong(
    "softmax of the scores", lambda s, b, k: s.masked_fill(~chosen(s + b, k), -math.inf).softmax(-1)
)
wrong(
    "softmax of scores + bias",
    lambda s, b, k: (s + b).masked_fill(~chosen(s + b, k), -math.inf).softmax(-1),
)
wrong(
    "normalizes over all experts",
    lambda s, b, k: weigh(s, s + b, k, normalize=False) / s.sum(-1, keepdim=True),
)
wrong(
    "normalizes over the tokens",
    lambda s, b, k: (lambda w: w / w.sum(0, keepdim=True).clamp(min=1e-9))(
        weigh(s, s + b, k, normalize=False)
    ),
)
wrong("equal weights", lambda s, b, k: chosen(s + b, k).float() / k)
wrong("the k smallest", lambda s, b, k: weigh(s, s + b, k, largest=False))
wrong("one expert more", lambda s, b, k: weigh(s, s + b, min(k + 1, s.shape[1])))
wrong("one expert less", lambda s, b, k: weigh(s, s + b, max(k - 1, 1)))
wrong(
    "shape (N, k)",
    lambda s, b, k: (lambda w: w / w.sum(-1, keepdim=True))(s.gather(1, (s + b).topk(k).indices)),
)
wrong(
    "the others keep their score",
    lambda s, b, k: s / weigh(s, s + b, k, normalize=False).sum(-1, keepdim=True),
)
wrong("divides by k", lambda s, b, k: weigh(s, s + b, k, normalize=False) / k)
wrong(
    "the highest scores go to the chosen places",
    lambda s, b, k: (
        lambda i: (lambda w: w / w.sum(-1, keepdim=True))(
            torch.zeros_like(s).scatter(1, i, s.topk(k).values)
        )
    )((s + b).topk(k).indices),
)
wrong("adds the bias to the caller's scores", lambda s, b, k: weigh(s.clone(), s.add_(b), k))
wrong(
    "divides by the root of the sum of squares",
    lambda s, b, k: F.normalize(weigh(s, s + b, k, normalize=False), dim=-1),
)
wrong("one choice for all tokens", lambda s, b, k: weigh(s, (s.mean(0) + b).expand_as(s), k))
wrong("adds the bias to the weights", lambda s, b, k: weigh(s, s + b, k) + b * chosen(s + b, k))
wrong(
    "both: ignores the bias and does not normalize", lambda s, b, k: weigh(s, s, k, normalize=False)
)
wrong("both: subtracts the bias, and equal weights", lambda s, b, k: chosen(s - b, k).float() / k)
wrong(
    "both: one expert more and weights from scores + bias",
    lambda s, b, k: weigh(s, s + b, min(k + 1, s.shape[1]), s + b),
)


def weighed(scores, by, k, of=None):
    indices = by.topk(k, -1).indices
    values = (scores if of is None else of).gather(-1, indices)
    return torch.zeros_like(scores).scatter(-1, indices, values / values.sum(-1, keepdim=True))


wrong(
    "sums below 0 are cut off at 0",
    lambda scores, bias, k: weighed(scores, (scores + bias).clamp(min=0), k),
)
wrong(
    "chosen by the softmax of the scores, plus the bias",
    lambda scores, bias, k: weighed(scores, scores.softmax(-1) + bias, k),
)
wrong(
    "both: chosen without the bias, which enters the weights",
    lambda scores, bias, k: weighed(scores, scores, k, scores + bias),
)
