"""A fourth blind reading, of chapters 7, 8 and 14: slips that the readings before did not make."""

import copy
import math
from collections import defaultdict
from functools import partial
from itertools import count

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from lib.model import LanguageModel, ModelConfig
from lib.reasoning.verifier import verify
from tests.exercises.answers import begin, exercise

# --- The loss, with its shift

wrong, right = begin("check_language_model_loss")


def pairs(logits, ids):
    return logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()


def entropy_of(logits, ids, **options):
    return cross_entropy(*pairs(logits, ids), **options)


wrong("sum over time, mean over the batch", lambda z, i: entropy_of(z, i, reduction="sum") / len(z))
wrong(
    "sum over the batch, mean over time",
    lambda z, i: entropy_of(z, i, reduction="sum") / (z.shape[1] - 1),
)
wrong(
    "divided by T in place of T - 1",
    lambda z, i: entropy_of(z, i, reduction="sum") / i.numel(),
)
wrong("id 0 taken for padding", lambda z, i: entropy_of(z, i, ignore_index=0))
wrong("the last id taken for padding", lambda z, i: entropy_of(z, i, ignore_index=z.shape[-1] - 1))
wrong("labels smoothed", lambda z, i: entropy_of(z, i, label_smoothing=0.1))
wrong(
    "the batch is shifted, not the time",
    lambda z, i: cross_entropy(z[:-1].flatten(0, 1), i[1:].flatten()),
)
wrong(
    "flattened first, then shifted",
    lambda z, i: cross_entropy(z.flatten(0, 1)[:-1], i.flatten()[1:]),
)
wrong(
    "rolled, so that the first id is the last target",
    lambda z, i: cross_entropy(z.flatten(0, 1), i.roll(-1, dims=1).flatten()),
)
wrong("shifted by two", lambda z, i: cross_entropy(z[:, :-2].flatten(0, 1), i[:, 2:].flatten()))
wrong(
    "the first sequence alone",
    lambda z, i: cross_entropy(z[0, :-1], i[0, 1:]),
)
wrong(
    "the last prediction alone",
    lambda z, i: cross_entropy(z[:, -2], i[:, -1]),
)
wrong("logits detached", lambda z, i: entropy_of(z.detach(), i), rule=True)
wrong(
    "a new tensor of the number",
    lambda z, i: torch.tensor(entropy_of(z, i).item(), requires_grad=True),
    rule=True,
)
wrong(
    "a list of one loss per sequence",
    lambda z, i: [cross_entropy(a[:-1], b[1:]) for a, b in zip(z, i)],
)
wrong("in bits", lambda z, i: entropy_of(z, i) / math.log(2))
wrong("of probabilities taken for logits", lambda z, i: entropy_of(z.softmax(-1), i))
wrong(
    "softmax over time", lambda z, i: -z.softmax(1)[:, :-1].gather(-1, i[:, 1:, None]).log().mean()
)
wrong(
    "the mean probability, then the logarithm",
    lambda z, i: -z.softmax(-1)[:, :-1].gather(-1, i[:, 1:, None]).mean().log(),
)
wrong(
    "exp without the maximum taken out",
    lambda z, i: (
        -(z.exp() / z.exp().sum(-1, keepdim=True))[:, :-1].gather(-1, i[:, 1:, None]).log().mean()
    ),
)
wrong("in half precision", lambda z, i: entropy_of(z.half().float(), i))
wrong(
    "unshifted, sum of both slips",
    lambda z, i: cross_entropy(z.flatten(0, 1), i.flatten()).detach(),
)


@wrong("the mean of the logits' gap to the largest")
def _(z, i):
    z, i = z[:, :-1], i[:, 1:, None]
    return (z.amax(-1, keepdim=True) - z.gather(-1, i)).mean()


@wrong("writes the shifted logits back")
def _(z, i):
    loss = entropy_of(z, i)
    with torch.no_grad():
        z[:, :-1] -= z[:, :-1].logsumexp(-1, keepdim=True)
    return loss


@wrong("probabilities floored at a thousandth")
def _(z, i):
    p = z[:, :-1].softmax(-1).gather(-1, i[:, 1:, None])
    return -p.clamp(min=1e-3).log().mean()


@wrong("the last target of each sequence left out")
def _(z, i):
    return cross_entropy(z[:, :-2].flatten(0, 1), i[:, 1:-1].flatten())


@right("position by position")
def _(z, i):
    total = 0.0
    for b in range(z.shape[0]):
        for t in range(z.shape[1] - 1):
            total = total + torch.logsumexp(z[b, t], 0) - z[b, t, i[b, t + 1]]
    return total / (z.shape[0] * (z.shape[1] - 1))


@right("one-hot, an einsum, in double")
def _(z, i):
    hot = torch.nn.functional.one_hot(i, z.shape[-1]).double()[:, 1:]
    log_p = z.double().log_softmax(-1)[:, :-1]
    return -torch.einsum("btv,btv->", hot, log_p) / hot.sum()


@right("the last position ignored by its target")
def _(z, i):
    targets = torch.cat([i[:, 1:], torch.full_like(i[:, :1], -100)], dim=1)
    return cross_entropy(z.transpose(1, 2), targets)


right(
    "the mean of the means",
    lambda z, i: torch.stack([cross_entropy(a[:-1], b[1:]) for a, b in zip(z, i)]).mean(),
)

# --- Warmup and cosine

wrong, right = begin("check_learning_rate")


def rate(step, total, warmup, peak, first=1, divide=1, floor=0.1, end=0, shape=None):
    if step < warmup:
        return peak * (step + first) / (warmup + divide)
    x = (step - warmup) / (total - warmup - end)
    shape = shape or (lambda x: (1 + math.cos(math.pi * x)) / 2)
    return peak * (floor + (1 - floor) * shape(x))


def varied(label, **options):
    wrong(label, lambda step, total, warmup, peak: rate(step, total, warmup, peak, **options))


