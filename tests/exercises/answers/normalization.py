"""Answers to "LayerNorm", "RMSNorm as in Gemma", "The mean, folded" and "The largest score"."""

import math

import numpy as np
import torch

from tests.exercises.answers import exercise

CHECKS = "lib.exercises.normalization"

# --- 1. LayerNorm


def layer_norm(x, weight, bias):
    mean = x.mean(dim=-1, keepdim=True)
    variance = x.var(dim=-1, keepdim=True, correction=0)
    return (x - mean) / torch.sqrt(variance + 0.01) * weight + bias


def layer_cases():
    torch.manual_seed(8)
    sizes = [(2, 3, 4), (5, 3), (4,), (3, 3), (2, 2, 2, 6), (4, 1), (1, 8), (4, 4, 4)]
    cases = [(torch.randn(s) * 2 + 1, torch.randn(s[-1]), torch.randn(s[-1])) for s in sizes]
    weight, bias = torch.tensor([1.0, 2.0, -1.0, 0.5]), torch.tensor([0.1, -2.0, 0.3, 1.0])
    return [
        *cases,
        (torch.full((2, 4), 3.0), weight, bias),
        (torch.randn(3, 4) * 0.01, weight, bias),
        (torch.randn(2, 4) + 50, weight, bias),
        (torch.eye(2, 16), torch.ones(16), torch.zeros(16)),
    ]


def normalize(x, weight, bias, dim=-1, eps=0.01, correction=0, center=True, outside=False):
    mean = x.mean(dim, keepdim=True)
    variance = x.var(dim, keepdim=True, correction=correction)
    root = variance.sqrt() + eps if outside else (variance + eps).sqrt()
    return (x - mean if center else x) / root * weight + bias


wrong, right = exercise(CHECKS, "check_layer_norm", layer_norm, layer_cases)


@right("numpy in float64")
def _(x, weight, bias):
    v = x.double().numpy()
    v = (v - v.mean(-1, keepdims=True)) / np.sqrt(v.var(-1, keepdims=True) + 0.01)
    return torch.from_numpy(v * weight.numpy() + bias.numpy())


@right("mean of squares, rsqrt")
def _(x, weight, bias):
    c = x - x.mean(-1, keepdim=True)
    return c * torch.rsqrt(c.pow(2).mean(-1, keepdim=True) + 1e-2) * weight + bias


@right("a loop over tokens")
def _(x, weight, bias):
    rows = []
    for row in x.reshape(-1, x.shape[-1]):
        mean = row.sum() / len(row)
        variance = sum((v - mean) ** 2 for v in row) / len(row)
        rows.append(weight * (row - mean) / math.sqrt(variance + 0.01) + bias)
    return torch.stack(rows).reshape(x.shape)


right(
    "std with the gain folded in",
    lambda x, weight, bias: torch.addcmul(
        bias,
        (x - x.mean(-1, True)),
        weight / (x.var(-1, unbiased=False, keepdim=True) + 0.01) ** 0.5,
    ),
)

