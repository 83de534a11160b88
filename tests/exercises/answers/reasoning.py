"""Answers to the exercises of the chapter on the cold start."""

import math
from collections import Counter

import torch

from lib.reasoning.task import Problem
from lib.reasoning.verifier import verify
from tests.exercises.answers import exercise

CHECKS = "lib.exercises.reasoning"

# --- 1. The loss mask


def learned_targets(ids, n_prompt, pad_id):
    return [i >= n_prompt and ids[i] != pad_id for i in range(1, len(ids))]


def mask_cases():
    return [
        ([5, 6, 7, 8, 9, 0, 0], 2, 0),
        ([5, 6, 7], 2, 0),
        ([5, 6, 7, 8], 1, 0),
        ([5, 6, 7, 8], 4, 0),
        ([3, 0, 4, 2, 0, 0], 3, 0),
        ([5, 9, 9, 9, 2, 1, 1, 1], 3, 1),
        ([7, 8], 1, 9),
        ([4, 4, 4, 4, 4], 2, 4),
        ([1, 2, 3, 4, 5, 6], 3, -1),
        ([8, 2, 3], 3, 0),
        ([8, 2, 3, 0, 5, 0], 1, 0),
    ]


wrong, right = exercise(CHECKS, "check_learned_targets", learned_targets, mask_cases)
wrong(
    "padding at the end alone",
    lambda ids, n, pad: [i >= n and any(t != pad for t in ids[i:]) for i in range(1, len(ids))],
)
wrong(
    "stops at the first padding after the prompt",
    lambda ids, n, pad: [i >= n and pad not in ids[n : i + 1] for i in range(1, len(ids))],
)
wrong("the response's entries alone", lambda ids, n, pad: [t != pad for t in ids[n:]])
right(
    "decides for all, drops the first",
    lambda ids, n, pad: [i >= n and t != pad for i, t in enumerate(ids)][1:],
)
right(
    "tensors",
    lambda ids, n, pad: (
        (torch.arange(1, len(ids)) >= n) & (torch.tensor(ids)[1:] != pad)
    ).tolist(),
)


@right("a loop over positions")
def _(ids, n_prompt, pad_id):
    counted = []
    for position in range(len(ids) - 1):
        target = position + 1
        if target < n_prompt:
            counted.append(False)
        else:
            counted.append(ids[target] != pad_id)
    return counted


wrong(
    "no shift: decides for the token itself",
    lambda ids, n, pad: [i >= n and ids[i] != pad for i in range(len(ids) - 1)],
)
wrong("does not drop any", lambda ids, n, pad: [i >= n and ids[i] != pad for i in range(len(ids))])
wrong("the prompt is learned", lambda ids, n, pad: [ids[i] != pad for i in range(1, len(ids))])
wrong("the padding is learned", lambda ids, n, pad: [i >= n for i in range(1, len(ids))])
wrong(
    "the first token of the response is not learned",
    lambda ids, n, pad: [i > n and ids[i] != pad for i in range(1, len(ids))],
)
wrong(
    "the last token of the prompt is learned",
    lambda ids, n, pad: [i >= n - 1 and ids[i] != pad for i in range(1, len(ids))],
)
wrong(
    "the prompt instead of the response",
    lambda ids, n, pad: [i < n and ids[i] != pad for i in range(1, len(ids))],
)
wrong(
    "padding where it should not be: or",
    lambda ids, n, pad: [i >= n or ids[i] != pad for i in range(1, len(ids))],
)
wrong(
    "asks whether the input, not the target, is padding",
    lambda ids, n, pad: [i >= n and ids[i - 1] != pad for i in range(1, len(ids))],
)
wrong(
    "asks whether input and target are padding",
    lambda ids, n, pad: [
        i >= n and not (ids[i] == pad and ids[i - 1] == pad) for i in range(1, len(ids))
    ],
)
wrong("padding is always 0", lambda ids, n, pad: learned_targets(ids, n, 0))
wrong("inverted", lambda ids, n, pad: [not x for x in learned_targets(ids, n, pad)])
wrong(
    "the last token of the response is not learned",
    lambda ids, n, pad: [
        i >= n and ids[i] != pad and i + 1 < len(ids) and ids[i + 1] != pad
        for i in range(1, len(ids))
    ],
)
wrong(
    "the learned tokens",
    lambda ids, n, pad: [ids[i] for i in range(1, len(ids)) if i >= n and ids[i] != pad],
)
wrong(
    "the positions",
    lambda ids, n, pad: [i for i in range(len(ids) - 1) if i + 1 >= n and ids[i + 1] != pad],
)
wrong(
    "-100 for what is not learned",
    lambda ids, n, pad: [ids[i] if i >= n and ids[i] != pad else -100 for i in range(1, len(ids))],
)
wrong("the number", lambda ids, n, pad: sum(learned_targets(ids, n, pad)))
wrong(
    "drops the last decision, not the first",
    lambda ids, n, pad: [i >= n and ids[i] != pad for i in range(len(ids))][:-1],
)
wrong(
    "counts n_prompt without padding",
    lambda ids, n, pad: [
        i >= sum(t != pad for t in ids[:n]) and ids[i] != pad for i in range(1, len(ids))
    ],
)
wrong(
    "everything after the first padding is off, prompts included",
    lambda ids, n, pad: [i >= n and pad not in ids[: i + 1] for i in range(1, len(ids))],
)
wrong(
    "both: no shift and the padding is learned",
    lambda ids, n, pad: [i >= n for i in range(len(ids) - 1)],
)
wrong("both: the prompt and the padding are learned", lambda ids, n, pad: [True] * (len(ids) - 1))
wrong(
    "both: the first token is not learned, and padding is always 0",
    lambda ids, n, pad: [i > n and ids[i] != 0 for i in range(1, len(ids))],
)

