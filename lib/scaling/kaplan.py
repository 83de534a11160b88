"""Kaplan's laws: loss from parameters, from data, from compute, and from both of the first two.

Source: Kaplan et al. (2020), "Scaling Laws for Neural Language Models". N counts parameters
without embeddings, D tokens of WebText2, C PF-days. The numbers hold for its vocabulary and text.
"""

from dataclasses import dataclass

import numpy as np

from lib.scaling.fitting import Number, Numbers, Quantity, as_numbers, positive_points

PF_DAY = 1e15 * 24 * 3600  # FLOP
PARAMETER_RANGE = (768, 1.5e9)  # non-embedding parameters of the smallest and the largest model
TOKEN_RANGE = (22e6, 23e9)  # the least and the most training data


@dataclass(frozen=True)
class KaplanLaw:
    """L(N, D) = [(N_c / N)^(alpha_N / alpha_D) + D_c /
    D]^alpha_D, nats per token (equation 1.5).

    With endless data it becomes (N_c / N)^alpha_N, with an endless model (D_c /
    D)^alpha_D: power laws without a floor. It has no irreducible loss.
    """

    alpha_N: Number
    alpha_D: Number
    N_c: Number
    D_c: Number

    def __call__(self, parameters: Quantity, tokens: Quantity) -> Quantity:
        n = as_numbers("parameters", parameters)
        d = np.asarray(tokens, dtype=np.float64)
        ratio = self.alpha_N / self.alpha_D
        return ((self.N_c / n) ** ratio + self.D_c / d) ** self.alpha_D


JOINT = KaplanLaw(alpha_N=0.076, alpha_D=0.103, N_c=6.4e13, D_c=1.8e13)  # table 2


def loss_of_parameters(parameters: Quantity) -> Quantity:
    """L(N), trained to convergence on enough data: (8.8e13 / N)^0.076 (eq. 1.1)."""
    return (8.8e13 / as_numbers("parameters", parameters)) ** 0.076


def loss_of_compute(flop: Quantity) -> Quantity:
    """L(C_min), the best for a budget: (3.1e8 PF-days / C)^0.050 (equation 1.3)."""
    return (3.1e8 * PF_DAY / as_numbers("flop", flop)) ** 0.050


def optimal_parameters(flop: Quantity) -> Quantity:
    """N_opt = 1.3e9 (C / PF-day)^0.73, non-embedding (appendix A, table 6)."""
    return 1.3e9 * (as_numbers("flop", flop) / PF_DAY) ** 0.73


def fit_kaplan(parameters: Numbers, tokens: Numbers, loss: Numbers) -> KaplanLaw:
    """The joint law with the least squared error of ln L, by SciPy's least squares.

    Raises ValueError for points that are not positive, or fewer than four.
    """
    from scipy.optimize import least_squares

    n, d, loss = positive_points(4, parameters=parameters, tokens=tokens, loss=loss)
    ln_n, ln_d, ln_loss = np.log(n), np.log(d), np.log(loss)
    mean_n, mean_d = ln_n.mean(), ln_d.mean()

    def errors(unknown: np.ndarray) -> np.ndarray:
        u, v, ratio, ln_alpha_d = unknown  # the two terms at the mean point, and the exponents
        terms = np.logaddexp(u - ratio * (ln_n - mean_n), v - (ln_d - mean_d))
        return np.exp(ln_alpha_d) * terms - ln_loss

    starts = [
        (level / alpha - shift, level / alpha + shift, ratio, np.log(alpha))
        for level in [ln_loss.mean()]
        for alpha in (0.05, 0.1, 0.3, 0.6)
        for ratio in (0.5, 1.0)
        for shift in (-2.0, 0.0, 2.0)
    ]
    best = min(
        (least_squares(errors, start, x_scale="jac", xtol=1e-14, ftol=1e-14) for start in starts),
        key=lambda found: found.cost,
    )
    u, v, ratio, ln_alpha_d = best.x
    alpha_d = np.exp(ln_alpha_d)
    constants = (ratio * alpha_d, alpha_d, np.exp(u / ratio + mean_n), np.exp(v + mean_d))
    return KaplanLaw(*(float(value) for value in constants))
