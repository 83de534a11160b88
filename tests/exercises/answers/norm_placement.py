"""Answers to "A block of OLMo 2" and "Does it leak?"."""

import torch

from tests.exercises.answers import exercise

CHECKS = "lib.exercises.norm_placement"

# --- 3. A block of OLMo 2


def output_norm_block(x, attention, feedforward, norms):
    x = x + norms[0](attention(x))
    return x + norms[1](feedforward(x))


def block_cases():
    torch.manual_seed(11)
    cases = []
    for t, c in [(3, 4), (2, 2), (5, 6)]:
        mix, up, gains = torch.randn(t, t), torch.randn(c, c), torch.randn(2, c) + 2
        norms = [
            lambda x, g=g, e=e: x / (x.square().mean(-1, keepdim=True) + e).sqrt() * g
            for g, e in zip(gains, (1e-3, 1e-1), strict=True)
        ]
        cases.append(
            (
                torch.randn(t, c),
                lambda x, m=mix: m @ x + 1,
                lambda x, u=up: (x @ u).relu() + 0.3,
                norms,
            )
        )
    return cases


wrong, right = exercise(CHECKS, "check_output_norm_block", output_norm_block, block_cases)


@right("a loop over sublayers")
def _(x, attention, feedforward, norms):
    for sublayer, norm in zip((attention, feedforward), norms, strict=True):
        x = x + norm(sublayer(x))
    return x


@right("unpacks the norms and names all parts")
def _(x, attention, feedforward, norms):
    first, second = norms
    after_attention = torch.add(x, first(attention(x)))
    return torch.add(second(feedforward(after_attention)), after_attention)


@right("one expression")
def _(x, attention, feedforward, norms):
    return (h := x + norms[0](attention(x))) + norms[1](feedforward(h))


wrong("pre-norm", lambda x, a, f, n: (h := x + a(n[0](x))) + f(n[1](h)))
wrong(
    "post-norm, as in the first transformer", lambda x, a, f, n: n[1]((h := n[0](x + a(x))) + f(h))
)
wrong("feed-forward first", lambda x, a, f, n: (h := x + n[0](f(x))) + n[1](a(h)))
wrong("the norms exchanged", lambda x, a, f, n: (h := x + n[1](a(x))) + n[0](f(h)))
wrong("the first norm twice", lambda x, a, f, n: (h := x + n[0](a(x))) + n[0](f(h)))
wrong("the second norm twice", lambda x, a, f, n: (h := x + n[1](a(x))) + n[1](f(h)))
wrong("no residual at all", lambda x, a, f, n: n[1](f(n[0](a(x)))))
wrong("no residual around attention", lambda x, a, f, n: (h := n[0](a(x))) + n[1](f(h)))
wrong("no residual around the feed-forward layer", lambda x, a, f, n: n[1](f(x + n[0](a(x)))))
wrong("parallel: both read x", lambda x, a, f, n: x + n[0](a(x)) + n[1](f(x)))
wrong("the second residual is x itself", lambda x, a, f, n: x + n[1](f(x + n[0](a(x)))))
wrong("no norms", lambda x, a, f, n: (h := x + a(x)) + f(h))
wrong("no norm after the feed-forward layer", lambda x, a, f, n: (h := x + n[0](a(x))) + f(h))
wrong("no norm after attention", lambda x, a, f, n: (h := x + a(x)) + n[1](f(h)))
wrong(
    "norm before and after, as in Gemma 2",
    lambda x, a, f, n: (h := x + n[0](a(n[0](x)))) + n[1](f(n[1](h))),
)
wrong("pre-norm for attention only", lambda x, a, f, n: (h := x + a(n[0](x))) + n[1](f(h)))
wrong("norm over the sum after attention", lambda x, a, f, n: (h := n[0](x + a(x))) + n[1](f(h)))
wrong("returns after attention", lambda x, a, f, n: x + n[0](a(x)))
wrong("adds into x in place", lambda x, a, f, n: x.add_(n[0](a(x))).add_(n[1](f(x))))
wrong("subtracts", lambda x, a, f, n: (h := x - n[0](a(x))) - n[1](f(h)))
wrong(
    "both: the norms exchanged and pre-norm", lambda x, a, f, n: (h := x + a(n[1](x))) + f(n[0](h))
)
wrong("both: feed-forward first and parallel", lambda x, a, f, n: x + n[0](f(x)) + n[1](a(x)))
wrong("both: pre-norm and no second residual", lambda x, a, f, n: f(n[1](x + a(n[0](x)))))

