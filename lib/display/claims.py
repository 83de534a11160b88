"""Claims: a sentence that states an outcome, checked in the cell that measured it.

`claim(sentence, truth)` prints the sentence with a check mark, or raises with the values: a chapter
with a false sentence cannot be built. Claims over seeds share one rule (`compare_seeds`): two means
differ if they lie more than two standard errors of their difference apart, and each is of at least
three seeds. Fewer are "one run" or "two runs", and no difference is claimed of them.
"""

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lib.display.tables import escape_markdown, publish

LEAST_SEEDS = 3
ERRORS = 2  # how many standard errors a difference must exceed


class ClaimError(AssertionError):
    """What was claimed is not so."""


def claim(sentence: str, truth: Any, **values: Any) -> None:
    """Show `✓ Sentence.` if it is true; raise ClaimError with the sentence and `values` if not.

    The sentence is plain text. `truth` is a bool (also NumPy's, or a tensor with one bool). Raises
    TypeError for anything else and ValueError for an empty sentence.
    """
    if not isinstance(sentence, str):
        raise TypeError(f"claim takes a sentence first, got {sentence!r}")
    if not sentence.strip():
        raise ValueError("a claim needs a sentence, got an empty one")
    text = _sentence(sentence)
    if not _truth(text, truth):
        shown = "".join(f"\n  {name} = {value}" for name, value in values.items())
        raise ClaimError(f"not true here: {text}{shown}")
    publish({"text/markdown": f"✓ {escape_markdown(text)}", "text/plain": f"✓ {text}"})


def falling(values: Sequence[float | int] | Any) -> bool:
    """Whether each value is less than the one before."""
    return all(b < a for a, b in itertools.pairwise(_numbers("values", values, least=2)))


def rising(values: Sequence[float | int] | Any) -> bool:
    """Whether each value is greater than the one before."""
    return all(b > a for a, b in itertools.pairwise(_numbers("values", values, least=2)))


def mean_and_error(values: Sequence[float | int] | Any) -> tuple[float, float]:
    """The mean and its standard error s / √n with n - 1 in s; the error of one value is NaN."""
    numbers = _numbers("values", values)
    count = len(numbers)
    error = statistics.stdev(numbers) / math.sqrt(count) if count > 1 else math.nan
    return statistics.fmean(numbers), error


@dataclass(frozen=True)
class SeedComparison:
    """Mean of `first` minus mean of `second`, its standard error, and how many seeds there are.

    `lower`, `higher` and `differ` are for `claim`; with fewer seeds than three they
    raise ClaimError.
    """

    difference: float
    error: float
    seeds: tuple[int, int]

    @property
    def lower(self) -> bool:
        """Whether the first mean lies more than two standard errors below the second."""
        return self._enough() and self.difference < -ERRORS * self.error

    @property
    def higher(self) -> bool:
        """Whether the first mean lies more than two standard errors above the second."""
        return self._enough() and self.difference > ERRORS * self.error

    @property
    def differ(self) -> bool:
        """Whether the means lie more than two standard errors apart, either way."""
        return self.lower or self.higher

    def __str__(self) -> str:
        """The difference with its standard error and the seeds: `-0.12 ± 0.03 (3 seeds)`."""
        few = min(self.seeds)
        if few < LEAST_SEEDS:
            return f"{self.difference:.3g} ({_runs(few)})"
        same = self.seeds[0] == self.seeds[1]
        count = f"{few}" if same else f"{self.seeds[0]} and {self.seeds[1]}"
        return f"{self.difference:.3g} ± {self.error:.2g} ({count} seeds)"

    def _enough(self) -> bool:
        if min(self.seeds) < LEAST_SEEDS:
            raise ClaimError(
                f"{_runs(min(self.seeds))} cannot be claimed as a difference: "
                f"it takes {LEAST_SEEDS} seeds on each side, got {self.seeds[0]} and "
                f"{self.seeds[1]}"
            )
        return True


def compare_seeds(
    first: Sequence[float | int] | Any, second: Sequence[float | int] | Any, paired: bool = False
) -> SeedComparison:
    """Compare results over seeds: one number for each seed, of each side.

    The standard error of the difference of the means is √(s₁²/n₁ + s₂²/n₂) (B. L. Welch, 1938).
    With `paired`, the i-th numbers share their seed, and it is that of their differences' mean.
    Raises ValueError for no numbers, numbers that are not finite, or pairs that do not match.
    """
    a, b = _numbers("first", first), _numbers("second", second)
    if paired and len(a) != len(b):
        raise ValueError(f"paired seeds must be equally many, got {len(a)} and {len(b)}")
    if paired:
        difference, error = mean_and_error([x - y for x, y in zip(a, b, strict=True)])
    else:
        (left, left_error), (right, right_error) = mean_and_error(a), mean_and_error(b)
        difference, error = left - right, math.hypot(left_error, right_error)
    return SeedComparison(difference, error, (len(a), len(b)))


def _sentence(sentence: str) -> str:
    text = " ".join(sentence.split())
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?" else f"{text}."


def _truth(text: str, truth: Any) -> bool:
    if isinstance(truth, bool):
        return truth
    shape = tuple(getattr(truth, "shape", ()))
    if math.prod(shape) > 1:
        raise TypeError(
            f"the truth of a claim is one bool, got {math.prod(shape)} of shape {shape}: "
            f"say .all() or .any(). The claim: {text}"
        )
    plain = truth.item() if hasattr(truth, "item") and math.prod(shape) == 1 else truth
    if not isinstance(plain, bool):
        raise TypeError(
            f"the truth of a claim is True or False, got {truth!r} of type "
            f"{type(truth).__name__}: compare it with something. The claim: {text}"
        )
    return plain


def _numbers(name: str, values: Any, least: int = 1) -> list[float]:
    values = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(values, Iterable) and not isinstance(values, str | bytes):
        values = [value.item() if hasattr(value, "item") else value for value in values]
    if not isinstance(values, list) or len(values) < least or any(map(_is_no_number, values)):
        raise ValueError(f"{name} must be a list of at least {least} numbers, got {values!r}")
    if not all(map(math.isfinite, values)):
        raise ValueError(f"{name} must be finite, got {values!r}")
    return [float(value) for value in values]


def _is_no_number(value: Any) -> bool:
    return isinstance(value, bool) or not isinstance(value, int | float)


def _runs(count: int) -> str:
    return "one run" if count == 1 else "two runs"