varied("the warmup starts at 0", first=0)
varied("the warmup is at its peak a step early", divide=0)
varied("from 0 to peak, s over warmup", first=0, divide=0)
varied("down to 0", floor=0.0)
varied("down to a hundredth", floor=0.01)
varied("a line down", shape=lambda x: 1 - x)
varied("a whole period of the cosine", shape=lambda x: (1 + math.cos(2 * math.pi * x)) / 2)
varied("a quarter period", shape=lambda x: math.cos(math.pi * x / 2))
varied(
    "the square of the cosine, of half its angle and again",
    shape=lambda x: math.cos(math.pi * x / 2) ** 4,
)
varied("degrees for radians", shape=lambda x: (1 + math.cos(180 * x)) / 2)
varied("a square root down", shape=lambda x: 1 - math.sqrt(max(x, 0)))
varied("the floor is reached a step early", end=1)
right(
    "the step after the warmup still warms up",
    lambda s, t, w, p: p * (s + 1) / (w + 1) if s <= w else rate(s, t, w, p),
)
wrong(
    "the step after the warmup counts as one",
    lambda s, t, w, p: rate(s, t, w, p) if s < w else rate(s + 1, t, w, p),
)
wrong(
    "the cosine begins at step 0",
    lambda s, t, w, p: p * (s + 1) / (w + 1) if s < w else rate(s, t, 0, p),
)
wrong(
    "the cosine ends at total plus warmup",
    lambda s, t, w, p: rate(s, t, w, p) if s < w else rate(s - w, t, 0, p),
)
wrong(
    "the cosine falls to 0 and stops at the floor",
    lambda s, t, w, p: rate(s, t, w, p) if s < w else max(p / 10, rate(s, t, w, p, floor=0.0)),
)
wrong(
    "a tenth for the floor, whatever the peak",
    lambda s, t, w, p: (
        rate(s, t, w, p)
        if s < w
        else 0.1 + (p - 0.1) * (1 + math.cos(math.pi * (s - w) / (t - w))) / 2
    ),
)
wrong("0 at step total", lambda s, t, w, p: 0.0 if s >= t else rate(s, t, w, p))
wrong("the peak is one", lambda s, t, w, p: rate(s, t, w, 1.0))
wrong("the peak is a thousandth", lambda s, t, w, p: rate(s, t, w, 1e-3))
wrong(
    "whole division of the progress",
    lambda s, t, w, p: (
        rate(s, t, w, p) if s < w else rate(w + (s - w) // (t - w) * (t - w), t, w, p)
    ),
)
wrong("a tensor of one number", lambda s, t, w, p: torch.tensor(rate(s, t, w, p)), rule=True)
wrong("a numpy number in half precision", lambda s, t, w, p: float(np.float16(rate(s, t, w, p))))
wrong("rounded to four digits", lambda s, t, w, p: round(rate(s, t, w, p), 4))
wrong("without warmup the peak is missed", lambda s, t, w, p: rate(s, t, max(w, 1), p))
wrong("divides by the warmup first", lambda s, t, w, p: rate(s, t, w, p) * (w / w))
wrong("a warmup of a tenth of total", lambda s, t, w, p: rate(s, t, t // 10, p))
wrong(
    "the floor is added, the fall not shortened",
    lambda s, t, w, p: rate(s, t, w, p) if s < w else rate(s, t, w, p, floor=0.0) + p / 10,
)
wrong(
    "the warmup rises from the floor",
    lambda s, t, w, p: p * (0.1 + 0.9 * (s + 1) / (w + 1)) if s < w else rate(s, t, w, p),
)
wrong(
    "the warmup rises along a curve",
    lambda s, t, w, p: p * ((s + 1) / (w + 1)) ** 2 if s < w else rate(s, t, w, p),
)
wrong(
    "the cosine in the warmup too",
    lambda s, t, w, p: (
        min((s + 1) / (w + 1), 1)
        * rate(max(s, w), t, w, p)
        * (1 if s >= w else (1 + math.cos(math.pi * s / t)) / 2)
    ),
)
steps_seen = count()
wrong("counts its own calls", lambda s, t, w, p: rate(next(steps_seen), t, w, p))


@right("a table of all steps, in numpy")
def _(step, total, warmup, peak):
    up = peak * np.arange(1, warmup + 1) / (warmup + 1)
    down = peak / 10 + 0.45 * peak * (1 + np.cos(np.linspace(0, np.pi, total - warmup + 1)))
    return float(np.concatenate([up, down])[step])


@right("the smaller of two, by the square of a cosine")
def _(step, total, warmup, peak):
    x = max(0, step - warmup) / (total - warmup)
    return min((step + 1) / (warmup + 1), 1) * peak * (1 - 0.9 * math.sin(math.pi / 2 * x) ** 2)


@right("by the real part of a complex power")
def _(step, total, warmup, peak):
    if step in range(warmup):
        return peak - peak * (warmup - step) / (warmup + 1)
    turn = complex(-1) ** ((step - warmup) / (total - warmup))
    return 0.55 * peak + 0.45 * peak * turn.real


# --- Capstone: the training loop


def groups_of(model, decay, vectors=0.0, least=2):
    return [
        {"params": [w for w in model.parameters() if w.dim() >= least], "weight_decay": decay},
        {"params": [w for w in model.parameters() if w.dim() < least], "weight_decay": vectors},
    ]


def adam(
    model, decay=0.1, vectors=0.0, betas=(0.9, 0.95), kind=torch.optim.AdamW, least=2, **other
):
    return kind(groups_of(model, decay, vectors, least), betas=betas, **other)


def joint_clip(model):
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)


def mean_loss(model, windows):
    return cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())


def loop(
    model, batches, rates, make=adam, clip=joint_clip, loss_of=mean_loss, clear=True, each=None
):
    optimizer, losses = make(model), []
    for windows, learning_rate in zip(batches, rates):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        if each:
            each(optimizer, windows)
        loss = loss_of(model, windows)
        loss.backward()
        clip(model)
        optimizer.step()
        if clear:
            optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def loop_cases():
    cases = []
    for seed, steps, size, length in ((0, 3, 3.0, 9), (1, 4, 0.3, 9), (2, 2, 3.0, 13)):
        torch.manual_seed(seed)
        config = ModelConfig(
            vocab_size=7, context_length=12, d_model=8, n_layers=1, n_heads=2, d_ff=12
        )
        model = LanguageModel(config.replace(initial_std=0.4)).double()
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(size)
        batches = [torch.randint(7, (2, length)) for _ in range(steps)]
        cases.append((model, batches, [0.02 * (step + 1) for step in range(steps)]))
    return cases


wrong, right = exercise("lib.exercises.capstones_training", "check_my_loop", loop, loop_cases)


def varied_loop(label, kind=wrong, **options):
    kind(label, lambda model, batches, rates: loop(model, batches, rates, **options))


def each_tensor(model):
    for w in model.parameters():
        torch.nn.utils.clip_grad_norm_([w], 1.0)


def always_one(model):
    norm = torch.nn.utils.get_total_norm([w.grad for w in model.parameters()])
    for w in model.parameters():
        w.grad /= norm


def matrices_only(model):
    torch.nn.utils.clip_grad_norm_([w for w in model.parameters() if w.dim() >= 2], 1.0)


varied_loop(
    "Adam, whose decay goes through the gradient", make=partial(adam, kind=torch.optim.Adam)
)
varied_loop("the usual betas", make=partial(adam, betas=(0.9, 0.999)))
varied_loop("the betas exchanged", make=partial(adam, betas=(0.95, 0.9)))
varied_loop("the decay of torch", make=partial(adam, decay=0.01))
varied_loop("decay for vectors alone", make=partial(adam, decay=0.0, vectors=0.1))
varied_loop("decay for all", make=partial(adam, vectors=0.1))
varied_loop("no decay at all", make=partial(adam, decay=0.0))
varied_loop("a larger eps", make=partial(adam, eps=1e-3))
varied_loop("uphill", make=partial(adam, maximize=True))
varied_loop("no clipping", clip=lambda model: None)
varied_loop("clips at a tenth", clip=lambda m: torch.nn.utils.clip_grad_norm_(m.parameters(), 0.1))
varied_loop("clips each value", clip=lambda m: torch.nn.utils.clip_grad_value_(m.parameters(), 1.0))
varied_loop("clips each tensor", clip=each_tensor)
varied_loop("every gradient is brought to length one", clip=always_one)
varied_loop("clips matrices alone", clip=matrices_only)
varied_loop(
    "clips by the largest",
    clip=lambda m: torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0, norm_type=math.inf),
)
varied_loop(
    "clips at the square root of one over the weights",
    clip=lambda m: torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0, norm_type=1),
)
varied_loop("gradients are not forgotten", clear=False)
varied_loop(
    "stochastic gradient descent", make=lambda m: torch.optim.SGD(groups_of(m, 0.1), lr=1.0)
)
varied_loop(
    "the loss of unshifted targets",
    loss_of=lambda m, w: cross_entropy(m(w[:, :-1]).flatten(0, 1), w[:, :-1].flatten()),
)
varied_loop("the loss is a sum", loss_of=lambda m, w: mean_loss(m, w) * w[:, 1:].numel())
varied_loop("the first sequence of the batch alone", loss_of=lambda m, w: mean_loss(m, w[:1]))
varied_loop(
    "the model reads the whole window, so that T + 1 go in",
    loss_of=lambda m, w: cross_entropy(m(w)[:, :-1].flatten(0, 1), w[:, 1:].flatten()),
    kind=wrong,
)
varied_loop(
    "both: no clipping, decay for all", make=partial(adam, vectors=0.1), clip=lambda model: None
)


@wrong("the rate of the group of matrices alone")
def _(model, batches, rates):
    optimizer, losses = adam(model), []
    for windows, learning_rate in zip(batches, rates):
        optimizer.param_groups[0]["lr"] = learning_rate
        loss = mean_loss(model, windows)
        loss.backward()
        joint_clip(model)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@wrong("the rate is set after the update")
def _(model, batches, rates):
    optimizer, losses = adam(model, lr=rates[0]), []
    for windows, learning_rate in zip(batches, rates):
        loss = mean_loss(model, windows)
        loss.backward()
        joint_clip(model)
        optimizer.step()
        optimizer.zero_grad()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        losses.append(loss.item())
    return losses


@wrong("a new optimizer in each step")
def _(model, batches, rates):
    return [loss for pair in zip(batches, rates) for loss in loop(model, [pair[0]], [pair[1]])]


@wrong("losses from after the update")
def _(model, batches, rates):
    losses = []

    def note(optimizer, windows):
        losses.append(windows)

    loop(model, batches, rates, each=note)
    return [mean_loss(model, windows).item() for windows in losses]


@wrong("the last batch is skipped")
def _(model, batches, rates):
    return loop(model, list(batches)[:-1], list(rates)[:-1])


@wrong("the mean of the losses so far")
def _(model, batches, rates):
    losses = loop(model, batches, rates)
    return [sum(losses[: i + 1]) / (i + 1) for i in range(len(losses))]


wrong("a copy is trained", lambda m, b, r: loop(copy.deepcopy(m), b, r))
wrong("the last loss alone", lambda m, b, r: loop(m, b, r)[-1])
wrong("all rates are the first", lambda m, b, r: loop(m, b, [r[0]] * len(r)))
wrong("the rates backward", lambda m, b, r: loop(m, b, list(r)[::-1]))
wrong("the batches backward", lambda m, b, r: loop(m, list(b)[::-1], r))
wrong("no update at all", lambda m, b, r: [mean_loss(m, w).item() for w in b])


