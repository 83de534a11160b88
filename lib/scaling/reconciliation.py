"""What a way of measuring makes of a law.

Why Kaplan found N ~ C^0.73 and Chinchilla N ~ C^0.50: what is counted, and at what size.
Source: Pearce & Song (2024), "Reconciling Kaplan and Chinchilla Scaling Laws".
Why skills seem to come at once: a metric that asks for all of an answer. Source: Schaeffer, Miranda
& Koyejo (2023), "Are Emergent Abilities of Large Language Models a Mirage?", section 2.
"""

import numpy as np
from jaxtyping import Float

from lib.scaling.allocation import FLOP_PER_PARAMETER_AND_TOKEN
from lib.scaling.checks import Number, Quantity
from lib.scaling.chinchilla import ChinchillaLaw

EMBEDDING_FACTOR = 47_491  # Pearce & Song, section 3: fitted to Chinchilla's table of models


def total_parameters(non_embedding: Quantity, factor: Number = EMBEDDING_FACTOR) -> Quantity:
    """N_total = N + factor * N^(1/3).

    A model of a fixed aspect ratio has N ~ width^3 (12 layers * width^2), and its embedding has
    (vocabulary + context) * width parameters, so the embedding grows like the cube root of N: it is
    nearly all of a small model and hardly any of a large one.
    """
    n = np.asarray(non_embedding, dtype=np.float64)
    return n + factor * np.cbrt(n)


def optimal_without_embeddings(
    law: ChinchillaLaw,
    non_embedding: Float[np.ndarray, " n"],
    factor: Number = EMBEDDING_FACTOR,
) -> Float[np.ndarray, " n"]:
    """The budget 6 N D, N without embeddings, for which each model is the best.

    Let T(N) be all parameters, and L = E + A / T(N)^alpha + B / D^beta. With D = C / (6 N), loss
    is least over ln N where alpha A T^-alpha (d ln T / d ln N) = beta B D^-beta; solved for D.
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


def exact_match(loss: Quantity, length: Quantity) -> Quantity:
    """The chance that `length` sampled tokens are all right: e^(-loss * length).

    e^-loss is the (geometric) mean probability of a right token; tokens are taken as independent.
    """
    return np.exp(-np.asarray(loss, dtype=np.float64) * np.asarray(length, dtype=np.float64))
