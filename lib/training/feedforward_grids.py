"""The experiments of chapter 4: gates against activations, and experts with and without balancing.

`feedforward` compares eight feed-forward layers with equally many parameters on English; `experts`
compares ways to balance experts, and dense models, on the mixture of lib.training.mixture.
"""

import math
from dataclasses import replace

import torch

from lib.model import LanguageModel, ModelConfig
from lib.model.balancing import load, load_entropy, pool
from lib.model.experts import recorded_routing
from lib.model.feedforward import GATED_FORMS, gated_width
from lib.model.routing import RouterConfig, Routing
from lib.training.auxiliary import routers
from lib.training.batches import Tokens, windows_in_order
from lib.training.config import TrainingConfig
from lib.training.evaluation import evaluate
from lib.training.experiments import Row, Run
from lib.training.loop import train
from lib.training.mixture import BLOCK, languages, mixture

SEEDS = (0, 1, 2)
CONTEXT, BATCH, STEPS = 64, 16, 400  # tokens, sequences: 1,024 bytes to a step
PLAIN = {"ReLU": "relu", "GELU": "gelu", "Swish": "silu"}
RATE = 6e-3
D_FF = 240  # plain; two thirds of it, 160, with a gate: exactly as many parameters


# How far matrices spread before training. GPT-2's 0.02 is made for widths near 1,000; 1 / sqrt(C)
# keeps the size of what goes through a matrix.
INITIAL_STDS = (0.02, 0.125)


def feedforward_grid() -> list[Run]:
    """Three plain and five gated layers with equally many parameters, as in Shazeer (2020)."""
    variants = {name: dict(gated=False, activation=kind) for name, kind in PLAIN.items()}
    variants |= {name: dict(gated=True, activation=kind) for name, kind in GATED_FORMS.items()}
    return [
        Run(
            labels=(("layer", name), ("initial std", initial_std)),
            model=_small(
                d_ff=gated_width(D_FF) if variant["gated"] else D_FF,
                initial_std=initial_std,
                **variant,
            ),
            training=_training(RATE, seed, evaluate_every=STEPS // 4, evaluation_sequences=512),
            training_bytes=STEPS * BATCH * CONTEXT,
        )
        for initial_std in INITIAL_STDS
        for name, variant in variants.items()
        for seed in SEEDS
    ]


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


def experts_grid() -> list[Run]:
    """Eight experts, two active, balanced in four ways; and two dense models to compare with."""
    return [
        Run(
            labels=(("model", name),),
            model=model,
            training=_training(
                RATE, seed, evaluate_every=STEPS // 8, evaluation_sequences=256, **training
            ),
            training_bytes=STEPS * BATCH * CONTEXT,
            text="mixture",
        )
        for name, (model, training) in expert_models().items()
        for seed in SEEDS
    ]


def expert_models() -> dict[str, tuple[ModelConfig, dict]]:
    """Each model of the experiment by its name, and what its training needs."""
    sizes = dict(n_experts=N_EXPERTS, n_active_experts=N_ACTIVE, d_expert=D_EXPERT)
    active = N_ACTIVE * D_EXPERT
    models = {
        name: (_small(d_ff=active, router=router, **sizes), training)
        for name, (router, training) in BALANCING.items()
    }
    return models | {name: (_small(d_ff=d_ff), {}) for name, d_ff in DENSE.items()}


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
    training = TrainingConfig(
        steps=steps,
        batch_size=16,
        context_length=CONTEXT,
        learning_rate=RATE,
        schedule="constant",
        evaluate_every=10,
        evaluation_sequences=64,
        seed=seed,
        **changes,
    )
    train(model, tokens, training, validation, on_evaluation=record)
    return model, rows


def routing_measures(model: LanguageModel, validation: Tokens) -> Row:
    """Columns on routing: entropy of loads, loads by language, what a capacity drops and costs."""
    if model.config.n_experts is None:
        names = [*_entropies([]), *_shares({}), *(n for f in FACTORS for n in _names(f))]
        return dict.fromkeys(names, "")
    by_language = {
        name: routings_of(model, held_out[:6_145]) for name, (_, held_out) in languages().items()
    }
    layers = [pool(each) for each in zip(*by_language.values(), strict=True)]
    row = _entropies(layers) | _shares(by_language)
    for factor in FACTORS:
        dropped, loss = with_capacity(model, validation, factor)
        row |= dict(zip(_names(factor), (round(dropped, 5), round(loss, 5)), strict=True))
    return row


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


def _small(**changes) -> ModelConfig:
    """Two layers in the manner of Llama, 64 wide."""
    sizes = dict(vocab_size=256, context_length=CONTEXT, d_model=64, n_layers=2, n_heads=4)
    return ModelConfig(**sizes | dict(tie_embeddings=True) | changes)


def _training(learning_rate: float, seed: int, **changes) -> TrainingConfig:
    return TrainingConfig(
        steps=STEPS,
        batch_size=BATCH,
        context_length=CONTEXT,
        learning_rate=learning_rate,
        warmup=STEPS // 20,
        seed=seed,
        **changes,
    )