@wrong("clips before the gradients are there")
def _(model, batches, rates):
    optimizer, losses = adam(model), []
    for windows, learning_rate in zip(batches, rates):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        loss = mean_loss(model, windows)
        joint_clip(model)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@wrong("forgets the gradients before the step")
def _(model, batches, rates):
    optimizer, losses = adam(model), []
    for windows, learning_rate in zip(batches, rates):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        loss = mean_loss(model, windows)
        loss.backward()
        joint_clip(model)
        optimizer.zero_grad()
        optimizer.step()
        losses.append(loss.item())
    return losses


def by_hand(model, batches, rates, decay_first=True, correct=True, through_rate=True):
    weights = list(model.parameters())
    means, squares = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    losses = []
    for step, (windows, learning_rate) in enumerate(zip(batches, rates), 1):
        loss = mean_loss(model, windows)
        gradients = torch.autograd.grad(loss, weights)
        norm = math.sqrt(sum(g.double().square().sum().item() for g in gradients))
        for i, (w, g) in enumerate(zip(weights, gradients)):
            g = g * min(1.0, 1 / norm)
            means[i] = 0.9 * means[i] + 0.1 * g
            squares[i] = 0.95 * squares[i] + 0.05 * g**2
            m = means[i] / (1 - 0.9**step) if correct else means[i]
            s = squares[i] / (1 - 0.95**step) if correct else squares[i]
            pull = 0.1 * (w.dim() >= 2) * (learning_rate if through_rate else 1)
            with torch.no_grad():
                w.copy_(w * (1 - pull) - learning_rate * m / (s.sqrt() + 1e-8))
        losses.append(loss.item())
    return losses


right("AdamW by hand, with autograd.grad", by_hand)
wrong("by hand, means not corrected", lambda m, b, r: by_hand(m, b, r, correct=False))
wrong("by hand, a decay without the rate", lambda m, b, r: by_hand(m, b, r, through_rate=False))
varied_loop(
    "one group, the vectors' decay undone by a pull of none",
    kind=right,
    make=lambda m: torch.optim.AdamW(
        [{"params": [w], "weight_decay": 0.1 * (w.dim() > 1)} for w in m.parameters()],
        betas=(0.9, 0.95),
    ),
)


@right("the gradients are scaled by hand, numbers in double")
def _(model, batches, rates):
    def scale(model):
        grads = [w.grad for w in model.parameters()]
        norm = torch.stack([g.double().norm() for g in grads]).norm()
        if norm > 1:
            for g in grads:
                g.mul_(1 / norm.item())

    return loop(
        model,
        batches,
        rates,
        clip=scale,
        loss_of=lambda m, w: -m(w[:, :-1]).log_softmax(-1).gather(-1, w[:, 1:, None]).mean(),
    )


# --- Ranks through the lens

wrong, right = begin("check_ranks")


def lens(stream, gain, eps, head):
    return stream / (stream.square().mean(-1, keepdim=True) + eps).sqrt() * gain @ head.T


def ranks(z, token):
    return ((z > z[:, [token]]).sum(-1) + 1).tolist()


wrong("ranks from 0", lambda s, g, e, h, t: [r - 1 for r in ranks(lens(s, g, e, h), t)])
wrong(
    "ranks from below",
    lambda s, g, e, h, t: ((lens(s, g, e, h) < lens(s, g, e, h)[:, [t]]).sum(-1) + 1).tolist(),
)
wrong(
    "at least as large, and one",
    lambda s, g, e, h, t: ((lens(s, g, e, h) >= lens(s, g, e, h)[:, [t]]).sum(-1) + 1).tolist(),
)
wrong("without the gain", lambda s, g, e, h, t: ranks(s @ h.T, t))
wrong("the gain divides", lambda s, g, e, h, t: ranks(lens(s, 1 / g, e, h), t))
wrong("1 plus the gain", lambda s, g, e, h, t: ranks(lens(s, 1 + g, e, h), t))
wrong("the size of the gain", lambda s, g, e, h, t: ranks(lens(s, g.abs(), e, h), t))
wrong("LayerNorm", lambda s, g, e, h, t: ranks(lens(s - s.mean(-1, keepdim=True), g, e, h), t))
wrong(
    "the gain on the tokens, before the norm",
    lambda s, g, e, h, t: ranks((s * g - (s * g).mean(-1, keepdim=True)) @ h.T, t),
)
wrong(
    "each feature normalized over the layers",
    lambda s, g, e, h, t: ranks(s / (s.square().mean(0) + e).sqrt() * g @ h.T, t),
)
wrong("the last layer first", lambda s, g, e, h, t: ranks(lens(s, g, e, h), t)[::-1])
wrong("the last layer is left out", lambda s, g, e, h, t: ranks(lens(s, g, e, h)[:-1], t))
wrong("the last layer alone", lambda s, g, e, h, t: ranks(lens(s, g, e, h)[-1:], t))
wrong("a tensor", lambda s, g, e, h, t: (lens(s, g, e, h) > lens(s, g, e, h)[:, [t]]).sum(-1) + 1)
wrong("the row of the token, for the column", lambda s, g, e, h, t: ranks(lens(s, g, e, h), 0))
wrong(
    "the place of the token in argsort",
    lambda s, g, e, h, t: [
        int(row[t]) + 1 for row in lens(s, g, e, h).argsort(-1, descending=True)
    ],
)
wrong(
    "the token at the token's place",
    lambda s, g, e, h, t: [int(row.argsort(descending=True)[0] == t) for row in lens(s, g, e, h)],
)
wrong(
    "each layer's own write",
    lambda s, g, e, h, t: ranks(
        lens(torch.diff(s, dim=0, prepend=torch.zeros_like(s[:1])), g, e, h), t
    ),
)
wrong("the mean of the streams so far", lambda s, g, e, h, t: ranks(lens(s.cumsum(0), g, e, h), t))
wrong(
    "larger in size",
    lambda s, g, e, h, t: (
        (lens(s, g, e, h).abs() > lens(s, g, e, h)[:, [t]].abs()).sum(-1) + 1
    ).tolist(),
)
wrong(
    "cosines with the rows of the head",
    lambda s, g, e, h, t: ranks(lens(s, g, e, h / h.norm(dim=1, keepdim=True)), t),
)
wrong(
    "in bfloat16", lambda s, g, e, h, t: ranks(lens(s.bfloat16(), g.bfloat16(), e, h.bfloat16()), t)
)
wrong("at most ten", lambda s, g, e, h, t: [min(r, 10) for r in ranks(lens(s, g, e, h), t)])


@wrong("divides the stream in place")
def _(s, g, e, h, t):
    s /= (s.square().mean(-1, keepdim=True) + e).sqrt()
    return ranks(s * g @ h.T, t)


@right("by the sorted order, in numpy")
def _(s, g, e, h, t):
    z = (s.double().numpy() * g.double().numpy()) @ h.double().numpy().T
    order = np.argsort(-z, axis=1)
    return [int(np.flatnonzero(row == t)[0]) + 1 for row in order]


@right("token by token")
def _(s, g, e, h, t):
    answer = []
    for row in s:
        read = torch.einsum("f,f,vf->v", row, g, h)
        answer.append(1 + sum(bool(read[v] > read[t]) for v in range(len(h)) if v != t))
    return answer


@right("differences to the token's row")
def _(s, g, e, h, t):
    gap = torch.einsum("lf,vf->lv", s * g, h - h[t])
    return [1 + int(n) for n in (gap > 0).float().sum(1)]


# --- The score of a previous-token head

wrong, right = begin("check_previous_token_score")


def diagonal(w, offset=-1):
    return w.diagonal(offset=offset, dim1=1, dim2=2)


wrong("the main diagonal", lambda w: diagonal(w, 0).mean(-1))
wrong("the diagonal above", lambda w: diagonal(w, 1).mean(-1))
wrong("divided by T", lambda w: diagonal(w).sum(-1) / w.shape[-1])
wrong("a mean over heads", lambda w: diagonal(w).mean(0))
wrong("diagonal of the first two dimensions", lambda w: w.diagonal(offset=-1).mean(-1))
wrong("the last row is left out", lambda w: diagonal(w)[:, :-1].mean(-1))
wrong("the first pair is left out", lambda w: diagonal(w)[:, 1:].mean(-1))
wrong("the last query alone", lambda w: w[:, -1, -2])
wrong("column 0", lambda w: w[:, 1:, 0].mean(-1))
wrong("weight on all tokens before", lambda w: w.tril(-1)[:, 1:].sum((1, 2)) / (w.shape[1] - 1))
wrong(
    "the share of rows whose largest weight it is",
    lambda w: (w.argmax(-1)[:, 1:] == torch.arange(w.shape[1] - 1)).float().mean(-1),
)
wrong("rounded to two digits", lambda w: diagonal(w).mean(-1).round(decimals=2))
wrong("keepdim", lambda w: diagonal(w).mean(-1, keepdim=True))
wrong(
    "a row before the first: the last token",
    lambda w: torch.stack([w[:, t, t - 1] for t in range(w.shape[1])]).mean(0),
)
wrong("the first head alone, repeated", lambda w: diagonal(w)[0].mean().repeat(len(w)))
wrong("in half precision", lambda w: diagonal(w).half().mean(-1).float())
wrong(
    "weighted by the position",
    lambda w: (
        (diagonal(w) * torch.arange(1, w.shape[1])).sum(-1) / torch.arange(1, w.shape[1]).sum()
    ),
)
wrong("transposed, and the sum over T", lambda w: diagonal(w.transpose(1, 2)).sum(-1) / w.shape[-1])
wrong("normalized by the row's other weights", lambda w: (diagonal(w) / w[:, 1:].amax(-1)).mean(-1))

