"""Balancing: keep the loads of experts alike, by a loss, or by a bias without any loss.

The load of an expert is its share of all assignments (N tokens times k choices). An expert that is
chosen more learns more and is chosen more still, until few experts do all the work.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.model.routing import Routing


def expert_counts(routing: Routing) -> Int[Tensor, "E"]:
    """How many times each expert was chosen, full or not."""
    return routing.experts.flatten().bincount(minlength=routing.logits.shape[-1])


def load(routing: Routing) -> Float[Tensor, "E"]:
    """Each expert's share of all assignments: 1 / E each when all are alike."""
    return expert_counts(routing).float() / routing.experts.numel()


def load_entropy(shares: Float[Tensor, "... E"]) -> Float[Tensor, "..."]:
    """Entropy of loads as a share of its maximum ln E: 1
    if all are alike, 0 if one has all.
    """
    return torch.special.entr(shares).sum(dim=-1) / math.log(shares.shape[-1])


def load_balancing_loss(routing: Routing) -> Float[Tensor, ""]:
    """E sum_i f_i P_i: f_i is how many of a token's choices
    go to i, P_i its mean probability.

    It is k when all experts are alike and grows with the imbalance. f comes from a
    choice and has no gradient; through P, experts that are chosen much are made less
    probable. Source: Fedus, Zoph & Shazeer (2022), Switch Transformer, equations 4 to
    6, for k = 1.
    """
    chosen = expert_counts(routing).float() / len(routing.experts)
    return len(chosen) * (chosen * routing.probabilities.mean(dim=0)).sum()


def router_z_loss(routing: Routing) -> Float[Tensor, ""]:
    """The mean squared log of the softmax's denominator:
    keeps logits small and softmax exact.

    Source: Zoph et al. (2022), ST-MoE, equation 5.
    """
    return routing.logits.logsumexp(dim=-1).square().mean()


def pool(routings: Sequence[Routing]) -> Routing:
    """The routings of several layers as if they were one, as transformers does for its loss.

    What one layer gives an expert too much may then hide what another gives it too little.
    """
    return Routing(
        *(
            torch.cat([getattr(routing, name) for routing in routings])
            for name in ("logits", "probabilities", "experts", "weights")
        )
    )


def bias_step(
    counts: Int[Tensor, "E"] | Float[Tensor, "E"], rate: float | int
) -> Float[Tensor, "E"]:
    """How a router's bias changes after a step: `rate` up for experts below the mean, down above.

    Only the sign of the difference counts. Source: Wang et al. (2024), Auxiliary-Loss-Free Load
    Balancing, algorithm 1; DeepSeek-AI (2024), DeepSeek-V3, section 2.1.2.
    """
    counts = counts.float()
    return rate * torch.sign(counts.mean() - counts)