# --- 4. Does it leak?


def leaks(function, x):
    jacobian = torch.autograd.functional.jacobian(function, x)
    influence = jacobian.abs().amax(dim=(1, 3))
    return bool(influence.triu(1).any())


def shifted(x, source, target, feature=0, into=0, scale=1.0):
    """x, with one feature of one position added into another."""
    add = torch.zeros_like(x)
    add[target, into] = 1
    return x + add * (x[source, feature] * scale)


def leak_cases():
    torch.manual_seed(12)
    x, square, long = torch.randn(5, 3), torch.randn(3, 3), torch.randn(6, 2)
    triangle, full = torch.ones(5, 5).tril() / 5, torch.ones(5, 5) / 5
    functions = [
        lambda x: x * 2,
        lambda x: triangle @ x,
        lambda x: full @ x,
        lambda x: x.cumsum(0),
        lambda x: x.flip(0),
        lambda x: x - x.mean(0),
        lambda x: (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True),
        lambda x: shifted(x, 4, 0),
        lambda x: shifted(x, 3, 2, 2, 1),
        lambda x: shifted(x, 2, 1, 1, 2, -1.0),
        lambda x: shifted(x, 1, 3),
        lambda x: shifted(shifted(x, 4, 2, 0, 0), 4, 2, 1, 0, -1.0),
        lambda x: shifted(shifted(x, 4, 2, 0, 0), 4, 2, 0, 1, -1.0),
        lambda x: shifted(x, 4, 0, scale=1e-4),
        lambda x: shifted(x, 3, 2) * (x > 9),
        lambda x: x + (x[4:] + 5).relu() * (torch.arange(5) == 0)[:, None] * (x < 0.9).all(),
        lambda x: torch.cat([x[1:], x[:1]]),
        lambda x: torch.cat([x[:1], x[:-1]]),
        lambda x: torch.tanh(triangle @ x) * x,
        lambda x: x * 0 + 1,
        lambda x: shifted(x, 2, 1, scale=3.0) - shifted(x * 0, 2, 1),
        lambda x: (
            x
            + torch.cat([x[1:, :1] - x[1:, 1:2], x[:1, :1] * 0])[:, [0, 0, 0]]
            * torch.tensor([1.0, 0, 0])
        ),
        lambda x: x.sum() - x.flip(0).sum() + x,
    ]
    cases = [(f, x) for f in functions]
    cases += [
        (lambda x: x.relu() + x.flip(0).relu() * 0, square),
        (lambda x: x.cumsum(0), square),
        (lambda x: x.flip(0), square),
    ]
    cases += [
        (lambda x: x, torch.randn(1, 3)),
        (lambda x: x.sum(0, keepdim=True).expand(6, 2), long),
        (lambda x: x.cumsum(0) ** 2, long),
    ]
    return cases


def jacobian(function, x):
    return torch.autograd.functional.jacobian(function, x)


wrong, right = exercise(CHECKS, "check_leaks", leaks, leak_cases)


@right("a gradient for each output number")
def _(function, x):
    for t in range(len(x)):
        for c in range(x.shape[1]):
            y = x.detach().clone().requires_grad_()
            out = function(y)
            if not out.requires_grad:
                return False
            (grad,) = torch.autograd.grad(out[t, c], y, allow_unused=True)
            if grad is not None and grad[t + 1 :].ne(0).any():
                return True
    return False


@right("compares later with earlier positions in two loops")
def _(function, x):
    j = jacobian(function, x)
    return any(bool((j[t, :, s] != 0).any()) for t in range(len(x)) for s in range(t + 1, len(x)))


@right("einsum of squares, below the diagonal")
def _(function, x):
    influence = torch.einsum("tcsd->st", jacobian(function, x).double().square())
    return influence.tril(-1).max().item() > 0