right(
    "head by head, in numpy",
    lambda w: torch.tensor([float(np.diag(m, -1).mean()) for m in w.double().numpy()]),
)
right(
    "an einsum with a shifted identity",
    lambda w: (
        torch.einsum("hij,ij->h", w.double(), torch.eye(w.shape[1]).double().roll(1, 0).tril())
        / (w.shape[1] - 1)
    ),
)
right("a flat walk with a stride", lambda w: w.flatten(1)[:, w.shape[1] :: w.shape[1] + 1].mean(1))

# --- Mean ablation

wrong, right = begin("check_mean_ablation")


def ablated(outputs, gone, what):
    changed = outputs.clone()
    for head in gone:
        changed[head] = what(head)
    return changed


def varied_ablation(label, what):
    wrong(label, lambda o, g, r: ablated(o, g, lambda h: what(o, g, r, h)))


varied_ablation("its own mean on this text", lambda o, g, r, h: o[h].mean(0))
varied_ablation("the mean of all heads", lambda o, g, r, h: r.mean((0, 1)))
varied_ablation("the mean of the heads that are gone", lambda o, g, r, h: r[g].mean((0, 1)))
varied_ablation("one number: the mean over features too", lambda o, g, r, h: r[h].mean())
varied_ablation("the first position of the reference", lambda o, g, r, h: r[h, 0])
varied_ablation("divided by the positions of the text", lambda o, g, r, h: r[h].sum(0) / o.shape[1])
varied_ablation("the first head's mean", lambda o, g, r, h: r[g[0]].mean(0))
varied_ablation(
    "the mean of as many positions as the text has", lambda o, g, r, h: r[h, : o.shape[1]].mean(0)
)
varied_ablation(
    "the mean without the last position",
    lambda o, g, r, h: r[h, :-1].mean(0) if r.shape[1] > 1 else r[h, 0],
)
varied_ablation("the mean is taken away", lambda o, g, r, h: o[h] - r[h].mean(0))
varied_ablation(
    "the mean of the text and the reference", lambda o, g, r, h: torch.cat([o[h], r[h]]).mean(0)
)
varied_ablation("in half precision", lambda o, g, r, h: r[h].half().mean(0).float())
wrong(
    "the others are ablated",
    lambda o, g, r: ablated(o, [h for h in range(len(o)) if h not in g], lambda h: r[h].mean(0)),
)
wrong("the first of the list alone", lambda o, g, r: ablated(o, g[:1], lambda h: r[h].mean(0)))
wrong(
    "the last of the list is forgotten", lambda o, g, r: ablated(o, g[:-1], lambda h: r[h].mean(0))
)
wrong(
    "as many heads as are gone, from the first",
    lambda o, g, r: ablated(o, range(len(g)), lambda h: r[h].mean(0)),
)
wrong(
    "all heads from the smallest to the largest",
    lambda o, g, r: ablated(
        o, range(min(g, default=0), max(g, default=-1) + 1), lambda h: r[h].mean(0)
    ),
)
wrong(
    "an empty list for all heads",
    lambda o, g, r: ablated(o, g or range(len(o)), lambda h: r[h].mean(0)),
)
wrong(
    "an empty list for None", lambda o, g, r: ablated(o, g, lambda h: r[h].mean(0)) if g else None
)
wrong(
    "an empty list gives the argument back",
    lambda o, g, r: ablated(o, g, lambda h: r[h].mean(0)) if g else o,
    rule=True,
)
wrong(
    "the last position alone is ablated",
    lambda o, g, r: torch.cat([o[:, :-1], ablated(o, g, lambda h: r[h].mean(0))[:, -1:]], 1),
)
wrong(
    "the first position is spared",
    lambda o, g, r: torch.cat([o[:, :1], ablated(o, g, lambda h: r[h].mean(0))[:, 1:]], 1),
)
wrong("the heads are removed", lambda o, g, r: o[[h for h in range(len(o)) if h not in g]])
wrong(
    "the heads that are gone alone",
    lambda o, g, r: r[g].mean(1, keepdim=True).expand(-1, o.shape[1], -1).clone(),
)


@wrong("writes into outputs, and gives a copy")
def _(o, g, r):
    for h in g:
        o[h] = r[h].mean(0)
    return o.clone()


@wrong("sorts the list, by pairs")
def _(o, g, r):
    changed = o.clone()
    for h, m in zip(sorted(g), [r[h].mean(0) for h in g]):
        changed[h] = m
    return changed


@wrong("empties the list of heads")
def _(o, g, r):
    changed = o.clone()
    while g:
        h = g.pop()
        changed[h] = r[h].mean(0)
    return changed


@right("where, with a mask of heads")
def _(o, g, r):
    mask = torch.zeros(len(o), dtype=torch.bool)
    mask[g] = True
    return torch.where(mask[:, None, None], r.double().mean(1, keepdim=True).float(), o)


@right("head by head, stacked")
def _(o, g, r):
    rows = []
    for h in range(o.shape[0]):
        mean = torch.einsum("nf->f", r[h]) / r.shape[1]
        rows.append(mean.repeat(o.shape[1], 1) if h in set(g) else o[h])
    return torch.stack(rows)


@right("in numpy")
def _(o, g, r):
    changed = o.numpy().copy()
    for h in g:
        changed[h] = np.mean(r.numpy()[h], axis=0, dtype=np.float64)
    return torch.from_numpy(changed)


# --- Capstone: attribution


def attribution(o, m, s, g, e, t, size=None, write="lhd,lhdc->lhc"):
    written = torch.einsum(write, o, m)
    size = (s.square().mean() + e).sqrt() if size is None else size(written, s, e)
    return (written / size * g) @ t


def attribution_cases():
    torch.manual_seed(0)
    shapes = [(1, 2, 2, 3), (3, 2, 4, 6), (2, 3, 5, 4)]
    return [
        (torch.randn(layers, heads, d), torch.randn(layers, heads, d, c), 2 * torch.randn(c),
         torch.randn(c), 0.2, torch.randn(c))
        for layers, heads, d, c in shapes
    ]  # fmt: skip


wrong, right = exercise(
    "lib.exercises.capstones_inside", "check_my_attribution", attribution, attribution_cases
)


def varied_attribution(label, **options):
    wrong(label, lambda o, m, s, g, e, t: attribution(o, m, s, g, e, t, **options))


