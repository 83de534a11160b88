"""Exercises of chapter 4: where the norm stands, and whether a function sees the future."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Probe
from lib.exercises.layer_norm import random
from lib.model.norm_measures import influence

Function = Callable[[Tensor], Tensor]


def _named(name: str, function: Function) -> Function:
    """A function that an example can name."""
    function.__qualname__ = function.__name__ = name
    return function


# Where the norm stands


def output_norm_block(
    x: Float[Tensor, "T C"],
    attention: Function,
    feedforward: Function,
    norms: list[Function],
    *,
    norm: str = "output",
    first: str = "output",
    second: str = "output",
    around: str = "both",
    read: str = "sum",
    sign: int = 1,
    last: bool = False,
    skipped: str = "none",
    turned: bool = False,
) -> Float[Tensor, "T C"]:
    """A block of OLMo 2: x + norm(f(x)), for attention and then for feed-forward."""
    places = (first, second) if norm == "output" else (norm, norm)
    if turned:
        attention, feedforward, norms = feedforward, attention, norms[::-1]
    if skipped != "none":
        attention, feedforward = {
            "attention": (torch.zeros_like, feedforward),
            "feed-forward": (attention, torch.zeros_like),
        }[skipped]
        norms = [torch.zeros_like if f is torch.zeros_like else n
                 for f, n in zip((attention, feedforward), norms, strict=True)]  # fmt: skip

    def sublayer(x: Tensor, function: Function, normalize: Function, place: str) -> Tensor:
        made = function(normalize(x) if place in ("input", "both") else x)
        return normalize(made) if place in ("output", "both") else made

    def added(x: Tensor, made: Tensor, normalize: Function, place: str, keep: bool) -> Tensor:
        total = x + sign * made if keep else made
        return normalize(total) if place == "sum" else total

    made = sublayer(x, attention, norms[0], places[0])
    middle = added(x, made, norms[0], places[0], around in ("both", "first", "start"))
    source = {"sum": middle, "x": x, "made": made}[read]
    made = sublayer(source, feedforward, norms[1], places[1])
    start = x if around == "start" else middle
    end = added(start, made, norms[1], places[1], around in ("both", "second", "start"))
    return norms[1](end) if last else end


def _parts(seed: int, size: int) -> tuple:
    """x, an attention-like map, a feed-forward map and two norms of other gains."""
    x = random(seed, size, 4, shift=0.5)
    mix, weight = random(seed + 1, size, size), random(seed + 2, 4, 4)
    gain = random(seed + 3, 2).tolist()

    def norm(i: int) -> Function:
        return _named(f"norm {i}", lambda x: gain[i] * x * (x.square().mean(-1, True)).rsqrt())

    return (
        x,
        _named("attention", lambda x: mix @ x),
        _named("feedforward", lambda x: torch.tanh(x @ weight)),
        [norm(0), norm(1)],
    )


def _simple(attention: Function, feedforward: Function, first: Function, second: Function) -> tuple:
    """x = (1, 2) and maps that show one thing each."""
    named = [_named("attention", attention), _named("feedforward", feedforward)]
    return torch.tensor([[1.0, 2.0]]), *named, [_named("norm", first), _named("norm", second)]


check_output_norm_block = Exercise(
    title="A block of OLMo 2",
    reference=output_norm_block,
    cases=lambda seed: [_parts(seed, 2), _parts(seed + 10, 3), _parts(seed + 20, 5)],
    switches={
        "norm": {
            "sum": "This is post-norm: the sum is normalized, and with it the way around.",
            "input": "This is pre-norm: the input of each sublayer is normalized.",
            "both": "This is sandwich norm, as in Gemma: only the outputs are to be normalized.",
            "none": "Nothing is normalized.",
        },
        **{
            name: {
                "sum": f"After {word} the sum is normalized: normalize only what {word} makes.",
                "input": f"{word.capitalize()}'s input is normalized: its output is to be.",
                "both": f"{word.capitalize()}'s input is normalized too: only its output is to be.",
                "none": f"The norm of what {word} makes is missing.",
            }
            for name, word in [("first", "attention"), ("second", "feed-forward")]
        },
        "around": {
            "none": "The residual stream is missing: add to x, do not replace it.",
            "first": "There is no way around feed-forward: add to the sum, do not replace it.",
            "second": "There is no way around attention: add to x, do not replace it.",
            "start": "The second sum begins from x again: what attention added is lost.",
        },
        "read": {
            "x": "The feed-forward layer must read what attention has added to x.",
            "made": "The feed-forward layer reads only what attention made, without x.",
        },
        "sign": {-1: "What the sublayers make is subtracted: add it."},
        "skipped": {
            "attention": "Attention is left out: it comes first.",
            "feed-forward": "Feed-forward is left out: it comes after attention.",
        },
        "turned": {True: "Feed-forward comes before attention: it is to come after."},
        "last": {True: "The sum is normalized at the end: the stream itself never is."},
    },
    probes=[
        Probe("Where both sublayers give 0, the block must return x as it is.",
              _simple(lambda x: 0 * x, lambda x: 0 * x, lambda x: x, lambda x: x)),
        Probe(
            "The stream itself is normalized: where both sublayers give 0, x must come through "
            "unchanged, whatever the norms do.",
            _simple(lambda x: 0 * x, lambda x: 0 * x, lambda x: 2 * x, lambda x: 3 * x),
        ),
        Probe("What attention makes must go through norms[0] and be added to x.",
              _simple(lambda x: x, lambda x: 0 * x, lambda x: 10 * x.sign(), lambda x: x)),
        Probe("What feed-forward makes must go through norms[1] and be added.",
              _simple(lambda x: 0 * x, lambda x: x, lambda x: x, lambda x: 10 * x.sign())),
        Probe("Feed-forward must read x with what attention has added to it.",
              _simple(lambda x: x, lambda x: x * x, lambda x: x, lambda x: x)),
    ],
    difficulty=1,
    minutes=10,
)  # fmt: skip


# Does it leak?


def leaks(
    function: Function,
    x: Float[Tensor, "T C"],
    *,
    where: str = "above",
    of: str = "sizes",
    answer: str = "leak",
) -> bool:
    """Whether any output position depends on a later input position."""
    if of == "sizes":
        table = influence(function, x)
    else:
        jacobian = torch.autograd.functional.jacobian(function, x)
        table = {
            "first": lambda: jacobian[:, 0, :, 0],
            "signed": lambda: jacobian.sum((1, 3)),
            "outputs": lambda: jacobian.sum(1).abs().amax(2),
            "inputs": lambda: jacobian.sum(3).abs().amax(1),
            "positive": lambda: jacobian.clamp(min=0).amax((1, 3)),
            "same": lambda: jacobian.diagonal(dim1=1, dim2=3).abs().amax(-1),
            "features": lambda: jacobian.abs().amax((0, 2)),
        }[of]()
    off = table - table.diag().diag() if len(table) == len(x) else table
    seen = {
        "above": lambda: table.triu(1), "below": lambda: table.tril(-1),
        "diagonal": lambda: table.triu(), "other": lambda: off, "any": lambda: table,
        "past_too": lambda: table.tril(), "next": lambda: table.diagonal(1),
        "far": lambda: table.triu(2), "first": lambda: table[0, 1:], "last": lambda: table[:-1, -1],
    }[where]()  # fmt: skip
    found = bool((seen != 0).any())
    return {"leak": found, "no leak": not found, "yes": True, "no": False}[answer]


def _functions(seed: int) -> list[tuple[Function, Tensor]]:
    """Causal and leaking functions of 5 positions with 3 features."""
    x, mix = random(seed, 5, 3), random(seed + 1, 5, 5)
    shifted, scale = torch.diag(torch.ones(4), 1), torch.linspace(1, 2, 3)
    last = [
        _named(
            "the last feature of the future",
            lambda x: torch.stack([x[:, 0], x[:, 1], mix.triu() @ x[:, 2]], dim=1),
        ),
        _named("the position before", lambda x: shifted.T @ x),
        _named("the position after", lambda x: shifted @ x),
        _named("the mean over positions subtracted", lambda x: x - x.mean(dim=0)),
        _named("all positions", lambda x: mix @ x),
        _named("all positions before", lambda x: mix.tril() @ x),
        _named("each position alone", lambda x: x * scale),
        _named("no position", lambda x: 0 * x),
    ]
    return [(function, x) for function in last[::-1]]


ONES, (ROW_0, ROW_1) = torch.ones(5, 3), torch.eye(5)[:2, :, None]


def _adds(name: str, later: int, source: int, by: tuple, to: tuple = (1, 1, 1)) -> tuple:
    """A function that adds to row `later` a sum over the features of row `source`."""
    row = torch.zeros(5, 1).index_fill(0, torch.tensor(later), 1.0)

    def function(x: Tensor) -> Tensor:
        amount = (x[source] * torch.tensor(by, dtype=x.dtype)).sum()
        return x + row * torch.tensor(to, dtype=x.dtype) * amount

    return _named(name, function), ONES


check_leaks = Exercise(
    title="Does it leak?",
    reference=leaks,
    cases=_functions,
    switches={
        "where": {
            "below": "It looks below the diagonal: depending on the past is allowed, on the future "
            "not.",
            "past_too": "It looks on and below the diagonal: the past and a position itself may be "
            "depended on, the future may not.",
            "diagonal": "The diagonal counts too: a position may depend on itself.",
            "other": "Depending on the past counts too: only the future is a leak.",
            "any": "Any dependence counts: only that on a later position is a leak.",
            "next": "Only the next position is looked at: any later one may leak.",
            "far": "The next position is left out: every later one counts.",
            "first": "Only the first output position is looked at: any may see the future.",
            "last": "Only the last input position is looked at: any later one may leak.",
        },
        "of": {
            "first": "Only the first feature is looked at: any feature can carry the future.",
            "signed": "Influences are added with their signs and can cancel: take sizes first.",
            "outputs": "The gradients of a position's features are summed and can cancel: look at "
            "each feature.",
            "inputs": "Influences of several features are summed and can cancel: take sizes first.",
            "positive": "Only positive influence counts: a negative one is an influence too.",
            "same": "Each feature is compared with itself only: it may depend on another one.",
            "features": "Features are compared in place of positions: the shape is (T, C, T, C).",
        },
        "answer": {
            "no leak": "The answer is the wrong way round: True means that it leaks.",
            "yes": "It says True always.",
            "no": "It says False always.",
        },
    },
    probes=[
        Probe("A position that depends on itself alone is no leak.",
              (_named("2 * x", lambda x: 2 * x), ONES)),
        Probe("A position that depends on an earlier one is no leak.",
              _adds("x[3] += x[1]", 3, 1, (1, 1, 1))),
        Probe("Position 0 depends on the last: that leaks.", _adds("x[0] += x[4]", 0, 4, (1,) * 3)),
        Probe("Position 0 depends on the next one, position 1: that leaks.",
              _adds("x[0] += x[1]", 0, 1, (1,) * 3)),
        Probe("A position in the middle may be the one that leaks: look at each pair of positions.",
              _adds("x[2] += x[3]", 2, 3, (1, 1, 1))),
        Probe("The last feature may be the one that leaks: look at each.",
              _adds("x[1, 2] += x[3, 2]", 1, 3, (0, 0, 1), (0, 0, 1))),
        Probe("A feature may depend on another one of a later position: look at each pair of them.",
              _adds("x[0, 0] += x[1, 1]", 0, 1, (0, 1, 0), (1, 0, 0))),
        Probe("A negative influence is an influence: take sizes.",
              _adds("x[0] -= x[3]", 0, 3, (-1, -1, -1))),
        Probe(
            "Influences of two features that cancel in a sum are influences: add sizes, not signs.",
            _adds("x[0] += x[3, 0] - x[3, 1]", 0, 3, (1, -1, 0)),
        ),
        Probe(
            "Influences on two features that cancel in a sum are influences: look at each feature.",
            _adds("x[0, 0] += x[3, 0]; x[0, 1] -= x[3, 0]", 0, 3, (1, 0, 0), (1, -1, 0)),
        ),
        Probe("A small influence is a leak too: ask for anything but 0.",
              _adds("x[0, 0] += 9e-4 * x[3, 0]", 0, 3, (9e-4, 0, 0), (1, 0, 0))),
        Probe("At this x the derivative is 0, elsewhere it is not: only the point x counts.",
              (_named("x[0] += relu(x[4])", lambda x: x + ROW_0 * x[4].relu()), -ONES)),
        Probe(
            "At this x the derivative is not 0, elsewhere it is: only the point x counts.",
            (_named("x[0] += relu(x[4] - 2)", lambda x: x + ROW_0 * (x[4] - 2).relu()), 3 * ONES),
        ),
        Probe("Position 1 depends on two later ones that cancel: look at each position alone.",
              (_named("x[1] += x[2] - x[4]", lambda x: x + ROW_1 * (x[2] - x[4])), ONES)),
    ],
    difficulty=3,
    minutes=20,
)  # fmt: skip
