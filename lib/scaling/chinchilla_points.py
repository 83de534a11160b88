"""The points behind Chinchilla's law, as Besiroglu et al. (2024) read them from its figure 4.

They are downloaded at first use and never part of this course: their repository names no license.
"""

import csv
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lib.downloads import DownloadError, download
from lib.scaling.allocation import tokens_for
from lib.scaling.chinchilla import BESIROGLU

URL = (
    "https://raw.githubusercontent.com/epoch-research/analyzing-chinchilla/"
    "92258837425e1b5f2851d624287f0120583a3d0e/data/svg_extracted_data.csv"
)
SHA256 = "193478df4e90f040016431996c45682659306840ecdadf83cfb9cd5ca0aa1b30"
OUTLIERS = 5  # the highest losses, which the replication leaves out


@dataclass(frozen=True)
class Points:
    """Parameters, training tokens and final loss (nats per token) of each run; where they are from.

    `measured` is False for points that are drawn from a law.
    """

    parameters: Float[np.ndarray, " n"]
    tokens: Float[np.ndarray, " n"]
    loss: Float[np.ndarray, " n"]
    source: str
    measured: bool


def downloaded_points() -> Points:
    """The 240 points of the replication. Raises DownloadError without a network."""
    path = download(URL, SHA256, "chinchilla_points.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    parameters, flop, loss = (
        np.array([float(row[name]) for row in rows])
        for name in ("Model Size", "Training FLOP", "loss")
    )
    kept = loss < np.sort(loss)[-OUTLIERS]
    tokens = tokens_for(flop, parameters)
    source = "points read from figure 4 of Hoffmann et al. by Besiroglu et al. (2024)"
    return Points(parameters[kept], tokens[kept], loss[kept], source, measured=True)


def drawn_points(n: int = 240, noise: float = 0.004, seed: int = 0) -> Points:
    """Points of the same kind, drawn from the replication's law with errors of ln L.

    Sizes and budgets span those of the real ones: 44 million to 16 billion parameters, 6e18 to 3e21
    FLOP. The errors are Laplace's, whose median absolute deviation is ln 2 times `noise`.
    """
    random = np.random.default_rng(seed)
    flop = np.exp(random.uniform(np.log(6e18), np.log(3e21), n))
    best = 0.1 * np.sqrt(flop)  # near where the real runs of a budget lie
    parameters = (best * np.exp(random.normal(0, 0.8, n))).clip(44e6, 16e9)
    tokens = tokens_for(flop, parameters)
    loss = BESIROGLU(parameters, tokens) * np.exp(random.laplace(0, noise, n))
    source = "points DRAWN from the law of Besiroglu et al. (2024): the real ones need a network"
    return Points(parameters, tokens, loss, source, measured=False)


def chinchilla_points() -> Points:
    """The real points where there is a network or a cached copy, else drawn ones that say so."""
    try:
        return downloaded_points()
    except DownloadError:
        return drawn_points()
