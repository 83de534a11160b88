"""Does a way to count length push responses to be longer? The exact answer for the smallest policy.

The policy only decides, after each token, whether to stop. Whether its response is right is settled
before, so length earns nothing. The gradient is taken in expectation over all lengths, by
`grpo_loss` itself: what moves the mean length is the loss, and no noise.
Source of the question: Liu et al. (2025), section 3.1.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.reasoning.grpo import GRPOConfig, grpo_loss
from lib.settings import require

MOST = 60  # tokens: there a response ends whatever the policy says


def token_log_p(stop: Float[Tensor, ""]) -> tuple[Float[Tensor, "L L"], Bool[Tensor, "L L"]]:
    """Row L - 1 has the log-probabilities of a response of L tokens, and which tokens it has.

    `stop` is the logit of stopping, the same after every token.
    """
    drawn = torch.ones(MOST, MOST).tril().bool()
    go, end = torch.nn.functional.logsigmoid(-stop), torch.nn.functional.logsigmoid(stop)
    log_p = torch.where(torch.eye(MOST).bool(), end, go)
    log_p = log_p * (1 - torch.nn.functional.one_hot(torch.tensor(MOST - 1), MOST))  # must end
    return torch.where(drawn, log_p, 0.0), drawn


def mean_lengths(
    advantage: float | int,
    normalize_length: Literal["response", "constant"],
    steps: int = 60,
    start: float | int = 10,
    rate: float | int = 1.0,
) -> list[float]:
    """The mean length of a response before each of `steps` gradient steps, and after the last.

    `advantage`: of every response, above 0 if right and below 0 if wrong. `start`: the mean length
    to begin with, as if there were no greatest length. `rate`: of plain gradient descent. Raises
    ValueError for a number out of range.
    """
    require("advantage", advantage, "(-inf, inf)")
    require("steps", steps, "[1, inf)", whole=True)
    require("start", start, f"(1, {MOST}]")
    require("rate", rate, "(0, inf)")
    config = GRPOConfig(1, normalize_length=normalize_length)
    stop = -torch.tensor(start - 1.0).log().requires_grad_()  # a chance of 1 / start
    means = []
    for _ in range(steps + 1):
        log_p, drawn = token_log_p(stop)
        chance = log_p.sum(1).exp().detach()
        means.append(float((chance * torch.arange(1, MOST + 1)).sum()))
        # grpo_loss weighs each row by 1 / MOST; here its weight is its chance.
        weighted = advantage * chance * MOST
        loss = grpo_loss(log_p, log_p.detach(), weighted, drawn, config, constant=MOST)
        (gradient,) = torch.autograd.grad(loss, stop)
        stop = (stop - rate * gradient).detach().requires_grad_()
    return means
