"""Checks of chapter 14, the cold start."""

import random

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Mistake
from lib.reasoning.corpus import clean_response
from lib.reasoning.grpo import clipped_objective, group_advantages
from lib.reasoning.task import Problem, draw_problems
from lib.reasoning.verifier import verify

# 1. The loss mask


def learned_targets(ids: list[int], n_prompt: int, pad_id: int) -> list[bool]:
    """For each position but the last: does the loss count its prediction of the next token?"""
    return [place >= n_prompt and token != pad_id for place, token in enumerate(ids)][1:]


def _mask_cases(seed: int) -> list[tuple]:
    dice = random.Random(seed)
    long = [dice.randrange(1, 30) for _ in range(dice.randrange(9, 20))]
    return [
        ([7, 8, 9, 5, 1, 0, 0], 3, 0),
        ([4, 6, 2], 1, 99),
        ([*long, 0, 0, 0], len(long) // 2, 0),
        (long, len(long) - 1, 0),
    ]


check_learned_targets = Exercise(
    title="The loss mask",
    reference=learned_targets,
    cases=_mask_cases,
    mistakes=[
        Mistake(
            lambda ids, n, pad: [i >= n and t != pad for i, t in enumerate(ids)][:-1],
            "It is one too late: position i predicts token i + 1, so the last token of the prompt "
            "already predicts the first of the response.",
        ),
        Mistake(
            lambda ids, n, pad: [i >= n for i in range(len(ids))][1:],
            "Padding is learned: leave out positions whose next token is padding.",
        ),
        Mistake(
            lambda ids, n, pad: [t != pad for t in ids][1:],
            "The prompt is learned too: the loss should count the response alone.",
        ),
        Mistake(
            lambda ids, n, pad: [i >= n and t != pad for i, t in enumerate(ids)],
            "There is one entry too many: the last position has no next token to predict.",
        ),
    ],
    difficulty=1,
    minutes=8,
)

# 2. The group's advantage

Rewards = Float[Tensor, "P G"]


def advantages(rewards: Rewards) -> Rewards:
    """(r - mean) / (std + 1e-4) within each row; std divides by the number in the row."""
    return group_advantages(rewards)


def _reward_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    return [
        (torch.tensor([[1.0, 0.0, 0.0, 1.0], [1.1, 1.1, 1.1, 1.1]]),),
        (torch.tensor([[0.0, 0.0, 1.0]]),),
        (torch.rand(4, 6) + torch.arange(4.0)[:, None],),
    ]


check_advantages = Exercise(
    title="The advantage within a group",
    reference=advantages,
    cases=_reward_cases,
    mistakes=[
        Mistake(
            lambda r: (r - r.mean()) / (r.std(correction=0) + 1e-4),
            "The mean is over the whole batch: a response is compared with those to the same "
            "problem, else easy problems look like good work. Use dim=1, keepdim=True.",
        ),
        Mistake(
            lambda r: r - r.mean(1, keepdim=True),
            "This is Dr. GRPO's advantage: the published one also divides by the group's standard "
            "deviation.",
        ),
        Mistake(
            lambda r: (r - r.mean(1, keepdim=True)) / r.std(1, keepdim=True, correction=0),
            "A group of equal rewards gives 0/0, NaN: add 1e-4 to the standard deviation.",
        ),
        Mistake(
            lambda r: (r - r.mean(1, keepdim=True)) / (r.std(1, keepdim=True) + 1e-4),
            "torch's std divides by G - 1; here it divides by G: pass correction=0.",
        ),
    ],
    difficulty=1,
    minutes=10,
)

# 3. A verifier that luck does not fool


def right_chain(problem: Problem, words: list[str]) -> bool:
    """Whether all steps are there, in order and right, and the answer too."""
    return verify(problem, words).chain


def _with(words: list[str], place: int, word: str) -> list[str]:
    return [*words[:place], word, *words[place + 1 :]]


def _chain_cases(seed: int) -> list[tuple]:
    cases = []
    for problem in draw_problems(3, 100 + seed, least=2, most=5):
        good = clean_response(problem)
        wrong_answer = _with(good, -2, str((problem.answer + 1) % 10))
        lucky = _with(good, 4, str((problem.results[0] + 3) % 10))  # first result wrong
        short = [good[0], *good[6:]]  # first step missing
        guess = good[-3:]
        other = _with(good, 2, "+1" if good[2] != "+1" else "+2")  # an operation not asked for
        cases += [(problem, w) for w in (good, wrong_answer, lucky, short, guess, other)]
    return cases


def _answer_only(problem: Problem, words: list[str]) -> bool:
    return verify(problem, words).answer


def _clean_and_answer(problem: Problem, words: list[str]) -> bool:
    verdict = verify(problem, words)
    return verdict.clean and verdict.answer


def _no_wrong_step(problem: Problem, words: list[str]) -> bool:
    verdict = verify(problem, words)
    return verdict.answer and all(step.mark == "right" for step in verdict.steps)


def _steps_only(problem: Problem, words: list[str]) -> bool:
    steps = verify(problem, words).steps
    return len(steps) == len(problem.operations) and all(s.mark == "right" for s in steps)


check_right_chain = Exercise(
    title="A verifier that luck does not fool",
    reference=right_chain,
    cases=_chain_cases,
    mistakes=[
        Mistake(
            _answer_only,
            "It looks at the answer alone: a guess is right one time in ten, and so is a chain "
            "with a wrong step.",
        ),
        Mistake(
            _clean_and_answer,
            "A clean format says nothing about the steps: read each step's mark.",
        ),
        Mistake(
            _no_wrong_step,
            "A response without any step has no wrong step either: there must be one for each "
            "operation.",
        ),
        Mistake(
            _steps_only,
            "All steps are right, but the answer after them may still be another digit.",
        ),
    ],
    difficulty=2,
    minutes=12,
)

# 4. The clipped objective

Numbers = Float[Tensor, "N"]


def clipped(log_p: Numbers, old_log_p: Numbers, advantage: Numbers, clip: float) -> Numbers:
    """min(ratio A, clip(ratio, 1 - clip, 1 + clip) A) for each token."""
    return clipped_objective(log_p[:, None], old_log_p[:, None], advantage, clip)[:, 0]


def _clip_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    old = torch.tensor([-1.0, -1.0, -1.0, -1.0])
    moved = old + torch.tensor([0.5, -0.5, 0.5, -0.5])
    n = 8 + seed
    return [
        (moved, old, torch.tensor([1.0, 1.0, -1.0, -1.0]), 0.2),
        (-torch.rand(n), -torch.rand(n), torch.randn(n), 0.1),
    ]


check_clipped = Exercise(
    title="The clipped objective",
    reference=clipped,
    cases=_clip_cases,
    mistakes=[
        Mistake(
            lambda p, q, a, c: (p - q).exp() * a,
            "Nothing is clipped: the ratio could run away from the policy that drew the data.",
        ),
        Mistake(
            lambda p, q, a, c: (p - q).exp().clamp(1 - c, 1 + c) * a,
            "The minimum is missing: where the ratio has gone the wrong way, the clipped term "
            "alone would have no gradient to bring it back.",
        ),
        Mistake(
            lambda p, q, a, c: torch.maximum(
                (p - q).exp() * a, (p - q).exp().clamp(1 - c, 1 + c) * a
            ),
            "It takes the larger of the two terms: the objective is the pessimistic one, the "
            "minimum.",
        ),
        Mistake(
            lambda p, q, a, c: torch.minimum((p - q) * a, (p - q).clamp(1 - c, 1 + c) * a),
            "log p - log p_old is the logarithm of the ratio: take exp of it.",
        ),
        Mistake(
            lambda p, q, a, c: torch.minimum((p - q).exp(), (p - q).exp().clamp(1 - c, 1 + c)) * a,
            "The minimum is over the products with A: with a negative A the order turns.",
        ),
    ],
    difficulty=2,
    minutes=15,
)

# 5. A rejection filter

Drawn = tuple[str, str, bool, bool]


def select(drawn: list[Drawn], most: int) -> list[tuple[str, str]]:
    """(question, response) of what is right and clean, each pair once, `most` to a question."""
    return _select(drawn, most)


def _drawn_cases(seed: int) -> list[tuple]:
    dice = random.Random(seed)
    small = [
        ("a", "x", True, True), ("a", "x", True, True), ("a", "y", True, False),
        ("b", "x", False, True), ("a", "z", True, True), ("a", "w", True, True),
        ("b", "x", True, True),
    ]  # fmt: skip
    many = [
        (dice.choice("abc"), dice.choice("uvwxyz"), dice.random() < 0.7, dice.random() < 0.7)
        for _ in range(60)
    ]
    return [(small, 2), (small, 1), (many, 3)]


def _select(
    drawn: list[Drawn], most: int, *, clean: bool = True, unique: bool = True, by_text: bool = False
) -> list[tuple[str, str]]:
    kept: list[tuple[str, str]] = []
    for question, response, right, is_clean in drawn:
        if not right or (clean and not is_clean):
            continue
        seen = {r for _, r in kept} if by_text else {r for q, r in kept if q == question}
        if unique and response in seen:
            continue
        if sum(q == question for q, _ in kept) < most:
            kept.append((question, response))
    return kept


check_select = Exercise(
    title="A rejection filter",
    reference=select,
    cases=_drawn_cases,
    mistakes=[
        Mistake(
            lambda drawn, most: _select(drawn, most, clean=False),
            "It keeps right answers that nobody can read: ask for the clean format too.",
        ),
        Mistake(
            lambda drawn, most: _select(drawn, most, unique=False),
            "The same response to the same question is kept twice, and takes the place of others.",
        ),
        Mistake(
            lambda drawn, most: _select(drawn, most, by_text=True),
            "Two questions may have the same response: compare pairs, not responses.",
        ),
        Mistake(
            lambda drawn, most: _select(drawn, 10**9),
            "A question may keep only `most` responses: else easy questions fill the data.",
        ),
    ],
    difficulty=2,
    minutes=12,
)