wrong(
    "sums the Jacobian, so that signs cancel",
    lambda f, x: bool(jacobian(f, x).sum((1, 3)).triu(1).any()),
)
wrong(
    "looks at earlier positions",
    lambda f, x: bool(jacobian(f, x).abs().amax((1, 3)).tril(-1).any()),
)
wrong(
    "counts a position's own input",
    lambda f, x: bool(jacobian(f, x).abs().amax((1, 3)).triu(0).any()),
)
wrong(
    "counts any other position",
    lambda f, x: bool((jacobian(f, x).abs().amax((1, 3)) * (1 - torch.eye(len(x)))).any()),
)
wrong(
    "the same feature only",
    lambda f, x: bool(torch.einsum("tcsc->ts", jacobian(f, x).abs()).triu(1).any()),
)
wrong("the first feature only", lambda f, x: bool(jacobian(f, x)[:, 0, :, 0].triu(1).any()))
wrong(
    "positions two later and more",
    lambda f, x: bool(jacobian(f, x).abs().amax((1, 3)).triu(2).any()),
)
wrong(
    "the next position only", lambda f, x: bool(jacobian(f, x).abs().amax((1, 3)).diagonal(1).any())
)
wrong("the first output only", lambda f, x: bool(jacobian(f, x).abs().amax((1, 3))[0, 1:].any()))
wrong("the last input only", lambda f, x: bool(jacobian(f, x).abs().amax((1, 3))[:-1, -1].any()))
wrong(
    "the first output and the last input only",
    lambda f, x: bool(jacobian(f, x)[0, :, -1].abs().sum() > 0) and len(x) > 1,
)
wrong("features for positions", lambda f, x: bool(jacobian(f, x).abs().amax((0, 2)).triu(1).any()))
wrong(
    "all, not any",
    lambda f, x: bool(
        jacobian(f, x).abs().amax((1, 3))[torch.ones(len(x), len(x)).triu(1).bool()].all()
    ),
)
wrong("True where it is safe", lambda f, x: not leaks(f, x))
wrong(
    "only influence above 0.01",
    lambda f, x: bool((jacobian(f, x).abs().amax((1, 3)).triu(1) > 0.01).any()),
)
wrong("only positive influence", lambda f, x: bool((jacobian(f, x).amax((1, 3)).triu(1) > 0).any()))
wrong(
    "one backward pass of the sum of the outputs",
    lambda f, x: (
        bool(torch.autograd.functional.jacobian(lambda y: f(y).sum(), x)[1:].any()) and len(x) > 1
    ),
)
wrong("returns the matrix", lambda f, x: jacobian(f, x).abs().amax((1, 3)))
wrong("always True", lambda f, x: True)
wrong("always False", lambda f, x: False)


@wrong("changes the last input and compares the first output")
def _(function, x):
    other = x.clone()
    other[-1] += 1
    return bool((function(other)[0] != function(x)[0]).any())


@wrong("changes the last input and compares sums")
def _(function, x):
    other = x.clone()
    other[-1] += 1
    return bool(abs(function(other)[:-1].sum() - function(x)[:-1].sum()) > 1e-3)


@wrong("sums the gradient of a position's features")
def _(function, x):
    j = jacobian(function, x).sum(1)
    return bool(j.abs().sum(-1).triu(1).any())


wrong(
    "both: sums the Jacobian and looks at earlier positions",
    lambda f, x: bool(jacobian(f, x).sum((1, 3)).tril(-1).any()),
)
wrong(
    "both: the same feature and the next position only",
    lambda f, x: bool(torch.einsum("tcsc->ts", jacobian(f, x)).diagonal(1).any()),
)
wrong(
    "both: counts a position's own input and the first feature only",
    lambda f, x: bool(jacobian(f, x)[:, 0, :, 0].triu(0).any()),
)


@wrong("only a derivative above a thousandth counts")
def _(function, x):
    return bool((jacobian(function, x).abs().sum((1, 3)).triu(1) > 1e-3).any())


@right("asks allclose whether the derivatives are 0")
def _(function, x):
    above = jacobian(function, x).abs().sum((1, 3)).triu(1)
    return not torch.allclose(above, torch.zeros_like(above))


@wrong("takes the derivatives at ones, not at x")
def _(function, x):
    return bool(jacobian(function, torch.ones_like(x)).abs().sum((1, 3)).triu(1).any())


@wrong("takes the derivatives at random numbers, not at x")
def _(function, x):
    return bool(jacobian(function, torch.randn_like(x)).abs().sum((1, 3)).triu(1).any())