wrong("variance divides by C - 1", lambda x, w, b: normalize(x, w, b, correction=1))
wrong("over the first dimension", lambda x, w, b: normalize(x, w, b, dim=0))
wrong(
    "over everything", lambda x, w, b: (x - x.mean()) / (x.var(correction=0) + 0.01).sqrt() * w + b
)
wrong(
    "over all but the first dimension",
    lambda x, w, b: (
        normalize(x, w, b, dim=tuple(range(1, x.dim())) or 0)
        if x.dim() != 2
        else normalize(x, w, b, dim=(0, 1))
    ),
)
wrong("epsilon outside the root", lambda x, w, b: normalize(x, w, b, outside=True))
wrong("epsilon 1e-5", lambda x, w, b: normalize(x, w, b, eps=1e-5))
wrong("epsilon 0.1", lambda x, w, b: normalize(x, w, b, eps=0.1))
wrong("no epsilon", lambda x, w, b: normalize(x, w, b, eps=0.0))
wrong("epsilon squared", lambda x, w, b: normalize(x, w, b, eps=1e-4))
wrong("does not subtract the mean", lambda x, w, b: normalize(x, w, b, center=False))
wrong(
    "RMSNorm: root mean square in place of the deviation",
    lambda x, w, b: (x - x.mean(-1, True)) / (x.square().mean(-1, True) + 0.01).sqrt() * w + b,
)
wrong(
    "divides by the variance",
    lambda x, w, b: (x - x.mean(-1, True)) / (x.var(-1, correction=0, keepdim=True) + 0.01) * w + b,
)
wrong("no weight", lambda x, w, b: normalize(x, 1.0, b))
wrong("no bias", lambda x, w, b: normalize(x, w, 0.0))
wrong("1 + weight", lambda x, w, b: normalize(x, 1 + w, b))
wrong("bias before weight", lambda x, w, b: (normalize(x, 1.0, 0.0) + b) * w)
wrong("subtracts the bias", lambda x, w, b: normalize(x, w, -b))
wrong("weight and bias exchanged", lambda x, w, b: normalize(x, b, w))
wrong(
    "keepdim forgotten",
    lambda x, w, b: (x - x.mean(-1)) / (x.var(-1, correction=0) + 0.01).sqrt() * w + b,
)
wrong(
    "changes x in place",
    lambda x, w, b: (
        x.sub_(x.mean(-1, True))
        .div_((x.var(-1, correction=0, keepdim=True) + 0.01).sqrt())
        .mul_(w)
        .add_(b)
    ),
)
wrong(
    "the absolute deviation",
    lambda x, w, b: (
        (x - x.mean(-1, True)) / ((x - x.mean(-1, True)).abs().mean(-1, True) + 0.01) * w + b
    ),
)
wrong(
    "uses torch's layer_norm",
    lambda x, w, b: torch.nn.functional.layer_norm(x, x.shape[-1:], w, b, eps=0.01),
    rule=True,
)
wrong(
    "uses nn.LayerNorm",
    lambda x, w, b: torch.nn.LayerNorm(x.shape[-1], eps=0.01, elementwise_affine=False)(x) * w + b,
    rule=True,
)
wrong(
    "both: divides by C - 1 and epsilon outside the root",
    lambda x, w, b: normalize(x, w, b, correction=1, outside=True),
)
wrong(
    "both: does not subtract the mean and divides by C - 1",
    lambda x, w, b: normalize(x, w, b, center=False, correction=1),
)
wrong(
    "both: epsilon 1e-5 and over the first dimension",
    lambda x, w, b: normalize(x, w, b, eps=1e-5, dim=0),
)
wrong("both: 1 + weight and no bias", lambda x, w, b: normalize(x, 1 + w, 0.0))


@wrong("variance as the mean of squares minus the mean, not its square")
def _(x, weight, bias):
    mean = x.mean(-1, keepdim=True)
    variance = (x.square().mean(-1, keepdim=True) - mean).abs()
    return (x - mean) / torch.sqrt(variance + 0.01) * weight + bias


@wrong("both: std of torch, over C - 1, and eps added to it")
def _(x, weight, bias):
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 0.01) * weight + bias


# --- 2. RMSNorm as in Gemma


def gemma_norm(x, weight):
    wide = x.float()
    normalized = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + 1e-6)
    return (normalized * (1 + weight.float())).to(x.dtype)


def gemma_cases():
    torch.manual_seed(9)
    cases = []
    for size in [(2, 3, 4), (5, 8), (6,), (3, 3), (7, 64), (2, 1)]:
        for dtype in (torch.float32, torch.bfloat16):
            cases.append(((torch.randn(size) * 3).to(dtype), torch.randn(size[-1]).to(dtype)))
    weight = torch.randn(4)
    zero_row = torch.tensor([[0.0, 0, 0, 0], [1, 2, 3, 4]])
    return [
        *cases,
        (zero_row, weight),
        (torch.randn(3, 4) * 1e-3, weight),
        (torch.randn(40, 64).bfloat16(), (torch.randn(64) * 0.1).bfloat16()),
    ]


