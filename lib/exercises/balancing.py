"""An exercise of chapter 5: the loss that keeps experts in balance."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from lib.exercises.checking import Exercise, Probe
from lib.model.routing import route

COUNTS = {
    "choices": (lambda e, n, p: e.flatten().bincount(minlength=n) / len(e), ""),
    "whole": (lambda e, n, p: e.flatten().bincount(minlength=n).float(),
        "It divides by the number of tokens once: f is a share of them, and P a mean over them."),
    "k": (lambda e, n, p: e.flatten().bincount(minlength=n) / e.numel(),
        "f is divided by k as well: here it counts choices for each token, so that the loss at "
        "balance is k."),
    "first": (lambda e, n, p: e[:, 0].bincount(minlength=n) / len(e),
        "Only first choices are counted: all k of a token count."),
    "last": (lambda e, n, p: e[:, -1].bincount(minlength=n) / len(e),
        "Only last choices are counted: all k of a token count."),
    "best": (lambda e, n, p: p.argmax(-1).bincount(minlength=n) / len(e),
        "f counts the most probable expert, not the choices that are given."),
    "likely": (lambda e, n, p: p.topk(e.shape[1]).indices.flatten().bincount(minlength=n) / len(e),
        "f counts the k most probable experts, not the choices that are given."),
    "probabilities": (lambda e, n, p: p.mean(0),
        "Both factors are mean probabilities. f counts choices: that is where an expert is "
        "overloaded."),
    "experts": (lambda e, n, p: e.flatten().bincount(minlength=n) / n,
        "f is divided by the number of experts: divide by that of tokens."),
    "any": (lambda e, n, p: (e.flatten().bincount(minlength=n) > 0).float(),
        "f only says whether an expert was chosen: count how often."),
    "equal": (lambda e, n, p: torch.full((n,), e.shape[1] / n), "f does not look at the choices."),
}  # fmt: skip
MEANS = {
    "mean": (lambda p, e: p.mean(0), ""),
    "sum": (lambda p, e: p.sum(0), "P is a sum: take the mean over the tokens."),
    "chosen": (lambda p, e: (p * F.one_hot(e, p.shape[1]).sum(1)).mean(0),
        "P counts only the probabilities of chosen experts: take the mean of all."),
    "counts": (lambda p, e: e.flatten().bincount(minlength=p.shape[1]) / len(p),
        "Both factors are counts: P is the mean probability."),
    "max": (lambda p, e: p.amax(0), "P is the largest probability: take the mean over the tokens."),
    "softmax": (lambda p, e: p.softmax(-1).mean(0),
        "A softmax is taken of probabilities: they are given as they are."),
    "equal": (lambda p, e: torch.full((p.shape[1],), 1 / p.shape[1]),
        "P does not look at the probabilities."),
    "tokens": (lambda p, e: p.mean(0) / len(p),
        "It divides by the number of tokens three times: f is a share of them, P a mean."),
}  # fmt: skip


def balancing_loss(
    probabilities: Float[Tensor, "N E"],
    experts: Int[Tensor, "N k"],
    *,
    f: str = "choices",
    p: str = "mean",
    factor: str = "E",
    sum: str = "sum",
    tokens: str = "all",
) -> float:
    """E sum_i f_i P_i, f_i the number of choices of expert i for each token."""
    if tokens == "but the last" and len(experts) > 1:
        probabilities, experts = probabilities[:-1], experts[:-1]
    n_tokens, n_experts = probabilities.shape
    products = COUNTS[f][0](experts, n_experts, probabilities) * MEANS[p][0](probabilities, experts)
    factors = {
        "E": n_experts, "none": 1, "k": experts.shape[1], "N": n_tokens, "E²": n_experts**2,
        "1/E": 1 / n_experts, "E/k": n_experts / experts.shape[1],
        "Ek": n_experts * experts.shape[1], "chosen": len(experts.unique()),
        "last": int(experts.max()) + 1,
    }  # fmt: skip
    if sum == "tokens":
        return (factors[factor] * probabilities.gather(1, experts).sum() / n_tokens).item()
    total = (factors[factor] * getattr(products, "mean" if sum == "mean" else "sum")()).item()
    return total - {"less k": experts.shape[1], "less 1": 1}.get(sum, 0)


def _choice_cases(seed: int) -> list[tuple]:
    generator = torch.Generator().manual_seed(seed)
    routings = [route(torch.randn(n, e, generator=generator) * 2, k)
                for n, e, k in ((4, 3, 1), (20, 4, 2), (50, 8, 3))]  # fmt: skip
    noisy = torch.randn(12, 6, generator=generator).argsort(-1)[:, :2]  # not the most probable
    return [
        *((routing.probabilities, routing.experts) for routing in routings),
        (torch.randn(12, 6, generator=generator).softmax(-1), noisy),
    ]


check_balancing_loss = Exercise(
    title="The load-balancing loss",
    reference=balancing_loss,
    cases=_choice_cases,
    switches={
        "factor": {
            "none": "The factor E is missing: with it, the value at balance does not depend on E.",
            "k": "The factor is the number of experts, not k.",
            "N": "The factor is the number of experts, not of tokens.",
            "E²": "The factor E comes twice.",
            "1/E": "It divides by E: multiply.",
            "E/k": "It divides by k as well: the f together make k.",
            "Ek": "It multiplies by k as well: the f together make k already.",
            "chosen": "The factor counts the experts that were chosen by anyone: it is E.",
            "last": "The number of experts is read from the choices: the last may have none.",
        },
        "f": {name: sentence for name, (_, sentence) in COUNTS.items() if sentence},
        "p": {name: sentence for name, (_, sentence) in MEANS.items() if sentence},
        "sum": {
            "mean": "The products are averaged over experts: add them up.",
            "tokens": "It multiplies token by token: f and P each go over all tokens first.",
            "less k": "k is subtracted: at balance the loss is k, not 0.",
            "less 1": "1 is subtracted: at balance with k = 1 the loss is 1, not 0.",
        },
        "tokens": {"but the last": "The last token is left out."},
    },
    probes=[
        Probe("One expert, chosen always: the loss is 1.",
              (torch.ones(3, 1), torch.zeros(3, 1, dtype=torch.long))),
        Probe("At perfect balance with k = 1 the loss is 1.",
              (torch.full((2, 2), 0.5), torch.tensor([[0], [1]]))),
        Probe("Where each token chooses k = 2 of 2 experts the loss is 2.",
              (torch.full((2, 2), 0.5), torch.tensor([[0, 1], [1, 0]]))),
        Probe("Of three experts nobody chose the last: its count is 0 (`minlength`).",
              (torch.tensor([[0.5, 0.3, 0.2], [0.3, 0.6, 0.1]]), torch.tensor([[0], [1]]))),
        Probe("Of three experts nobody chose the first: its count is 0, and the others keep their "
              "places.",
              (torch.tensor([[0.5, 0.3, 0.2], [0.3, 0.6, 0.1]]), torch.tensor([[1], [2]]))),
        Probe(
            "All tokens on expert 0, which has the probability 0.75 of two: f = (1, 0), and the "
            "loss is 2 · 0.75.",
            (torch.tensor([[0.75, 0.25], [0.75, 0.25]]), torch.tensor([[0], [0]])),
        ),
    ],
    difficulty=2,
    minutes=12,
)  # fmt: skip
