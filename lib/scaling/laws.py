"""Scaling laws in one place: `from lib.scaling import laws; laws.fit_chinchilla(N, D, loss)`.

Each group of names is a module of this folder, to be read on its own.
"""

from lib.scaling.allocation import (
    Allocation,
    fit_exponent,
    isoflop,
    lowest_of_isoflop,
    optimal,
    tokens_for,
)
from lib.scaling.bootstrap import (
    bootstrap,
    bootstrap_laws,
    interval,
    prediction_interval,
    resampled_weights,
)
from lib.scaling.chinchilla import (
    BESIROGLU,
    HOFFMANN,
    ChinchillaFit,
    ChinchillaLaw,
    fit_chinchilla,
    fit_from_starts,
    refit,
)
from lib.scaling.comparison import extrapolate
from lib.scaling.kaplan import KaplanLaw, fit_kaplan
from lib.scaling.power_laws import (
    Exponential,
    PowerLaw,
    fit_exponential,
    fit_power_law,
    gain_of_doubling,
)
from lib.scaling.reconciliation import (
    exact_match,
    local_exponent,
    optimal_without_embeddings,
    total_parameters,
)

__all__ = [
    "BESIROGLU",
    "HOFFMANN",
    "Allocation",
    "ChinchillaFit",
    "ChinchillaLaw",
    "Exponential",
    "KaplanLaw",
    "PowerLaw",
    "bootstrap",
    "bootstrap_laws",
    "exact_match",
    "extrapolate",
    "fit_chinchilla",
    "fit_exponent",
    "fit_exponential",
    "fit_from_starts",
    "fit_kaplan",
    "fit_power_law",
    "gain_of_doubling",
    "interval",
    "isoflop",
    "local_exponent",
    "lowest_of_isoflop",
    "optimal",
    "optimal_without_embeddings",
    "prediction_interval",
    "refit",
    "resampled_weights",
    "tokens_for",
    "total_parameters",
]