# --- 2. The advantage within a group


def advantages(rewards):
    centered = rewards - rewards.mean(dim=1, keepdim=True)
    return centered / (rewards.std(dim=1, keepdim=True, correction=0) + 1e-4)


def reward_cases():
    torch.manual_seed(32)
    cases = [torch.randn(b, g) for b, g in [(2, 4), (3, 3), (1, 8), (4, 2), (4, 4), (5, 1)]]
    cases += [
        torch.tensor([[0.0, 1, 0, 0], [1, 1, 1, 1]]),
        torch.zeros(2, 3),
        torch.tensor([[0.0, 0.001, 0.0], [0, 2e-4, 0]]),
        torch.randint(2, (5, 6)).float(),
    ]
    return [(case,) for case in cases]


def relative(r, dim=1, correction=0, eps=1e-4, inside=False, center=True):
    std = r.var(dim, keepdim=True, correction=correction)
    std = (std + eps).sqrt() if inside else std.sqrt() + eps
    return (r - r.mean(dim, keepdim=True) if center else r) / std


wrong, right = exercise(CHECKS, "check_advantages", advantages, reward_cases)
wrong(
    "1e-8 in place of 1e-4",
    lambda r: (r - r.mean(1, keepdim=True)) / (r.std(1, keepdim=True, correction=0) + 1e-8),
)
wrong("without keepdim", lambda r: (r - r.mean(1)) / (r.std(1, correction=0) + 1e-4))
right(
    "numpy in float64",
    lambda r: (
        lambda x: torch.from_numpy(
            (x - x.mean(1, keepdims=True)) / (x.std(1, keepdims=True) + 1e-4)
        )
    )(r.double().numpy()),
)
right(
    "the root of the mean square",
    lambda r: (lambda c: c / (c.square().mean(-1, True).sqrt() + 1e-4))(r - r.mean(-1, True)),
)
right(
    "row by row",
    lambda r: torch.stack([(x - x.mean()) / (x.std(unbiased=False) + 1e-4) for x in r]),
)
right(
    "plain lists",
    lambda r: torch.tensor(
        [
            [
                (v - sum(x) / len(x))
                / (math.sqrt(sum((u - sum(x) / len(x)) ** 2 for u in x) / len(x)) + 1e-4)
                for v in x
            ]
            for x in r.tolist()
        ]
    ),
)

