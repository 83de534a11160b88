"""The check of chapter 9 on penalties for tokens that the text already has."""

import math
from collections.abc import Callable

import torch

from lib.exercises.checking import Exercise, Probe
from lib.exercises.filters import NOTHING, Logits


def penalize(
    logits: Logits,
    ids: list[int],
    repetition: float,
    presence: float,
    frequency: float,
    *,
    scaled: Callable = lambda z, r: z * r if z < 0 else z / r,
    times: Callable = lambda n: 1,
    subtracted: Callable = lambda p, f, n, length: p + f * n,
    order: str = "repetition first",
    tokens: Callable = lambda ids, size: sorted(set(ids)),
    others: float = 0.0,
    every: bool = False,
) -> Logits:
    """Repetition penalty, then presence and frequency penalty, for the tokens in `ids`."""
    seen = torch.zeros(len(logits), dtype=torch.bool)
    seen[ids] = True
    result = torch.where(seen, logits, logits - others * presence)
    if every:
        unseen = [scaled(z, repetition) for z in result.tolist()]
        result = torch.where(seen, result, torch.tensor(unseen))
    for i in tokens(ids, len(logits)):
        z, n = result[i].item(), ids.count(i)
        less = subtracted(presence, frequency, n, max(len(ids), 1))
        z = z - less if order == "repetition last" else z
        for _ in range(times(n)):
            z = scaled(z, repetition)
        result[i] = z - less if order == "repetition first" else z
    return result


def _penalty_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    logits = torch.tensor([2.0, -1.0, 0.5, -0.5])
    return [
        (logits, [0, 0, 1], 2.0, 0.5, 0.25),
        (logits, [], 1.5, 1.0, 1.0),
        (logits, [3, 2, 2, 2], 1.2, 0.3, 0.45),
        (torch.randn(12), torch.randint(12, (20,)).tolist(), 1.3, 0.45, 0.2),
    ]


check_penalize = Exercise(
    title="Three penalties",
    reference=penalize,
    cases=_penalty_cases,
    switches={
        "scaled": {
            lambda z, r: z / r: (
                "A negative logit divided by 2 comes nearer to 0: the token gets more probable. "
                "Multiply negative logits."
            ),
            lambda z, r: z * r: "Positive logits are multiplied: divide them.",
            lambda z, r: z / r if z < 0 else z * r: "It multiplies positive logits and divides "
            "negative ones: it is the reverse.",
            lambda z, r: z - r: "The repetition penalty is a factor: it is not subtracted.",
            lambda z, r: z - math.log(r): "The repetition penalty is a factor of the logit, not of "
            "the probability: ln of it is not subtracted.",
            lambda z, r: z: "There is no repetition penalty.",
            lambda z, r: z - abs(z) * (r - 1): "It takes a share r - 1 of the logit's size away: "
            "that is r times a negative logit, but a positive one is divided by r.",
            lambda z, r: NOTHING: "Tokens of the text are forbidden: they only get less probable.",
        },
        "times": {
            lambda n: n: (
                "The repetition penalty is applied once for each occurrence; it counts a token "
                "once, however often it occurs."
            )
        },
        "subtracted": {
            lambda p, f, n, length: p + f: (
                "The frequency penalty is subtracted once; subtract it for each occurrence."
            ),
            lambda p, f, n, length: (p + f) * n: "The presence penalty is subtracted for each "
            "occurrence: it counts once.",
            lambda p, f, n, length: p * n + f: "Presence counts once and frequency for each "
            "occurrence: they are taken for one another.",
            lambda p, f, n, length: p + f * (n - 1): "The first occurrence counts too: subtract "
            "frequency n times, not n - 1.",
            lambda p, f, n, length: p + f * n / length: "It takes the share of the text: the "
            "number of occurrences counts, whatever the length.",
            lambda p, f, n, length: -p - f * n: "Presence and frequency are added: subtract them.",
            lambda p, f, n, length: -p + f * n: "Presence is added: subtract it.",
            lambda p, f, n, length: p - f * n: "Frequency is added: subtract it.",
            lambda p, f, n, length: -f - p * n: "Presence and frequency are taken for one another, "
            "and added: subtract them.",
            lambda p, f, n, length: p * f * n: "Presence and frequency are multiplied with one "
            "another: subtract presence, and frequency for each occurrence.",
            lambda p, f, n, length: p: "There is no frequency penalty.",
            lambda p, f, n, length: f * n: "There is no presence penalty.",
            lambda p, f, n, length: 0.0: "Presence and frequency are not used.",
        },
        "order": {
            "repetition last": "The repetition penalty comes first, and is asked of the logit "
            "before anything is subtracted."
        },
        "tokens": {
            lambda ids, size: [i for i in range(size) if i not in ids]: (
                "It changes the tokens that are not in the text."
            ),
            lambda ids, size: range(size): "It changes all tokens: only those in `ids` count.",
            lambda ids, size: ids[-1:]: "It changes the last token of the text alone.",
            lambda ids, size: sorted({i for i in ids if ids.count(i) > 1}): (
                "It changes only tokens that occur more than once."
            ),
            lambda ids, size: ids: "Everything is done anew for each occurrence: go over "
            "`set(ids)`.",
        },
        "every": {True: "The repetition penalty changes all tokens: only those in `ids` count."},
        "others": {1.0: "Presence is subtracted from all tokens: only those in `ids` are present."},
    },
    probes=[
        Probe(
            "With an empty text nothing changes.", (torch.tensor([1.0, -1.0]), [], 2.0, 0.5, 1.0)
        ),
        Probe(
            "A token of id 0 is a token too.",
            (torch.tensor([1.0, 3.0]), [0], 2.0, 0.25, 0.5),
            wrong=lambda expected, got: got[0] == 1.0,
        ),
    ],
    difficulty=2,
    minutes=15,
)
