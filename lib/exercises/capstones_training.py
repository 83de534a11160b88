"""Capstones of chapter 7 (a training loop) and, in `capstones_scaling`, of chapters 12 to 14."""

import copy
import math
from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor, nn

from lib.corpora import english
from lib.display import PALETTE, claim, display_figure
from lib.exercises.checking import Exercise
from lib.model import LanguageModel, ModelConfig
from lib.training import Batches, TrainingConfig, byte_tokens, train

Windows = Int[Tensor, "B T_plus_1"]
Loop = Callable[[nn.Module, list, list], list]
NORMS = {
    "joint norm": (1.0, 2),
    "tenth": (0.1, 2),
    "matrices": (1.0, 2),
    "largest": (1.0, math.inf),
}


def _own(rates: Sequence[float], step: int) -> float:
    return rates[step]


def loop(
    model: nn.Module,
    batches: Sequence[Windows],
    rates: Sequence[float],
    *,
    shift: str = "next",
    clip: str = "joint norm",
    decay: str = "matrices",
    betas: tuple[float, float] = (0.9, 0.95),
    zero: bool = True,
    rate: Callable | None = _own,
    kind: str = "AdamW",
    when: str = "before",
    joined: str = "mean",
    made: str = "once",
) -> list[float]:
    """Train `model` in place, one step for each batch; the losses before each update."""
    model = copy.deepcopy(model) if made == "copied" else model
    weights = list(model.parameters())
    matrices = [w for w in weights if (w.dim() >= 2) != (decay == "vectors")]
    vectors = [w for w in weights if (w.dim() < 2) != (decay == "vectors")]
    amount = {"none": 0.0, "0.01": 0.01, "low": 0.01}.get(decay, 0.1)
    groups = [
        {"params": matrices, "weight_decay": amount},
        {"params": vectors, "weight_decay": amount if decay in ("all", "0.01") else 0.0},
    ]

    def new_optimizer() -> torch.optim.Optimizer:
        settings = {} if kind == "SGD" else {"betas": betas, "eps": 1e-8}
        settings |= {"maximize": True} if kind == "up" else {}
        name = "AdamW" if kind == "up" else kind
        return getattr(torch.optim, name)(groups, **settings)

    def loss_of(windows: Windows) -> Tensor:
        windows = windows[:1] if joined == "first" else windows
        logits = model(windows[:, :-1] if shift in ("next", "own") else windows)
        logits = logits[:, :-1] if shift == "whole" else logits
        targets = {"none": windows, "own": windows[:, :-1]}.get(shift, windows[:, 1:])
        how = "sum" if joined == "sum" else "mean"
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=how)

    losses, optimizer = [], new_optimizer()
    batches = {"backward": batches[::-1], "but last": batches[:-1]}.get(when, batches)
    for step, windows in enumerate(batches):
        if made == "each step":
            optimizer = new_optimizer()
        for group in optimizer.param_groups:
            if rate is not None or group is optimizer.param_groups[0]:
                group["lr"] = (rate or _own)(rates, step)
        loss = loss_of(windows)
        loss.backward()
        if clip in NORMS:
            most, power = NORMS[clip]
            nn.utils.clip_grad_norm_(matrices if clip == "matrices" else weights, most, power)
        if clip == "always":
            norm = torch.stack([w.grad.norm() for w in weights]).norm()
            for weight in weights:
                weight.grad /= norm
        if clip == "each weight":
            nn.utils.clip_grad_value_(weights, 1.0)
        if clip == "each tensor":
            for weight in weights:
                nn.utils.clip_grad_norm_([weight], 1.0)
        if made != "never used":
            optimizer.step()
        if zero:
            optimizer.zero_grad()
        losses.append(loss_of(windows).item() if when == "after" else loss.item())
    if when == "end":
        return [loss_of(windows).item() for windows in batches]
    if when == "so far":
        return [sum(losses[:n]) / n for n in range(1, len(losses) + 1)]
    return losses


TINY = ModelConfig(
    vocab_size=11, context_length=16, d_model=8, n_layers=1, n_heads=2, d_ff=12, initial_std=0.4
)


def trained(
    answer: Loop, seed: int, steps: int, size: float | int = 3, length: int = 10, **settings: object
) -> tuple[list[float], Tensor]:
    """The losses that `answer` returns for a tiny model, and the model's weights afterward."""
    torch.manual_seed(seed)
    model = LanguageModel(TINY).double()  # so that other orders of the same sums agree
    with torch.no_grad():  # at 3: gradients far above 1, and norms that decay would move
        for weight in model.parameters():
            weight.mul_(size)
    batches = [torch.randint(11, (3, length)) for _ in range(steps)]
    rates = [0.03 * (step + 1) / (steps + 1) for step in range(steps)]
    losses = answer(model, batches, rates, **settings)
    if isinstance(losses, list | tuple | Tensor):
        losses = [x.item() if isinstance(x, Tensor) else x for x in losses]
    return losses, torch.cat([weight.detach().flatten() for weight in model.parameters()])