varied_attribution(
    "each part divided by its own size",
    size=lambda w, s, e: (w.square().mean(-1, keepdim=True) + e).sqrt(),
)
varied_attribution("not divided", size=lambda w, s, e: 1)
varied_attribution("without the root", size=lambda w, s, e: s.square().mean() + e)
varied_attribution(
    "the length, not the root mean square", size=lambda w, s, e: (s.square().sum() + e).sqrt()
)
varied_attribution("without eps", size=lambda w, s, e: s.square().mean().sqrt())
varied_attribution("eps outside the root", size=lambda w, s, e: s.square().mean().sqrt() + e)
varied_attribution("eps is a millionth", size=lambda w, s, e: (s.square().mean() + 1e-6).sqrt())
varied_attribution("the standard deviation", size=lambda w, s, e: (s.var(correction=0) + e).sqrt())
varied_attribution(
    "the sum of the parts' size", size=lambda w, s, e: (w.sum((0, 1)).square().mean() + e).sqrt()
)
varied_attribution("the mean of the sizes of the stream", size=lambda w, s, e: s.abs().mean() + e)
varied_attribution("multiplied", size=lambda w, s, e: 1 / (s.square().mean() + e).sqrt())
wrong("without the gain", lambda o, m, s, g, e, t: attribution(o, m, s, torch.ones_like(g), e, t))
wrong("the gain twice", lambda o, m, s, g, e, t: attribution(o, m, s, g * g, e, t))
wrong("1 plus the gain", lambda o, m, s, g, e, t: attribution(o, m, s, 1 + g, e, t))
wrong("the gain divides", lambda o, m, s, g, e, t: attribution(o, m, s, 1 / g, e, t))
wrong("the other way round", lambda o, m, s, g, e, t: -attribution(o, m, s, g, e, t))
wrong("sizes", lambda o, m, s, g, e, t: attribution(o, m, s, g, e, t).abs())
wrong(
    "a share of the whole",
    lambda o, m, s, g, e, t: attribution(o, m, s, g, e, t) / attribution(o, m, s, g, e, t).sum(),
)
wrong("one number for each layer", lambda o, m, s, g, e, t: attribution(o, m, s, g, e, t).sum(1))
wrong("heads by layers", lambda o, m, s, g, e, t: attribution(o, m, s, g, e, t).T)
wrong(
    "centered, as by LayerNorm",
    lambda o, m, s, g, e, t: attribution(o, m - m.mean(-1, keepdim=True), s, g, e, t),
)
wrong(
    "the first layer's matrices for all",
    lambda o, m, s, g, e, t: attribution(o, m[:1].expand_as(m), s, g, e, t),
)
wrong(
    "the first head's matrices for all",
    lambda o, m, s, g, e, t: attribution(o, m[:, :1].expand_as(m), s, g, e, t),
)
wrong(
    "without the matrices, where the widths allow it",
    lambda o, m, s, g, e, t: attribution(
        o, torch.eye(o.shape[-1], m.shape[-1]).expand_as(m), s, g, e, t
    ),
)
wrong(
    "the logit of the stream for all",
    lambda o, m, s, g, e, t: (s / (s.square().mean() + e).sqrt() * g @ t).expand(o.shape[:2]),
)
wrong(
    "in half precision",
    lambda o, m, s, g, e, t: attribution(
        o.half().float(), m.half().float(), s, g, e, t.half().float()
    ),
)
wrong(
    "cosine with the direction", lambda o, m, s, g, e, t: attribution(o, m, s, g, e, t / t.norm())
)
wrong(
    "the last layer is left at 0",
    lambda o, m, s, g, e, t: torch.cat(
        [attribution(o, m, s, g, e, t)[:-1], torch.zeros(1, o.shape[1])]
    ),
)
wrong(
    "both: each part's own size, no gain",
    lambda o, m, s, g, e, t: attribution(
        o,
        m,
        s,
        torch.ones_like(g),
        e,
        t,
        size=lambda w, s, e: (w.square().mean(-1, keepdim=True) + e).sqrt(),
    ),
)


@wrong("the stream is normalized in place")
def _(o, m, s, g, e, t):
    result = attribution(o, m, s, g, e, t)
    s /= (s.square().mean() + e).sqrt()
    return result


@right("the direction first, in double")
def _(o, m, s, g, e, t):
    s, g, t = s.double(), g.double(), t.double()
    direction = t * g / (s.pow(2).sum() / len(s) + e) ** 0.5
    return torch.einsum("lhd,lhdc,c->lh", o.double(), m.double(), direction)


@right("head by head")
def _(o, m, s, g, e, t):
    size = math.sqrt(float(s @ s) / len(s) + e)
    rows = [
        [sum((o[a, b] @ m[a, b]) * g * t) / size for b in range(o.shape[1])]
        for a in range(o.shape[0])
    ]
    return torch.tensor(rows)


@right("with and without each head, the size held")
def _(o, m, s, g, e, t):
    size, answer = torch.sqrt(torch.mean(s**2) + e), torch.zeros(o.shape[:2])
    for a in range(o.shape[0]):
        for b in range(o.shape[1]):
            answer[a, b] = torch.dot(torch.matmul(o[a, b], m[a, b]) * g / size, t)
    return answer


# --- A verifier that luck does not fool

wrong, right = begin("check_right_chain")


def fits(problem, verdict):
    return len(verdict.steps) == len(problem.operations)


def marks(verdict):
    return [s.mark for s in verdict.steps]


def sound(p, w):
    v = verify(p, w)
    return v.answer and fits(p, v) and all(m == "right" for m in marks(v))


wrong("the answer alone", lambda p, w: verify(p, w).answer)
wrong(
    "the number of steps and the marks, no answer",
    lambda p, w: fits(p, verify(p, w)) and set(marks(verify(p, w))) == {"right"},
)
wrong(
    "any right step",
    lambda p, w: verify(p, w).answer and fits(p, verify(p, w)) and "right" in marks(verify(p, w)),
)
wrong(
    "the last step alone",
    lambda p, w: (
        verify(p, w).answer and fits(p, verify(p, w)) and marks(verify(p, w))[-1:] == ["right"]
    ),
)
wrong(
    "the first step alone",
    lambda p, w: (
        verify(p, w).answer and fits(p, verify(p, w)) and marks(verify(p, w))[:1] == ["right"]
    ),
)
wrong(
    "all but the last step",
    lambda p, w: (
        verify(p, w).answer
        and fits(p, verify(p, w))
        and all(m == "right" for m in marks(verify(p, w))[:-1])
    ),
)
wrong(
    "no step is wrong, unparsable passes",
    lambda p, w: (
        verify(p, w).answer and fits(p, verify(p, w)) and "wrong" not in marks(verify(p, w))
    ),
)
wrong(
    "no step is unparsable, wrong passes",
    lambda p, w: (
        verify(p, w).answer and fits(p, verify(p, w)) and "unparsable" not in marks(verify(p, w))
    ),
)
wrong(
    "too few steps pass",
    lambda p, w: (
        verify(p, w).answer
        and len(verify(p, w).steps) <= len(p.operations)
        and all(m == "right" for m in marks(verify(p, w)))
    ),
)
wrong(
    "too many steps pass",
    lambda p, w: (
        verify(p, w).answer
        and marks(verify(p, w))[: len(p.operations)] == ["right"] * len(p.operations)
    ),
)
wrong(
    "as many right steps as operations",
    lambda p, w: verify(p, w).answer and marks(verify(p, w)).count("right") == len(p.operations),
)
wrong(
    "all marks by zip",
    lambda p, w: (
        verify(p, w).answer
        and all(s.mark == "right" for s, _ in zip(verify(p, w).steps, p.operations))
    ),
)
wrong("must have ended", lambda p, w: sound(p, w) and verify(p, w).ended)
wrong("must be clean", lambda p, w: sound(p, w) and verify(p, w).clean)
wrong("must be English", lambda p, w: sound(p, w) and verify(p, w).english == 1)
wrong("must not mix", lambda p, w: sound(p, w) and not verify(p, w).mixed)
wrong("its last word must be the end or the answer", lambda p, w: sound(p, w) and w[-1] == "<eos>")
wrong(
    "two steps, as in the example",
    lambda p, w: (
        verify(p, w).answer
        and len(verify(p, w).steps) == 2
        and all(m == "right" for m in marks(verify(p, w)))
    ),
)
wrong("one or zero", lambda p, w: int(sound(p, w)))
wrong("the marks", lambda p, w: sound(p, w) and marks(verify(p, w)))
wrong("a string", lambda p, w: "right" if sound(p, w) else "")
wrong("the opposite", lambda p, w: not sound(p, w))
wrong(
    "the answer anywhere in the words",
    lambda p, w: (
        str(p.answer) in w
        and fits(p, verify(p, w))
        and all(m == "right" for m in marks(verify(p, w)))
    ),
)
wrong(
    "the last digit of the words is the answer",
    lambda p, w: (
        [x for x in w if x.isdigit()][-1:] == [str(p.answer)]
        and fits(p, verify(p, w))
        and all(m == "right" for m in marks(verify(p, w)))
    ),
)
wrong(
    "the results are all somewhere",
    lambda p, w: (
        verify(p, w).answer and fits(p, verify(p, w)) and all(str(r) in w for r in p.results)
    ),
)
wrong(
    "counts the operations among the words",
    lambda p, w: (
        verify(p, w).answer
        and sum(x in p.operations for x in w) == len(p.operations)
        and all(m == "right" for m in marks(verify(p, w)))
    ),
)
wrong(
    "the answer or the chain",
    lambda p, w: (
        verify(p, w).answer
        or (fits(p, verify(p, w)) and all(m == "right" for m in marks(verify(p, w))))
    ),
)
wrong(
    "the answer against all marks",
    lambda p, w: (
        verify(p, w).answer
        == (fits(p, verify(p, w)) and all(m == "right" for m in marks(verify(p, w))))
    ),
)
wrong(
    "a response of one language only, and no guess",
    lambda p, w: verify(p, w).answer and not verify(p, w).direct,
)
wrong(
    "three in four of the steps",
    lambda p, w: (
        verify(p, w).answer
        and fits(p, verify(p, w))
        and marks(verify(p, w)).count("right") >= 0.75 * len(p.operations)
    ),
)
wrong("the responses are judged by their first twenty words", lambda p, w: sound(p, w[:20]))
wrong(
    "the number of distinct steps",
    lambda p, w: (
        verify(p, w).answer
        and len(set(verify(p, w).steps)) == len(set(p.operations))
        and all(m == "right" for m in marks(verify(p, w)))
    ),
)

