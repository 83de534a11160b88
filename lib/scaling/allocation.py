"""A budget of compute: how many parameters, how many tokens?

Compute is C = 6 N D throughout: 2 FLOP per parameter and token forward, 4 backward. Source:
Hoffmann et al. (2022), section 3, whose three approaches are three ways to the same curve.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lib.scaling.chinchilla import ChinchillaLaw
from lib.scaling.fitting import Number, Numbers, Quantity, positive_points

FLOP_PER_PARAMETER_AND_TOKEN = 6
EMBEDDING_FACTOR = 47_491  # Pearce & Song, section 3: fitted to Chinchilla's table of models
Loss = Callable[[Quantity, Quantity], Quantity]  # (parameters, tokens) -> nats per token


@dataclass(frozen=True)
class Allocation:
    """What a budget buys: parameters, training tokens, and the loss they should reach."""

    parameters: Quantity
    tokens: Quantity
    loss: Quantity


def tokens_for(flop: Quantity, parameters: Quantity) -> Quantity:
    """D = C / (6 N): how many tokens a model of this size can read for a budget."""
    n = np.asarray(parameters, dtype=np.float64)
    return np.asarray(flop, dtype=np.float64) / (FLOP_PER_PARAMETER_AND_TOKEN * n)


def optimal(law: ChinchillaLaw, flop: Quantity) -> Allocation:
    """The parameters and tokens of least loss for a
    budget, in closed form (equation 4).

    N = G (C / 6)^(beta / (alpha + beta)) with G = (alpha A / (beta B))^(1 / (alpha +
    beta)): where the slope of A / N^alpha and that of B / D^beta along the curve C = 6
    N D cancel.
    """
    budget = np.asarray(flop, dtype=np.float64)
    if not (budget > 0).all():
        raise ValueError(f"flop must be above 0, got {flop}")
    g = (law.alpha * law.A / (law.beta * law.B)) ** (1 / (law.alpha + law.beta))
    n = g * (budget / FLOP_PER_PARAMETER_AND_TOKEN) ** law.parameter_exponent
    d = tokens_for(budget, n)
    return Allocation(n, d, law(n, d))


def isoflop(law: Loss, flop: Number, parameters: Quantity) -> Quantity:
    """Loss over model size at one budget: small models read more, large ones less."""
    return law(parameters, tokens_for(flop, parameters))


def lowest_of_isoflop(parameters: Numbers, loss: Numbers) -> tuple[float, float]:
    """Approach 2: a parabola of loss in ln N through one budget's runs; its lowest N and loss.

    Raises ValueError if the parabola opens downward: then the runs do not surround a minimum.
    """
    n, loss = positive_points(3, parameters=parameters, loss=loss)
    center = np.log(n).mean()
    square, linear, constant = np.polyfit(np.log(n) - center, loss, 2)
    if square <= 0:
        raise ValueError(
            "the parabola through these runs has no minimum; add smaller or larger models"
        )
    at = -linear / (2 * square)
    return float(np.exp(center + at)), float(constant - linear**2 / (4 * square))


def fit_exponent(x: Numbers, y: Numbers) -> tuple[float, float]:
    """The a and factor of y = factor * x^a, a straight line through (ln x, ln y)."""
    x, y = positive_points(2, x=x, y=y)
    exponent, ln_factor = np.polyfit(np.log(x), np.log(y), 1)
    return float(exponent), float(np.exp(ln_factor))


# Why Kaplan found N ~ C^0.73 and Chinchilla N ~ C^0.50: what is counted, and at what size.
# Source: Pearce & Song (2024), "Reconciling Kaplan and Chinchilla Scaling Laws".


def total_parameters(
    non_embedding: Quantity,
    factor: Number = EMBEDDING_FACTOR,
) -> Quantity:
    """N_total = N + factor * N^(1/3).

    A model of a fixed aspect ratio has N ~ width^3 (12 layers * width^2), and its
    embedding has (vocabulary + context) * width parameters, so the embedding grows like
    the cube root of N: it is nearly all of a small model and hardly any of a large one.
    """
    n = np.asarray(non_embedding, dtype=np.float64)
    return n + factor * np.cbrt(n)


def optimal_without_embeddings(
    law: ChinchillaLaw,
    non_embedding: Float[np.ndarray, " n"],
    factor: Number = EMBEDDING_FACTOR,
) -> Float[np.ndarray, " n"]:
    """The budget 6 N D, N without embeddings, for which each model is the best.

    Let T(N) be all parameters, and L = E + A / T(N)^alpha + B / D^beta. With D = C / (6
    N), loss is least over ln N where alpha A T^-alpha (d ln T / d ln N) = beta B
    D^-beta; solved for D.
    """
    n = np.asarray(non_embedding, dtype=np.float64)
    total = total_parameters(n, factor)
    elasticity = (n + factor * np.cbrt(n) / 3) / total  # d ln T / d ln N
    pull = law.alpha * law.A * total**-law.alpha * elasticity
    tokens = (law.beta * law.B / pull) ** (1 / law.beta)
    return FLOP_PER_PARAMETER_AND_TOKEN * n * tokens


def local_exponent(flop: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """d ln N_opt / d ln C along a curve of optimal models: a, if the curve were a power law."""
    return np.gradient(np.log(parameters), np.log(flop))
