"""Two exercises of chapter 4: a mean folded away into weights, and a bound on scores."""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Probe

WEIGHTS = {
    "rows": lambda w, b: w - w.mean(0),
    "inputs": lambda w, b: w - w.mean(1, keepdim=True),
    "all": lambda w, b: w - w.mean(),
    "none": lambda w, b: w,
    "plus": lambda w, b: w + w.mean(0),
    "sum": lambda w, b: w - w.sum(0),
    "mean": lambda w, b: w.mean(0).expand_as(w),
    "mean_alone": lambda w, b: w.mean(0),
    "median": lambda w, b: w - w.median(0).values,
    "C-1": lambda w, b: w - w.sum(0) / (len(w) - 1),
    "F": lambda w, b: w - w.sum(0) / w.shape[1],
    "scaled": lambda w, b: (w - w.mean(0)) / w.std(0, correction=0),
    "scaled_1": lambda w, b: (w - w.mean(0)) / w.std(0),
    "rms": lambda w, b: (w - w.mean(0)) / (w - w.mean(0)).square().mean(0).sqrt(),
    "bias": lambda w, b: w - b.mean(),
    "both": lambda w, b: w - w.mean(0) - b.mean(),
    "twice": lambda w, b: w - w.mean(0) - w.mean(1, keepdim=True) + w.mean(),
    "largest": lambda w, b: w - w.amax(0),
}
BIASES = {
    "mean": lambda w, b: b - b.mean(),
    "none": lambda w, b: b,
    "plus": lambda w, b: b + b.mean(),
    "sum": lambda w, b: b - b.sum(),
    "zero": lambda w, b: torch.zeros_like(b),
    "mean_alone": lambda w, b: b.mean(),
    "means": lambda w, b: b.mean().expand_as(b),
    "median": lambda w, b: b - b.median(),
    "C-1": lambda w, b: b - b.sum() / (len(b) - 1),
    "F": lambda w, b: b - b.sum() / w.shape[1],
    "scaled": lambda w, b: (b - b.mean()) / b.std(correction=0),
    "scaled_1": lambda w, b: (b - b.mean()) / b.std(),
    "weight": lambda w, b: b - w.mean(),
    "weight_rows": lambda w, b: b - w.mean(1),
    "both": lambda w, b: b - b.mean() - w.mean(),
}


def centered(
    weight: Float[Tensor, "C F"], bias: Float[Tensor, "C"], *, of: str = "rows", shift: str = "mean"
) -> tuple[Float[Tensor, "C F"], Float[Tensor, "C"]] | Any:
    """weight and bias of a linear layer whose outputs have mean zero: their rows' mean subtracted.

    Output i is row i: the mean over outputs is the mean over rows. Source: Jiang et al. (2023).
    """
    return WEIGHTS[of](weight, bias), BIASES[shift](weight, bias)


def _sums(part: int, most: float | int = 1e-4) -> Callable[[tuple, tuple], bool]:
    return lambda e, g: e[part].shape == g[part].shape and bool((g[part].sum(0).abs() > most).any())


def _differs(part: int) -> Callable[[tuple, tuple], bool]:
    return lambda e, g: (
        e[part].shape != g[part].shape or not torch.allclose(e[part], g[part], atol=1e-4)
    )


SIMPLE = torch.tensor([[1.0, 10.0], [2.0, 20.0], [6.0, 0.0]]), torch.tensor([3.0, 0.0, 9.0])

check_centered = Exercise(
    title="The mean, folded into the weights",
    reference=centered,
    cases=lambda seed: [
        (
            torch.randn(*shape, generator=torch.Generator().manual_seed(seed)),
            torch.randn(shape[0], generator=torch.Generator().manual_seed(seed + 1)),
        )
        for shape in [(2, 3), (4, 4), (6, 5)]
    ],
    switches={
        "of": {
            "inputs": "The mean is over the inputs: the outputs are the rows, so take the mean of "
            "the rows.",
            "all": "One mean of the whole matrix: each column needs its own.",
            "none": "The weight is left as it is: the mean of its outputs changes with the input.",
            "plus": "The mean of the rows is added to the weight: subtract it.",
            "sum": "The sum of the rows is subtracted: take their mean.",
            "mean": "The mean of the rows stands in each row: subtract it from the weight.",
            "mean_alone": "The mean of the rows itself is returned: subtract it from the weight.",
            "median": "The median is subtracted from the weight: subtract the mean.",
            "C-1": "The sum of the rows is divided by C - 1: divide by C.",
            "F": "The sum of the rows is divided by F: there are C rows.",
            "scaled": "The weight is divided by its deviation too: only the mean goes; the size "
            "stays for RMSNorm to divide by.",
            "scaled_1": "The weight is divided by its deviation too: only the mean goes; the size "
            "stays for RMSNorm to divide by.",
            "bias": "The bias's mean is subtracted from the weight: take the weight's own rows.",
            "both": "The bias's mean, too, is subtracted from the weight.",
            "twice": "The means over the inputs go too: only those over the rows should.",
            "largest": "The largest of each column is subtracted: subtract the mean.",
        },
        "shift": {
            "none": "The bias adds to the mean of the outputs too.",
            "plus": "The bias's mean is added to the bias: subtract it.",
            "sum": "The sum of the bias is subtracted from it: take its mean.",
            "zero": "The bias is set to 0: only its mean goes.",
            "mean_alone": "The mean of the bias itself is returned: subtract it from the bias.",
            "means": "The mean of the bias stands everywhere in it: subtract it.",
            "median": "The median is subtracted from the bias: subtract the mean.",
            "C-1": "The bias's sum is divided by C - 1: divide by C.",
            "F": "The bias's sum is divided by F: it has C numbers.",
            "scaled": "The bias is divided by its deviation too: only the mean goes.",
            "scaled_1": "The bias is divided by its deviation too: only the mean goes.",
            "weight": "The weight's mean is subtracted from the bias: take the bias's own.",
            "weight_rows": "The weight's means are subtracted from the bias: take its own.",
            "both": "The weight's mean, too, is subtracted from the bias.",
        },
    },
    probes=[
        Probe(
            "The outputs' mean is not 0 for all inputs: each column of the weight must sum to 0.",
            SIMPLE,
            _sums(0),
        ),
        Probe(
            "The outputs' mean is not 0 at the input 0: the bias must sum to 0.", SIMPLE, _sums(1)
        ),
        Probe(
            "More than the mean goes from the weight: the same number must be subtracted from all "
            "of a column.",
            SIMPLE,
            _differs(0),
        ),
        Probe(
            "More than the mean goes from the bias: one number must be subtracted from all of it.",
            SIMPLE,
            _differs(1),
        ),
    ],
    difficulty=2,
    minutes=15,
)