right(
    "lists compared",
    lambda p, w: (v := verify(p, w)).answer and marks(v) == ["right" for _ in p.operations],
)
right(
    "a product of conditions",
    lambda p, w: bool(
        verify(p, w).answer
        * (marks(verify(p, w)).count("right") == len(verify(p, w).steps) == len(p.operations))
    ),
)


@right("one refusal after the other")
def _(problem, words):
    verdict, left = verify(problem, words), list(problem.operations)
    if not verdict.answer:
        return False
    for step in verdict.steps:
        if not left or step.mark != "right":
            return False
        left.pop()
    return not left


# --- The advantage within a group

wrong, right = begin("check_advantages")


def advantages(r, correction=0, eps=1e-4, dim=1, inside=False):
    centered = r - r.mean(dim=dim, keepdim=True)
    if inside:
        return centered / (r.var(dim=dim, keepdim=True, correction=correction) + eps).sqrt()
    return centered / (r.std(dim=dim, keepdim=True, correction=correction) + eps)


wrong("the standard deviation with G - 1", lambda r: advantages(r, correction=1))
wrong("over problems", lambda r: advantages(r, dim=0))
wrong("over all", lambda r: advantages(r, dim=(0, 1)))
wrong(
    "the mean of the row, the deviation of all",
    lambda r: (r - r.mean(1, keepdim=True)) / (r.std(correction=0) + 1e-4),
)
wrong(
    "the mean of all, the deviation of the row",
    lambda r: (r - r.mean()) / (r.std(1, keepdim=True, correction=0) + 1e-4),
)
wrong("the number under the root", lambda r: advantages(r, inside=True))
wrong("a much smaller number", lambda r: advantages(r, eps=1e-8))
wrong("a larger number", lambda r: advantages(r, eps=1e-2))
wrong("no number, NaN for zeros", lambda r: advantages(r, eps=0).nan_to_num(0.0))
wrong("no number", lambda r: advantages(r, eps=0))
wrong(
    "divided by the variance",
    lambda r: (r - r.mean(1, keepdim=True)) / (r.var(1, keepdim=True, correction=0) + 1e-4),
)
wrong("not divided", lambda r: r - r.mean(1, keepdim=True))
wrong("not centered", lambda r: r / (r.std(1, keepdim=True, correction=0) + 1e-4))
wrong(
    "the median for the mean",
    lambda r: (
        (r - r.median(1, keepdim=True).values) / (r.std(1, keepdim=True, correction=0) + 1e-4)
    ),
)
wrong(
    "the mean of the distances",
    lambda r: (d := r - r.mean(1, keepdim=True)) / (d.abs().mean(1, keepdim=True) + 1e-4),
)
wrong(
    "divided by the range",
    lambda r: (
        (r - r.mean(1, keepdim=True)) / (r.amax(1, keepdim=True) - r.amin(1, keepdim=True) + 1e-4)
    ),
)
wrong("clipped at two", lambda r: advantages(r).clamp(-2, 2))
wrong("bad ones at 0", lambda r: advantages(r).clamp(min=0))
wrong("the other way round", lambda r: -advantages(r))
wrong("transposed", lambda r: advantages(r).T)
wrong("flat", lambda r: advantages(r).flatten())
wrong("in half precision", lambda r: advantages(r.half().float()))
wrong("the square root of 1e-4 is added", lambda r: advantages(r, eps=math.sqrt(1e-4)))
wrong("rewards made 0 or 1", lambda r: advantages((r > 0).float()))
wrong("rewards rounded", lambda r: advantages(r.round()))
wrong(
    "equal rows keep their rewards",
    lambda r: torch.where(r.std(1, keepdim=True, correction=0) == 0, r, advantages(r)),
)
wrong(
    "a row of zeros for the first row",
    lambda r: torch.cat([advantages(r)[:1] * 0, advantages(r)[1:]]),
)
wrong(
    "groups of four",
    lambda r: (
        advantages(r.reshape(-1, 4)).reshape(r.shape) if r.numel() % 4 == 0 else advantages(r)
    ),
)
wrong(
    "floored where small, not added",
    lambda r: (r - r.mean(1, keepdim=True)) / r.std(1, keepdim=True, correction=0).clamp(min=1e-4),
)
wrong("divided by the root of G", lambda r: advantages(r) / math.sqrt(r.shape[1]))
wrong("softmax of the rewards less the mean", lambda r: r.softmax(1) - 1 / r.shape[1])


@wrong("centers the rewards in place")
def _(r):
    r -= r.mean(1, keepdim=True)
    return r / (r.std(1, keepdim=True, correction=0) + 1e-4)


@right("row by row, in numpy")
def _(r):
    rows = r.double().numpy()
    return torch.tensor(
        np.array([(x - x.mean()) / (x.std() + 1e-4) for x in rows]), dtype=torch.float32
    )


@right("sums by einsum")
def _(r):
    n = r.shape[1]
    centered = r.double() - torch.einsum("pg->p", r.double())[:, None] / n
    return centered / ((torch.einsum("pg,pg->p", centered, centered) / n).sqrt()[:, None] + 1e-4)


@right("plain loops")
def _(r):
    answer = torch.empty_like(r)
    for p, row in enumerate(r.tolist()):
        mean = math.fsum(row) / len(row)
        std = math.sqrt(math.fsum((x - mean) ** 2 for x in row) / len(row))
        for g, x in enumerate(row):
            answer[p, g] = (x - mean) / (std + 1e-4)
    return answer


# --- The clipped objective

wrong, right = begin("check_clipped")


def ratio(p, q):
    return (p - q).exp()


def low(r, a, low, high):
    return torch.minimum(r * a, r.clamp(low, high) * a)


wrong(
    "the larger one",
    lambda p, q, a, c: torch.maximum(ratio(p, q) * a, ratio(p, q).clamp(1 - c, 1 + c) * a),
)
wrong("clipped alone", lambda p, q, a, c: ratio(p, q).clamp(1 - c, 1 + c) * a)
wrong(
    "the smaller ratio, times A",
    lambda p, q, a, c: torch.minimum(ratio(p, q), ratio(p, q).clamp(1 - c, 1 + c)) * a,
)
wrong("clipped above only, before A", lambda p, q, a, c: ratio(p, q).clamp(max=1 + c) * a)
wrong(
    "clipped above only, minimum after",
    lambda p, q, a, c: torch.minimum(ratio(p, q) * a, ratio(p, q).clamp(max=1 + c) * a),
)
wrong(
    "clipped below only, minimum after",
    lambda p, q, a, c: torch.minimum(ratio(p, q) * a, ratio(p, q).clamp(min=1 - c) * a),
)
wrong("a fifth, whatever clip is", lambda p, q, a, c: low(ratio(p, q), a, 0.8, 1.2))
wrong("bounds of DAPO", lambda p, q, a, c: low(ratio(p, q), a, 1 - c, 1 + 1.4 * c))
wrong("below by one over 1 + clip", lambda p, q, a, c: low(ratio(p, q), a, 1 / (1 + c), 1 + c))
wrong(
    "the difference of logs is clipped",
    lambda p, q, a, c: torch.minimum(ratio(p, q) * a, (p - q).clamp(-c, c).exp() * a),
)
wrong("p over old, of logs", lambda p, q, a, c: low(p / q, a, 1 - c, 1 + c))
wrong(
    "the difference of probabilities",
    lambda p, q, a, c: low(1 + p.exp() - q.exp(), a, 1 - c, 1 + c),
)
wrong("the loss", lambda p, q, a, c: -low(ratio(p, q), a, 1 - c, 1 + c))
wrong(
    "the ratio detached",
    lambda p, q, a, c: low(ratio(p, q).detach(), a, 1 - c, 1 + c) + 0 * p,
    rule=True,
)
wrong(
    "a gradient that goes on where it is clipped",
    lambda p, q, a, c: (r := ratio(p, q)) * a + (low(r, a, 1 - c, 1 + c) - r * a).detach(),
    rule=True,
)
wrong("A without its sign", lambda p, q, a, c: low(ratio(p, q), a.abs(), 1 - c, 1 + c))
wrong("A by its sign", lambda p, q, a, c: low(ratio(p, q), a.sign(), 1 - c, 1 + c))
wrong(
    "A is clipped",
    lambda p, q, a, c: torch.minimum(ratio(p, q) * a, ratio(p, q) * a.clamp(1 - c, 1 + c)),
)
wrong(
    "the product is clipped",
    lambda p, q, a, c: torch.minimum(ratio(p, q) * a, (ratio(p, q) * a).clamp(1 - c, 1 + c)),
)
wrong("bounds at clip and minus clip", lambda p, q, a, c: low(ratio(p, q), a, -c, c))
wrong("KL added", lambda p, q, a, c: low(ratio(p, q), a, 1 - c, 1 + c) - 0.01 * (p - q))
wrong(
    "in half precision",
    lambda p, q, a, c: low(ratio(p.half(), q.half()), a.half(), 1 - c, 1 + c).float(),
)
wrong("the minimum with A itself", lambda p, q, a, c: torch.minimum(ratio(p, q) * a, a * (1 + c)))
wrong(
    "0 where it is clipped",
    lambda p, q, a, c: torch.where((ratio(p, q) - 1).abs() > c, 0.0, ratio(p, q) * a),
)
wrong(
    "clipped wherever the ratio is outside, by where",
    lambda p, q, a, c: torch.where(
        a > 0, ratio(p, q).clamp(max=1 + c) * a, ratio(p, q).clamp(max=1 - c) * a
    ),
)
wrong(
    "both bounds exchanged for negative A",
    lambda p, q, a, c: (
        torch.where(a > 0, ratio(p, q).clamp(max=1 + c), ratio(p, q).clamp(min=1 + c)) * a
    ),
)
wrong(
    "gradient to old as well, none to p",
    lambda p, q, a, c: low((p.detach() - q).exp(), a, 1 - c, 1 + c),
    rule=True,
)
wrong("a ratio of at most ten", lambda p, q, a, c: low(ratio(p, q).clamp(max=10), a, 1 - c, 1 + c))
wrong(
    "one ratio for the whole response",
    lambda p, q, a, c: low(ratio(p, q).mean().expand_as(a), a, 1 - c, 1 + c),
)
wrong(
    "numpy",
    lambda p, q, a, c: torch.from_numpy(
        np.minimum(
            np.exp((p - q).detach().numpy()) * a.numpy(),
            np.clip(np.exp((p - q).detach().numpy()), 1 - c, 1 + c) * a.numpy(),
        )
    ),
    rule=True,
)


