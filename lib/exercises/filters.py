"""Checks of chapter 9 that cut a distribution off: the nucleus and min_p."""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Probe
from lib.exercises.comparing import difference

Logits = Float[Tensor, "V"]
NOTHING = -math.inf
OVERFLOW = "Large logits overflow in exp: use softmax, which subtracts the largest logit first."


Cut = Callable[[Tensor, Tensor, float], Tensor]  # falling p, their running sum, p -> what is kept


def top_p(
    logits: Logits,
    p: float,
    *,
    shares: Callable = lambda z: z.softmax(-1),
    keep: Cut = lambda q, total, p: total - q < p,
    order: str = "falling",
    fill: float = NOTHING,
    result: Callable | None = None,
    summed: str = "shares",
) -> Logits | Any:
    """Keep the smallest set of most probable tokens whose probability reaches p."""
    weights = shares(logits)
    places = weights.argsort(descending=order != "rising", stable=True)
    if order == "none":
        places = torch.arange(len(logits))
    q = weights[places]
    kept = keep(q, q.cumsum(-1), p)
    if summed == "logits":
        kept = _rank(q) <= (logits[places].cumsum(-1) < p).sum()
    mask = torch.zeros_like(logits, dtype=torch.bool)
    mask[places] = kept
    if order == "not carried back":
        mask = kept
    if order == "inverse":
        mask = kept[places]
    cut = logits.masked_fill(~mask, fill)
    return cut if result is None else result(cut, logits)


def _cut_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    small = torch.tensor([0.1, 0.5, 0.15, 0.25]).log()
    return [(small, 0.7), (small, 0.3), (torch.randn(9) * 2, 0.9), (torch.randn(40), 0.55)]


def _but_for_ties(expected: Tensor, got: Tensor) -> str | None:
    """As always, but of equal logits any may be kept, or all that equal the last one kept."""
    problem = difference(expected, got)
    if problem and isinstance(got, Tensor) and got.shape == expected.shape:
        kept, mine = (x[x > NOTHING].sort().values for x in (expected, got))
        tied = len(expected.unique()) == 2 and mine.numel() in (kept.numel(), got.numel())
        if tied and len(mine.unique()) == 1 and mine[0] == kept[0]:
            return None
    return problem


def _rank(q: Tensor) -> Tensor:
    return torch.arange(len(q))


FILLS = {
    0.0: "What is dropped becomes 0, and e^0 = 1: such tokens are still drawn. Write -math.inf.",
    -1e9: "What is dropped becomes -1e9: that is a number. Write -math.inf.",
    -1e4: "What is dropped becomes -1e4: that is a number. Write -math.inf.",
    -100.0: "What is dropped becomes -100: that is a number. Write -math.inf.",
    math.inf: "What is dropped becomes +inf: write -math.inf.",
    torch.finfo(torch.float32).min: "What is dropped becomes the smallest number: write -math.inf.",
}
RESULTS = {
    lambda cut, z: cut.softmax(-1): "Probabilities are returned: logits are asked for.",
    lambda cut, z: z.softmax(-1).where(cut.isfinite(), 0.0): (
        "Probabilities are returned, and what was dropped is 0: logits are asked for."
    ),
    lambda cut, z: z.softmax(-1).where(cut.isfinite(), NOTHING): (
        "Probabilities are returned: logits are asked for."
    ),
    lambda cut, z: cut.log_softmax(-1): "Log-probabilities are returned: keep the logits.",
    lambda cut, z: z.log_softmax(-1).where(cut.isfinite(), NOTHING): (
        "Log-probabilities are returned: keep the logits as they are."
    ),
    lambda cut, z: cut - z.max(): "The largest logit is subtracted: keep the logits as they are.",
    lambda cut, z: cut.isfinite(): "True and False are returned: give the logits.",
    lambda cut, z: cut[cut.isfinite()]: "Only the kept logits are returned: the places are lost.",
    lambda cut, z: cut.sort(descending=True).values: "The logits are returned sorted: carry them "
    "back to their ids.",
}

