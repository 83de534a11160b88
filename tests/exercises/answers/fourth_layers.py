"""A fourth blind reading, of chapter 4 (5 and 6 beside it): slips made in a hurry, unusual ways."""

import math
from functools import partial, reduce

import numpy as np
import torch
import torch.nn.functional as F

from tests.exercises.answers import begin


def tokenwise(function):
    """The function of one token, for every token of x (..., C)."""
    return lambda x, *rest: torch.stack(
        [function(token, *rest) for token in x.reshape(-1, x.shape[-1])]
    ).reshape(x.shape)


def without_last(function):
    """Right, but the last row is left as zeros."""

    def skipped(x, *rest):
        result = function(x, *rest).clone()
        result[-1] = 0
        return result

    return skipped


def first_answer_again(function):
    """What was computed first for a shape is given again."""
    seen = {}
    return lambda x, *rest: seen.setdefault(tuple(x.shape), function(x, *rest))


# --- LayerNorm

wrong, right = begin("check_layer_norm")


def ln(x, w, b, dim=-1, eps=0.01, correction=0, outside=0.0):
    var, mean = torch.var_mean(x, dim=dim, keepdim=True, correction=correction)
    return (x - mean) / ((var + eps).sqrt() + outside) * w + b


wrong("epsilon inside and outside", partial(ln, outside=0.01))
wrong("epsilon 0.1, whose root is outside", partial(ln, eps=0, outside=0.1))
wrong("axis 1", lambda x, w, b: ln(x, w, b, dim=1 if x.dim() > 1 else 0))
wrong("the last two axes", lambda x, w, b: ln(x, w, b, dim=(-2, -1) if x.dim() > 1 else -1))
wrong("divided by C + 1", partial(ln, correction=-1))
wrong("divided by 4", lambda x, w, b: ln4(x, w, b))
wrong("the bias is scaled too", lambda x, w, b: ln(x, 1, 0) * (w + b))
wrong("the size of the weight only", lambda x, w, b: ln(x, w.abs(), b))
wrong("the mean of the weight", lambda x, w, b: ln(x, w.mean(), b))
wrong("the middle is the median", lambda x, w, b: ln_about(x, w, b, x.median(-1, True).values))
wrong("variance held above epsilon", lambda x, w, b: ln_clamped(x, w, b))
wrong("in half precision", lambda x, w, b: ln(x.half(), w.half(), b.half()).float())
wrong("the last token is zeros", without_last(ln))
wrong("the first answer again", first_answer_again(ln))
wrong("one row for each token", lambda x, w, b: ln(x, w, b).reshape(-1, x.shape[-1]))
wrong("rounded to two places", lambda x, w, b: ln(x, w, b).round(decimals=2))
wrong("cut at three", lambda x, w, b: ln(x, 1, 0).clamp(-3, 3) * w + b)


@wrong("centers its argument")
def _(x, w, b):
    x -= x.mean(-1, keepdim=True)
    return x / (x.square().mean(-1, keepdim=True) + 0.01).sqrt() * w + b


@wrong("works for the first token of each text only")
def _(x, w, b):
    one = ln(x[..., :1, :] if x.dim() > 1 else x, 1, 0)
    return one.expand(x.shape) * w + b


def ln4(x, w, b):
    mean = x.sum(-1, keepdim=True) / 4
    return (x - mean) / ((x - mean).square().sum(-1, keepdim=True) / 4 + 0.01).sqrt() * w + b


def ln_about(x, w, b, middle):
    return (x - middle) / ((x - middle).square().mean(-1, keepdim=True) + 0.01).sqrt() * w + b


def ln_clamped(x, w, b):
    var, mean = torch.var_mean(x, dim=-1, keepdim=True, correction=0)
    return (x - mean) / var.clamp(min=0.01).sqrt() * w + b


