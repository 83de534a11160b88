"""Models of many sizes on one text, and the pilot that finds a learning rate for each of them.

All runs read Python's documentation byte by byte, 1,024 bytes to a step. The longest runs make one
pass over the training text, so that no byte is seen twice; shorter runs read a random part of it.

The order of work is that of a prediction: this pilot finds the learning rates, lib.experiments.
scaling the losses of twelve sizes, from which scaling_largest predicts the loss of a model four
times the largest of them; only then is that model trained.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lib.display import course_style, label_lines
from lib.experiments.grid import Run, run_grid
from lib.experiments.small import BATCH, CONTEXT, short_training, small_gpt
from lib.experiments.tables import DATA, Row, read_table
from lib.model import LanguageModel, ModelConfig
from lib.model.parameters import non_embedding_parameters
from lib.training.batches import Tokens, windows_in_order

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS, SHORT = 960, 120  # 983,040 bytes: a little less than one pass over the training text
TRAINING_BYTES = 985_000
WIDTHS = (12, 32, 96)  # two layers each
RATES = (1.5e-3, 3e-3, 6e-3, 1.2e-2, 2.4e-2, 4.8e-2)
WARMUP = 48  # steps, also of the short runs: with a twentieth of theirs they train badly
ANSWER_LENGTHS = (1, 2, 4, 8, 16, 32)  # bytes that must all be right


def sized(width: int) -> ModelConfig:
    """Two layers of GPT-2's kind with rotary positions, about
    24 width^2 non-embedding parameters.

    Heads are about 16 wide; the feed-forward width is four times the model's, as in
    GPT-2.
    """
    n_heads = next(n for n in range(max(1, width // 16), 0, -1) if width % (2 * n) == 0)
    return small_gpt(width, n_heads=n_heads)


def scaling_run(
    width: int,
    steps: int,
    learning_rate: float,
    seed: int,
    evaluations: int = 1,
    warmup: int = WARMUP,
) -> Run:
    """One run of `steps` steps, its cosine schedule as long
    as itself (Hoffmann et al., 2022).
    """
    labels = {
        "width": width,
        "non_embedding": non_embedding_parameters(sized(width)),
        "steps": steps,
        "tokens": steps * CONTEXT * BATCH,
        "learning_rate": learning_rate,
    }
    training = short_training(
        steps,
        learning_rate,
        seed,
        evaluations=evaluations,
        warmup=warmup,
    )
    return Run(tuple(labels.items()), sized(width), training, TRAINING_BYTES)


def grid() -> list[Run]:
    """Six learning rates for three sizes, for 120 and for 960 steps.

    The warmup is a twentieth of the steps: too short for 120, as it turned out.
    """
    return [
        scaling_run(width, steps, rate, seed=0, warmup=steps // 20)
        for width in WIDTHS
        for steps in (SHORT, STEPS)
        for rate in RATES
    ]


def tuned_rate(width: int, steps: int) -> float:
    """The learning rate for a size and a length of training: 0.136 N^-0.49 steps^0.42.

    A plane through ln rate at the lowest points of the pilot's six parabolas (loss over
    ln rate, through the best of six rates and its neighbors). N has no embeddings.
    """
    n = non_embedding_parameters(sized(width))
    return float(f"{0.136 * n**-0.49 * steps**0.42:.3g}")


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


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Do what the table in `folder` lacks, `workers` runs at a time."""
    return run_grid(grid(), folder / "scaling_pilot.csv", workers, exact_matches)


def table() -> list[Row]:
    """The committed runs."""
    return read_table("scaling_pilot")


def figure(rows: list[Row] | None = None) -> "Figure":
    """Loss over learning rate for three sizes, short and long; dotted: what `tuned_rate` says."""
    import matplotlib
    from matplotlib.figure import Figure

    rows = [row for row in (rows or table()) if row["step"] == row["steps"]]
    with matplotlib.rc_context(course_style()):
        drawn = Figure(figsize=(7, 3.2))
        axes = drawn.subplots(1, 2, sharey=True)
        for ax, steps in zip(axes, (SHORT, STEPS), strict=True):
            for width in WIDTHS:
                runs = [row for row in rows if (row["width"], row["steps"]) == (width, steps)]
                rates, losses = ([r[k] for r in runs] for k in ("learning_rate", "validation_loss"))
                line = ax.plot(rates, losses, label=f"width {width}")[0]
                rule = tuned_rate(width, steps)
                ax.axvline(rule, color=line.get_color(), linestyle=":", linewidth=1)
            ax.set(xscale="log", xlabel="learning rate", title=f"{steps} steps", xlim=(1e-3, 0.25))
        for ax in axes:
            label_lines(ax)
        axes[0].set_ylabel("validation loss (nats per byte)")
        drawn.suptitle("Larger models want smaller rates (dotted: the rule)", x=0.01, ha="left")
    return drawn