def rms(x, weight, eps=1e-6, dim=-1, gain=lambda w: 1 + w, mean=True, outside=False, center=False):
    wide = x.float()
    wide = wide - wide.mean(dim, keepdim=True) if center else wide
    size = wide.square().mean(dim, keepdim=True) if mean else wide.square().sum(dim, keepdim=True)
    factor = 1 / (size.sqrt() + eps) if outside else torch.rsqrt(size + eps)
    return (wide * factor * gain(weight.float())).to(x.dtype)


wrong, right = exercise(CHECKS, "check_gemma_norm", gemma_norm, gemma_cases)


@right("pow and the gain from the left")
def _(x, weight):
    y = x.to(torch.float32)
    variance = y.pow(2).mean(-1, keepdim=True)
    y = y * torch.rsqrt(variance + 1e-6)
    return ((1.0 + weight.to(torch.float32)) * y).type_as(x)


@right("mean of y * y, torch.mul")
def _(x, weight):
    y = x.float()
    scale = (torch.mean(y * y, dim=-1, keepdim=True) + 0.000001).rsqrt()
    return torch.mul(y * scale, torch.add(weight.float(), 1)).to(dtype=x.dtype)


@right("a loop over tokens")
def _(x, weight):
    gain = weight.float() + 1
    rows = [
        row * torch.rsqrt(row.square().mean() + 1e-6) * gain
        for row in x.float().reshape(-1, x.shape[-1])
    ]
    return torch.stack(rows).reshape(x.shape).to(x.dtype)


wrong("weight without the 1", lambda x, w: rms(x, w, gain=lambda w: w))
wrong("1 - weight", lambda x, w: rms(x, w, gain=lambda w: 1 - w))
wrong("no gain", lambda x, w: rms(x, w, gain=lambda w: 1.0))
wrong("adds the weight", lambda x, w: (rms(x.float(), w, gain=lambda w: 1) + w.float()).to(x.dtype))
wrong("epsilon 1e-5", lambda x, w: rms(x, w, eps=1e-5))
wrong("epsilon 0.01, as in the exercise before", lambda x, w: rms(x, w, eps=0.01))
wrong("no epsilon: a zero row gives NaN", lambda x, w: rms(x, w, eps=0.0))
wrong("epsilon outside the root", lambda x, w: rms(x, w, outside=True))
wrong("sum of squares, not their mean", lambda x, w: rms(x, w, mean=False))
wrong("subtracts the mean", lambda x, w: rms(x, w, center=True))
wrong("over the first dimension", lambda x, w: rms(x, w, dim=0))
wrong(
    "computes in the dtype of x",
    lambda x, w: x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * (1 + w),
)
wrong(
    "adds 1 in the dtype of the weight",
    lambda x, w: (rms(x.float(), w, gain=lambda _: 1) * (1 + w)).to(x.dtype),
)
wrong(
    "casts before the gain, as Llama does",
    lambda x, w: (rms(x, w, gain=lambda _: 1) * (1 + w.float()).to(x.dtype)).to(x.dtype),
)
wrong(
    "casts before the gain, gain in float32",
    lambda x, w: (rms(x, w, gain=lambda _: 1).float() * (1 + w.float())).to(x.dtype),
)
wrong("does not cast back", lambda x, w: rms(x.float(), w))
wrong("rounds through float16", lambda x, w: rms(x.float(), w).half().float())
wrong(
    "multiplies by the root",
    lambda x, w: (
        x.float() * (x.float().square().mean(-1, keepdim=True) + 1e-6).sqrt() * (1 + w.float())
    ).to(x.dtype),
)
wrong(
    "no root",
    lambda x, w: (
        x.float() / (x.float().square().mean(-1, keepdim=True) + 1e-6) * (1 + w.float())
    ).to(x.dtype),
)
wrong(
    "mean of absolute values",
    lambda x, w: (x.float() / (x.float().abs().mean(-1, keepdim=True) + 1e-6) * (1 + w.float())).to(
        x.dtype
    ),
)
wrong(
    "keepdim forgotten",
    lambda x, w: (x.float() * torch.rsqrt(x.float().square().mean(-1) + 1e-6) * (1 + w.float())).to(
        x.dtype
    ),
)
wrong(
    "one root for the whole tensor",
    lambda x, w: (x.float() * torch.rsqrt(x.float().square().mean() + 1e-6) * (1 + w.float())).to(
        x.dtype
    ),
)
wrong("both: no 1 and epsilon 0.01", lambda x, w: rms(x, w, eps=0.01, gain=lambda w: w))
wrong("both: subtracts the mean and no 1", lambda x, w: rms(x, w, center=True, gain=lambda w: w))
wrong("both: sum of squares and no 1", lambda x, w: rms(x, w, mean=False, gain=lambda w: w))
wrong(
    "both: over the first dimension and epsilon outside",
    lambda x, w: rms(x, w, dim=0, outside=True),
)

