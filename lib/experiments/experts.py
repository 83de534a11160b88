"""Experts balanced in four ways, and dense models beside them: chapter "feed-forward layers"."""

import math
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from lib.experiments.grid import Run, run_grid
from lib.experiments.small import BATCH, CONTEXT, short_training, small_llama
from lib.experiments.tables import DATA, Row, read_table
from lib.experiments.texts import BLOCK, PIECES, languages, mixture
from lib.model import LanguageModel, ModelConfig
from lib.model.balancing import load, load_entropy, pool
from lib.model.experts import recorded_routing
from lib.model.routing import RouterConfig, Routing
from lib.training.auxiliary import routers
from lib.training.batches import Tokens, windows_in_order
from lib.training.evaluation import evaluate
from lib.training.loop import train

STEPS, RATE = 400, 6e-3
SEEDS = range(6)  # what a router does differs so much between seeds that three tell little
N_EXPERTS, N_ACTIVE, D_EXPERT = 8, 2, 64
BALANCING = {
    "none": (RouterConfig(), {}),
    "loss": (RouterConfig(), dict(balance_loss=0.01)),
    "noise": (RouterConfig(noisy=True), {}),
    "bias": (RouterConfig(bias=True), dict(bias_rate=0.003)),
}
DENSE = {
    "dense, equal FLOPs": N_ACTIVE * D_EXPERT,
    "dense, equal parameters": N_EXPERTS * D_EXPERT,
}
FACTORS = (1.0, 1.25, 1.5, 2.0)
INFORMATION = ("on characters", "on languages", "on languages given characters", "by chance")


def grid() -> list[Run]:
    """Eight experts, two active, balanced in four ways; and two dense models to compare with."""
    return [
        Run(
            labels=(("model", name),),
            model=model,
            training=short_training(
                STEPS, RATE, seed, evaluations=8, evaluation_sequences=256, **training
            ),
            training_bytes=STEPS * BATCH * CONTEXT,
            text="mixture",
            pieces=PIECES,
        )
        for name, (model, training) in expert_models().items()
        for seed in SEEDS
    ]


def expert_models() -> dict[str, tuple[ModelConfig, dict]]:
    """Each model of the experiment by its name, and what its training needs."""
    sizes = dict(n_experts=N_EXPERTS, n_active_experts=N_ACTIVE, d_expert=D_EXPERT)
    active = N_ACTIVE * D_EXPERT
    models = {
        name: (small_llama(d_ff=active, router=router, **sizes), training)
        for name, (router, training) in BALANCING.items()
    }
    return models | {name: (small_llama(d_ff=d_ff), {}) for name, d_ff in DENSE.items()}