wrong("divides by G - 1", lambda r: relative(r, correction=1))
wrong("over the problems", lambda r: relative(r, dim=0))
wrong("over everything", lambda r: (r - r.mean()) / (r.std(correction=0) + 1e-4))
wrong(
    "the mean of a group, the deviation of all",
    lambda r: (r - r.mean(1, keepdim=True)) / (r.std(correction=0) + 1e-4),
)
wrong("epsilon inside the root", lambda r: relative(r, inside=True))
wrong("no epsilon: NaN for equal rewards", lambda r: relative(r, eps=0.0))
wrong("epsilon 1e-8", lambda r: relative(r, eps=1e-8))
wrong("epsilon 1e-2", lambda r: relative(r, eps=1e-2))
wrong("does not subtract the mean", lambda r: relative(r, center=False))
wrong("does not divide", lambda r: r - r.mean(1, keepdim=True))
wrong(
    "divides by the variance",
    lambda r: (r - r.mean(1, keepdim=True)) / (r.var(1, keepdim=True, correction=0) + 1e-4),
)
wrong(
    "the median",
    lambda r: (
        (r - r.median(1, keepdim=True).values) / (r.std(1, keepdim=True, correction=0) + 1e-4)
    ),
)
wrong("mean minus reward", lambda r: -advantages(r))
wrong(
    "the mean of the others",
    lambda r: (
        (r - (r.sum(1, keepdim=True) - r) / max(r.shape[1] - 1, 1))
        / (r.std(1, keepdim=True, correction=0) + 1e-4)
    ),
)
wrong(
    "precedence: mean / std subtracted",
    lambda r: r - r.mean(1, keepdim=True) / (r.std(1, keepdim=True, correction=0) + 1e-4),
)
wrong(
    "epsilon added to the result",
    lambda r: (r - r.mean(1, keepdim=True)) / r.std(1, keepdim=True, correction=0) + 1e-4,
)
wrong("keepdim forgotten", lambda r: (r - r.mean(1)) / (r.std(1, correction=0) + 1e-4))
wrong("softmax of the rewards", lambda r: r.softmax(1))
wrong(
    "divides by the largest",
    lambda r: (r - r.mean(1, keepdim=True)) / (r.abs().amax(1, keepdim=True) + 1e-4),
)
wrong("only positive advantages", lambda r: advantages(r).clamp(min=0))
wrong("changes the rewards in place", lambda r: r.copy_(advantages(r)))
wrong(
    "clips the deviation from below",
    lambda r: (r - r.mean(1, keepdim=True)) / r.std(1, keepdim=True, correction=0).clamp(min=1e-4),
)
wrong("both: G - 1 and no epsilon", lambda r: relative(r, correction=1, eps=0.0))
wrong("both: over the problems, by N - 1", lambda r: relative(r, dim=0, correction=1))
wrong(
    "both: not centered, epsilon inside the root", lambda r: relative(r, center=False, inside=True)
)

# --- 3. A verifier that luck does not fool


def right_chain(problem, words):
    verdict = verify(problem, words)
    complete = len(verdict.steps) == len(problem.operations)
    return verdict.answer and complete and all(s.mark == "right" for s in verdict.steps)


def chain_cases():
    two, one = Problem(5, ("+8", "*3")), Problem(7, ("+8",))
    texts = [
        "5 +8 is 3 then 3 *3 is 9 answer 9 <eos>", "<think> 5 +8 is 3 then 3 *3 is 9 </think> answer 9 <eos>",
        "5 +8 fait 3 puis 3 *3 is 9 réponse 9 <eos>", "<think> 5 +8 is 1 then 1 *3 is 3 </think> answer 9 <eos>",
        "answer 9 <eos>", "5 +8 is 3 answer 9 <eos>", "3 *3 is 9 answer 9 <eos>", "5 +8 is 3 then 3 *3 is 9 answer 3 <eos>",
        "5 +8 is 3 then 3 *3 is 9", "5 +8 is 3 then 3 *3 is 9 answer 9", "5 +8 is 3 then 3 *3 is 9 then 9 +8 is 7 answer 9 <eos>",
        "5 +8 is 3 then 3 *3 is 8 answer 9 <eos>", "5 +8 is 2 then 2 *3 is 9 answer 9 <eos>", "5 +8 is 3 then 5 +8 is 3 answer 9 <eos>",
        "3 *3 is 9 then 5 +8 is 3 answer 9 <eos>", "", "<eos>", "then then answer", "answer 9 5 +8 is 3 then 3 *3 is 9 <eos>",
        "5 +8 is 3 then 3 *3 is 9 then answer 9 <eos> answer 1", "5 +8 is 3 then 3 *3 is 7 answer 7 <eos>",
    ]  # fmt: skip
    return [(two, t.split()) for t in texts] + [
        (one, t.split())
        for t in ["7 +8 is 5 answer 5 <eos>", "answer 5 <eos>", "7 +8 is 4 answer 5 <eos>"]
    ] + [
        (two, "5 +8 3 then 3 *3 is 9 answer 9 <eos>".split()),
        (two, "5 +8 is 2 then 3 *3 is 9 answer 9 <eos>".split()),
        (Problem(1, ("+1",) * 4), "1 +1 is 2 then 2 +1 is 3 then 3 +1 is 4 then 4 +1 is 6 answer 5".split()),
        (Problem(1, ("+1",) * 4), "1 +1 is 2 then 2 +1 is 3 then 3 +1 is 4 then 4 +1 is 5 answer 5".split()),
    ]  # fmt: skip


