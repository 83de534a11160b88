"""Which law? The one that is right about points that it was not fitted to."""

from collections.abc import Callable

import numpy as np

from lib.scaling.checks import Number, Numbers, positive_points
from lib.scaling.power_laws import Law, fit_exponential, fit_power_law

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