def short_run(name: str, seed: int, steps: int = 40) -> tuple[LanguageModel, list[Row]]:
    """The experiment `experts` in small: the model after `steps` steps, and a row every 10 steps.

    A row has the validation loss and the mean over layers of the entropy of loads (NaN if dense).
    """
    config, changes = expert_models()[name]
    tokens, validation = mixture()
    rows: list[Row] = []

    def record(model: LanguageModel, row: dict) -> None:
        layers = routings_of(model, validation[: 3 * 4 * BLOCK + 1])
        entropies = [load_entropy(load(layer)).item() for layer in layers]
        rows.append(
            {
                "model": name,
                "seed": seed,
                "step": row["step"],
                "loss": row["validation_loss"],
                "entropy": sum(entropies) / len(entropies) if entropies else math.nan,
            }
        )

    torch.manual_seed(seed)
    model = LanguageModel(config)
    training = short_training(
        steps,
        RATE,
        seed,
        evaluations=max(1, steps // 10),
        warmup=0,
        schedule="constant",
        evaluation_sequences=64,
        **changes,
    )
    train(model, tokens, training, validation, on_evaluation=record)
    return model, rows


def routing_measures(model: LanguageModel, validation: Tokens) -> Row:
    """Columns on routing: entropy of loads, loads by language, what a capacity drops and costs."""
    if model.config.n_experts is None:
        names = [*_entropies([]), *_shares({}), *(n for f in FACTORS for n in _names(f))]
        names += INFORMATION
        return dict.fromkeys(names, "")
    by_language = {
        name: routings_of(model, held_out[:6_145]) for name, (_, held_out) in languages().items()
    }
    layers = [pool(each) for each in zip(*by_language.values(), strict=True)]
    row = _entropies(layers) | _shares(by_language)
    for factor in FACTORS:
        dropped, loss = with_capacity(model, validation, factor)
        row |= dict(zip(_names(factor), (round(dropped, 5), round(loss, 5)), strict=True))
    return row | {name: round(value, 5) for name, value in what_experts_tell(model).items()}


def what_experts_tell(model: LanguageModel, n_bytes: int = 6_144) -> dict[str, float]:
    """What a token's first expert in the last layer tells of the token, in nats.

    Its mutual information with the token's character, with its language, and with its language once
    the character is known. Counts of few tokens show some of the last by chance: as much as is left
    when languages are exchanged among tokens of the same character.
    """
    texts = [torch.from_numpy(held_out[: n_bytes + 1]) for _, held_out in languages().values()]
    expert = torch.cat([routings_of(model, text.numpy())[-1].experts[:, 0] for text in texts])
    character = torch.cat([text[:-1] for text in texts]).long()
    language = torch.arange(len(texts)).repeat_interleave(n_bytes)
    mixed = torch.randperm(len(character), generator=torch.Generator().manual_seed(0))
    exchanged = language[mixed[character[mixed].argsort(stable=True)]]
    by_character = character.argsort(stable=True)
    chance = shared_information(expert[by_character], exchanged, character[by_character])
    values = (
        shared_information(expert, character),
        shared_information(expert, language),
        shared_information(expert, language, character),
        chance,
    )
    return dict(zip(INFORMATION, values, strict=True))


def shared_information(
    one: Tensor,
    other: Tensor,
    given: Tensor | None = None,
) -> float:
    """Mutual information of two lists of labels in nats,
    given a third: sums of entropies.

    I(A; B | C) = H(A, C) + H(B, C) - H(A, B, C) - H(C).
    Source: Cover & Thomas (2006), Elements of Information Theory, equation 2.60.
    """
    given = torch.zeros_like(one) if given is None else given

    def entropy(*labels: Tensor) -> float:
        counts = torch.stack(labels).unique(dim=1, return_counts=True)[1]
        return torch.special.entr(counts.double() / counts.sum()).sum().item()

    pairs = entropy(one, given) + entropy(other, given)
    return pairs - entropy(one, other, given) - entropy(given)


@torch.no_grad()
def routings_of(model: LanguageModel, tokens: Tokens) -> list[Routing]:
    """Each layer's routing of a text, cut into sequences of the context."""
    windows = torch.cat(list(windows_in_order(tokens, CONTEXT, 64)))
    was_training = model.training
    with recorded_routing(model) as routings:
        model.eval()(windows[:, :-1])
    model.train(was_training)
    return routings


@torch.no_grad()
def with_capacity(model: LanguageModel, tokens: Tokens, factor: float) -> tuple[float, float]:
    """The share of assignments that experts of this capacity drop, and the loss with them."""
    before = [router.settings for router in routers(model)]
    for router in routers(model):
        router.settings = replace(router.settings, capacity_factor=factor)
    try:
        with recorded_routing(model) as routings:
            loss = evaluate(model, tokens, CONTEXT, 32, most=96)
    finally:
        for router, settings in zip(routers(model), before, strict=True):
            router.settings = settings
    kept = torch.cat([routing.kept.flatten() for routing in routings])
    return 1 - kept.float().mean().item(), loss


def _entropies(layers: list[Routing]) -> Row:
    values = [round(load_entropy(load(layer)).item(), 4) for layer in layers] or ["", ""]
    return {f"entropy, layer {i}": value for i, value in enumerate(values)}


def _shares(by_language: dict[str, list[Routing]]) -> Row:
    """Loads as text: eight numbers in one cell."""
    names = [(name, layer) for name in languages() for layer in range(2)]
    return {
        f"{name}, layer {layer}": " ".join(
            f"{share:.4f}" for share in load(by_language[name][layer]).tolist()
        )
        if by_language
        else ""
        for name, layer in names
    }


def _names(factor: float) -> tuple[str, str]:
    return f"dropped at {factor:g}", f"loss at {factor:g}"


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Do what the table in `folder` lacks, `workers` runs at a time."""
    return run_grid(grid(), folder / "experts.csv", workers, routing_measures)


def table() -> list[Row]:
    """The committed runs."""
    return read_table("experts")