@right("a centering matrix and einsum, in double precision")
def _(x, w, b):
    n = x.shape[-1]
    center = torch.eye(n, dtype=torch.float64) - 1 / n
    y = torch.einsum("...c,cd->...d", x.double(), center)
    size = torch.einsum("...c,...c->...", y, y)[..., None] / n + 0.01
    return (y * size**-0.5 * w + b).to(x.dtype)


@right("NumPy, axis by axis")
def _(x, w, b):
    a = x.detach().numpy().astype(np.float64)
    a = np.apply_along_axis(lambda t: (t - t.mean()) / math.sqrt(t.var() + 0.01), -1, a)
    return torch.from_numpy(a).to(x.dtype) * w + b


@right("token by token, in Python")
@tokenwise
def _(token, w, b):
    values = token.tolist()
    mean = math.fsum(values) / len(values)
    root = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values) + 0.01)
    return torch.tensor([(v - mean) / root for v in values]) * w + b


right(
    "var rescaled from C - 1",
    lambda x, w, b: (
        (x - x.mean(-1, True))
        / ((x - x.mean(-1, True)).norm(dim=-1, keepdim=True) ** 2 / x.shape[-1] + 0.01).sqrt()
        * w
        + b
    ),
)

# --- RMSNorm as in Gemma

wrong, right = begin("check_gemma_norm")


def gemma(x, weight, dim=-1, eps=1e-6, gain=lambda w: 1 + w.float(), wide=torch.Tensor.float):
    y = wide(x)
    y = y * torch.rsqrt(y.square().mean(dim=dim, keepdim=True) + eps)
    return (y * gain(weight)).to(x.dtype)


wrong("e to the weight", partial(gemma, gain=lambda w: w.float().exp()))
wrong("1 + the size of the weight", partial(gemma, gain=lambda w: 1 + w.float().abs()))
wrong("epsilon 1e-12", partial(gemma, eps=1e-12))
wrong("over axis 1", lambda x, w: gemma(x, w, dim=min(1, x.dim() - 1)))
wrong(
    "squares in the dtype of x",
    lambda x, w: (
        x.float() * torch.rsqrt(x.square().mean(-1, True).float() + 1e-6) * (1 + w.float())
    ).to(x.dtype),
)
wrong(
    "squares in the dtype of x, the mean in float32",
    lambda x, w: (
        x.float() * torch.rsqrt(x.square().float().mean(-1, True) + 1e-6) * (1 + w.float())
    ).to(x.dtype),
)
wrong(
    "the root is cast",
    lambda x, w: (
        x.float()
        * torch.rsqrt(x.float().square().mean(-1, True) + 1e-6).to(x.dtype).float()
        * (1 + w.float())
    ).to(x.dtype),
)
wrong("always bfloat16", lambda x, w: gemma(x, w).bfloat16())
wrong("in float16", lambda x, w: gemma(x.half(), w.half()).to(x.dtype))
wrong(
    "the variance",
    lambda x, w: (
        x.float()
        * torch.rsqrt(x.float().var(-1, correction=0, keepdim=True) + 1e-6)
        * (1 + w.float())
    ).to(x.dtype),
)
wrong("the last token is zeros", without_last(gemma))
wrong("the first answer again", first_answer_again(gemma))


@wrong("multiplies in place, which in float32 is the argument")
def _(x, weight):
    wide = x.float()
    wide *= torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6)
    return (wide * (1 + weight.float())).to(x.dtype)


@wrong("adds the 1 in place, which in float32 is the argument")
def _(x, weight):
    return gemma(x, weight, gain=lambda w: w.float().add_(1))


@right("loops over tokens")
@tokenwise
def _(token, weight):
    wide = token.to(torch.float32)
    size = torch.rsqrt(torch.mean(wide**2) + 1e-6)
    return torch.mul(wide * size, weight.to(torch.float32) + 1.0).type_as(token)


@right("sum of products divided by C, pow, add, rsqrt")
def _(x, weight):
    wide = x.type(torch.float32)
    squares = torch.einsum("...c,...c->...", wide, wide).div(x.shape[-1]).unsqueeze(-1)
    return torch.mul(wide.mul(squares.add(1e-6).rsqrt()), torch.ones(len(weight)).add(weight)).to(
        x.dtype
    )


