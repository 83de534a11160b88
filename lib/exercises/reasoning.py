"""Checks of chapter 14, the cold start: the loss mask and the group's advantage; more beside it."""

import random
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.chains import check_right_chain, right_chain
from lib.exercises.checking import Exercise, Probe
from lib.exercises.policies import check_clipped, clipped
from lib.exercises.selection import check_select, select

__all__ = [
    "advantages",
    "check_advantages",
    "check_clipped",
    "check_learned_targets",
    "check_right_chain",
    "check_select",
    "clipped",
    "learned_targets",
    "right_chain",
    "select",
]

# The loss mask


def learned_targets(
    ids: list[int],
    n_prompt: int,
    pad_id: int,
    *,
    response: Callable = lambda place, n, ids, pad: place >= n,
    real: Callable = lambda place, ids, pad: ids[place] != pad,
    join: Callable = lambda a, b: a and b,
    places: Callable = lambda n: range(1, n),
    result: Callable = lambda mask, ids, n: mask,
) -> list[bool] | Any:
    """For each position but the last: does the loss count its prediction of the next token?"""
    mask = [
        join(response(place, n_prompt, ids, pad_id), real(place, ids, pad_id))
        for place in places(len(ids))
    ]
    return result(mask, ids, n_prompt)


def _mask_cases(seed: int) -> list[tuple]:
    dice = random.Random(seed)
    long = [dice.randrange(1, 30) for _ in range(dice.randrange(9, 20))]
    return [
        ([7, 8, 9, 5, 1, 0, 0], 3, 0),
        ([4, 6, 2], 1, 99),
        ([5, 6, 2, 3], 2, 6),
        ([3, 6, 4, 2, 5, 6, 6], 3, 6),  # padding is not always 0, and may stand in the prompt
        ([*long, 0, 0, 0], len(long) // 2, 0),
        ([2, 7, 4, 0, 5, 8, 0, 0], 2, 0),  # and within the response
        (long, len(long) - 1, 0),
    ]


def _until_padding(place: int, ids: list[int], pad: int) -> bool:
    return pad not in ids[: place + 1]


check_learned_targets = Exercise(
    title="The loss mask",
    reference=learned_targets,
    cases=_mask_cases,
    switches={
        "places": {
            lambda n: range(n - 1): (
                "It is one too late: position i predicts token i + 1, so the last token of the "
                "prompt already predicts the first of the response."
            ),
            range: ("There is one entry too many: the last position has no next token to predict."),
            lambda n: range(2, n): "There is one entry too few: the first predicts the second.",
        },
        "real": {
            lambda i, ids, pad: True: (
                "Padding is learned: leave out positions whose next token is padding."
            ),
            lambda i, ids, pad: ids[i - 1] != pad: "It asks whether the position's own token is "
            "padding: its next token decides.",
            lambda i, ids, pad: not (ids[i] == pad and ids[i - 1] == pad): "It leaves padding out "
            "only after padding: the first one is no target either.",
            lambda i, ids, pad: ids[i] != pad and ids[i - 1] != pad: "It asks of both tokens: the "
            "next one alone decides.",
            lambda i, ids, pad: ids[i] != 0: "Padding is not always 0: compare with `pad_id`.",
            lambda i, ids, pad: (
                ids[i] > pad
            ): "Ids above `pad_id` are taken for tokens, those below "
            "for padding: only what equals it is padding.",
            lambda i, ids, pad: i < len(ids) - ids.count(pad): "It takes padding to stand at the "
            "end: it counts nowhere.",
            lambda i, ids, pad: ids[i] != pad and i < len(ids) - 1: "The last token is left out.",
            lambda i, ids, pad: ids[i] == pad: "It keeps padding alone: leave it out.",
            lambda i, ids, pad: any(t != pad for t in ids[i:]): "It leaves padding out only at the "
            "end: it counts nowhere.",
            _until_padding: "A token like padding in the prompt ends it: only the target counts.",
        },
        "response": {
            lambda i, n, ids, pad: True: (
                "The prompt is learned too: the loss should count the response alone."
            ),
            lambda i, n, ids, pad: i > n: "The first token of the response is learned too: it is "
            "token n_prompt, counted from 0.",
            lambda i, n, ids, pad: i >= n - 1: "The last token of the prompt is learned: the "
            "response begins with token n_prompt.",
            lambda i, n, ids, pad: ids[i] not in ids[:n]: "It asks whether a token occurs in the "
            "prompt: its place decides.",
            lambda i, n, ids, pad: i < n: "It learns the prompt in place of the response.",
            lambda i, n, ids, pad: i >= n and pad not in ids[n:i]: "It ends at the first padding: "
            "tokens after it count again.",
            lambda i, n, ids, pad: i >= sum(t != pad for t in ids[:n]): "It counts the prompt "
            "without tokens like padding: n_prompt is its length.",
            lambda i, n, ids, pad: i >= n - ids[:n].count(pad) - 1: "It counts the prompt without "
            "tokens like padding: n_prompt is its length.",
        },
        "join": {
            lambda a, b: a or b: "`or` lets the prompt through: both must hold.",
            lambda a, b: not (a and b): "True and False are turned round.",
            lambda a, b: a and not b: "It keeps padding alone: leave it out.",
        },
        "result": {
            lambda m, ids, n: [t for t, yes in zip(ids[1:], m, strict=False) if yes]: (
                "The learned tokens are returned: say True or False for each position."
            ),
            lambda m, ids, n: [i for i, yes in enumerate(m) if yes]: (
                "Positions are returned: say True or False for each."
            ),
            lambda m, ids, n: [t if yes else -100 for t, yes in zip(ids[1:], m, strict=False)]: (
                "Targets with -100 are returned: say True or False for each position."
            ),
            lambda m, ids, n: [False, *m]: "There is one entry too many, at the beginning.",
            lambda m, ids, n: [yes and any(m[i + 1 :]) for i, yes in enumerate(m)]: (
                "The last token of the response is learned too."
            ),
            lambda m, ids, n: [*m, False]: "There is one entry too many, at the end.",
            lambda m, ids, n: m[n - 1 :]: "The prompt's positions are missing: say False for them.",
        },
    },
    probes=[Probe("Without a response there is a False for each position.", ([4, 6, 2], 3, 99))],
    difficulty=1,
    minutes=8,
)

# The group's advantage

Rewards = Float[Tensor, "P G"]


def advantages(
    rewards: Rewards,
    *,
    given: Callable = lambda r: r,
    center: Callable = lambda r: r.mean(1, keepdim=True),
    spread: Callable = lambda r: r.std(1, keepdim=True, correction=0),
    divided: Callable = lambda d, s: d / (s + 1e-4),
    result: Callable = lambda a, r: a,
) -> Rewards | Any:
    """(r - mean) / (std + 1e-4) within each row; std divides by the number in the row."""
    rewards = given(rewards)
    return result(divided(rewards - center(rewards), spread(rewards)), rewards)


def _reward_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    return [
        (torch.tensor([[1.0, 0.0, 0.0, 1.0], [1.1, 1.1, 1.1, 1.1]]),),
        (torch.tensor([[0.0, 0.0, 1.0]]),),
        (torch.rand(4, 6) + torch.arange(4.0)[:, None],),
        (torch.eye(16)[[3, 0]],),  # one right in many: an advantage of nearly 4
        (torch.rand(3, 5) * 2e-5,),  # the deviation is far below 1e-4
    ]


ALL = (
    "is over the whole batch: a response is compared with those to the same problem, else easy "
    "problems look like good work. Use dim=1, keepdim=True."
)

check_advantages = Exercise(
    title="The advantage within a group",
    reference=advantages,
    cases=_reward_cases,
    switches={
        "given": {
            lambda r: (r > 0).float(): "Rewards become 0 or 1 first: take them as they are.",
            torch.round: "Rewards are rounded first: take them as they are.",
        },
        "center": {
            lambda r: r.mean(): f"The mean {ALL}",
            lambda r: r.mean(0, keepdim=True): "The mean is over the problems: take it over a "
            "row's responses, dim=1.",
            lambda r: r.median(1, keepdim=True).values: "It subtracts the median: take the mean.",
            lambda r: 0: "The mean is not subtracted.",
            lambda r: r.amin(1, keepdim=True): "It subtracts the smallest: take the mean.",
            lambda r: (r.sum(1, keepdim=True) - r) / max(r.shape[1] - 1, 1): "It subtracts the "
            "mean of the others: take that of the whole row.",
            lambda r: r.mean(1, keepdim=True) / (r.std(1, keepdim=True, correction=0) + 1e-4): (
                "Brackets are missing: only the mean is divided."
            ),
        },
        "spread": {
            lambda r: r.std(correction=0): f"The standard deviation {ALL}",
            lambda r: r.std(): f"The standard deviation {ALL} And it divides by n - 1.",
            lambda r: r.std(0, keepdim=True, correction=0): "The standard deviation is over the "
            "problems: take it over a row's responses, dim=1.",
            lambda r: r.std(0, keepdim=True): "The standard deviation is over the problems: take "
            "it over a row, dim=1. And it divides by n - 1.",
            lambda r: r.std(1, keepdim=True): (
                "torch's std divides by G - 1; here it divides by G: pass correction=0."
            ),
            lambda r: r.var(1, keepdim=True, correction=0): "It divides by the variance: take its "
            "root.",
            lambda r: r.var(1, keepdim=True): "It divides by the variance: take its root.",
            lambda r: (r.var(1, keepdim=True, correction=0) + 1e-4).sqrt() - 1e-4: (
                "1e-4 stands within the root: add it to the standard deviation."
            ),
            lambda r: (r - r.mean(1, keepdim=True)).abs().mean(1, keepdim=True): (
                "It takes the mean distance: take the standard deviation."
            ),
            lambda r: r.amax(1, keepdim=True) - r.amin(1, keepdim=True): "It divides by the range.",
            lambda r: r.abs().amax(1, keepdim=True): "It divides by the largest.",
        },
        "divided": {
            lambda d, s: d: (
                "This is Dr. GRPO's advantage: the published one also divides by the group's "
                "standard deviation."
            ),
            lambda d, s: d / s: (
                "A group of equal rewards gives 0/0, NaN: add 1e-4 to the standard deviation."
            ),
            lambda d, s: d / s.clamp(min=1e-4): "It cuts the deviation from below: add 1e-4.",
            lambda d, s: d / s + 1e-4: "1e-4 is added to the result: add it to the deviation.",
            lambda d, s: (d / s).nan_to_num(): "1e-4 is missing: NaN is only covered.",
            **{
                lambda d, s, e=e: d / (s + e): f"It adds {e:g} to the deviation: 1e-4 is asked for."
                for e in (1e-8, 1e-6, 1e-5, 1e-3, 1e-2, 0.1, 1)
            },
        },
        "result": {
            lambda a, r: r.softmax(1): "A softmax of the rewards is no advantage.",
            lambda a, r: a.clamp(min=0): "Negative advantages are cut to 0: they push away.",
            **{
                lambda a, r, c=c: a.clamp(-c, c): f"Advantages are cut off at {c}: they have no "
                "bounds."
                for c in (1, 2, 3)
            },
            lambda a, r: torch.where(r.std(1, keepdim=True, correction=0) == 0, r, a): (
                "Equal rewards stay as they are: their advantages are zeros."
            ),
            lambda a, r: a / r.shape[1] ** 0.5: "It is divided by the root of G besides.",
            lambda a, r: -a: "The sign is turned: better than the mean is positive.",
        },
    },
    probes=[
        Probe("A group of equal rewards has advantages of 0.", (torch.full((2, 3), 0.5),)),
        Probe(
            "As many problems as responses: mind the dimension.",
            (torch.tensor([[0.0, 1.0, 0.0], [2.0, 0.0, 4.0], [1.0, 1.0, 4.0]]),),
            alone=True,
        ),
    ],
    difficulty=1,
    minutes=10,
)
