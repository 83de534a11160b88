"""How an answer's results relate to the expected ones: a factor, a summand, an unused argument.

A factor or a summand that changes with the arguments is found by doubling each of them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from lib.exercises.comparing import same, size
from lib.exercises.running import Outcome, copy_of

Switches = Mapping[str, Mapping[Any, str]]


@dataclass(frozen=True)
class Trial:
    """An exercise's cases, with what was expected and what an answer did in each."""

    reference: Callable[..., Any]
    switches: Switches
    names: list[str]  # of the arguments; empty if the cases only say how an answer is called
    cases: Sequence[tuple]
    expected: Sequence[Outcome]
    got: Sequence[Outcome]
    wrong: Sequence[int]  # the cases in which they differ, the smallest first
    again: Callable[[tuple], Outcome]  # run the answer on other arguments
    seconds: float | int = 5
    computed: dict[tuple, Outcome] = field(default_factory=dict)  # what changed references did


def relation(trial: Trial) -> str | None:
    """How results relate to the expected ones: a factor, a summand, an unused argument; or None."""
    if fails(trial):
        return None
    if not (found := measured(trial)):
        return _unused(trial)
    *pairs, finite = found
    return (_constant(*pairs) if finite else None) or _unused(trial) or _monomial(trial)


def fails(trial: Trial) -> bool:
    """Whether the reference or the answer raises in any case."""
    return any(outcome.error is not None for outcome in (*trial.expected, *trial.got))


def measured(trial: Trial) -> tuple[list[Tensor], list[Tensor], bool] | None:
    """Expected and given numbers, and whether all are finite, if they are of equal shapes."""
    expected, got = ([_numbers(o.value) for o in side] for side in (trial.expected, trial.got))
    pairs = zip(expected, got, strict=True)
    fits = all(e is not None and g is not None and e.shape == g.shape for e, g in pairs)
    return (expected, got, all(x.isfinite().all() for x in (*expected, *got))) if fits else None


def _numbers(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return None if value.is_complex() else value.detach().double()
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return torch.tensor(float(value), dtype=torch.float64) if number else None


def _constant(expected: list[Tensor], got: list[Tensor]) -> str | None:
    """One factor or one summand for all numbers of all cases."""
    e, g = torch.cat([x.flatten() for x in expected]), torch.cat([x.flatten() for x in got])
    if len(e.unique()) < 2 or torch.allclose(e, g):
        return None
    some = e.abs() > 1e-9
    if some.any() and torch.equal(some, g.abs() > 1e-9):
        ratio = g[some] / e[some]
        if torch.allclose(ratio, ratio[0].expand_as(ratio), rtol=1e-4, atol=0):
            return f"Every number is {_named(ratio[0].item())} times what is asked for."
    shift = g - e
    if torch.allclose(shift, shift[0].expand_as(shift), rtol=1e-4, atol=1e-7):
        word = "large" if shift[0] > 0 else "small"
        return f"Every number is too {word} by {_named(abs(shift[0].item()))}."
    return None


class _Untouchable:
    """Stands for a number: an answer that gives its result with this does not look at it.

    That a result stays the same with other numbers is no proof: it may lie on one side of a limit.
    """

    def _fail(self, *_: Any) -> Any:
        raise TypeError("used")

    __bool__ = __eq__ = __float__ = __index__ = __repr__ = __format__ = _fail
    __hash__ = None


def _unused(trial: Trial) -> str | None:
    """An argument that the answer does not look at, though the result depends on it."""
    if any(size(trial.got[k].value) > 50_000 for k in trial.wrong[:3]):
        return None
    right = [k for k in range(len(trial.cases)) if k not in trial.wrong]
    asked = [*trial.wrong[:3], *trial.wrong[-3:], *right[:3]]
    for i, name in enumerate(trial.names):
        if _matters(trial, i) and all(_blind(trial, k, i) for k in asked):
            return f"It does not use `{name}`: the result stays the same when `{name}` changes."
    return None


def _matters(trial: Trial, i: int) -> bool:
    """Whether the right result changes with argument `i` in a case that is answered wrongly."""
    for k in trial.wrong[:3]:
        right = _run(trial.reference, _changed(trial.cases[k], i))
        if right is not None and not same(trial.expected[k].value, right):
            return True
    return False


def _blind(trial: Trial, k: int, i: int) -> bool:
    """Whether the answer gives the same result in case `k` without a look at argument `i`."""
    case, value = trial.cases[k], trial.cases[k][i]
    others = [_Untouchable()]
    if isinstance(value, Tensor) and (changed := _changed(case, i)):
        others = [changed[i], torch.full_like(value, math.nan)]  # its shape may be looked at
    for other in others:
        again = trial.again((*case[:i], other, *case[i + 1 :]))
        if again.error is not None or not same(trial.got[k].value, again.value):
            return False
        if _holds_nan(again.value):  # NaN hides what the rest would show
            return False
    return True


def _holds_nan(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_holds_nan, value))
    numbers = _numbers(value)
    return numbers is not None and bool(numbers.isnan().any())


