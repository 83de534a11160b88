"""Training a GPT of 0.8 million parameters, against transformers' GPT-2 in plain PyTorch."""

import tempfile
from collections.abc import Callable
from typing import Any

import torch
import transformers
from torch import Tensor

from lib.model import LanguageModel
from lib.pretrained import load_folder
from lib.training import TrainingConfig, training_step
from lib.training.optimizer import make_optimizer
from tools.bench.measure import Row, compare

BATCH, CONTEXT, VOCAB = 12, 64, 256  # sequences, tokens, bytes
STEPS = 10  # in one measurement


def run() -> list[Row]:
    """Both learn the same batch from the same weights, and must reach the same loss."""
    torch.manual_seed(0)
    reference = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=VOCAB,
            n_positions=CONTEXT,
            n_embd=128,
            n_layer=4,
            n_head=4,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    windows = torch.randint(VOCAB, (BATCH, CONTEXT + 1))
    config = TrainingConfig(steps=STEPS, batch_size=BATCH, context_length=CONTEXT)
    optimizer = torch.optim.AdamW(
        reference.parameters(), lr=config.learning_rate, betas=config.betas, weight_decay=0.1
    )

    def loss() -> Tensor:
        # `shift_labels` are targets already shifted, so that both learn from the same predictions.
        inputs, targets = windows[:, :-1], windows[:, 1:].contiguous()
        return reference(input_ids=inputs, labels=targets, shift_labels=targets).loss

    model = copy_of(reference)
    return [
        compare_training(
            f"training a GPT of {model.count_parameters():,} parameters",
            (model, windows, config),
            (loss, optimizer),
            "transformers GPT-2, torch AdamW",
            budget=1.2,
            command="python -m tools.bench training",
            repeats=9,
        )
    ]


def compare_training(
    name: str,
    ours: tuple[LanguageModel, Tensor, TrainingConfig],
    peers: tuple[Callable[[], Tensor], torch.optim.Optimizer],
    peer: str,
    **row: Any,
) -> Row:
    """Time the steps of both on the same windows; their first losses must be the same.

    `ours`: model, windows, configuration; `peers`: a function that gives the loss, and what updates
    the weights that it depends on; `row` goes to `compare`.
    """
    model, windows, config = ours
    peer_loss, peer_optimizer = peers
    weights = [weight for group in peer_optimizer.param_groups for weight in group["params"]]
    optimizer = make_optimizer(model, config.learning_rate)

    def our_steps() -> float:
        for _ in range(config.steps):
            loss, _ = training_step(model, optimizer, windows, config)
        return loss.item()

    def peer_steps() -> float:
        for _ in range(config.steps):
            loss = peer_loss()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, config.max_gradient_norm)
            peer_optimizer.step()
            peer_optimizer.zero_grad(set_to_none=True)
        return loss.item()

    first = (our_steps(), peer_steps())
    if abs(first[0] - first[1]) > 0.01:
        raise RuntimeError(f"the losses differ, {first}; the speeds mean nothing")
    return compare(
        f"{name}, {config.batch_size} sequences of {config.context_length} tokens, float32",
        our_steps,
        peer_steps,
        peer,
        amount=config.steps * config.tokens_per_step,
        unit="tokens/s",
        **row,
    )


def copy_of(reference: transformers.GPT2LMHeadModel) -> LanguageModel:
    """Our model with the same weights."""
    with tempfile.TemporaryDirectory() as folder:
        reference.save_pretrained(folder)
        model, _ = load_folder(folder)
    return model.train()
