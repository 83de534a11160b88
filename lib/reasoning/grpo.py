"""GRPO: reinforcement learning from a verifier, with the group itself as the baseline.

For each problem the model draws a group of responses. A response is better or worse than its group,
and the probabilities of its tokens are raised or lowered by as much. No model of values is needed.
Source: Shao et al. (2024), DeepSeekMath, section 4.1; its critique is Liu et al. (2025), Dr. GRPO.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lib.model import LanguageModel
from lib.reasoning.rewards import Reward
from lib.reasoning.rollouts import Rollouts, response_log_p, sample
from lib.reasoning.task import decode, encode
from lib.settings import require, require_all, shortened
from lib.training.optimizer import DivergedError, check_clipping, clipped_step

NO_SIGNAL = 0.01  # an advantage below this is rounding
RANGES = {
    **dict.fromkeys(("steps", "problems", "updates"), "[1, inf)"),
    **dict.fromkeys(("group", "length"), "[2, inf)"),  # one to compare with; prompt and response
    **dict.fromkeys(("learning_rate", "temperature"), "(0, inf)"),
    **dict.fromkeys(("kl_weight", "seed"), "[0, inf)"),
    "clip": "(0, 1)",
}


@dataclass(frozen=True)
class GRPOConfig:
    """The settings of the published method, and the options that its critics propose.

    `normalize_deviation`: divide advantages by the group's standard deviation (Dr. GRPO: False).
    `normalize_length`: a response's loss is its mean over tokens ("response", as published), its
    sum over a constant ("constant", Dr. GRPO), or all tokens of a batch count alike ("token").
    `updates`: steps on each batch of rollouts; from the second on, `clip` matters.
    Raises ValueError for a value out of range.
    """

    steps: int
    problems: int = 32  # in a batch
    group: int = 8  # responses to each
    learning_rate: float = 1e-3
    temperature: float | int = 1.0
    length: int | None = None  # of prompt and response; None: the model's context
    updates: int = 1
    clip: float = 0.2
    kl_weight: float | int = 0.0
    normalize_deviation: bool = True
    normalize_length: Literal["response", "constant", "token"] = "response"
    max_gradient_norm: float = 1.0
    seed: int = 0

    def __post_init__(self):
        require_all(self, RANGES, skip=("max_gradient_norm",))
        check_clipping(self.max_gradient_norm)


def group_advantages(
    rewards: Float[Tensor, "P G"], normalize_deviation: bool = True
) -> Float[Tensor, "P G"]:
    """How much better each response is than its group: (r -
    mean) / std; without std in Dr. GRPO.

    The paper does not say which std; this is the one that divides by G. In a group of
    equal rewards all advantages are 0: nothing to learn. Source: Shao et al. (2024),
    section 4.1.2.
    """
    centered = rewards - rewards.mean(dim=1, keepdim=True)
    if not normalize_deviation:
        return centered
    return centered / (rewards.std(dim=1, keepdim=True, correction=0) + 1e-4)


def probability_ratio(
    log_p: Float[Tensor, "B T"], old_log_p: Float[Tensor, "B T"]
) -> Float[Tensor, "B T"]:
    """p / p_old of each token: 1 as long as the policy is the one that drew it."""
    return (log_p - old_log_p).exp()


def clipped_objective(
    log_p: Float[Tensor, "B T"],
    old_log_p: Float[Tensor, "B T"],
    advantages: Float[Tensor, "B"],
    clip: float = 0.2,
) -> Float[Tensor, "B T"]:
    """min(ratio A, clip(ratio, 1 - clip, 1 + clip) A)
    for each token; ratio = p / p_old.

    Once the ratio has moved by `clip` in the direction that A asks for, the gradient is
    0. Source: Schulman et al. (2017), PPO, equation 7.
    """
    ratio, advantage = probability_ratio(log_p, old_log_p), advantages[:, None]
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


def clipped_away(
    log_p: Float[Tensor, "B T"],
    old_log_p: Float[Tensor, "B T"],
    advantages: Float[Tensor, "B"],
    clip: float = 0.2,
) -> Bool[Tensor, "B T"]:
    """Where the ratio has moved by more than `clip` the way that A asks for: no gradient there."""
    moved = probability_ratio(log_p, old_log_p) - 1
    return moved * advantages.sign()[:, None] > clip


def kl_estimate(
    log_p: Float[Tensor, "B T"], reference_log_p: Float[Tensor, "B T"]
) -> Float[Tensor, "B T"]:
    """q/p - ln(q/p) - 1 for each token, q the reference:
    never negative, its mean is KL(p, q).

    Source: Shao et al. (2024), equation 4; Schulman (2020), "Approximating KL
    divergence", k3.
    """
    log_ratio = reference_log_p - log_p
    return log_ratio.exp() - log_ratio - 1


def grpo_loss(
    log_p: Float[Tensor, "B T"],
    old_log_p: Float[Tensor, "B T"],
    advantages: Float[Tensor, "B"],
    drawn: Bool[Tensor, "B T"],
    config: GRPOConfig,
    reference_log_p: Float[Tensor, "B T"] | None = None,
    n_responses: int | None = None,
    constant: int = 1,
    n_tokens: int | None = None,
) -> Float[Tensor, ""]:
    """Minus the objective of a batch of `n_responses`
    responses, `n_tokens` tokens drawn in all.

    By default both are those of the rows that are here. Where rows without advantage
    were left out, pass the numbers of the whole batch, so that they count: "token"
    divides by the tokens, the others by the responses. `constant` is what "constant"
    divides by: the greatest length of a response. Raises ValueError for rows that do
    not match or numbers that are too small. Source: Shao et al. (2024), equation 3; Liu
    et al. (2025), section 3.2; Yu et al. (2025), DAPO, equation 12, for "token".
    """
    n_responses = len(drawn) if n_responses is None else n_responses
    n_drawn = int(drawn.sum())
    if n_tokens is None:
        if config.normalize_length == "token" and n_responses > len(drawn):
            raise ValueError(
                f"{n_responses - len(drawn)} of {n_responses} responses were left out: "
                "normalize_length='token' needs n_tokens, the tokens drawn in all"
            )
        n_tokens = n_drawn
    _check_rows(drawn, log_p, old_log_p, advantages, reference_log_p)
    require("n_responses", n_responses, f"[{len(drawn)}, inf)", whole=True)
    require("n_tokens", n_tokens, f"[{max(n_drawn, 1)}, inf)", whole=True)
    require("constant", constant, "[1, inf)", whole=True)
    objective = clipped_objective(log_p, old_log_p, advantages, config.clip)
    if reference_log_p is not None:
        objective = objective - config.kl_weight * kl_estimate(log_p, reference_log_p)
    objective = torch.where(drawn, objective, 0.0)
    if config.normalize_length == "token":
        return -objective.sum() / n_tokens
    by_row = config.normalize_length == "response"
    lengths = drawn.sum(dim=1).clamp(min=1) if by_row else constant
    return -(objective.sum(dim=1) / lengths).sum() / n_responses


def grpo(
    model: LanguageModel,
    draw: Callable[[int, int], Sequence[Any]],
    reward: Reward,
    config: GRPOConfig,
    on_step: Callable[[dict, list[Any], list[list[str]]], object] | None = None,
    reference: LanguageModel | None = None,
) -> list[dict]:
    """Train `model` in place; return what each step measured before its update.

    `draw(n, step)` gives problems, which have a `prompt` of words; `reward(problem, words)` judges
    a response. `on_step(row, problems, responses)` is called after each step. A `reference` model
    is needed with a `kl_weight`; without one it is only compared with. Raises ValueError if it is
    needed and not there, for a reward that is no finite number, and (as DivergedError) at the first
    loss that is not finite.

    A row has `step`, `reward` (its mean), `entropy` (minus the mean log-probability of the drawn
    tokens, in nats), `kl` (to the reference, nats a token) if there is one, and what `update` says.
    """
    for value, kind in ((model, LanguageModel), (config, GRPOConfig)):
        if not isinstance(value, kind):
            raise TypeError(f"grpo needs a {kind.__name__}, got {shortened(value)}")
    if config.kl_weight and reference is None:
        raise ValueError("kl_weight needs a reference model to stay near: pass reference=")
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate, fused=True)
    generator = torch.Generator().manual_seed(config.seed)
    history = []
    for step in range(config.steps):
        problems = [p for p in draw(config.problems, step) for _ in range(config.group)]
        prompts = [encode(problem.prompt) for problem in problems]
        rollouts = sample(model, prompts, config.length, config.temperature, generator)
        responses = [decode(ids) for ids in rollouts.responses()]
        rewards = torch.tensor(
            [_rewarded(reward, *pair) for pair in zip(problems, responses, strict=True)]
        )
        advantages = group_advantages(
            rewards.float().view(-1, config.group), config.normalize_deviation
        ).flatten()
        row = {"step": step, "reward": rewards.float().mean().item()}
        row["entropy"] = -rollouts.log_p[rollouts.drawn].mean().item()
        if reference is not None:
            row["kl"] = _kl(rollouts, reference, config.temperature)
        try:
            row |= update(model, optimizer, rollouts, advantages, config, reference)
        except DivergedError as error:
            raise DivergedError(f"GRPO stopped at step {step + 1}: {error}") from error
        history.append(row)
        if on_step is not None:
            on_step(row, problems, responses)
    return history


def update(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    rollouts: Rollouts,
    advantages: Float[Tensor, "B"],
    config: GRPOConfig,
    reference: nn.Module | None = None,
) -> dict[str, float]:
    """`config.updates` steps on one batch.

    Returns `signal`, the share of responses that have an advantage (the others add nothing to the
    objective, unless there is a KL term, and are left out), and `clipped`, the share of the tokens
    learned from whose gradient the clipping took away, over all updates.
    """
    signal = advantages.abs() > NO_SIGNAL
    used = torch.ones_like(signal) if config.kl_weight else signal
    if not used.any():
        return {"signal": 0.0, "clipped": 0.0}
    batch, n_responses = rollouts.rows(used), len(advantages)
    n_tokens = int(rollouts.drawn.sum())
    length = config.length or model.config.context_length
    reference_log_p = None
    if config.kl_weight:
        with torch.no_grad():
            reference_log_p = response_log_p(reference, batch, config.temperature)
    clipped = 0.0
    for _ in range(config.updates):
        log_p = response_log_p(model, batch, config.temperature)
        away = clipped_away(log_p.detach(), batch.log_p, advantages[used], config.clip)
        clipped += away[batch.drawn].float().mean().item() / config.updates
        loss = grpo_loss(
            log_p, batch.log_p, advantages[used], batch.drawn, config, reference_log_p,
            n_responses, length, n_tokens,
        )  # fmt: skip
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        clipped_step(optimizer, loss, model.parameters(), config.max_gradient_norm)
    return {"signal": signal.float().mean().item(), "clipped": clipped}


@torch.no_grad()
def _kl(rollouts: Rollouts, reference: nn.Module, temperature: float | int) -> float:
    log_q = response_log_p(reference, rollouts, temperature)
    return kl_estimate(rollouts.log_p, log_q)[rollouts.drawn].mean().item()


def _rewarded(reward: Reward, problem: Any, words: list[str]) -> float:
    value = reward(problem, words)
    require(f"the reward of {' '.join(words)!r}", value, "(-inf, inf)")
    return float(value)


def _check_rows(drawn: Tensor, log_p: Tensor, old: Tensor, advantages: Tensor, reference: Any):
    if drawn.dtype != torch.bool or drawn.dim() != 2:
        raise ValueError(
            f"drawn must be True and False for (response, position), got {drawn.dtype} of "
            f"shape {tuple(drawn.shape)}"
        )
    for name, tensor in (("log_p", log_p), ("old_log_p", old), ("reference_log_p", reference)):
        if tensor is not None and tensor.shape != drawn.shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}, drawn {tuple(drawn.shape)}")
    if advantages.shape != drawn.shape[:1]:
        raise ValueError(
            f"there must be an advantage for each of {len(drawn)} rows, got shape "
            f"{tuple(advantages.shape)}"
        )
    if not advantages.isfinite().all():
        raise ValueError(f"advantages must be finite, got {shortened(advantages.tolist())}")