def compare_loops(my_loop: Loop, steps: int = 80) -> None:
    """Train one small model with `my_loop` and with the library's `train`; draw both losses."""
    config = ModelConfig(
        vocab_size=256, context_length=64, d_model=64, n_layers=2, n_heads=2, d_ff=172
    )
    settings = TrainingConfig(
        steps=steps, batch_size=12, context_length=64, learning_rate=3e-3, warmup=steps // 20
    )
    tokens, rate = byte_tokens(english()), settings.rate()
    torch.manual_seed(0)
    mine, theirs = LanguageModel(config), LanguageModel(config)
    theirs.load_state_dict(mine.state_dict())
    batches = Batches(tokens, settings.context_length, settings.batch_size, settings.seed)
    steps_of_text = [batches.step(step) for step in range(steps)]
    losses = [float(x) for x in my_loop(mine, steps_of_text, [rate(step) for step in range(steps)])]
    expected = [row["loss"] for row in train(theirs, tokens, settings)]

    figure, ax = plt.subplots()
    ax.plot(expected, color=PALETTE["sky"], linewidth=5, label="the library's")
    ax.plot(losses, color="black", linewidth=1, label="my_loop")
    ax.set(xlabel="step", ylabel="loss (nats per byte)")
    ax.set_title("Two loops, one curve")
    ax.legend()
    display_figure(figure, alt="The losses of my_loop and of the library's loop, one on the other.")
    gap = max(abs(a - b) for a, b in zip(losses, expected, strict=True))
    claim("at every step my_loop has the loss of the library's loop, within 0.01 nats", gap < 0.01)
    claim(
        "the last losses are far below those of a uniform guess",
        sum(losses[-5:]) / 5 < 0.9 * math.log(256),
    )


check_my_loop = Exercise(
    title="Your own training loop",
    reference=lambda *case, **settings: trained(loop, *case, **settings),
    cases=lambda seed: [
        (seed, 1, 3), (seed, 3, 3), (seed + 5, 6, 3), (seed + 7, 5, 0.3),
        (seed + 8, 2, 3, TINY.context_length + 1),
    ],
    call=trained,
    seeds=(0,),
    switches={
        "shift": {
            "none": "Each token is asked to predict itself: inputs are windows[:, :-1], targets "
            "windows[:, 1:].",
            "own": "Each token is asked to predict itself: targets are windows[:, 1:].",
            "whole": "The model reads all T + 1 tokens, one more than it may have room for: give "
            "it windows[:, :-1].",
        },
        "clip": {
            "tenth": "The joint norm is cut to 0.1: it may be 1.0.",
            "matrices": "Only matrices are clipped: the norm is that of all gradients.",
            "largest": "It clips by the largest number: the norm is the root of the squares' sum.",
            "none": "Gradients are not clipped: their joint norm may be 1.0 at most.",
            "always": "Gradients are made 1 long even where they are shorter: only shorten them.",
            "each weight": "Each number is clipped for itself: scale all gradients down together.",
            "each tensor": "Each tensor is clipped for itself: the norm is that of all gradients.",
        },
        "decay": {
            "none": "Nothing decays: matrices have a weight decay of 0.1.",
            "all": "Vectors decay too: only weights of two dimensions and more should.",
            "0.01": "The weight decay is AdamW's own 0.01, for all weights: 0.1 for matrices and 0 "
            "for vectors is asked for.",
            "low": "Matrices have a weight decay of 0.01, as AdamW by itself: 0.1 is asked for.",
            "vectors": "Vectors decay and matrices do not: it is the reverse.",
        },
        "betas": {
            (0.9, 0.999): "The betas are AdamW's own, (0.9, 0.999): use (0.9, 0.95).",
            (0.95, 0.9): "The betas are swapped: use (0.9, 0.95).",
        },
        "zero": {False: "Gradients of earlier steps stay: call zero_grad() in each step."},
        "rate": {
            lambda rates, step: rates[0]: "The learning rate is set once: set rates[step] in every "
            "step.",
            lambda rates, step: rates[max(step - 1, 0)]: "Each step has the rate of the one "
            "before: set it before the update.",
            lambda rates, step: rates[-1 - step]: "The rates are taken from the end.",
            None: "Only the first group of weights has the rate of each step: set it for all.",
            lambda rates, step: 1e-3: "The rate is AdamW's own, 0.001: set rates[step].",
        },
        "kind": {
            "Adam": "This is Adam: its decay goes through the gradient. AdamW is asked for.",
            "up": "The loss is made larger: a step goes against the gradient.",
            "SGD": "This is plain gradient descent: AdamW is asked for.",
        },
        "joined": {
            "sum": "The tokens' losses are added up: take their mean.",
            "first": "Only the first window of each batch is learned: take the mean over all.",
        },
        "made": {
            "each step": "A new optimizer in each step forgets its running means: make one before.",
            "copied": "A copy of the model is trained: `model` itself stays as it was.",
            "never used": "The weights stay as they are: call `optimizer.step()` after `backward`, "
            "and `zero_grad` after that.",
        },
        "when": {
            "after": "The losses are those after each update: return those before it.",
            "end": "The losses are those of the trained model: return each from before its update.",
            "so far": "Each is the mean of the losses so far: return each step's own.",
            "but last": "The last batch is left out.",
            "backward": "The batches come from the last to the first.",
        },
    },
    difficulty=3,
    minutes=30,
    result=compare_loops,
)  # fmt: skip
