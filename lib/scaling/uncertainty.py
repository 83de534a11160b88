"""How sure is a fit? Fit again to points drawn from the points: the bootstrap (Efron, 1979).

And which law? The one that is right about points that it was not fitted to.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from lib.scaling.fitting import (
    Exponential,
    Law,
    Number,
    Numbers,
    PowerLaw,
    fit_exponential,
    fit_many,
    fit_power_law,
    positive_points,
)


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

    Two uncertainties are joined: that of the law (each resampled fit predicts) and the
    scatter of single points around it (a relative error of `fit`, drawn at random,
    widened by sqrt(n / (n-3)) because three fitted constants make the errors too
    small).
    """
    x, y = positive_points(4, x=x, y=y)
    random = np.random.default_rng(seed)
    errors = (y / fit(x) - 1) * np.sqrt(len(x) / (len(x) - 3))
    predicted = np.array([law(new_x) for law in laws])
    scatter = random.choice(errors, size=(20, len(predicted)))
    return interval((predicted * (1 + scatter)).ravel(), level)


Fit = Callable[..., Law]  # (x, y, floor, robust)
FITS: dict[str, tuple[Fit, bool]] = {
    "power law": (fit_power_law, False),
    "power law + floor": (fit_power_law, True),
    "exponential": (fit_exponential, False),
    "exponential + floor": (fit_exponential, True),
}


def extrapolate(
    x: Numbers,
    y: Numbers,
    largest_fitted: Number,
    robust: bool = False,
) -> dict[str, dict[str, float]]:
    """Fit each law to the points up to `largest_fitted`, then test it on the larger ones.

    For each law the root mean square relative error on the points it saw ("seen") and on those it
    did not ("held out"), and "bias", the mean of y_fit / y - 1 on the latter: above 0, the law
    promised too little. Raises ValueError if nothing is held out or too little is left.
    """
    x, y = positive_points(4, x=x, y=y)
    seen = x <= largest_fitted
    if seen.all() or len(np.unique(x[seen])) < 3:
        raise ValueError(
            f"largest_fitted must leave three sizes to fit and one to test, got {largest_fitted} "
            f"for sizes {np.unique(x).tolist()}"
        )
    result = {}
    for name, (fit, floor) in FITS.items():
        error = fit(x[seen], y[seen], floor, robust)(x) / y - 1
        result[name] = {
            "seen": float(np.sqrt((error[seen] ** 2).mean())),
            "held out": float(np.sqrt((error[~seen] ** 2).mean())),
            "bias": float(error[~seen].mean()),
        }
    return result