check_top_p = Exercise(
    title="The nucleus",
    reference=top_p,
    cases=_cut_cases,
    switches={
        "keep": {
            lambda q, total, p: total <= p: (
                "The token with which the sum reaches p is missing: the set must reach p, and it "
                "must never be empty."
            ),
            lambda q, total, p: (total < p) | (_rank(q) == 0): (
                "The token with which the sum reaches p is missing: the set must reach p."
            ),
            lambda q, total, p: (total - q < p).roll(1) | (_rank(q) == 0): (
                "It keeps one token more than p needs."
            ),
            lambda q, total, p: total - q >= p: "It keeps what should go, and drops the nucleus.",
            lambda q, total, p: q >= p: (
                "It compares each probability with p: p is for the sum over the kept tokens."
            ),
            lambda q, total, p: q >= p * q[0]: (
                "It compares with p times the largest probability: that is min_p."
            ),
            lambda q, total, p: _rank(q) < math.ceil(p * len(q)): (
                "It keeps a share p of the vocabulary: p is a sum of probabilities."
            ),
            lambda q, total, p: _rank(q) < int(p * len(q)): (
                "It keeps a share p of the vocabulary: p is a sum of probabilities."
            ),
            lambda q, total, p: total - q < 1 - p: "It cuts at 1 - p, not at p.",
            lambda q, total, p: total < 1 - p: "It cuts at 1 - p, not at p.",
            lambda q, total, p: total - q < 0.9: "It always cuts at 0.9: use p.",
            lambda q, total, p: total - q < 0.5: "It always cuts at 0.5: use p.",
            **{
                lambda q, total, p, k=k: _rank(q) < k: (
                    "It keeps the same number of tokens whatever p is: that is top-k."
                )
                for k in range(1, 6)
            },
        },
        "order": {
            "rising": "It sums from the least probable token on: sort in falling order.",
            "none": "Nothing is sorted: sum from the most probable token on.",
            "not carried back": "The cut was made in sorted order: carry it back to the ids.",
            "inverse": "It uses the order as if it were its inverse: order[i] is the id at place "
            "i. Write kept[order] = ..., not ... = kept[order].",
        },
        "summed": {"logits": "It sums logits: take softmax first."},
        "shares": {
            lambda z: z: "It sums logits: take softmax first.",
            torch.exp: "It sums exp of the logits: divide by their sum, as softmax does.",
            torch.sigmoid: "It sums sigmoids: take softmax.",
        },
        "fill": FILLS,
        "result": RESULTS,
    },
    probes=[
        Probe(
            "When the sum is exactly p, the set has reached p: one token more or less is kept.",
            (torch.zeros(4), 0.5),
            alone=True,
        ),
        Probe(
            "Tokens at -inf have p = 0: they must stay at -inf, and nothing becomes NaN.",
            (torch.tensor([0.0, NOTHING, 1.0, NOTHING]), 0.9),
        ),
        Probe(OVERFLOW, (torch.tensor([500.0, 499.0, 498.0]), 0.7), alone=True),
    ],
    compare=_but_for_ties,
    difficulty=2,
    minutes=15,
)


def min_p(
    logits: Logits,
    p: float,
    *,
    least: Callable = lambda z, p: z.max() + math.log(p),
    compared: Callable = lambda z: z,
    keep: Callable = torch.ge,
    fill: float = NOTHING,
    result: Callable | None = None,
) -> Logits | Any:
    """Keep tokens at least p times as probable as the most probable one."""
    cut = logits.masked_fill(~keep(compared(logits), least(logits, p)), fill)
    return cut if result is None else result(cut, logits)


def _min_p_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    small = torch.tensor([0.1, 0.5, 0.15, 0.25]).log()
    cases = [(small, 0.4), (small, 0.25), (small, 1.0), (torch.randn(9) + 1, 0.2)]
    return [*cases, (torch.randn(60) * 2 - 1, 0.05), (torch.randn(30), 0.6)]


