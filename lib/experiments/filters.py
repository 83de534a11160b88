"""The filters of chapter 9 side by side: what each keeps, on a toy and after real prompts.

`FILTERS` names a usual value for each, as GenerationConfig takes it. Nothing is trained or drawn
here, so there is no table: the chapter computes the numbers and this module draws them.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib.display import PALETTE, mean_and_error
from lib.generation.config import GenerationConfig
from lib.generation.measures import kept_mass

if TYPE_CHECKING:  # matplotlib is imported by those who draw
    from matplotlib.figure import Figure

Setting = Mapping[str, Any]
FILTERS: dict[str, Setting] = {
    "top_k = 50": {"top_k": 50},
    "top_p = 0.9": {"top_p": 0.9},
    "min_p = 0.1": {"min_p": 0.1},
    "p_less": {"p_less": True},
    "top_a = 0.2": {"top_a": 0.2},
    "epsilon = 0.001": {"epsilon_cutoff": 0.001},
    "eta = 0.001": {"eta_cutoff": 0.001},
    "typical_p = 0.9": {"typical_p": 0.9},
    "top_h = 0.6": {"top_h": 0.6},
    "tfs = 0.95": {"tfs": 0.95},
    "top_n_sigma = 1": {"top_n_sigma": 1.0},
    "xtc above 0.05": {"xtc_probability": 1.0, "xtc_threshold": 0.05},
}
# Twelve tokens on which no two of these settings keep the same.
TOY = torch.tensor([[0.26, 0.19, 0.14, 0.10, 0.08, 0.06, 0.05, 0.04, 0.03, 0.025, 0.015, 0.01]])
TOY_FILTERS: dict[str, Setting] = {
    "top_k = 6": {"top_k": 6},
    "top_p = 0.9": {"top_p": 0.9},
    "min_p = 0.3": {"min_p": 0.3},
    "p_less": {"p_less": True},
    "top_a = 0.2": {"top_a": 0.2},
    "epsilon = 0.02": {"epsilon_cutoff": 0.02},
    "eta = 0.05": {"eta_cutoff": 0.05},
    "typical_p = 0.5": {"typical_p": 0.5},
    "top_h = 0.6": {"top_h": 0.6},
    "tfs = 0.5": {"tfs": 0.5},
    "top_n_sigma = 1.75": {"top_n_sigma": 1.75},
    "xtc above 0.1": {"xtc_probability": 1.0, "xtc_threshold": 0.1},
}


def kept(logits: Float[Tensor, "B V"], setting: Setting) -> Float[Tensor, "B V"]:
    """The logits after one setting; what it forbids is at -inf."""
    return GenerationConfig(do_sample=True, **setting).process(logits)


def draw_ranks(contexts: Mapping[str, Float[Tensor, "1 V"]]) -> "Figure":
    """One panel for each context: a bar over the ranks that each filter keeps."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(contexts), figsize=(6, 3.8), sharey=True)
    for ax, (name, logits) in zip(axes, contexts.items(), strict=True):
        order = logits[0].argsort(descending=True)
        for row, setting in enumerate(FILTERS.values()):
            after = kept(logits, setting)
            ranks = 1 + after[0, order].isfinite().nonzero()[:, 0]
            first, last = ranks[0].item(), ranks[-1].item()
            ax.barh(row, last - first + 1, left=first, color=PALETTE["blue"])
            share = f"{kept_mass(logits, after).item():.0%}"
            ax.text(1.2 * last + 1.2, row, share, va="center", fontsize=8)
        ax.set(xscale="log", xlim=(0.8, 1e6), xlabel="rank (logarithmic)", title=name)
    axes[0].set_yticks(range(len(FILTERS)), list(FILTERS))
    axes[0].invert_yaxis()
    figure.suptitle("Most keep more tokens where it is flat (%: probability kept)", x=0, ha="left")
    return figure


def draw_reshaped(
    contexts: Mapping[str, Float[Tensor, "1 V"]], settings: Mapping[str, Setting]
) -> "Figure":
    """Probability over rank under several reshapings, one panel for each context."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(contexts), figsize=(6, 3), sharey=True)
    for ax, (name, logits) in zip(axes, contexts.items(), strict=True):
        for label, setting in settings.items():
            falling = kept(logits, setting).softmax(-1)[0].sort(descending=True).values
            ax.plot(range(1, 301), falling[:300], label=label)
        ax.set(xscale="log", yscale="log", ylim=(1e-6, 2), xlabel="rank", title=name)
    axes[0].set_ylabel("probability")
    axes[0].legend(fontsize=8, loc="lower left")
    figure.suptitle("Temperature tilts the whole curve; smoothing drops the tail", x=0, ha="left")
    return figure


def draw_trade(
    measured: Mapping[tuple[str, float], Float[Tensor, "groups measures"]], names: Sequence[str]
) -> "Figure":
    """Measures over temperature, a line for each setting: mean and standard error of the groups.

    `measured` is keyed by (setting, temperature); `names` are those of the measures.
    """
    from matplotlib import pyplot as plt

    settings, temperatures = (list(dict.fromkeys(key)) for key in zip(*measured, strict=True))
    figure, axes = plt.subplots(1, len(names), figsize=(6, 2.8))
    for i, (ax, what) in enumerate(zip(axes, names, strict=True)):
        for name in settings:
            groups = [measured[name, t][:, i] for t in temperatures]
            means, errors = zip(*map(mean_and_error, groups), strict=True)
            ax.errorbar(temperatures, means, errors, capsize=2, label=name)
        ax.set(xlabel="temperature", title=what)
    axes[0].set_ylim(top=1.4 * axes[0].get_ylim()[1])  # room for the legend
    axes[0].legend(fontsize=8, loc="upper left")
    figure.suptitle("Above temperature 1, top_p alone drifts toward noise", x=0, ha="left")
    return figure
