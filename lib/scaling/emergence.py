"""Sudden skills from smooth losses: what a metric does to a curve.

Source: Schaeffer, Miranda & Koyejo (2023), "Are Emergent Abilities of Large Language Models a
Mirage?", section 2.
"""

import numpy as np

from lib.scaling.checks import Quantity


def exact_match(loss: Quantity, length: Quantity) -> Quantity:
    """The chance that `length` sampled tokens are all right: e^(-loss * length).

    e^-loss is the (geometric) mean probability of a right token; tokens are taken as independent.
    """
    return np.exp(-np.asarray(loss, dtype=np.float64) * np.asarray(length, dtype=np.float64))