def _no_probabilities(name: str, result: Any) -> str | None:
    """Softmax by name, or any tensor of shares that sum to 1."""
    own = isinstance(result, Tensor) and result.is_floating_point() and result.numel() > 1
    own = own and bool((result >= 0).all()) and abs(result.sum().item() - 1) < 1e-5
    if name in ("softmax", "log_softmax", "logsumexp") or (own and result.max() < 0.999):
        return (
            "The result is right, but it uses a softmax, which is what to do without: compare "
            "logits."
        )
    return None


LN_P = "A factor between probabilities is a difference between logits: add ln p."

check_min_p = Exercise(
    title="min_p without softmax",
    reference=min_p,
    cases=_min_p_cases,
    switches={
        "least": {
            lambda z, p: z.logsumexp(-1) + math.log(p): (
                "p is a share of the largest probability, not a probability: with a flat "
                "distribution nothing would be left."
            ),
            lambda z, p: p * z.max(): f"It takes p times the largest logit. {LN_P}",
            lambda z, p: z.max() - p: "It subtracts p itself: a factor between probabilities is "
            "ln p between logits.",
            lambda z, p: z.max() + p: f"It adds p itself. {LN_P}",
            lambda z, p: z.max() - math.log(p): "It subtracts ln p, which is negative: add it.",
            lambda z, p: z.max() + math.log2(p): "The logarithm has base 2: take ln p.",
            lambda z, p: z.max() + math.log10(p): "The logarithm has base 10: take ln p.",
            lambda z, p: z.max() + math.log(max(1 - p, 1e-9)): "It takes ln(1 - p): take ln p.",
            lambda z, p: z.max() + (math.log(1 - p) if p < 1 else 0): "It takes ln(1 - p): take "
            "ln p.",
            lambda z, p: z.max() - math.exp(p): f"It takes the exponential of p. {LN_P}",
            lambda z, p: z.max() + math.exp(p): f"It takes the exponential of p. {LN_P}",
            lambda z, p: z.max() / p: f"It divides by p. {LN_P}",
            lambda z, p: z.max(): "It keeps the largest only: p is not used.",
            lambda z, p: math.log(p): "The largest logit is missing: compare with z_max + ln p.",
            lambda z, p: torch.tensor(p): "It compares logits with p: compare with z_max + ln p.",
            lambda z, p: z[z.isfinite()].mean() + math.log(p): "It starts from the mean: take the "
            "largest logit.",
            lambda z, p: z[z.isfinite()].min() - math.log(p): "It starts from the smallest: take "
            "the largest.",
            lambda z, p: z[0] + math.log(p): "It starts from the first: take the largest.",
            lambda z, p: z.sort().values[-2] + math.log(p): "It starts from the second largest.",
        },
        "compared": {
            lambda z: z.softmax(-1): "It compares probabilities with a threshold for logits.",
            torch.exp: "It compares exponentials with a threshold for logits.",
        },
        "keep": {
            torch.lt: "It keeps the improbable tokens and drops the probable ones.",
            torch.le: "It keeps the improbable tokens and drops the probable ones.",
            torch.gt: "A token exactly at the threshold stays: with p = 1 the most probable one.",
        },
        "fill": FILLS,
        "result": RESULTS,
    },
    probes=[
        Probe("With p = 1 the most probable tokens stay: compare with >=.", (torch.zeros(3), 1.0)),
        Probe(
            "Negative logits are as good as positive ones: only differences matter.",
            (torch.tensor([-8.0, -9.0, -20.0]), 0.2),
            wrong=lambda e, g: g.isfinite().all() or not g.isfinite().any(),
        ),
        Probe(
            "Tokens at -inf stay at -inf, and nothing becomes NaN.",
            (torch.tensor([0.0, NOTHING, -1.0]), 0.2),
            wrong=lambda e, g: g[1] != NOTHING or bool(g.isnan().any()),
        ),
        Probe(
            "Large logits overflow in exp: compare the logits themselves.",
            (torch.tensor([300.0, 299.0, 250.0]), 0.1),
            wrong=lambda e, g: g.isfinite().all() or not g.isfinite().any(),
        ),
    ],
    rule=_no_probabilities,
    difficulty=2,
    minutes=10,
)