@right("NumPy in float32, rsqrt of torch")
def _(x, weight):
    wide = x.float().numpy()
    mean = np.mean(wide * wide, axis=-1, keepdims=True, dtype=np.float32)
    scale = torch.rsqrt(torch.from_numpy(mean) + 1e-6)
    return (torch.from_numpy(wide) * scale * (weight.float() + 1)).to(weight.dtype)


# --- Does it leak?

wrong, right = begin("check_leaks")
jacobian_of = torch.autograd.functional.jacobian


def influence(function, x):
    return jacobian_of(function, x).abs().amax(dim=(1, 3))


wrong("the first position on the last only", lambda f, x: bool(influence(f, x)[0, -1]))
wrong("the last input never", lambda f, x: bool(influence(f, x)[:-1, :-1].triu(1).any()))
wrong("at zero", lambda f, x: bool(influence(f, torch.zeros_like(x)).triu(1).any()))
wrong("always", lambda f, x: True)


@wrong("the last token is replaced, the outputs are compared with a tolerance")
def _(function, x):
    other = x.clone()
    other[-1] += 1
    return not torch.allclose(function(x)[:-1], function(other)[:-1])


@wrong("each later token moved by a little, outputs compared exactly")
def _(function, x):
    for t in range(1, len(x)):
        other = x.clone()
        other[t] += 1e-3
        if not torch.equal(function(x)[:t], function(other)[:t]):
            return True
    return False


@right("one gradient for each output number")
def _(function, x):
    point = x.detach().clone().requires_grad_()
    y = function(point)
    for t in range(x.shape[0] - 1):
        for c in range(x.shape[1]):
            g = torch.autograd.grad(y[t, c], point, retain_graph=True, allow_unused=True)[0]
            if g is not None and torch.count_nonzero(g[t + 1 :]):
                return True
    return False


@right("a sum of booleans over a mask of positions")
def _(function, x):
    j = jacobian_of(function, x.detach().clone())
    t = torch.arange(len(x))
    later = t[None, :] > t[:, None]
    return (j.ne(0) & later[:, None, :, None]).sum().item() > 0


@right("NumPy, block by block")
def _(function, x):
    j = jacobian_of(function, x).numpy()
    return any(np.any(j[s, :, t] != 0) for t in range(len(x)) for s in range(t))


# --- A block of OLMo 2

wrong, right = begin("check_output_norm_block")


def two(x, first, second, norms, join):
    x = join(x, first, norms[0])
    return join(x, second, norms[1])


wrong(
    "the residual is normalized, the write not",
    lambda x, a, f, n: two(x, a, f, n, lambda x, g, m: m(x) + g(x)),
)
wrong("the half of both", lambda x, a, f, n: two(x, a, f, n, lambda x, g, m: (x + m(g(x))) / 2))
wrong(
    "feed-forward first with its own norm",
    lambda x, a, f, n: two(x, f, a, n[::-1], lambda x, g, m: x + m(g(x))),
)
wrong(
    "the last norm twice",
    lambda x, a, f, n: two(x, a, f, (n[1], n[1]), lambda x, g, m: x + m(g(x))),
)
wrong("attention twice", lambda x, a, f, n: two(x, a, a, n, lambda x, g, m: x + m(g(x))))
wrong(
    "feed-forward of attention's normalized result",
    lambda x, a, f, n: x + n[0](a(x)) + n[1](f(n[0](a(x)))),
)
wrong("one norm for the sum of both", lambda x, a, f, n: x + n[0](a(x) + f(x + a(x))))
wrong("only attention", lambda x, a, f, n: x + n[0](a(x)))
wrong("only feed-forward", lambda x, a, f, n: x + n[1](f(x)))
wrong(
    "a norm of the stream at the end",
    lambda x, a, f, n: n[1](two(x, a, f, n, lambda x, g, m: x + m(g(x)))),
)
wrong("what was added", lambda x, a, f, n: two(x, a, f, n, lambda x, g, m: x + m(g(x))) - x)
wrong(
    "the last token is zeros",
    without_last(lambda x, a, f, n: two(x, a, f, n, lambda x, g, m: x + m(g(x)))),
)
wrong("pairs of both stages", lambda x, a, f, n: (x + n[0](a(x)), x + n[1](f(x))))


