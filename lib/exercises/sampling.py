"""Checks of chapter 9, sampling. Answers take the logits of one position, of shape (V,)."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Mistake, Probe
from lib.exercises.comparing import difference
from lib.exercises.watching import forbid
from lib.generation.logits import frequency_penalty, presence_penalty, repetition_penalty
from lib.generation.logits import top_p as top_p_of_rows
from lib.generation.measures import effective_vocabulary as of_rows
from lib.generation.voting import majority_vote as vote

Logits = Float[Tensor, "V"]
NOTHING = -math.inf


def effective_vocabulary(logits: Logits) -> float:
    """exp of the entropy: how many tokens of equal probability are as uncertain."""
    return of_rows(logits[None]).item()


def _entropy(logits: Tensor) -> Tensor:
    return torch.special.entr(logits.softmax(-1)).sum()


def _entropy_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    filtered = torch.tensor([2.0, 1.0, NOTHING, 0.0])
    return [(torch.tensor([1.0, 1.0, 0.0]),), (filtered,), (torch.randn(50) * 3,)]


check_effective_vocabulary = Exercise(
    title="Effective vocabulary",
    reference=effective_vocabulary,
    cases=_entropy_cases,
    mistakes=[
        Mistake(lambda logits: _entropy(logits).item(), "This is the entropy; take exp of it."),
        Mistake(
            lambda logits: math.exp(_entropy(logits).item() / math.log(2)),
            "The entropy is in bits (log2), but exp undoes nats (ln): use one base for both.",
        ),
        Mistake(
            lambda logits: (-(logits.softmax(-1) * logits.softmax(-1).log()).sum()).exp().item(),
            "A token at -inf has p = 0, and 0 · ln 0 is NaN in floating point. Leave such tokens "
            "out: they count nothing.",
        ),
    ],
    difficulty=1,
    minutes=8,
)


def top_p(logits: Logits, p: float) -> Logits:
    """Keep the smallest set of most probable tokens whose probability reaches p."""
    return top_p_of_rows(logits[None], p)[0]


def _cut_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    small = torch.tensor([0.1, 0.5, 0.15, 0.25]).log()
    return [(small, 0.7), (small, 0.3), (torch.randn(9) * 2, 0.9), (torch.randn(40), 0.55)]


def _by_rank(logits: Tensor, kept_of_sorted: Tensor, descending: bool = True) -> Tensor:
    order = logits.argsort(descending=descending)
    kept = torch.zeros_like(logits, dtype=torch.bool)
    kept[order[kept_of_sorted]] = True
    return logits.masked_fill(~kept, NOTHING)


def _falling(logits: Tensor) -> Tensor:
    return logits.softmax(-1).sort(descending=True).values


def _unsorted_top_p(logits: Tensor, p: float) -> Tensor:
    below = _falling(logits).cumsum(-1) - _falling(logits)
    return logits.masked_fill(below >= p, NOTHING)


def _rising_top_p(logits: Tensor, p: float) -> Tensor:
    q = logits.softmax(-1).sort().values
    return _by_rank(logits, q.cumsum(-1) - q < p, descending=False)


def _but_for_ties(expected: Tensor, got: Tensor) -> str | None:
    """As always, but of equal logits any may be kept, or all that equal the last one kept."""
    problem = difference(expected, got)
    if problem and isinstance(got, Tensor) and got.shape == expected.shape:
        kept, mine = (x[x > NOTHING].sort().values for x in (expected, got))
        tied = len(expected.unique()) == 2 and mine.numel() in (kept.numel(), got.numel())
        if tied and len(mine.unique()) == 1 and mine[0] == kept[0]:
            return None
    return problem


check_top_p = Exercise(
    title="The nucleus",
    reference=top_p,
    cases=_cut_cases,
    mistakes=[
        Mistake(
            lambda logits, p: _by_rank(logits, _falling(logits).cumsum(-1) <= p),
            "The token with which the sum reaches p is missing: the set must reach p, and it must "
            "never be empty.",
        ),
        Mistake(_unsorted_top_p, "The cut was made in sorted order: carry it back to the ids."),
        Mistake(_rising_top_p, "It sums from the least probable token on: sort in falling order."),
        Mistake(
            lambda logits, p: logits.masked_fill(logits.softmax(-1) < p, NOTHING),
            "It compares each probability with p: p is for the sum over the kept tokens.",
        ),
    ],
    probes=[
        Probe(
            "When the sum is exactly p, the set has reached p: one token more or less is kept.",
            (torch.zeros(4), 0.5),
        ),
    ],
    compare=_but_for_ties,
    difficulty=2,
    minutes=15,
)


def min_p(logits: Logits, p: float) -> Logits:
    """Keep tokens at least p times as probable as the most probable one."""
    return logits.masked_fill(logits < logits.max() + math.log(p), NOTHING)


def _min_p_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    small = torch.tensor([0.1, 0.5, 0.15, 0.25]).log()
    return [(small, 0.4), (small, 1.0), (torch.randn(9), 0.2), (torch.randn(60) * 2, 0.05)]


check_min_p = Exercise(
    title="min_p without softmax",
    reference=min_p,
    cases=_min_p_cases,
    mistakes=[
        Mistake(
            lambda logits, p: logits.masked_fill(logits.softmax(-1) < p, NOTHING),
            "p is a share of the largest probability, not a probability: with a flat distribution "
            "nothing would be left.",
        ),
        Mistake(
            lambda logits, p: logits.masked_fill(logits < p * logits.max(), NOTHING),
            "It takes p times the largest logit. A factor between probabilities is a difference "
            "between logits: add ln p.",
        ),
        Mistake(
            lambda logits, p: logits.masked_fill(logits < logits.max() - p, NOTHING),
            "It subtracts p itself: a factor between probabilities is ln p between logits.",
        ),
    ],
    rule=forbid(
        "The result is right, but it uses a softmax, which is what to do without: compare logits.",
        "softmax",
        "log_softmax",
    ),
    difficulty=2,
    minutes=10,
)


def penalize(
    logits: Logits, ids: list[int], repetition: float, presence: float, frequency: float
) -> Logits:
    """Repetition penalty, then presence and frequency penalty, for the tokens in `ids`."""
    row, text = logits[None], torch.tensor([ids], dtype=torch.long)
    row = repetition_penalty(row, text, repetition)
    return frequency_penalty(presence_penalty(row, text, presence), text, frequency)[0]


def _penalty_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    logits = torch.tensor([2.0, -1.0, 0.5, -0.5])
    return [
        (logits, [0, 0, 1], 2.0, 0.5, 0.25),
        (logits, [], 1.5, 1.0, 1.0),
        (torch.randn(12), torch.randint(12, (20,)).tolist(), 1.3, 0.45, 0.2),
    ]


def _penalized(
    logits: Tensor,
    ids: Sequence[int],
    repetition: float,
    presence: float,
    frequency: float,
    *,
    always_divide: bool = False,
    each_time: bool = False,
    once: bool = False,
) -> Tensor:
    result = logits.clone()
    for i in ids if each_time else set(ids):
        divide = always_divide or result[i] >= 0
        result[i] = result[i] / repetition if divide else result[i] * repetition
    for i in set(ids):
        result[i] -= presence + frequency * (1 if once else list(ids).count(i))
    return result


check_penalize = Exercise(
    title="Three penalties",
    reference=penalize,
    cases=_penalty_cases,
    mistakes=[
        Mistake(
            lambda *a: _penalized(*a, always_divide=True),
            "A negative logit divided by 2 comes nearer to 0: the token gets more probable. "
            "Multiply negative logits.",
        ),
        Mistake(
            lambda *a: _penalized(*a, each_time=True),
            "The repetition penalty is applied once for each occurrence; it counts a token once, "
            "however often it occurs.",
        ),
        Mistake(
            lambda *a: _penalized(*a, once=True),
            "The frequency penalty is subtracted once; subtract it for each occurrence.",
        ),
    ],
    difficulty=2,
    minutes=15,
)


def vote_within(answers: list[int | None], log_p: list[float]) -> int:
    """The answer of the most continuations; between equally many, the one that is likelier."""
    votes = {a: answers.count(a) for a in answers if a is not None}
    most = max(votes.values())
    tied = [(p, a) for a, p in zip(answers, log_p, strict=True) if votes.get(a) == most]
    return max(tied)[1]


def _vote_cases(seed: int) -> list[tuple]:
    generator = torch.Generator().manual_seed(seed)
    answers = torch.randint(5, (25,), generator=generator).tolist()
    return [
        ([11, 12, 11], [-2.0, -0.1, -3.0]),
        ([7, 9, 9, 7], [-1.0, -0.5, -9.0, -1.0]),
        ([None, None, 4], [-0.1, -0.1, -5.0]),
        (answers, (-5 * torch.rand(25, generator=generator)).tolist()),
    ]


check_vote = Exercise(
    title="Vote, and break ties by likelihood",
    reference=vote_within,
    cases=_vote_cases,
    mistakes=[
        Mistake(
            lambda answers, log_p: vote(answers),
            "Between answers with equally many votes the likelier must win, not the first.",
        ),
        Mistake(
            lambda answers, log_p: max(
                (p, a) for a, p in zip(answers, log_p, strict=True) if a is not None
            )[1],
            "This is best-of-n by likelihood: the votes come first.",
        ),
        Mistake(
            lambda answers, log_p: max(
                (answers.count(a), p, a if a is not None else -1)
                for a, p in zip(answers, log_p, strict=True)
            )[2],
            "None is no answer and has no vote.",
        ),
    ],
    probes=[
        Probe(
            "Answer 0 is an answer too: ask `is not None`, since 0 counts as False.",
            ([0, 0, 5], [-2.0, -3.0, -1.0]),
        ),
        Probe(
            "Of two answers with one vote each the likelier must win, though it is the larger.",
            ([3, 2], [-1.0, -2.0]),
        ),
        Probe(
            "Of two answers with one vote each the likelier must win, though it is the smaller.",
            ([2, 3], [-1.0, -2.0]),
        ),
        Probe(
            "An answer's likelihood is that of its best continuation, not of its first or its sum.",
            ([1, 2, 1, 2], [-4.0, -1.0, -0.5, -1.1]),
        ),
    ],
    difficulty=2,
    minutes=12,
)