def marks(problem, words):
    return [s.mark == "right" for s in verify(problem, words).steps]


wrong, right = exercise(CHECKS, "check_right_chain", right_chain, chain_cases)
wrong("asks the verdict's chain", lambda p, words: verify(p, words).chain, rule=True)
right(
    "counts right steps",
    lambda p, w: (
        lambda v: v.answer and [s.mark for s in v.steps] == ["right"] * len(p.operations)
    )(verify(p, w)),
)


@right("leaves early")
def _(problem, words):
    verdict = verify(problem, words)
    if not verdict.answer:
        return False
    if len(verdict.steps) != len(problem.operations):
        return False
    return not any(step.mark != "right" for step in verdict.steps)


right(
    "a set of marks",
    lambda p, w: (
        lambda v: (
            bool(v.answer)
            and len(v.steps) == len(p.operations)
            and {s.mark for s in v.steps} == {"right"}
        )
    )(verify(p, w)),
)

wrong("the answer only", lambda p, w: verify(p, w).answer)
wrong(
    "the steps only, not the answer",
    lambda p, w: len(marks(p, w)) == len(p.operations) and all(marks(p, w)),
)
wrong("does not count the steps", lambda p, w: verify(p, w).answer and all(marks(p, w)))
wrong(
    "at least one step, all right",
    lambda p, w: verify(p, w).answer and bool(marks(p, w)) and all(marks(p, w)),
)
wrong(
    "counts the steps, but not their marks",
    lambda p, w: verify(p, w).answer and len(marks(p, w)) == len(p.operations),
)
wrong("one right step is enough", lambda p, w: verify(p, w).answer and any(marks(p, w)))
wrong(
    "any right step, and the number",
    lambda p, w: verify(p, w).answer and len(marks(p, w)) == len(p.operations) and any(marks(p, w)),
)
wrong(
    "the last step only", lambda p, w: verify(p, w).answer and bool(marks(p, w)) and marks(p, w)[-1]
)
wrong(
    "the first step only", lambda p, w: verify(p, w).answer and bool(marks(p, w)) and marks(p, w)[0]
)
wrong(
    "more right steps than wrong ones",
    lambda p, w: verify(p, w).answer and sum(marks(p, w)) * 2 > len(p.operations),
)
wrong(
    "extra steps are allowed",
    lambda p, w: verify(p, w).answer and sum(marks(p, w)) >= len(p.operations),
)
wrong(
    "one step may be missing",
    lambda p, w: (
        verify(p, w).answer and len(marks(p, w)) >= len(p.operations) - 1 and all(marks(p, w))
    ),
)
wrong("asks for a clean format too", lambda p, w: right_chain(p, w) and verify(p, w).clean)
wrong("clean and answer, no chain", lambda p, w: verify(p, w).clean and verify(p, w).answer)
wrong("asks for one language", lambda p, w: right_chain(p, w) and not verify(p, w).mixed)
wrong("asks for the end", lambda p, w: right_chain(p, w) and verify(p, w).ended)
wrong(
    "answer or chain", lambda p, w: verify(p, w).answer or (bool(marks(p, w)) and all(marks(p, w)))
)
wrong("inverted", lambda p, w: not right_chain(p, w))
wrong(
    "the marks are compared with True",
    lambda p, w: (
        verify(p, w).answer
        and len(marks(p, w)) == len(p.operations)
        and all(s.mark is True for s in verify(p, w).steps)
    ),
)
wrong(
    "any mark is true enough",
    lambda p, w: (
        verify(p, w).answer
        and len(marks(p, w)) == len(p.operations)
        and all(s.mark for s in verify(p, w).steps)
    ),
)
wrong("the number of words", lambda p, w: verify(p, w).answer and len(w) >= 5 * len(p.operations))
wrong(
    "two operations hard-coded",
    lambda p, w: verify(p, w).answer and len(marks(p, w)) == 2 and all(marks(p, w)),
)
wrong("returns the verdict", lambda p, w: verify(p, w))
wrong("the share of right steps", lambda p, w: sum(marks(p, w)) / len(p.operations))
wrong("both: no answer asked, and steps not counted", lambda p, w: all(marks(p, w)))
wrong("both: one right step is enough, no answer asked", lambda p, w: any(marks(p, w)))
wrong(
    "both: steps not counted, and asks for the end",
    lambda p, w: verify(p, w).answer and verify(p, w).ended and all(marks(p, w)),
)

