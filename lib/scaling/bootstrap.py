"""How sure is a fit? The bootstrap: fit again to points drawn from the points (Efron, 1979)."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from lib.scaling.checks import Number, Numbers, positive_points
from lib.scaling.power_laws import Exponential, Law, PowerLaw, fit_many


def resampled_weights(
    n: int, samples: int, seed: int = 0, groups: Numbers | None = None
) -> Float[np.ndarray, "S n"]:
    """How often each of `n` points occurs in each of `samples` draws of n with replacement.

    With `groups` (a label for each point) whole groups are drawn: runs of one model that differ
    only in their seed are no independent evidence of how loss depends on size.
    """
    if n < 1 or samples < 1:
        raise ValueError(f"n and samples must be at least 1, got {n} and {samples}")
    random = np.random.default_rng(seed)
    if groups is None:
        kinds, member = n, np.arange(n)
    else:
        names, member = np.unique(np.asarray(groups), return_inverse=True)
        kinds = len(names)
    drawn = random.integers(kinds, size=(samples, kinds))
    counts = np.stack([np.bincount(row, minlength=kinds) for row in drawn])
    return counts[:, member].astype(np.float64)


def interval(values: Numbers, level: float = 0.9) -> tuple[float, float]:
    """The middle `level` of the values: for 0.9 their 5% and 95% quantiles."""
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), got {level}")
    low, high = np.quantile(np.asarray(values), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_laws(
    kind: type[PowerLaw] | type[Exponential],
    x: Numbers,
    y: Numbers,
    floor: bool = True,
    samples: int = 1000,
    seed: int = 0,
    groups: Numbers | None = None,
    robust: bool = False,
) -> list[Law]:
    """The law fitted to each of `samples` resampled sets of the points.

    Draws with fewer than three different x (two without a floor) fit no law and are drawn anew.
    """
    least = 3 if floor else 2
    x, y = positive_points(least, x=x, y=y)
    if len(np.unique(x)) < least:
        raise ValueError(f"this law needs at least {least} different x, got {len(np.unique(x))}")
    weights = resampled_weights(len(x), 4 * samples, seed, groups)
    kinds = np.array([len(np.unique(x[row > 0])) for row in weights])
    return fit_many(kind, x, y, floor, robust, weights[kinds >= least][:samples])


def prediction_interval(
    laws: list[Law],
    fit: Law,
    x: Numbers,
    y: Numbers,
    new_x: Number,
    level: float = 0.9,
    seed: int = 0,
) -> tuple[float, float]:
    """Where one new measurement at `new_x` should fall, if the law is right.

    Two uncertainties are joined: that of the law (each resampled fit predicts) and the scatter of
    single points around it (a relative error of `fit`, drawn at random, widened by sqrt(n / (n-3))
    because three fitted constants make the errors too small).
    """
    x, y = positive_points(4, x=x, y=y)
    random = np.random.default_rng(seed)
    errors = (y / fit(x) - 1) * np.sqrt(len(x) / (len(x) - 3))
    predicted = np.array([law(new_x) for law in laws])
    scatter = random.choice(errors, size=(20, len(predicted)))
    return interval((predicted * (1 + scatter)).ravel(), level)


def bootstrap(
    fit: Callable[..., object], *columns: Numbers, samples: int = 200, seed: int = 0
) -> list[object]:
    """`fit(*columns)` on resampled points, for any law: slow, since each sample is fitted alone."""
    arrays = [np.asarray(column) for column in columns]
    random = np.random.default_rng(seed)
    draws = random.integers(len(arrays[0]), size=(samples, len(arrays[0])))
    return [fit(*(array[draw] for array in arrays)) for draw in draws]