# --- 5. The mean, folded into the weights


def centered(weight, bias):
    return weight - weight.mean(dim=0), bias - bias.mean()


def centered_cases():
    torch.manual_seed(10)
    return [
        (torch.randn(c, f) + 1, torch.randn(c) + 2)
        for c, f in [(3, 4), (4, 4), (5, 1), (1, 3), (6, 2), (2, 2)]
    ]


wrong, right = exercise(CHECKS, "check_centered", centered, centered_cases)


@right("a projection matrix")
def _(weight, bias):
    c = len(bias)
    project = torch.eye(c) - torch.ones(c, c) / c
    return project @ weight, project @ bias


@right("numpy in float64")
def _(weight, bias):
    w, b = weight.double().numpy(), bias.double().numpy()
    return torch.from_numpy(w - w.mean(0, keepdims=True)), torch.from_numpy(b - b.mean())


@right("a loop over columns")
def _(weight, bias):
    new = weight.clone()
    for j in range(weight.shape[1]):
        new[:, j] -= weight[:, j].sum() / weight.shape[0]
    return new, bias - bias.sum() / len(bias)


right(
    "weight and bias in one matrix",
    lambda w, b: (lambda m: (m[:, :-1], m[:, -1]))(
        (lambda m: m - m.mean(0))(torch.cat([w, b[:, None]], 1))
    ),
)

wrong("means over the inputs", lambda w, b: (w - w.mean(1, keepdim=True), b - b.mean()))
wrong("one mean for the whole matrix", lambda w, b: (w - w.mean(), b - b.mean()))
wrong("leaves the bias", lambda w, b: (w - w.mean(0), b))
wrong("leaves the weight", lambda w, b: (w, b - b.mean()))
wrong("adds the mean", lambda w, b: (w + w.mean(0), b + b.mean()))
wrong("the sum, not the mean", lambda w, b: (w - w.sum(0), b - b.sum()))
wrong("subtracts the bias's mean from the weight", lambda w, b: (w - b.mean(), b - b.mean()))
wrong("subtracts the weight's mean from the bias", lambda w, b: (w - w.mean(0), b - w.mean()))
wrong(
    "divides by the deviation too", lambda w, b: ((w - w.mean(0)) / (w.std(0) + 1e-6), b - b.mean())
)
wrong("bias of zeros", lambda w, b: (w - w.mean(0), torch.zeros_like(b)))
wrong("the means themselves", lambda w, b: (w.mean(0), b.mean()))
wrong("bias first", lambda w, b: (b - b.mean(), w - w.mean(0)))
wrong("weight alone", lambda w, b: w - w.mean(0))
wrong("the transposed weight", lambda w, b: ((w - w.mean(0)).T, b - b.mean()))
wrong("the median", lambda w, b: (w - w.median(0).values, b - b.median()))
wrong("changes the layer in place", lambda w, b: (w.sub_(w.mean(0)), b.sub_(b.mean())))
wrong("divides by F where it should by C", lambda w, b: (w - w.sum(0) / w.shape[1], b - b.mean()))
wrong(
    "divides by C - 1",
    lambda w, b: (w - w.sum(0) / max(len(b) - 1, 1), b - b.sum() / max(len(b) - 1, 1)),
)
wrong(
    "both: means over the inputs and leaves the bias", lambda w, b: (w - w.mean(1, keepdim=True), b)
)
wrong("both: one mean for the matrix and the bias's sum", lambda w, b: (w - w.mean(), b - b.sum()))

