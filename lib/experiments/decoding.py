"""Decoders compared on the same prompts: how probable, how repetitive, how varied?

Passages of English of which the model reads the beginning; the original goes along as a decoder
called "human". The table is made by `python -m lib.experiments decoding`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from lib import corpora
from lib.experiments.tables import DATA, Row, read_table, write_table
from lib.generation.config import GenerationConfig
from lib.generation.decode import generate
from lib.generation.measures import distinct_n, repetition, surprise
from lib.generation.voting import sample_many
from lib.model import LanguageModel
from lib.pretrained import load_pretrained
from lib.tokenization import BPETokenizer

PROMPT, NEW, N_PROMPTS, EACH = 32, 32, 6, 3  # tokens read, tokens written, passages, continuations

DRAWN: dict[str, dict[str, Any]] = {
    "sampling": {},
    "temperature 0.7": {"temperature": 0.7},
    "top_k 50": {"top_k": 50},
    "top_p 0.9": {"top_p": 0.9},
    "min_p 0.1": {"min_p": 0.1},
    "epsilon 0.001": {"epsilon_cutoff": 0.001},
}
SEARCHED: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beam search 3": {"num_beams": EACH},
    "diverse beams 3": {"num_beams": EACH, "num_beam_groups": EACH, "diversity_penalty": 1.0},
    "repetition penalty 1.2": {"repetition_penalty": 1.2},
    "presence + frequency 0.5": {"presence_penalty": 0.5, "frequency_penalty": 0.5},
    "contrastive search": {"penalty_alpha": 0.6, "top_k": 4},
    "DoLa high": {"dola_layers": "high"},
}


def passages(tokenizer: BPETokenizer) -> Int[Tensor, "B T"]:
    """Passages of prompt and original continuation, spread over a long text."""
    ids = tokenizer.encode(corpora.english(200_000))
    step = len(ids) // N_PROMPTS
    return torch.tensor([ids[i * step : i * step + PROMPT + NEW] for i in range(N_PROMPTS)])


def continuations(
    model: LanguageModel, texts: Int[Tensor, "B T"]
) -> Iterator[tuple[str, Int[Tensor, "B n N"]]]:
    """Each decoder's name and its continuations of every passage."""
    prompts = texts[:, :PROMPT]
    yield "human", texts[:, None, PROMPT:]
    for name, setting in SEARCHED.items():
        n = setting.get("num_beams", 1)
        config = GenerationConfig(max_new_tokens=NEW, num_return_sequences=n, **setting)
        yield name, generate(model, prompts, config).new_ids.unflatten(0, (len(prompts), n))
    for name, setting in DRAWN.items():
        config = GenerationConfig(max_new_tokens=NEW, do_sample=True, seed=0, **setting)
        yield name, sample_many(model, prompts, EACH, config).ids


def measure(
    model: LanguageModel, prompts: Int[Tensor, "B T"], new: Int[Tensor, "B n N"]
) -> Iterator[dict[str, Any]]:
    """A row of numbers for each passage; repetition and surprise are means of its continuations."""
    for prompt, rows in zip(prompts, new, strict=True):
        whole = torch.cat([prompt.expand(len(rows), -1), rows], dim=1)
        nats = surprise(model, whole, len(prompt))
        texts = rows.tolist()
        yield {
            "surprise": nats.mean().item(),
            "repetition": sum(repetition(text, 3) for text in texts) / len(texts),
            "different": distinct_n(texts, 3) if len(texts) > 1 else "",
            "by_token": " ".join(f"{x:.2f}" for x in nats[0].tolist()),
        }


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Write the table when it is complete; the model's own threads are the workers."""
    model, tokenizer = load_pretrained("smollm2-135m-instruct")
    texts, rows = passages(tokenizer), []
    for name, new in continuations(model, texts):
        print(name, flush=True)
        for place, row in enumerate(measure(model, texts[:, :PROMPT], new)):
            rows.append({"decoder": name, "prompt": place, **row})
    write_table(rows, folder / "decoding.csv")
    return rows


def table() -> list[Row]:
    """The committed measurements."""
    return read_table("decoding")