def _changed(case: tuple, i: int) -> tuple | None:
    value = copy_of(case[i])
    if isinstance(value, Tensor) and value.is_floating_point() and value.numel():
        value = value.detach().flip(0) * 1.5 + 0.25
    elif isinstance(value, bool):
        value = not value
    elif isinstance(value, int | float):
        value = value * 2
    else:
        return None
    return (*case[:i], value, *case[i + 1 :])


def _run(function: Callable[..., Any], case: tuple | None) -> Any:
    try:
        return function(*[copy_of(value) for value in case])
    except Exception:
        return None


def _monomial(trial: Trial) -> str | None:
    """The factor or the summand by which a formula is wrong, as a product of its arguments."""
    places = [i for i, v in enumerate(trial.cases[0]) if type(v) in (int, float)]
    if len(places) != len(trial.cases[0]) or not isinstance(trial.expected[0].value, int | float):
        return None
    for kind in ("factor", "summand"):
        if found := _power_law(trial, kind):
            return found
    return None


def _power_law(trial: Trial, kind: str) -> str | None:
    def gap(case: tuple) -> float:
        right, got = _run(trial.reference, case), trial.again(case)
        if right is None or got.error is not None:
            return math.nan
        return got.value / right if kind == "factor" else got.value - right

    try:
        base_case = trial.cases[trial.wrong[-1]]
        base = gap(base_case)
        powers = []
        for i, value in enumerate(base_case):
            power = math.log2(gap((*base_case[:i], 2 * value, *base_case[i + 1 :])) / base)
            powers.append(round(2 * power) / 2)
            if abs(power - powers[-1]) > 1e-3:
                return None

        def law(case: tuple) -> float:
            return math.prod(v**p for v, p in zip(case, powers, strict=True))

        scale = base / law(base_case)
        for case in trial.cases:
            value = gap(case)
            within = 1e-6 if kind == "factor" and abs(value - 1) < 1e-2 else 1e-3  # lost digits
            if not math.isclose(value, scale * law(case), rel_tol=within, abs_tol=1e-9):
                return None
    except (ValueError, ZeroDivisionError, TypeError, OverflowError, AttributeError):
        return None
    product = _product(abs(scale), powers, trial.names)
    if kind == "factor":
        return f"The result is {product} times what is asked for."
    word = "too much" if scale > 0 else "missing"
    return f"The summand {product} is {word}."


def _product(scale: float, powers: list[float], names: list[str]) -> str:
    signs = {0.5: "√{}", 1.0: "{}", 2.0: "{}²", -1.0: "1/{}", -0.5: "1/√{}", -2.0: "1/{}²"}
    parts = [
        signs.get(p, "{}^" + f"{p:g}").format(n) for p, n in zip(powers, names, strict=True) if p
    ]
    if not math.isclose(scale, 1, rel_tol=1e-4) or not parts:
        parts.insert(0, _named(scale))
    return " · ".join(parts)


def _named(number: float) -> str:
    """A number in words where it has a name."""
    names = {
        math.log(2): "ln 2", 1 / math.log(2): "1 / ln 2", math.pi: "π", math.e: "e",
        math.sqrt(2): "√2", 1 / math.sqrt(2): "1 / √2", 2**30: "2^30", 2**-30: "2^-30",
        math.log(10): "ln 10", 1 / math.log(10): "1 / ln 10",
    }  # fmt: skip
    for value, name in names.items():
        if math.isclose(number, value, rel_tol=1e-4):
            return name
    fraction = Fraction(number).limit_denominator(24)
    if fraction and math.isclose(number, fraction, rel_tol=1e-4) and fraction.denominator > 1:
        return str(fraction)
    return f"{number:.6g}"
