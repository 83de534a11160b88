"""Decoders compared on the same prompts: how probable, how repetitive, how varied?

Passages of English of which the model reads the beginning; the original goes along as a decoder
called "human". The table is made by `python -m lib.experiments decoding`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int
from torch import Tensor

from lib import corpora
from lib.display import GRAY, PALETTE, mean_and_error
from lib.experiments.tables import DATA, Row, read_table, write_table
from lib.generation.config import GenerationConfig
from lib.generation.decode import generate
from lib.generation.measures import distinct_n, repetition, surprise
from lib.generation.voting import sample_many
from lib.model import LanguageModel
from lib.pretrained import load_pretrained
from lib.tokenization import BPETokenizer

if TYPE_CHECKING:  # matplotlib is imported by those who draw
    from matplotlib.figure import Figure

Tree = Mapping[str, tuple[float, Mapping[str, float]]]  # a word: its p, the words after it
PROMPT, NEW, N_PROMPTS, EACH = 32, 32, 12, 3  # tokens read, tokens written, passages, continuations

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
    "DoLa high alone": {"dola_layers": "high"},
    "DoLa high": {"dola_layers": "high", "repetition_penalty": 1.2},  # as its authors recommend
    "DoLa low": {"dola_layers": "low", "repetition_penalty": 1.2},
}
# Of labels that would cover each other: points right and up of their dots.
PLACES = {
    "top_k 50": (-5, 6), "epsilon 0.001": (5, 6), "top_p 0.9": (5, -9), "greedy": (-5, 3),
    "repetition penalty 1.2": (-6, -3), "contrastive search": (5, -10),
    "sampling": (-5, -10), "human": (-5, 5),
}  # fmt: skip
CROWDED = {
    "greedy": (5, 16), "top_k 50": (5, 16), "temperature 0.7": (-5, 1),
    "contrastive search": (5, -8), "repetition penalty 1.2": (-6, -7),
}  # fmt: skip


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
    """A row of numbers for each passage; repetition and
    surprise are means of its continuations.
    """
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


def values(decoder: str, what: str) -> list[float]:
    """A column of the table for one decoder, a number for each passage; empty where it has none."""
    rows = [row[what] for row in table() if row["decoder"] == decoder]
    return [] if "" in rows else [float(value) for value in rows]


def draw_tree(tree: Tree, greedy: tuple[str, str], best: tuple[str, str]) -> "Figure":
    """A tree of two words: the lines are as thick as the text so far is probable."""
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots(figsize=(6, 3.2))
    for i, (first, (p, after)) in enumerate(tree.items()):
        color = {greedy[0]: PALETTE["orange"], best[0]: PALETTE["blue"]}.get(first, GRAY)
        ax.plot([0, 1], [0, 1 - i], "-", color=color, linewidth=8 * p)
        ax.text(1.03, 1 - i, f"{first} {p:.1f}", va="center")
        for j, (second, q) in enumerate(after.items()):
            end = 1 - i + 0.3 * (1 - j)
            chosen = {greedy: "greedy", best: "best"}.get((first, second), "")
            line = color if chosen else "#9A9A9A"
            ax.plot([1.45, 2.4], [1 - i, end], "-", color=line, linewidth=0.7 + 8 * p * q)
            label = f"{second} {q:.2f}   p = {p * q:.2f}   {chosen}"
            ax.text(2.45, end, label, va="center", fontsize=9)
    ax.text(-0.05, 0, "The", va="center", ha="right")
    ax.set(xlim=(-0.3, 3.5), title="The better text hides behind the less probable word")
    ax.axis("off")
    return figure


def draw_traces(names: tuple[str, ...] = ("human", "beam search 3", "sampling")) -> "Figure":
    """The surprise of each token of the first passage, after Holtzman et al. (2020), figure 2."""
    from matplotlib import pyplot as plt

    first = {row["decoder"]: row["by_token"] for row in table() if row["prompt"] == 0}
    figure, axes = plt.subplots(len(names), 1, figsize=(6, 4.2), sharex=True, sharey=True)
    for ax, name, color in zip(axes, names, ("black", "orange", "blue"), strict=True):
        nats = [float(x) for x in first[name].split()]
        ax.fill_between(range(1, NEW + 1), nats, color=PALETTE[color], alpha=0.7, step="mid")
        ax.text(NEW, 12, name, ha="right", va="top")
        ax.set_ylabel("nats")
    axes[-1].set_xlabel("token of the continuation")
    figure.suptitle("Human text keeps surprising; a search avoids surprise", x=0, ha="left")
    return figure


def draw_decoders(what: str, label: str, title: str) -> "Figure":
    """One dot for each decoder, with standard errors: `what` over surprise."""
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots(figsize=(6, 3.8))
    for name in dict.fromkeys(row["decoder"] for row in table()):
        x, _ = mean_and_error(values(name, "surprise"))
        if not values(name, what):
            if name == "human":
                ax.axvline(x, color="black", linestyle=":")
                ax.text(x, 0.3, "human ", ha="right", fontsize=8)
            continue
        y, error = mean_and_error(values(name, what))
        ax.errorbar(x, y, error, fmt="o", color=PALETTE["black" if name == "human" else "blue"])
        dx, dy = (PLACES | (CROWDED if what == "repetition" else {})).get(name, (5, 4))
        place = {"xytext": (dx, dy), "textcoords": "offset points"}
        ax.annotate(name, (x, y), ha="left" if dx > 0 else "right", fontsize=8, **place)
    ax.set(xlabel="mean surprise (nats)", ylabel=label, title=title)
    return figure
