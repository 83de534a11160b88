"""Training a GPT of 0.8 million parameters, against transformers' GPT-2 in plain PyTorch."""

import tempfile

import torch
import transformers

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
    model = copy_of(reference)
    windows = torch.randint(VOCAB, (BATCH, CONTEXT + 1))
    config = TrainingConfig(steps=STEPS, batch_size=BATCH, context_length=CONTEXT)
    optimizer = make_optimizer(model, config.learning_rate)
    reference_optimizer = torch.optim.AdamW(
        reference.parameters(), lr=config.learning_rate, betas=config.betas, weight_decay=0.1
    )

    def ours() -> float:
        for _ in range(STEPS):
            loss, _ = training_step(model, optimizer, windows, config)
        return loss.item()

    def theirs() -> float:
        # `shift_labels` are targets already shifted, so that both learn from the same predictions.
        inputs, targets = windows[:, :-1], windows[:, 1:].contiguous()
        for _ in range(STEPS):
            loss = reference(input_ids=inputs, labels=targets, shift_labels=targets).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(reference.parameters(), config.max_gradient_norm)
            reference_optimizer.step()
            reference_optimizer.zero_grad(set_to_none=True)
        return loss.item()

    first = (ours(), theirs())
    if abs(first[0] - first[1]) > 0.01:
        raise RuntimeError(f"the losses differ, {first}; the speeds mean nothing")
    return [
        compare(
            f"training a GPT of {model.count_parameters():,} parameters, "
            f"{BATCH} sequences of {CONTEXT} tokens, float32",
            ours,
            theirs,
            "transformers GPT-2, torch AdamW",
            budget=1.1,
            command="python -m tools.bench training",
            amount=STEPS * BATCH * CONTEXT,
            unit="tokens/s",
            repeats=9,
        )
    ]


def copy_of(reference: transformers.GPT2LMHeadModel) -> LanguageModel:
    """Our model with the same weights."""
    with tempfile.TemporaryDirectory() as folder:
        reference.save_pretrained(folder)
        model, _ = load_folder(folder)
    return model.train()