# --- 4. The clipped objective


def clipped(log_p, old_log_p, advantage, clip):
    ratio = (log_p - old_log_p).exp()
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


def clip_cases():
    torch.manual_seed(33)
    cases = []
    for n, clip in [(6, 0.2), (20, 0.1), (1, 0.3), (12, 0.5), (5, 0.0)]:
        old = -torch.rand(n) * 4 - 0.1
        cases.append((old + torch.randn(n) * 0.5, old, torch.randn(n), clip))
    old = torch.tensor([-1.0, -1, -1, -1, -1, -1])
    grid = torch.tensor([-2.0, -2, 0, 0, -1, -1])
    return [
        *cases,
        (grid, old, torch.tensor([1.0, -1, 1, -1, 1, -1]), 0.2),
        (torch.randn(2, 3) - 2, torch.randn(2, 3) - 2, torch.randn(2, 3), 0.2),
    ]


def objective(
    lp,
    old,
    a,
    clip,
    ratio=lambda lp, old: (lp - old).exp(),
    bound=lambda r, c: r.clamp(1 - c, 1 + c),
    join=torch.minimum,
):
    r = ratio(lp, old)
    return join(r * a, bound(r, clip) * a)


wrong, right = exercise(CHECKS, "check_clipped", clipped, clip_cases)
wrong(
    "bounded from above alone",
    lambda p, old, a, c: torch.minimum((p - old).exp() * a, (p - old).exp().clamp(max=1 + c) * a),
)
right(
    "by the sign of the advantage",
    lambda lp, old, a, c: (
        a * torch.where(a > 0, (lp - old).exp().clamp(max=1 + c), (lp - old).exp().clamp(min=1 - c))
    ),
)
right(
    "a quotient of probabilities, in float64",
    lambda lp, old, a, c: (lambda r: torch.min(r * a, torch.clip(r, 1 - c, 1 + c) * a))(
        lp.double().exp() / old.double().exp()
    ),
)
right(
    "the smaller of a stack",
    lambda lp, old, a, c: (
        lambda r: torch.stack(
            [r * a, torch.minimum(torch.maximum(r, r * 0 + 1 - c), r * 0 + 1 + c) * a]
        ).amin(0)
    )(torch.exp(lp - old)),
)

