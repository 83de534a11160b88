"""Exercises of chapter 4: where the norm stands, and whether a function sees the future."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Mistake, Probe
from lib.model.norm_measures import influence


def _random(seed: int, *shape: int, shift: float | int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator) + shift


# Where the norm stands

Function = Callable[[Tensor], Tensor]


def output_norm_block(
    x: Float[Tensor, "T C"], attention: Function, feedforward: Function, norms: list[Function]
) -> Float[Tensor, "T C"]:
    """A block of OLMo 2: x + norm(f(x)), for attention and then for feed-forward."""
    x = x + norms[0](attention(x))
    return x + norms[1](feedforward(x))


def _with_parts(answer: Callable, seed: int, size: int) -> Tensor:
    """Call an answer with a small attention-like map, a feed-forward map and two norms."""
    x = _random(seed, size, 4, shift=0.5)
    mix, weight, gain = _random(seed + 1, size, size), _random(seed + 2, 4, 4), _random(seed + 3, 2)

    def norm(i: int) -> Function:
        return lambda x: gain[i] * x * torch.rsqrt(x.square().mean(-1, keepdim=True))

    return answer(x, lambda x: mix @ x, lambda x: torch.tanh(x @ weight), [norm(0), norm(1)])


def _post(x: Tensor, attention: Function, feedforward: Function, norms: list[Function]) -> Tensor:
    x = norms[0](x + attention(x))
    return norms[1](x + feedforward(x))


def _pre(x: Tensor, attention: Function, feedforward: Function, norms: list[Function]) -> Tensor:
    x = x + attention(norms[0](x))
    return x + feedforward(norms[1](x))


def _no_way_around(
    x: Tensor, attention: Function, feedforward: Function, norms: list[Function]
) -> Tensor:
    return norms[1](feedforward(norms[0](attention(x))))


def _parallel(
    x: Tensor, attention: Function, feedforward: Function, norms: list[Function]
) -> Tensor:
    return x + norms[0](attention(x)) + norms[1](feedforward(x))


check_output_norm_block = Exercise(
    title="A block of OLMo 2",
    reference=lambda seed, size: _with_parts(output_norm_block, seed, size),
    cases=lambda seed: [(seed, 2), (seed + 10, 3), (seed + 20, 5)],
    call=_with_parts,
    mistakes=[
        Mistake(_post, "This is post-norm: the sum is normalized, and with it the way around."),
        Mistake(_pre, "This is pre-norm: the input of each sublayer is normalized."),
        Mistake(_no_way_around, "The residual stream is missing: add to x, do not replace it."),
        Mistake(_parallel, "The feed-forward layer must read what attention has added to x."),
        Mistake(
            lambda x, attention, feedforward, norms: output_norm_block(
                x, attention, feedforward, norms[::-1]
            ),
            "The two norms are swapped.",
        ),
    ],
    difficulty=1,
    minutes=10,
)


# Does it leak?


def leaks(function: Function, x: Float[Tensor, "T C"]) -> bool:
    """Whether any output position depends on a later input position."""
    return bool(influence(function, x).triu(1).any())


def _functions(seed: int) -> list[tuple[Function, Tensor]]:
    """Causal and leaking functions of 5 positions with 3 features."""
    x, mix = _random(seed, 5, 3), _random(seed + 1, 5, 5)
    shifted = torch.diag(torch.ones(4), 1)
    scale = torch.linspace(1, 2, 3)
    return [
        (_named("each position alone", lambda x: x * scale), x),
        (_named("all positions before", lambda x: mix.tril() @ x), x),
        (_named("all positions", lambda x: mix @ x), x),
        (_named("the mean over positions subtracted", lambda x: x - x.mean(dim=0)), x),
        (_named("the position before", lambda x: shifted.T @ x), x),
        (_named("the position after", lambda x: shifted @ x), x),
        (_named("the last feature of the future", lambda x: _last_feature(x, mix)), x),
    ]


def _last_feature(x: Tensor, mix: Tensor) -> Tensor:
    return torch.stack([x[:, 0], x[:, 1], mix.triu() @ x[:, 2]], dim=1)


def _named(name: str, function: Function) -> Function:
    """A function that an example can name."""
    function.__qualname__ = function.__name__ = name
    return function


def _first_feature_only(function: Function, x: Tensor) -> bool:
    jacobian = torch.autograd.functional.jacobian(function, x)
    return bool(jacobian[:, 0, :, 0].triu(1).any())


ONES = torch.ones(5, 3)


def _one_leak(x: Tensor, later: int, source: int, by: tuple[int, ...]) -> Tensor:
    """Row `later` of x, to which a sum over the features of row `source` is added."""
    added = torch.zeros(len(x), 1).index_fill(0, torch.tensor(later), 1.0)
    return x + added * (x[source] * torch.tensor(by, dtype=x.dtype)).sum()


def _one_feature(x: Tensor) -> Tensor:
    first = torch.zeros_like(x)
    first[0, 0] = 1.0
    return x + first * x[1, 1]


check_leaks = Exercise(
    title="Does it leak?",
    reference=leaks,
    cases=_functions,
    mistakes=[
        Mistake(
            lambda function, x: bool(influence(function, x).tril(-1).any()),
            "It looks below the diagonal: depending on the past is allowed, on the future not.",
        ),
        Mistake(
            lambda function, x: bool(influence(function, x).triu(0).any()),
            "The diagonal counts too: a position may depend on itself.",
        ),
        Mistake(
            _first_feature_only,
            "Only the first feature is looked at: any feature can carry the future.",
        ),
        Mistake(
            lambda function, x: not leaks(function, x),
            "The answer is the wrong way round: True means that it leaks.",
        ),
    ],
    probes=[
        Probe(
            "Influences of two features that cancel in a sum are influences: add sizes, not signs.",
            (_named("x[0] += x[3, 0] - x[3, 1]", lambda x: _one_leak(x, 0, 3, (1, -1, 0))), ONES),
        ),
        Probe(
            "A position in the middle may be the one that leaks: look at each pair of positions.",
            (_named("x[2] += x[3]", lambda x: _one_leak(x, 2, 3, (1, 1, 1))), ONES),
        ),
        Probe(
            "A feature may depend on another one of a later position: look at each pair of them.",
            (_named("x[0, 0] += x[1, 1]", lambda x: _one_feature(x)), ONES),
        ),
    ],
    difficulty=3,
    minutes=20,
)
