"""Checks of chapter 11: speculative decoding's rejection, and tokens that a grammar allows."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Probe

Distribution = Float[Tensor, "V"]


def _accepted(p: Tensor, q: Tensor) -> Tensor:
    return torch.minimum(p, q).sum()


def rejection(
    p: Distribution,
    q: Distribution,
    *,
    accepted: Callable = _accepted,
    missing: Callable = lambda p, q: (p - q).clamp(min=0),
    scaled: Callable = lambda rest, p, q: rest / rest.sum(),
    result: Callable = lambda a, rest: (a, rest),
) -> tuple[float, Distribution] | Any:
    """The probability that a guess from q is accepted, and what is drawn if it is not."""
    share = accepted(p, q)
    share = share.item() if share.dim() == 0 else share
    return result(share, scaled(missing(p, q), p, q))


def _rejection_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    return [
        (torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.1, 0.1, 0.8])),
        (torch.randn(6).softmax(-1), torch.randn(6).softmax(-1)),
        (torch.randn(30).softmax(-1), torch.randn(30).softmax(-1)),
    ]


MISSING = "Draw what acceptance leaves missing, max(0, p - q), scaled to 1."
WEIGHT = "The guess comes from q: sum min(1, p / q) weighted by q."


def _ratio(p: Tensor, q: Tensor, empty: float | int = 0) -> Tensor:
    return (p / q).clamp(max=1).nan_to_num(empty)  # 0 / 0 may be read as either


check_rejection = Exercise(
    title="What follows a rejected guess",
    reference=rejection,
    cases=_rejection_cases,
    switches={
        "accepted": {
            lambda p, q: 1 - _accepted(p, q): "This is the probability that it is rejected.",
            **{
                lambda p, q, e=e, f=f: f(_ratio(p, q, e)): f"{sentence} {WEIGHT}"
                for e in (0, 1)
                for f, sentence in (
                    (torch.mean, "It takes the mean over the tokens."),
                    (torch.clone, "One number for each token is returned: sum them."),
                )
            },
            lambda p, q: _ratio(p, q).sum(): f"It sums without weights. {WEIGHT}",
            lambda p, q: (p * _ratio(p, q)).sum(): (
                "The guess comes from q: weight min(1, p / q) by q(x), not by p(x)."
            ),
            lambda p, q: (q * (p / q)).nan_to_num().sum(): "p / q is not cut off at 1.",
            lambda p, q: (q * _ratio(q, p)).sum(): "The ratio is upside down: it is p / q.",
            lambda p, q: (p * _ratio(q, p) * q).sum(): "The ratio is upside down: it is p / q.",
            torch.minimum: "One number for each token is returned: sum them.",
            lambda p, q: (p * q).sum(): "This is the chance that two draws agree: a guess is kept "
            "with min(1, p / q).",
            lambda p, q: torch.maximum(p, q).sum(): "It takes the larger of p and q: the smaller "
            "is accepted.",
            lambda p, q: (p * q).sqrt().sum(): "It sums roots of p q: sum the smaller of the two.",
            lambda p, q: (p - q).abs().sum() / 2: "This is the probability that it is rejected.",
        },
        "missing": {
            lambda p, q: p: (
                "It draws from p after a rejection: tokens with p > q would then come too rarely. "
                f"{MISSING}"
            ),
            lambda p, q: q: f"It draws from q again. {MISSING}",
            lambda p, q: (q - p).clamp(min=0): f"It takes q - p, the reverse. {MISSING}",
            lambda p, q: (p - q).abs(): (
                "It takes |p - q|: where q is above p nothing is missing, so 0 and not q - p."
            ),
            lambda p, q: p - q: f"Negative differences are left in: cut them to 0. {MISSING}",
            lambda p, q: p * (p > q): f"It takes p where p is above q. {MISSING}",
        },
        "scaled": {
            lambda rest, p, q: rest: "What is missing is not scaled to 1.",
            lambda rest, p, q: rest.softmax(0): "A softmax is no division by the sum: tokens of 0 "
            "would get a share.",
            lambda rest, p, q: rest / _accepted(p, q).clamp(min=1e-9): (
                "It divides by the accepted share: divide by the sum of what is missing."
            ),
        },
        "result": {
            lambda a, rest: (rest, a): "The distribution comes first: return the share first."
        },
    },
    probes=[
        Probe(
            "Where p or q is 0 nothing may become NaN or infinite.",
            (torch.tensor([0.5, 0.5, 0.0, 0.0]), torch.tensor([0.0, 0.5, 0.5, 0.0])),
            lambda expected, got: not all(torch.as_tensor(x).isfinite().all() for x in got),
        ),
        Probe(
            "Distributions without a common token: no guess is accepted, and p is drawn.",
            (torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])),
            lambda expected, got: got[0] != 0 or list(got[1]) != [1, 0],
        ),
    ],
    difficulty=2,
    minutes=15,
)


Table = list[list[int]]


def _read(table: Table, state: int, token: bytes) -> int:
    for byte in token:
        state = table[state][byte] if state >= 0 else -1
    return state


def _last_row(table: Table, state: int, token: bytes) -> int:
    for byte in token:
        state = table[state][byte]
    return state


def allowed(
    table: Table,
    state: int,
    tokens: list[bytes],
    *,
    start: Callable = lambda state, before: state,
    read: Callable = _read,
    good: Callable = lambda here, table: here >= 0,
    empty: bool = False,
    result: Callable = lambda ids, tokens, states: ids,
) -> list[int] | Any:
    """The ids of the tokens that the automaton can read from `state`."""
    found, states = [], [state]
    for i, token in enumerate(tokens):
        states.append(read(table, start(state, states[-1]), token))
        if (token or empty) and good(states[-1], table):
            found.append(i)
    return result(found, tokens, states[1:])


def _table(edges: dict[tuple[int, str], int], n_states: int) -> Table:
    table = [[-1] * 256 for _ in range(n_states)]
    for (state, letters), target in edges.items():
        for letter in letters:
            table[state][ord(letter)] = target
    return table


def _allowed_cases(seed: int) -> list[tuple]:
    number = _table({(0, "123456789"): 1, (1, "0123456789"): 1, (1, "."): 2, (2, "05"): 3}, 4)
    tokens = [b"1", b"0", b"10", b"7.", b"7.5", b"7.x1", b".", b"5", b"", b"x", b"1x", b".5", b"00"]
    loop = _table({(0, "a"): 1, (1, "b"): 0, (2, "x"): 2}, 3)  # the last row must not be reached
    words = [b"a", b"ab", b"b", b"ax", b"aba", b"", b"xx", b"ba", b"bab"]
    more = [token * (seed + 2) for token in words]
    return [(number, 0, tokens), (number, 1, tokens), (number, 2, tokens), (loop, 1, words + more)]


def _places(test: Callable) -> Callable:
    """A way to read that only asks `test(table, state, token)`."""
    return lambda table, state, token: 0 if test(table, state, token) else -1


def _until_forbidden(ids: list[int], tokens: list[bytes], states: list[int]) -> list[int]:
    return [i for place, i in enumerate(ids) if place == i]


HALF = _table({(0, "\xc3"): 1, (1, "\xa9\xbc"): 2, (2, "\xff"): 0}, 3)

check_allowed = Exercise(
    title="Which tokens does a grammar allow?",
    reference=allowed,
    cases=_allowed_cases,
    switches={
        "read": {
            lambda t, s, token: _read(t, s, token[:1]): (
                "It looks at the first byte alone: all bytes must be readable."
            ),
            lambda t, s, token: _read(t, s, token[-1:]): (
                "It looks at the last byte alone: all bytes must be readable, one after another."
            ),
            _last_row: "After -1 it reads on: as an index, -1 is the last row. Stop there.",
            _places(lambda t, s, token: all(t[s][b] >= 0 for b in token)): (
                "It reads each byte from the same state: go on from the state that was reached."
            ),
            lambda t, s, token: _read(t, s, token[::-1]): "It reads the bytes backward.",
            lambda t, s, token: _read(t, s, token[:-1]): "It leaves the last byte out.",
            lambda t, s, token: _read(t, s, token[1:]): "It leaves the first byte out.",
            lambda t, s, token: -1 if len(token) > 1 else _read(t, s, token): (
                "Only tokens of one byte are found: longer ones can be read too."
            ),
        },
        "start": {
            lambda state, before: 0: "It always begins in state 0: begin in `state`.",
            lambda state, before: before: "Each token goes on where the one before ended: begin in "
            "`state` anew.",
        },
        "good": {
            lambda here, table: here > 0: "State 0 is a state too: only -1 means that a byte "
            "cannot be read.",
            lambda here, table: here == len(table) - 1: "It asks for the last state: a token may "
            "end in any.",
            lambda here, table: here == -1: "It finds the tokens that are forbidden.",
            lambda here, table: True: "It allows everything.",
        },
        "empty": {True: "An empty token is let through: it would never get anywhere."},
        "result": {
            lambda ids, tokens, states: [tokens[i] for i in ids]: "It returns the tokens: give "
            "their ids.",
            lambda ids, tokens, states: [i in ids for i in range(len(tokens))]: (
                "It returns True or False for each token: give the ids."
            ),
            lambda ids, tokens, states: [i for i in range(len(tokens)) if i not in ids]: (
                "It finds the tokens that are forbidden."
            ),
            lambda ids, tokens, states: sorted({states[i] for i in ids}): (
                "It returns the states that are reached: give the ids of the tokens."
            ),
            lambda ids, tokens, states: [states[i] for i in ids]: (
                "It returns the states that are reached: give the ids of the tokens."
            ),
            lambda ids, tokens, states: [max(ids, key=lambda i: len(tokens[i]))] if ids else []: (
                "It returns the longest alone: all that can be read are asked for."
            ),
            _until_forbidden: "It stops at the first token that is forbidden.",
            lambda ids, tokens, states: sorted(ids, key=lambda i: tokens[i]): (
                "They are sorted by token: sort by id."
            ),
        },
    },
    probes=[
        Probe(
            "Each token begins in `state` anew.",
            (_table({(0, "ab"): 1}, 2), 0, [b"a", b"b"]),
            lambda expected, got: got == [0],
        ),
        Probe(
            "A token may end in another state than it began in.",
            (_table({(0, "a"): 1}, 2), 0, [b"a", b"aa"]),
            lambda expected, got: 0 not in got,
        ),
        Probe(
            "State 0 is a state too: only -1 means that a byte cannot be read.",
            (_table({(0, "a"): 1, (1, "b"): 0}, 2), 0, [b"ab", b"aba"]),
            lambda expected, got: 0 not in got,
        ),
        Probe(
            "Bytes above 127, as in half of a character, are read as all others: decode nothing.",
            (HALF, 0, [b"\xc3", b"\xc3\xa9", b"\xa9", b"\xc3\xc3", b""]),
            lambda expected, got: not got,
        ),
        Probe("Byte 255 is a byte too: decode nothing.", (HALF, 2, [b"\xff", b"\xff\xc3", b"a"])),
        Probe("Without tokens nothing is allowed.", (HALF, 0, [])),
    ],
    difficulty=2,
    minutes=15,
)