wrong("the maximum", lambda *a: objective(*a, join=torch.maximum))
wrong("clipped only, no minimum", lambda *a: objective(*a, join=lambda x, y: y))
wrong("never clipped", lambda *a: objective(*a, join=lambda x, y: x))
wrong(
    "the minimum before the advantage",
    lambda lp, old, a, c: (lambda r: torch.minimum(r, r.clamp(1 - c, 1 + c)) * a)((lp - old).exp()),
)
wrong("the difference, without the exponential", lambda *a: objective(*a, ratio=lambda x, y: x - y))
wrong("the quotient of logarithms", lambda *a: objective(*a, ratio=lambda x, y: x / y))
wrong("old over new", lambda *a: objective(*a, ratio=lambda x, y: (y - x).exp()))
wrong("the probability, not the ratio", lambda *a: objective(*a, ratio=lambda x, y: x.exp()))
wrong("clips to -clip and clip", lambda *a: objective(*a, bound=lambda r, c: r.clamp(-c, c)))
wrong("clips at the top only", lambda *a: objective(*a, bound=lambda r, c: r.clamp(max=1 + c)))
wrong("clips at the bottom only", lambda *a: objective(*a, bound=lambda r, c: r.clamp(min=1 - c)))
wrong(
    "clips to 1 / (1 + clip)",
    lambda *a: objective(*a, bound=lambda r, c: r.clamp(1 / (1 + c), 1 + c)),
)
wrong(
    "clips the log-ratio", lambda *a: objective(*a, bound=lambda r, c: r.log().clamp(-c, c).exp())
)
wrong(
    "clips the product",
    lambda lp, old, a, c: (lambda r: torch.minimum(r * a, (r * a).clamp(1 - c, 1 + c)))(
        (lp - old).exp()
    ),
)
wrong("clip always 0.2", lambda lp, old, a, c: clipped(lp, old, a, 0.2))
wrong("twice the clip", lambda lp, old, a, c: clipped(lp, old, a, 2 * c))
wrong("a loss: the negative", lambda *a: -clipped(*a))
wrong("the mean", lambda *a: clipped(*a).mean())
wrong("the sum", lambda *a: clipped(*a).sum())
wrong(
    "the clipped ratio without the advantage",
    lambda lp, old, a, c: (lp - old).exp().clamp(1 - c, 1 + c),
)
wrong("log-probability times advantage", lambda lp, old, a, c: lp * a)
wrong("the size of the advantage", lambda lp, old, a, c: clipped(lp, old, a.abs(), c))
wrong("base 2", lambda *a: objective(*a, ratio=lambda x, y: 2 ** (x - y)))
wrong(
    "no gradient: the ratio is detached",
    lambda *a: objective(*a, ratio=lambda x, y: (x - y).exp().detach()),
    rule=True,
)
wrong(
    "both: the maximum, and old over new",
    lambda *a: objective(*a, join=torch.maximum, ratio=lambda x, y: (y - x).exp()),
)
wrong(
    "both: no exponential, never clipped",
    lambda *a: objective(*a, join=lambda x, y: x, ratio=lambda x, y: x - y),
)
wrong("both: clipped only, and the negative", lambda *a: -objective(*a, join=lambda x, y: y))

# --- 5. A rejection filter


def select(drawn, most):
    kept = []
    for question, response, right, clean in drawn:
        count = sum(q == question for q, _ in kept)
        if right and clean and (question, response) not in kept and count < most:
            kept.append((question, response))
    return kept


def select_cases():
    t, f = True, False
    drawn = [
        ("q1", "a", t, t),
        ("q1", "a", t, t),
        ("q1", "b", t, f),
        ("q2", "a", t, t),
        ("q1", "c", t, t),
        ("q1", "d", f, t),
        ("q1", "e", t, t),
        ("q2", "b", f, f),
        ("q2", "c", t, t),
    ]
    back = [
        ("z", "b", t, t),
        ("a", "y", t, t),
        ("z", "a", t, t),
        ("a", "x", t, t),
        ("z", "b", t, t),
        ("m", "b", t, t),
    ]
    bad_first = [
        ("q", "a", f, t),
        ("q", "b", t, f),
        ("q", "c", t, t),
        ("q", "d", t, t),
        ("q", "c", t, t),
        ("q", "e", t, t),
    ]
    return [(d, m) for d in (drawn, back, bad_first) for m in (1, 2, 3, 9, 0)] + [
        ([], 2),
        ([("q", "a", f, t), ("q", "a", t, t)], 1),
        ([(1, "a", t, t), (1, "a", t, t), (1, "b", t, t)], 2),
    ]


def choose(
    drawn,
    most,
    good=lambda r, c: r and c,
    once=lambda pair, kept: pair not in kept,
    room=lambda q, kept, most: sum(x == q for x, _ in kept) < most,
):
    kept = []
    for q, a, r, c in drawn:
        if good(r, c) and once((q, a), kept) and room(q, kept, most):
            kept.append((q, a))
    return kept


wrong, right = exercise(CHECKS, "check_select", select, select_cases)
wrong(
    "the last ones, in order",
    lambda drawn, most: select(drawn[::-1], most)[::-1],
)