@wrong("in place on the advantage")
def _(p, q, a, c):
    r = ratio(p, q)
    with torch.no_grad():
        old = a.clone()
        a *= 2
    return low(r, old, 1 - c, 1 + c)


right(
    "by the sign of A",
    lambda p, q, a, c: (
        torch.where(a > 0, ratio(p, q).clamp(max=1 + c), ratio(p, q).clamp(min=1 - c)) * a
    ),
)


@right("from probabilities, in double")
def _(p, q, a, c):
    r = p.double().exp() / q.double().exp()
    both = torch.stack([r * a, r.clip(1 - c, 1 + c) * a])
    return both.min(dim=0).values


@right("number by number")
def _(p, q, a, c):
    answer = []
    for x, y, z in zip(p.flatten(), q.flatten(), a.flatten()):
        r = torch.exp(x - y)
        free, held = r * z, min(max(r, torch.tensor(1 - c)), torch.tensor(1 + c)) * z
        answer.append(free if free <= held else held)
    return torch.stack(answer).reshape(p.shape)


# --- The loss mask

wrong, right = begin("check_learned_targets")


def targets(ids, n, pad):
    return [i >= n and ids[i] != pad for i in range(1, len(ids))]


wrong(
    "positions, not their targets",
    lambda ids, n, pad: [i >= n and ids[i] != pad for i in range(len(ids) - 1)],
)
wrong("the response's first token is left out", lambda ids, n, pad: targets(ids, n + 1, pad))
wrong("the prompt's last token is learned", lambda ids, n, pad: targets(ids, n - 1, pad))
wrong("as long as ids", lambda ids, n, pad: [False, *targets(ids, n, pad)])
wrong("as long as ids, False at the end", lambda ids, n, pad: [*targets(ids, n, pad), False])
wrong("padding is learned", lambda ids, n, pad: [i >= n for i in range(1, len(ids))])
wrong(
    "the first padding is learned, as an end",
    lambda ids, n, pad: [
        i >= n and (ids[i] != pad or ids[i - 1] != pad) for i in range(1, len(ids))
    ],
)
wrong("padding is id 0", lambda ids, n, pad: targets(ids, n, 0))
wrong(
    "the position is not padding",
    lambda ids, n, pad: [i + 1 >= n and ids[i] != pad for i in range(len(ids) - 1)],
)
wrong(
    "neither position nor target may be padding",
    lambda ids, n, pad: [i >= n and pad not in ids[i - 1 : i + 1] for i in range(1, len(ids))],
)
wrong(
    "all after the first padding",
    lambda ids, n, pad: [i >= n and pad not in ids[: i + 1] for i in range(1, len(ids))],
)
wrong(
    "all after the first padding of the response",
    lambda ids, n, pad: [i >= n and pad not in ids[n : i + 1] for i in range(1, len(ids))],
)


@wrong("only the padding at the end")
def _(ids, n, pad):
    end = len(ids)
    while end and ids[end - 1] == pad:
        end -= 1
    return [n <= i < end for i in range(1, len(ids))]


wrong(
    "the last token of the response is left out",
    lambda ids, n, pad: [i >= n and ids[i] != pad and i + 1 < len(ids) for i in range(1, len(ids))],
)
wrong("ones and zeros", lambda ids, n, pad: [int(x) for x in targets(ids, n, pad)])
wrong("a tensor", lambda ids, n, pad: torch.tensor(targets(ids, n, pad)))
right("a tuple", lambda ids, n, pad: tuple(targets(ids, n, pad)))
wrong("the opposite", lambda ids, n, pad: [not x for x in targets(ids, n, pad)])
wrong("the tokens", lambda ids, n, pad: [x for x, y in zip(ids[1:], targets(ids, n, pad)) if y])
wrong("the targets, or False", lambda ids, n, pad: [i >= n and ids[i] for i in range(1, len(ids))])
wrong(
    "the number of padding counted from the end",
    lambda ids, n, pad: [n <= i < len(ids) - ids.count(pad) for i in range(1, len(ids))],
)
wrong(
    "tokens larger than the padding's",
    lambda ids, n, pad: [i >= n and ids[i] > pad for i in range(1, len(ids))],
)
wrong(
    "compared by identity of a set of the prompt",
    lambda ids, n, pad: [x not in ids[:n] and x != pad for x in ids[1:]],
)
wrong(
    "a response that begins with its index",
    lambda ids, n, pad: [ids.index(ids[i]) >= n and ids[i] != pad for i in range(1, len(ids))],
)
wrong(
    "an empty list without a response",
    lambda ids, n, pad: targets(ids, n, pad) if n < len(ids) else [],
)
wrong("prompt of four, as in the example", lambda ids, n, pad: targets(ids, 4, pad))
wrong(
    "without padding all that is after the prompt, and one",
    lambda ids, n, pad: targets(ids, n, pad) if pad in ids else targets(ids, n - 1, pad),
)
wrong(
    "drops the last decision in place of the first",
    lambda ids, n, pad: [i >= n and x != pad for i, x in enumerate(ids)][:-1],
)


@wrong("pops the last id")
def _(ids, n, pad):
    answer = targets(ids, n, pad)
    ids.pop()
    return answer


right(
    "two pieces put together", lambda ids, n, pad: ([False] * n + [x != pad for x in ids[n:]])[1:]
)
right(
    "with numpy",
    lambda ids, n, pad: ((np.arange(len(ids)) >= n) & (np.array(ids) != pad))[1:].tolist(),
)


@right("a flag that turns")
def _(ids, n, pad):
    answer, left = [], n - 1
    for token in ids[1:]:
        answer.append(not (left > 0 or token == pad))
        left -= 1
    return answer


# --- A rejection filter

wrong, right = begin("check_select")


def chosen(
    drawn, most, good=lambda right, clean: right and clean, spends=lambda ok, clean, new: new
):
    kept, counts = [], defaultdict(int)
    for q, r, ok, clean in drawn:
        new = bool(good(ok, clean)) and (q, r) not in kept and counts[q] < most
        if new:
            kept.append((q, r))
        counts[q] += bool(spends(ok, clean, new))
    return kept