@wrong("takes the norms out of the list")
def _(x, attention, feedforward, norms):
    norms = norms if isinstance(norms, list) else list(norms)
    x = x + norms.pop(0)(attention(x))
    return x + norms.pop(0)(feedforward(x))


@right("reduce over pairs")
def _(x, attention, feedforward, norms):
    return reduce(lambda x, p: p[1](p[0](x)).add(x), zip((attention, feedforward), norms), x)


@right("a list of what was written, and its sum")
def _(x, attention, feedforward, norms):
    writes = [x]
    for norm, layer in zip(norms, (attention, feedforward)):
        writes.append(norm(layer(sum(writes))))
    return torch.stack(writes).sum(0)


@right("a copy, changed in place")
def _(x, attention, feedforward, norms):
    out = x.clone()
    out += norms[0](attention(x))
    out += norms[1](feedforward(out.clone()))
    return out


# --- The mean, folded into the weights

wrong, right = begin("check_centered")

wrong("divided by F", lambda w, b: (w - w.sum(0) / w.shape[1], b - b.sum() / w.shape[1]))
wrong("divided by 4", lambda w, b: (w - w.sum(0) / 4, b - b.sum() / 4))
wrong("standardized", lambda w, b: ((w - w.mean(0)) / w.std(0), (b - b.mean()) / b.std()))
wrong(
    "both axes",
    lambda w, b: (
        w - w.mean(0) - w.mean(1, keepdim=True) + w.mean(),
        b - b.mean(),
    ),
)
wrong("the bias loses the weight's mean", lambda w, b: (w - w.mean(0), b - w.mean(1)))
wrong(
    "the last row is not reached",
    lambda w, b: (
        torch.cat([(w - w.mean(0))[:-1], w[-1:]]),
        b - b.mean(),
    ),
)
wrong(
    "the last bias is not reached",
    lambda w, b: (
        w - w.mean(0),
        torch.cat([(b - b.mean())[:-1], b[-1:]]),
    ),
)
wrong(
    "in half precision",
    lambda w, b: (
        (w.half() - w.half().mean(0)).float(),
        (b.half() - b.half().mean()).float(),
    ),
)
wrong(
    "the last row takes up the rest",
    lambda w, b: (
        torch.cat([w[:-1], -w[:-1].sum(0, keepdim=True)]),
        torch.cat([b[:-1], -b[:-1].sum(0, keepdim=True)]),
    ),
)


@right("a projection, in double precision")
def _(weight, bias):
    n = len(bias)
    p = torch.eye(n, dtype=torch.float64) - torch.full((n, n), 1 / n, dtype=torch.float64)
    both = p @ torch.cat([weight, bias[:, None]], 1).double()
    return both[:, :-1].to(weight.dtype), both[:, -1].to(bias.dtype)


@right("the layer asked at zero and at unit vectors")
def _(weight, bias):
    def layer(x):
        y = x @ weight.T + bias
        return y - y.mean(-1, keepdim=True)

    at_zero = layer(torch.zeros(weight.shape[1]))
    return (layer(torch.eye(weight.shape[1])) - at_zero).T, at_zero


@right("column by column in NumPy")
def _(weight, bias):
    w, b = weight.detach().numpy().copy(), bias.detach().numpy().copy()
    for column in w.T:
        column -= column.mean()
    return torch.from_numpy(w), torch.from_numpy(b - np.mean(b))


# --- The largest score with QK-norm

wrong, right = begin("check_largest_score")

