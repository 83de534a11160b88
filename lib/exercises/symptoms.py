"""What wrong results look like, where no slip that makes them is known: rows, places."""

import math

import torch
from torch import Tensor

from lib.exercises.relations import Trial, fails, measured


def symptom(trial: Trial) -> str | None:
    """What wrong results look like, where no slip that makes them is known; or None."""
    if fails(trial) or not (found := measured(trial)):
        return None
    *pairs, finite = found
    numbers = finite and not any(
        getattr(o.value, "dtype", None) == torch.bool for o in trial.expected
    )
    return (_by_rows(*pairs) if numbers else None) or _support(*pairs)


def _by_rows(expected: list[Tensor], got: list[Tensor]) -> str | None:
    """A factor or a summand for each row: what is divided by a wrong sum, or shifted."""
    both = list(zip(expected, got, strict=True))
    pairs = [(e, g) for e, g in both if e.dim() and e.shape[-1] > 2]
    if any(not torch.allclose(e, g) and not (e.dim() and e.shape[-1] > 2) for e, g in both):
        return None  # too short to tell, and wrong
    nonzero = bool(pairs) and all(torch.equal(e.abs() > 1e-9, g.abs() > 1e-9) for e, g in pairs)
    ratios = [torch.where(e.abs() > 1e-9, g / e, math.nan) for e, g in pairs]
    if nonzero and all(_even(r) for r in ratios):
        start = "Within a row the proportions are right, but each row has a factor of its own."
        if all(torch.allclose(e.sum(-1), torch.ones(()).to(e), atol=1e-4) for e, _ in pairs):
            return f"{start} They must sum to 1: divide by their sum."
        if all(_even(r.flatten()) for r in ratios):
            return "The proportions are right, but each input has a factor of its own."
        return start
    if pairs and all(_even(g - e) for e, g in pairs):
        return "Each row is shifted: it is too large or too small by one number of its own."
    return None


def _even(x: Tensor) -> bool:
    middle = x.nanmedian(-1, keepdim=True).values
    return bool(((x - middle).abs() <= 1e-4 * middle.abs() + 1e-6)[~x.isnan()].all())


def _support(expected: list[Tensor], got: list[Tensor]) -> str | None:
    """Which numbers are kept, where others are set to -inf or 0."""
    if not any((~_kept(e)).any() for e in expected) or any(g.isnan().any() for g in got):
        return None
    kept = [(_kept(e), _kept(g)) for e, g in zip(expected, got, strict=True)]
    weights = all((e >= 0).all() for e in expected)  # 0 means "dropped" among weights only
    if any(e.dim() == 0 for e, _ in kept) or not (
        weights or any(e.isneginf().any() for e in expected)
    ):
        return None
    wrong = [(e, g) for e, g in kept if not torch.equal(e, g)]
    if not wrong:
        return "The right numbers are kept, but their values are changed."
    pairs = list(zip(expected, got, strict=True))
    values = all(
        torch.allclose(e[k & h], g[k & h], rtol=1e-4)
        for (e, g), (k, h) in zip(pairs, kept, strict=True)
    )
    end = "" if values else " The values of those that are kept are changed too."
    always = len(wrong) == sum(not torch.allclose(e, g, rtol=1e-4) for e, g in pairs)
    it = "It keeps" if always else "On some inputs it keeps"
    missing = [int((e & ~g).sum()) for e, g in wrong]
    added = [int((g & ~e).sum()) for e, g in wrong]
    if all(torch.equal(e, ~g) for e, g in wrong):
        return f"{it} what should go, and drops what should stay.{end}"
    if not any(added):
        if always and not any(g.any() for _, g in wrong):
            return "Nothing is kept."
        return f"{it} too few{', each time one less' if set(missing) == {1} else ''}.{end}"
    if not any(missing):
        if always and all(g.all() for _, g in wrong):
            return f"Everything is kept.{end}"
        return f"{it} too many{', each time one more' if set(added) == {1} else ''}.{end}"
    if missing == added:
        return f"{it} as many as it should, but not the right ones.{end}"
    return None


def _kept(x: Tensor) -> Tensor:
    return ~x.isneginf() & (x > -1e8) if x.isneginf().any() else (x != 0) & x.isfinite()