wrong("right alone", lambda d, m: chosen(d, m, lambda a, b: a))
wrong("clean alone", lambda d, m: chosen(d, m, lambda a, b: b))
wrong("one too many", lambda d, m: chosen(d, m + 1))
wrong("one too few", lambda d, m: chosen(d, m - 1))
wrong("most of all", lambda d, m: chosen(d, math.inf)[:m])
wrong("a most of 0 means no limit", lambda d, m: chosen(d, m or math.inf))
wrong("a most of 0 means one", lambda d, m: chosen(d, max(m, 1)))
wrong("the last ones", lambda d, m: chosen(d[::-1], m)[::-1])
right("a tuple", lambda d, m: tuple(chosen(d, m)))
right("lists for pairs", lambda d, m: [list(x) for x in chosen(d, m)])
wrong(
    "the whole tuples",
    lambda d, m: [x for pair in chosen(d, m) for x in [next(y for y in d if y[:2] == pair)]],
)
wrong("responses alone", lambda d, m: [r for _, r in chosen(d, m)])
wrong("response first", lambda d, m: [(r, q) for q, r in chosen(d, m)])


wrong("wrong ones count toward most", lambda d, m: chosen(d, m, spends=lambda *_: True))
wrong(
    "doubles count toward most",
    lambda d, m: chosen(d, m, spends=lambda ok, clean, new: ok and clean),
)


@wrong("unclean right ones count toward most")
def _(d, m):
    kept, counts = [], defaultdict(int)
    for q, r, ok, clean in d:
        if ok and counts[q] < m and (q, r) not in kept:
            counts[q] += 1
            if clean:
                kept.append((q, r))
    return kept


@wrong("a pair first seen wrong is never taken")
def _(d, m):
    seen, kept = set(), []
    for q, r, ok, clean in d:
        if (q, r) not in seen and ok and clean and sum(a == q for a, _ in kept) < m:
            kept.append((q, r))
        seen.add((q, r))
    return kept


@wrong("one question in a row is counted, the next forgets")
def _(d, m):
    kept, last, n = [], None, 0
    for q, r, ok, clean in d:
        n = n if q == last else 0
        last = q
        if ok and clean and (q, r) not in kept and n < m:
            kept.append((q, r))
            n += 1
    return kept


@wrong("doubles next to each other alone are dropped")
def _(d, m):
    kept = []
    for q, r, ok, clean in d:
        if ok and clean and (q, r) != (kept or [None])[-1] and sum(a == q for a, _ in kept) < m:
            kept.append((q, r))
    return kept


@wrong("stops at the first question that is full")
def _(d, m):
    kept = []
    for q, r, ok, clean in d:
        if sum(a == q for a, _ in kept) >= m:
            break
        if ok and clean and (q, r) not in kept:
            kept.append((q, r))
    return kept


@wrong("a memory over calls")
def _(d, m, kept=[]):  # noqa: B006
    for q, r, ok, clean in d:
        if ok and clean and (q, r) not in kept and sum(a == q for a, _ in kept) < m:
            kept.append((q, r))
    return kept


wrong("the last of the list is skipped", lambda d, m: chosen(d[:-1], m))
wrong(
    "the first of each question wins, right or not",
    lambda d, m: chosen([x for i, x in enumerate(d) if x[:2] not in [y[:2] for y in d[:i]]], m),
)
wrong("at most two, whatever most is", lambda d, m: chosen(d, min(m, 2)))


@wrong("empties the list")
def _(d, m):
    answer = chosen(d, m)
    d.clear()
    return answer


@right("slices of a dictionary")
def _(d, m):
    groups = {}
    for q, r, ok, clean in d:
        if ok and clean:
            groups.setdefault(q, {})[r] = None
    allowed = {(q, r) for q, rs in groups.items() for r in list(rs)[:m]}
    return [x for x in dict.fromkeys((q, r) for q, r, ok, c in d if ok and c) if x in allowed]


@right("by the rank of each pair in its question")
def _(d, m):
    good = list(dict.fromkeys((q, r) for q, r, *flags in d if all(flags)))
    return [x for i, x in enumerate(good) if [q for q, _ in good[:i]].count(x[0]) < m]


@right("one after the other is taken out")
def _(d, m):
    left, kept = [tuple(x) for x in d], []
    while left:
        q, r, ok, clean = left.pop(0)
        if not (ok and clean):
            continue
        left = [x for x in left if x[:2] != (q, r)]
        if len([a for a in kept if a[0] == q]) < m:
            kept += [(q, r)]
    return kept


# --- Capstone: the reward

wrong, right = begin("check_my_reward")


def pay(answer=1.0, ended=0.1, chain=0.5):
    def reward(p, w):
        v = verify(p, w)
        return answer * v.answer + ended * v.ended + chain * v.chain

    return reward


wrong("the chain alone", pay(0, 0, 1.0))
wrong("the end pays nothing", pay(ended=0))
wrong("the chain pays nothing", pay(chain=0))
wrong("the answer pays nothing", pay(answer=0))
wrong("the end pays a half, the chain a tenth", pay(ended=0.5, chain=0.1))
wrong("the end pays 1, the answer a tenth", pay(answer=0.1, ended=1.0))
wrong(
    "a response that has not ended loses a tenth",
    lambda p, w: pay(ended=0)(p, w) - 0.1 * (not verify(p, w).ended),
)
wrong("clean for chain", lambda p, w: pay(chain=0)(p, w) + 0.5 * verify(p, w).clean)
wrong(
    "the chain pays for right marks alone, no answer",
    lambda p, w: (
        pay(chain=0)(p, w)
        + 0.5 * (fits(p, verify(p, w)) and all(m == "right" for m in marks(verify(p, w))))
    ),
)
wrong(
    "a share of the right steps",
    lambda p, w: pay(chain=0)(p, w) + 0.5 * marks(verify(p, w)).count("right") / len(p.operations),
)
wrong(
    "the chain pays for each right step",
    lambda p, w: pay(chain=0)(p, w) + 0.5 * marks(verify(p, w)).count("right"),
)
wrong(
    "the largest of the three",
    lambda p, w: max(verify(p, w).answer, 0.1 * verify(p, w).ended, 0.5 * verify(p, w).chain),
)
wrong("one or nothing", lambda p, w: float(pay()(p, w) > 1.5))
wrong("nothing without the right answer", lambda p, w: pay()(p, w) * verify(p, w).answer)
wrong("nothing without an end", lambda p, w: pay()(p, w) * verify(p, w).ended)
wrong(
    "the end pays with the answer alone",
    lambda p, w: pay(ended=0)(p, w) + 0.1 * (verify(p, w).ended and verify(p, w).answer),
)
wrong(
    "the end is the last word", lambda p, w: pay(ended=0)(p, w) + 0.1 * (list(w)[-1:] == ["<eos>"])
)
wrong("the end is anywhere", lambda p, w: pay(ended=0)(p, w) + 0.1 * ("<eos>" in w))
wrong(
    "the answer is the last digit",
    lambda p, w: pay(answer=0)(p, w) + ([x for x in w if x.isdigit()][-1:] == [str(p.answer)]),
)
wrong("the answer is somewhere", lambda p, w: pay(answer=0)(p, w) + (str(p.answer) in w))
wrong("a penny for each word besides", lambda p, w: pay()(p, w) + 0.001 * len(w))
wrong("divided by the length", lambda p, w: pay()(p, w) / len(w))
wrong("the share of the whole", lambda p, w: pay()(p, w) / 1.6)
wrong("mixed languages cost", lambda p, w: pay()(p, w) - 0.1 * verify(p, w).mixed)
wrong(
    "elif",
    lambda p, w: (
        1.0 if verify(p, w).answer else 0.1 if verify(p, w).ended else 0.5 * verify(p, w).chain
    ),
)
wrong("whole numbers", lambda p, w: int(pay()(p, w)))
wrong("rounded to one digit, the chain with it", lambda p, w: round(pay(chain=0.55)(p, w), 1))
wrong("a text", lambda p, w: f"{pay()(p, w):.1f}")
wrong(
    "three numbers",
    lambda p, w: (1.0 * verify(p, w).answer, 0.1 * verify(p, w).ended, 0.5 * verify(p, w).chain),
)
wrong(
    "the operator and, by mistake",
    lambda p, w: (v := verify(p, w)).answer and 0.1 * v.ended + 0.5 * v.chain,
)
wrong("a direct answer pays too", lambda p, w: pay()(p, w) + 0.1 * verify(p, w).direct)
calls = count()
wrong("a little chance", lambda p, w: pay()(p, w) + 0.01 * (next(calls) % 2))

right(
    "a dot product",
    lambda p, w: float(np.dot([1, 0.1, 0.5], [(v := verify(p, w)).answer, v.ended, v.chain])),
)
right(
    "tenths",
    lambda p, w: (10 * verify(p, w).answer + verify(p, w).ended + 5 * verify(p, w).chain) / 10,
)


@right("one if after the other")
def _(problem, words):
    verdict, total = verify(problem, words), 0
    for name, worth in {"answer": 1, "ended": 0.1, "chain": 0.5}.items():
        if getattr(verdict, name):
            total += worth
    return total
