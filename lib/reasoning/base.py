"""The base model: pretrained on the web of lib.reasoning.corpus, committed as base.safetensors.

python -m lib.reasoning.base          # makes the file again: some two minutes on one core
"""

import random
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from lib.files import atomic_write
from lib.model import LanguageModel, ModelConfig
from lib.reasoning.corpus import Web, web_document
from lib.reasoning.sft import Example, SFTConfig, sft
from lib.reasoning.task import VOCABULARY, encode

BASE_FILE = Path(__file__).with_name("base.safetensors")
STEPS, BATCH = 1600, 64
NO_SIGNAL_STEPS = 400  # facts are half learned, chains are not


def base_config(**changes) -> ModelConfig:
    """Three layers of width 64, about 150,000 parameters, with two kinds of positions.

    Rotary ones find "two places back" (copy the last result), learned ones "the fifth operation".
    """
    sizes = dict(
        vocab_size=len(VOCABULARY),
        context_length=64,
        d_model=64,
        n_layers=3,
        n_heads=4,
        d_ff=256,
        activation="relu",
        positions="rope",
        rope_base=100.0,
        learned_positions=True,
    )
    return ModelConfig.gpt2(**(sizes | changes))


@torch.no_grad()
def initialize(model: LanguageModel) -> None:
    """Larger first weights than GPT-2's, which are for widths of 768 and above.

    With N(0, 0.02) at width 64 the attention scores start so near 0 that for a thousand steps
    nothing is learned but how often each word comes.
    """
    for name, weight in model.named_parameters():
        if weight.dim() == 2 and name != "head.weight":  # which is the embedding
            weight.mul_(2.0 if name.startswith(("embedding", "position")) else 4.0)


def pretrain(
    seed: int,
    steps: int = STEPS,
    config: ModelConfig | None = None,
    on_step: Callable[[int, float], object] | None = None,
) -> LanguageModel:
    """A base model: every document is new, and all of it is learned, questions too."""
    dice, web = random.Random(f"web {seed}"), Web()
    documents = [Example(encode(web_document(web, dice))) for _ in range(steps * BATCH)]
    torch.manual_seed(seed)
    model = LanguageModel(config or base_config())
    initialize(model)
    settings = SFTConfig(steps, BATCH, learning_rate=4e-3, warmup=50, seed=seed)
    sft(model, documents, settings, on_step)
    return model


def load_base(path: str | Path = BASE_FILE) -> LanguageModel:
    """The committed base model, or one that `save_model` wrote, ready for evaluation."""
    model = LanguageModel(base_config())
    model.load_state_dict(load_file(path), strict=False)  # the head is the embedding
    return model.eval()


def save_model(model: LanguageModel, path: str | Path) -> None:
    """Write the weights, whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: w for name, w in model.state_dict().items() if name != "head.weight"}
    with atomic_write(path) as unfinished:
        save_file(weights, unfinished)


if __name__ == "__main__":
    torch.set_num_threads(1)
    save_model(pretrain(seed=0), BASE_FILE)
    print(f"written: {BASE_FILE.name}, {BASE_FILE.stat().st_size:,} bytes")