# A bound on the scores

GAINS = {
    "product": lambda q, k: q * k,
    "sum": lambda q, k: q + k,
    "none": lambda q, k: 1.0,
    "query": lambda q, k: q,
    "key": lambda q, k: k,
    "larger": lambda q, k: max(q, k) ** 2,
    "smaller": lambda q, k: min(q, k) ** 2,
    "mean": lambda q, k: ((q + k) / 2) ** 2,
    "mean once": lambda q, k: (q + k) / 2,
    "squares": lambda q, k: (q * k) ** 2,
    "root": lambda q, k: math.sqrt(q * k),
    "one": lambda q, k: max(q, k),
}
WIDTHS = {
    "root": math.sqrt,
    "d": float,
    "1": lambda d: 1.0,
    "1/root": lambda d: 1 / math.sqrt(d),
    "d root": lambda d: d**1.5,
    "d²": lambda d: float(d * d),
    "1/d": lambda d: 1 / d,
    "whole": lambda d: float(math.isqrt(d)),
    "log": lambda d: math.log(d),
    "half": lambda d: math.sqrt(d) / 2,
}


def largest_score(
    d_head: int, query_gain: float, key_gain: float, *, gains: str = "product", width: str = "root"
) -> float:
    """The largest q . k / sqrt(D) with QK-norm whose gains are the same for all features.

    RMSNorm gives both vectors the length gain * sqrt(D), and a product of vectors is at most the
    product of their lengths.
    """
    return GAINS[gains](query_gain, key_gain) * WIDTHS[width](d_head)


check_largest_score = Exercise(
    title="The largest score with QK-norm",
    reference=largest_score,
    cases=lambda seed: [(4, 1.0, 1.0), (64, 1.5, 0.5 + seed), (128, 2.0, 3.0), (48, 0.25, 0.5)],
    switches={
        "width": {
            "d": "The product can be D; the scores are divided by √D.",
            "1": "A vector with root mean square 1 has length √D, not 1: the bound grows with D.",
            "1/root": "A vector with root mean square 1 has length √D, not 1.",
            "d root": "It multiplies by √D where the score is divided by it.",
            "d²": "The product of two vectors of length √D is D, not D²; then divide by √D.",
            "1/d": "A vector with root mean square 1 has length √D: the bound grows with D.",
            "whole": "The root is cut to a whole number: use `math.sqrt` or `** 0.5`.",
            "log": "The bound grows with √D, not with the logarithm.",
            "half": "Half of the bound: vectors that point the same way reach all of it.",
        },
        "gains": {
            "sum": "The gains multiply: they are not added.",
            "none": "The gains are missing: they stretch queries and keys after the norm.",
            "query": "The gain of the keys is missing.",
            "key": "The gain of the queries is missing.",
            "larger": "The larger gain is taken twice: queries and keys have their own.",
            "smaller": "The smaller gain is taken twice: queries and keys have their own.",
            "mean": "The mean of the gains is taken twice: queries and keys have their own.",
            "mean once": "The mean of the gains is taken: they multiply.",
            "squares": "The gains are squared: each stretches its vector once.",
            "root": "There is a root of the gains too much.",
            "one": "Only the larger gain is taken: both stretch their vectors.",
        },
    },
    probes=[
        Probe("With D = 1 and gains of 1, q and k are 1 or -1: the largest score is 1.",
              (1, 1.0, 1.0)),
        Probe(
            "With D = 4 and gains of 1, q = k = (1, 1, 1, 1) has the score 4 / √4 = 2.",
            (4, 1.0, 1.0),
        ),
        Probe("A gain of 3 for the queries makes the largest score 3 times as large.",
              (1, 3.0, 1.0)),
        Probe("A gain of 3 for the keys makes the largest score 3 times as large.",
              (1, 1.0, 3.0)),
        Probe("Gains multiply: 2 and 3 make the largest score 6 times as large.", (1, 2.0, 3.0)),
        Probe(
            "It stays below the bound, which vectors that point the same way reach: work it out, "
            "do not search for it.",
            (256, 1.0, 1.0),
            lambda e, g: 0 < g < e,
        ),
    ],
    difficulty=2,
    minutes=10,
)  # fmt: skip