wrong("the mean of the gains", lambda d, q, k: (q + k) / 2 * d**0.5)
wrong("the larger gain", lambda d, q, k: max(q, k) * d**0.5)
wrong("the query's gain squared", lambda d, q, k: q * q * d**0.5)
wrong("cut to a whole number", lambda d, q, k: int(q * k * d**0.5))
wrong("rounded to one place", lambda d, q, k: round(q * k * d**0.5, 1))
wrong("half the width", lambda d, q, k: q * k * (d // 2) ** 0.5)
wrong("D - 1", lambda d, q, k: q * k * (d - 1) ** 0.5)
wrong("as text", lambda d, q, k: f"{q * k * d**0.5:g}")


@wrong("the largest of random vectors")
def _(d, q, k):
    a, b = torch.randn(2, 200, d, generator=torch.Generator().manual_seed(0))
    a, b = (q * F.normalize(a, dim=-1), k * F.normalize(b, dim=-1))
    return (a @ b.T).max().item() * d**0.5


@right("two vectors that point the same way")
def _(d, q, k):
    v = torch.arange(1, d + 1, dtype=torch.float64)
    v = v / v.square().mean().sqrt()
    return ((q * v) @ (k * v) / math.sqrt(d)).item()


right("by logarithms", lambda d, q, k: math.exp(math.log(q) + math.log(k) + math.log(d) / 2))
right("NumPy", lambda d, q, k: np.float64(q) * np.float64(k) * np.sqrt(d))
right("a loop over features", lambda d, q, k: sum(q * k for _ in range(d)) / math.hypot(*[1.0] * d))

# --- Your norm (capstone)

wrong, right = begin("check_my_norm")


def rms(x, weight, eps, dim=-1):
    return x * torch.rsqrt(x.square().mean(dim=dim, keepdim=True) + eps) * weight


wrong("epsilon 1e-5, whatever is given", lambda x, w, eps: rms(x, w, 1e-5))
wrong("epsilon 1e-6, whatever is given", lambda x, w, eps: rms(x, w, 1e-6))
wrong("epsilon squared", lambda x, w, eps: rms(x, w, eps**2))
wrong(
    "epsilon under the sum, before the mean",
    lambda x, w, eps: x / ((x.square().sum(-1, True) + eps) / x.shape[-1]).sqrt() * w,
)
wrong(
    "epsilon as a floor", lambda x, w, eps: x / x.square().mean(-1, True).clamp(min=eps).sqrt() * w
)
wrong("over the first axis", lambda x, w, eps: rms(x, w, eps, dim=0))
wrong("over axis 1", lambda x, w, eps: rms(x, w, eps, dim=min(1, x.dim() - 1)))
wrong("over the last two", lambda x, w, eps: rms(x, w, eps, dim=tuple(range(x.dim()))[-2:]))
wrong("the largest for the mean", lambda x, w, eps: x / (x.abs().amax(-1, True) + eps) * w)
wrong("in half precision", lambda x, w, eps: rms(x.half(), w.half(), eps).float())
wrong("the last token is zeros", without_last(rms))
wrong(
    "divided by C - 1",
    lambda x, w, eps: x / (x.square().sum(-1, True) / (x.shape[-1] - 1) + eps).sqrt() * w,
)


@wrong("divides its argument")
def _(x, weight, eps):
    x /= torch.sqrt(x.square().mean(dim=-1, keepdim=True) + eps)
    return x * weight


@right("double precision and einsum")
def _(x, weight, eps):
    y = x.double()
    size = torch.einsum("...c,...c->...", y, y) / y.shape[-1] + eps
    return torch.einsum("...c,...,c->...c", y, size**-0.5, weight.double()).to(x.dtype)


@right("the length of the vector")
def _(x, weight, eps):
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return weight * x / (length**2 / x.size(-1) + eps).sqrt()


@right("token by token")
@tokenwise
def _(token, weight, eps):
    return weight * token / math.sqrt(token.dot(token).item() / len(token) + eps)
