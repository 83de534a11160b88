"""Which model to train: a kind, a size, or one dial that sets all sizes, the rate and the batch.

The dial is the depth, an idea of nanochat (Karpathy, 2025): one number makes a model larger in all
directions, and what training needs follows from it.
"""

from lib.model import ModelConfig, presets
from lib.model.parameters import non_embedding_parameters
from lib.settings import require, require_choice

WIDTH_PER_LAYER = 32  # of GPT-2 small 64; this course's own runs are best at 48 to 128
SIZES = {"tiny": 4, "small": 6, "medium": 10}  # depths: about 0.8, 2.7 and 12 million parameters
KINDS = ("llama", "gpt2", "qwen3")
TOKENS_OF_RUNS = 1024  # to a step, where the learning rates below were measured
BATCH = 16  # sequences


def shape(
    kind: str,
    vocab_size: int,
    context_length: int,
    depth: int,
    *,
    width: int | None = None,
    heads: int | None = None,
    feedforward: int | None = None,
    dropout: float = 0.0,
) -> ModelConfig:
    """A model of `depth` layers, 32 features wide for each layer unless `width` is given.

    Heads are 32 wide; the feed-forward layer has 8 C^2 weights: 4 C wide in GPT-2, about 8/3 C
    with a gate. The head is tied to the embedding, which would be most of a small model otherwise.
    Raises ValueError for sizes that make no model.
    """
    require_choice("kind", kind, KINDS)
    require("depth", depth, "[1, 100]", whole=True)
    width = WIDTH_PER_LAYER * depth if width is None else width
    require("width", width, "[2, 100000]", whole=True)
    heads = max(1, width // 32) if heads is None else heads
    if heads < 1 or width % heads or (kind != "gpt2" and width // heads % 2):
        even = "" if kind == "gpt2" else " into even parts"
        raise ValueError(f"heads must divide the width {width}{even}, got {heads}: give --heads")
    gated = kind != "gpt2"
    usual = 32 * max(1, round(width / 12)) if gated else 4 * width
    sizes = dict(
        vocab_size=vocab_size,
        context_length=context_length,
        d_model=width,
        n_layers=depth,
        n_heads=heads,
        d_ff=usual if feedforward is None else feedforward,
        dropout=dropout,
        tie_embeddings=True,
    )
    if kind == "gpt2":
        return ModelConfig(**presets.GPT2 | sizes)
    return ModelConfig(**sizes, qk_norm=kind == "qwen3", norm_eps=1e-6)


def learning_rate(config: ModelConfig, tokens_per_step: int) -> float:
    """The peak rate of AdamW: 1.2 N^-0.49 sqrt(tokens to a step / 1,024), N without embeddings.

    The exponent is that of the pilot in lib.experiments.scaling_pilot. The factor is half of the
    pilot's: the largest model there, 1.6 million parameters, ended lower at half its rate with each
    of three seeds, and too low a rate costs less than too high a one. The root of the batch is the
    rule of Malladi et al. (2022) for adaptive optimizers; this course has not measured it.
    """
    n = non_embedding_parameters(config)
    return float(f"{1.2 * n**-0.49 * (tokens_per_step / TOKENS_OF_RUNS) ** 0.5:.2g}")


def batch_size(processes: int, accumulate: int = 1) -> int:
    """16 sequences, or the next number that all processes can share."""
    share = processes * accumulate
    return -(-BATCH // share) * share