# --- 6. The largest score with QK-norm


def largest_score(d_head, query_gain, key_gain):
    return query_gain * key_gain * d_head**0.5


def score_cases():
    return [
        (64, 1.0, 1.0),
        (1, 2.0, 3.0),
        (128, 1.5, 0.5),
        (4, 2.0, 2.0),
        (96, 3.0, 0.1),
        (3, 2, 5),
        (256, 0.25, 4.0),
    ]


wrong, right = exercise(CHECKS, "check_largest_score", largest_score, score_cases)
right("math.sqrt", lambda d, q, k: math.sqrt(d) * q * k)
right(
    "lengths, then the division",
    lambda d, q, k: (q * math.sqrt(d)) * (k * math.sqrt(d)) / math.sqrt(d),
)
right(
    "two vectors of gains",
    lambda d, q, k: float(
        torch.full((d,), float(q), dtype=torch.float64)
        @ torch.full((d,), float(k), dtype=torch.float64)
        / d**0.5
    ),
)
right("numpy number", lambda d, q, k: np.sqrt(np.float64(d)) * q * k)

wrong("forgets the division by the root", lambda d, q, k: q * k * d)
wrong("takes the vectors for unit vectors", lambda d, q, k: q * k / d**0.5)
wrong("the cosine's bound: 1", lambda d, q, k: q * k)
wrong("no gains", lambda d, q, k: d**0.5)
wrong("query's gain alone", lambda d, q, k: q * d**0.5)
wrong("key's gain alone", lambda d, q, k: k * d**0.5)
wrong("adds the gains", lambda d, q, k: (q + k) * d**0.5)
wrong("squares the gains", lambda d, q, k: (q * k) ** 2 * d**0.5)
wrong("root of the whole", lambda d, q, k: (q * k * d) ** 0.5)
wrong("d to the power 3/2", lambda d, q, k: q * k * d**1.5)
wrong("the larger gain squared", lambda d, q, k: max(q, k) ** 2 * d**0.5)
wrong("divides by the key's gain", lambda d, q, k: q / k * d**0.5)
wrong("the smallest, not the largest", lambda d, q, k: -q * k * d**0.5)
wrong("width 64 hard-coded", lambda d, q, k: q * k * 8.0)
wrong("whole root, isqrt", lambda d, q, k: q * k * math.isqrt(d))
wrong(
    "a random search",
    lambda d, q, k: max(
        float(
            (
                lambda a, b: (
                    (a / a.square().mean().sqrt() * q) @ (b / b.square().mean().sqrt() * k) / d**0.5
                )
            )(torch.randn(d), torch.randn(d))
        )
        for _ in range(50)
    ),
)
wrong("both: no division and the gains added", lambda d, q, k: (q + k) * d)
wrong("both: no division and no gains", lambda d, q, k: d)
wrong("both: unit vectors and the gains added", lambda d, q, k: (q + k) / d**0.5)