@right("a Counter and a set")
def _(drawn, most):
    seen, counts, kept = set(), Counter(), []
    for question, response, right_, clean in drawn:
        if not (right_ and clean) or (question, response) in seen or counts[question] >= most:
            continue
        seen.add((question, response))
        counts[question] += 1
        kept.append((question, response))
    return kept


@right("dict.fromkeys removes doubles, then a rank in each question")
def _(drawn, most):
    pairs = list(dict.fromkeys((q, a) for q, a, r, c in drawn if r and c))
    return [pair for i, pair in enumerate(pairs) if sum(q == pair[0] for q, _ in pairs[:i]) < most]


@right("a dictionary of lists, ordered at the end")
def _(drawn, most):
    groups, kept = {}, []
    for q, a, r, c in drawn:
        group = groups.setdefault(q, [])
        if r and c and a not in group and len(group) < most:
            group.append(a)
            kept += [(q, a)]
    return kept


wrong("right only", lambda d, m: choose(d, m, lambda r, c: r))
wrong("clean only", lambda d, m: choose(d, m, lambda r, c: c))
wrong("right or clean", lambda d, m: choose(d, m, lambda r, c: r or c))
wrong("neither asked", lambda d, m: choose(d, m, lambda r, c: True))
wrong("doubles stay", lambda d, m: choose(d, m, once=lambda pair, kept: True))
wrong(
    "a response once, whatever its question",
    lambda d, m: choose(d, m, once=lambda pair, kept: pair[1] not in [a for _, a in kept]),
)
wrong(
    "a question once",
    lambda d, m: choose(d, m, once=lambda pair, kept: pair[0] not in [q for q, _ in kept]),
)
wrong("no limit", lambda d, m: choose(d, m, room=lambda q, kept, m: True))
wrong("one more than the limit", lambda d, m: choose(d, m + 1))
wrong("one less than the limit", lambda d, m: choose(d, m - 1))
wrong(
    "a limit for all questions together",
    lambda d, m: choose(d, m, room=lambda q, kept, m: len(kept) < m),
)
wrong(
    "doubles use up the limit",
    lambda d, m: list(dict.fromkeys(choose(d, m, once=lambda p, k: True))),
)
wrong(
    "wrong ones use up the limit",
    lambda d, m: (lambda c: choose([x for x in d if not c.update([x[0]]) and c[x[0]] <= m], m))(
        Counter()
    ),
)
wrong("sorted", lambda d, m: sorted(select(d, m), key=str))
wrong(
    "grouped by question",
    lambda d, m: [p for q in dict.fromkeys(x[0] for x in d) for p in select(d, m) if p[0] == q],
)
wrong("the last ones of a question", lambda d, m: select(d[::-1], m)[::-1])
wrong("from the end", lambda d, m: select(d[::-1], m))
wrong("the responses only", lambda d, m: [a for _, a in select(d, m)])
wrong("whole tuples", lambda d, m: [(q, a, True, True) for q, a in select(d, m)])
wrong("a set", lambda d, m: set(select(d, m)))
wrong(
    "neighboring doubles only",
    lambda d, m: choose(d, m, once=lambda pair, kept: not kept or kept[-1] != pair),
)
wrong(
    "drops pairs that come twice altogether",
    lambda d, m: (lambda c: choose([x for x in d if c[x[:2]] == 1], m))(Counter(x[:2] for x in d)),
)
wrong(
    "a pair seen wrong once is out",
    lambda d, m: choose([x for x in d if all(y[2] and y[3] for y in d if y[:2] == x[:2])], m),
)
wrong("a limit of 0 is no limit", lambda d, m: select(d, m or len(d)))
wrong(
    "stops at the first full question",
    lambda d, m: (
        lambda k: k[
            : next(
                (i for i in range(len(k)) if sum(q == k[i][0] for q, _ in k[: i + 1]) >= max(m, 1)),
                len(k),
            )
            + 1
        ]
    )(select(d, m)),
)
wrong(
    "both: right only, and doubles stay",
    lambda d, m: choose(d, m, lambda r, c: r, lambda pair, kept: True),
)
wrong(
    "both: no limit, and sorted",
    lambda d, m: sorted(choose(d, m, room=lambda q, kept, m: True), key=str),
)
wrong(
    "both: clean only, and one more than the limit", lambda d, m: choose(d, m + 1, lambda r, c: c)
)
