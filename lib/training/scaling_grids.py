"""Chapter 9's experiment: models of many sizes on one text, to find how the loss falls with size.

All runs read Python's documentation byte by byte, 1,024 bytes to a step. The longest runs make one
pass over the training text, so that no byte is seen twice; shorter runs read a random part of it.

The order of work is that of a prediction: `pilot_grid` finds the learning rates, `size_grid` the
losses of twelve sizes, from which tools/scaling_prediction.py predicts the loss of a model four
times the largest of them; only then does `largest_grid` train that model.
"""

import torch

from lib.model import LanguageModel, ModelConfig
from lib.model.parameters import non_embedding_parameters
from lib.training.batches import Tokens, windows_in_order
from lib.training.config import TrainingConfig
from lib.training.experiments import Run

SEEDS = (0, 1)
LAST_REPEATED_WIDTH = 96  # up to it every size has a second seed
CONTEXT, BATCH = 64, 16  # tokens, sequences: 1,024 bytes to a step
STEPS = 960  # 983,040 bytes: a little less than one pass over the training text
TRAINING_BYTES = 985_000
WIDTHS = (12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 112, 128)  # two layers each
LARGEST = 256
WARMUP = 48  # steps, also of the short runs: with a twentieth of theirs they train badly
FEWER_STEPS = (120, 240)
SURFACE_WIDTHS = (12, 20, 32, 48, 64, 96, 128)
PILOT_WIDTHS = (12, 32, 96)
PILOT_RATES = (1.5e-3, 3e-3, 6e-3, 1.2e-2, 2.4e-2, 4.8e-2)
ANSWER_LENGTHS = (1, 2, 4, 8, 16, 32)  # bytes that must all be right


def sized(width: int) -> ModelConfig:
    """Two layers of GPT-2's kind with rotary positions, about 24 width^2 non-embedding parameters.

    Heads are about 16 wide; the feed-forward width is four times the model's, as in GPT-2.
    """
    return ModelConfig.gpt2(
        vocab_size=256,
        context_length=CONTEXT,
        positions="rope",
        d_model=width,
        n_layers=2,
        n_heads=next(n for n in range(max(1, width // 16), 0, -1) if width % (2 * n) == 0),
        d_ff=4 * width,
    )


def scaling_run(
    width: int,
    steps: int,
    learning_rate: float,
    seed: int,
    evaluations: int = 1,
    warmup: int = WARMUP,
) -> Run:
    """One run of `steps` steps, its cosine schedule as long as itself (Hoffmann et al., 2022)."""
    labels = {
        "width": width,
        "non_embedding": non_embedding_parameters(sized(width)),
        "steps": steps,
        "tokens": steps * CONTEXT * BATCH,
        "learning_rate": learning_rate,
    }
    training = TrainingConfig(
        steps=steps,
        batch_size=BATCH,
        context_length=CONTEXT,
        learning_rate=learning_rate,
        warmup=warmup,
        evaluate_every=steps // evaluations,
        evaluation_sequences=512,
        seed=seed,
    )
    return Run(tuple(labels.items()), sized(width), training, TRAINING_BYTES)


def pilot_grid() -> list[Run]:
    """Six learning rates for three sizes, for 120 and for 960 steps.

    The warmup is a twentieth of the steps: too short for 120, as it turned out.
    """
    return [
        scaling_run(width, steps, rate, seed=0, warmup=steps // 20)
        for width in PILOT_WIDTHS
        for steps in (FEWER_STEPS[0], STEPS)
        for rate in PILOT_RATES
    ]


def tuned_rate(width: int, steps: int) -> float:
    """The learning rate for a size and a length of training: 0.136 N^-0.49 steps^0.42.

    A plane through ln rate at the lowest points of the pilot's six parabolas (loss over ln rate,
    through the best of six rates and its neighbors). N has no embeddings.
    """
    n = non_embedding_parameters(sized(width))
    return float(f"{0.136 * n**-0.49 * steps**0.42:.3g}")


def size_grid() -> list[Run]:
    """Twelve sizes over two orders of magnitude for one pass; seven of them for shorter ones too.

    The whole pass has a second seed for all but the two largest; the shorter runs have one.
    """

    def whole(seed: int) -> list[Run]:
        return [
            scaling_run(width, STEPS, tuned_rate(width, STEPS), seed, evaluations=8)
            for width in WIDTHS
        ]

    def shorter(seed: int) -> list[Run]:
        return [
            scaling_run(width, steps, tuned_rate(width, STEPS), seed)
            for steps in FEWER_STEPS
            for width in SURFACE_WIDTHS
        ]

    first, second = SEEDS
    again = [run for run in whole(second) if run.model.d_model <= LAST_REPEATED_WIDTH]
    return whole(first) + shorter(first) + again


def largest_grid() -> list[Run]:
    """The model whose loss is predicted before it is trained."""
    return [scaling_run(LARGEST, STEPS, tuned_rate(LARGEST, STEPS), SEEDS[0])]


@torch.no_grad()
def exact_matches(model: LanguageModel, validation: Tokens) -> dict[str, float]:
    """How often greedy decoding continues a text rightly for n bytes, n from `ANSWER_LENGTHS`.

    Greedy decoding gives the next n bytes of the text exactly if each of them is the most probable
    one after the bytes before it, so one forward pass over the text tells.
    """
    windows = torch.cat(list(windows_in_order(validation, CONTEXT, BATCH, most=256)))
    was_training = model.training
    model.eval()
    right = model(windows[:, :-1]).argmax(-1) == windows[:, 1:]
    model.train(was_training)
    return {
        f"exact_match_{n}": round(right.unfold(1, n, 1).all(-1).float().mean().item(), 5)
        for n in ANSWER_LENGTHS
    }
