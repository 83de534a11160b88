"""Say what values a setting may have: one way to check, and one sentence for every wrong value.

A bool is no number, nor is "16", and NaN is in no range.
"""

import dataclasses
import functools
import math
import numbers
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin


def require(name: str, value: Any, interval: str, *, whole: bool = False) -> None:
    """Raise ValueError unless `value` is a number in `interval`, e.g. "(0, 1]" or "[1, inf)".

    With `whole`, it must be an integer too. The message names the setting, the range and the value.
    """
    low, high = _ends(interval)
    kind = numbers.Integral if whole else numbers.Real
    if isinstance(value, kind) and not isinstance(value, bool):
        above = value > low or (interval[0] == "[" and value == low)
        below = value < high or (interval[-1] == "]" and value == high)
        if above and below and _fits(value, whole):  # NaN is neither
            return
    if low == -math.inf:
        words = "" if whole else "a finite number"
    elif high == math.inf:
        words = f"above {low:g}" if interval[0] == "(" else f"at least {low:g}"
    else:
        words = f"in {interval}"
    words = f"an integer {words}".strip() if whole else words
    raise ValueError(f"{name} must be {words}, got {shortened(value)}")


@functools.cache
def _ends(interval: str) -> tuple[float, float]:
    low, high = interval[1:-1].split(",")
    return float(low), float(high)


def _fits(value: Any, whole: bool) -> bool:
    """Whether int64, or float64, has room for a number; NumPy's compare with no large int."""
    try:
        return abs(int(value)) < 2**63 if whole else math.isfinite(value)
    except OverflowError:
        return False


def require_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Raise ValueError unless `value` is one of `choices`; True is not taken for 1."""
    choices = tuple(choices)
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        known = ", ".join(map(str, choices))
        raise ValueError(f"{name} must be one of {known}, got {shortened(value)}")


def require_kind(name: str, value: Any, kind: type) -> None:
    """Raise ValueError unless `value` is of a class, which the message names with the value."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a {kind.__name__}, got {shortened(value)}")


def require_all(settings: Any, ranges: Mapping[str, str], skip: Iterable[str] = ()) -> None:
    """Check every field of a dataclass by its annotation, numbers by their interval in `ranges`.

    Numbers of other libraries become Python's own. One without an interval must be finite; None
    passes where the annotation has it; `bool`, `str` and `Literal` are held to what they say.
    Fields of other types, and those in `skip`, are left to the caller. Raises ValueError that names
    the field and the value.
    """
    for field in dataclasses.fields(settings):
        value, kinds = _pythons_own(getattr(settings, field.name)), _kinds(field.type)
        object.__setattr__(settings, field.name, value)
        if field.name in skip or (value is None and NoneType in kinds):
            continue
        kinds = kinds - {NoneType}
        if kinds and kinds <= {int, float}:
            interval = ranges.get(field.name, "(-inf, inf)")
            require(field.name, value, interval, whole=float not in kinds)
        elif kinds == {bool}:
            require_choice(field.name, value, (True, False))
        elif kinds == {str} and not isinstance(value, str):
            raise ValueError(f"{field.name} must be a text, got {shortened(value)}")
        elif len(kinds) == 1 and get_origin(kind := next(iter(kinds))) is Literal:
            require_choice(field.name, value, get_args(kind))


def shortened(value: Any, most: int = 60) -> str:
    """The value as an error shows it: in one line, the middle of a long one left out."""
    try:
        text = repr(value).replace("\n", " ")
    except Exception:  # an integer of 5,000 digits, or an object that cannot describe itself
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 20]} … {text[-10:]}"


def _pythons_own(value: Any) -> Any:
    """A number as int or float: NumPy's overflow, and no JSON holds them, nor fractions."""
    if value is None or type(value) in (str, bool):
        return value
    if type(value) in (tuple, list):
        return type(value)(map(_pythons_own, value))
    if not isinstance(value, numbers.Real):
        return value
    if isinstance(value, numbers.Integral) and abs(int(value)) < 2**63:
        return int(value)
    try:
        return float(value)
    except OverflowError:  # in no range
        return value


@functools.cache
def _kinds(annotation: Any) -> frozenset:
    """The types that an annotation allows, None as NoneType."""
    if get_origin(annotation) in (Union, UnionType):
        return frozenset().union(*map(_kinds, get_args(annotation)))
    return frozenset({NoneType if annotation is None else annotation})
