"""Sums of two digits, answered many times: when does a vote beat one greedy answer?

Each problem is answered 24 times at each temperature and seed. The answers have two digits, so the
model's whole distribution over them can be had too: what a vote of endless draws would elect. The
table is made by `python -m lib.experiments voting`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.display import PALETTE, band
from lib.experiments.tables import DATA, Row, read_table, write_table
from lib.generation.config import GenerationConfig
from lib.generation.decode import generate
from lib.generation.voting import best_of_n, majority_vote, pass_at_n, sample_many
from lib.model import LanguageModel
from lib.pretrained import load_pretrained
from lib.tokenization import BPETokenizer

if TYPE_CHECKING:  # matplotlib is imported by those who draw
    from matplotlib.figure import Figure

SHOWN = "Question: 8 + 3 = Answer: 11\nQuestion: 4 + 9 = Answer: 13\n"
PROBLEMS = [(a, b) for a in range(2, 10) for b in range(2, 10) if a + b > 9]
DRAWS, SIZES = 24, (1, 3, 6, 12, 24)
TEMPERATURES, SEEDS = (0.3, 0.6, 1.0, 1.5), (0, 1, 2)


def prompts(
    tokenizer: BPETokenizer, problems: Sequence[tuple[int, int]] = PROBLEMS
) -> Int[Tensor, "B T"]:
    """Two solved sums, then the question; all equally long."""
    texts = [f"{SHOWN}Question: {a} + {b} = Answer:" for a, b in problems]
    return torch.tensor([tokenizer.encode(text) for text in texts])


def number(tokenizer: BPETokenizer, ids: Sequence[int]) -> int | None:
    """The number on the first line of an answer; None if there is something else."""
    text = tokenizer.decode(list(ids)).split("\n")[0].strip()
    return int(text) if text.isascii() and text.isdigit() else None


def share_solved(
    answers: Sequence[int | None], surprise: Sequence[float], right: int, n: int
) -> dict[str, float]:
    """How often groups of n answers to one problem lead to the right one, by three ways to choose.

    `surprise` (nats) is that of each answer; the verifier's share is over all groups of that size.
    """
    hits = {"vote": 0, "likeliest": 0}
    starts = range(0, len(answers) - n + 1, n)
    for i in starts:
        group = list(zip(answers, surprise, strict=True))[i : i + n]
        given = [answer for answer, _ in group if answer is not None]
        hits["vote"] += bool(given) and majority_vote(given) == right
        hits["likeliest"] += best_of_n(group, lambda drawn: -drawn[1])[0] == right
    share = {way: count / len(starts) for way, count in hits.items()}
    return {**share, "verifier": pass_at_n(list(answers).count(right), len(answers), n)}


@torch.inference_mode()
def two_digits(
    model: LanguageModel, tokenizer: BPETokenizer, ids: Int[Tensor, "1 T"], temperature: float
) -> Float[Tensor, "100"]:
    """The probability of each answer from 00 to 99, when each token is drawn at a temperature."""
    space, *digits = (tokenizer.encode(text)[0] for text in (" ", *"0123456789"))
    first = torch.tensor(digits)[:, None]
    rows = torch.cat([ids.expand(10, -1), torch.full((10, 1), space), first], dim=1)
    logits = model.unembed(model.hidden(rows)[:, -3:]) / temperature
    log_p = logits.log_softmax(dim=-1)
    before = log_p[0, 0, space] + log_p[0, 1, digits]  # the same in all rows
    return (before[:, None] + log_p[:, 2, digits]).flatten().exp()


def run(folder: Path = DATA, workers: int = 1) -> list[Row]:
    """Write the table when it is complete; the model's own threads are the workers."""
    model, tokenizer = load_pretrained("smollm2-135m-instruct")
    asked, rows = prompts(tokenizer), []
    right = [a + b for a, b in PROBLEMS]
    greedy = generate(model, asked, GenerationConfig(max_new_tokens=3)).new_ids.tolist()
    first = [number(tokenizer, ids) == r for ids, r in zip(greedy, right, strict=True)]
    for temperature in TEMPERATURES:
        whole = [two_digits(model, tokenizer, ids[None], temperature) for ids in asked]
        elected = [int(p.argmax()) == r for p, r in zip(whole, right, strict=True)]
        means = {"greedy": sum(first) / len(first), "endless": sum(elected) / len(elected)}
        for seed in SEEDS:
            print(f"temperature {temperature}, seed {seed}", flush=True)
            answers, nats = [], []
            for place, few in enumerate(asked.split(3)):
                config = GenerationConfig(
                    max_new_tokens=3, do_sample=True, temperature=temperature,
                    seed=1000 * seed + place,
                )  # fmt: skip
                drawn = sample_many(model, few, DRAWS, config)
                answers += [[number(tokenizer, ids) for ids in row] for row in drawn.ids.tolist()]
                nats += drawn.surprise.sum(dim=-1).tolist()
            for n in SIZES:
                each = [
                    share_solved(a, s, r, n) for a, s, r in zip(answers, nats, right, strict=True)
                ]
                shares = {way: sum(e[way] for e in each) / len(each) for way in each[0]}
                rows.append(
                    {"temperature": temperature, "seed": seed, "draws": n, **shares, **means}
                )
    write_table(rows, folder / "voting.csv")
    return rows


def table() -> list[Row]:
    """The committed measurements: shares of the problems that are solved."""
    return read_table("voting")


def figure() -> "Figure":
    """Share solved over the number of draws at each temperature; greedy and endless as lines."""
    from matplotlib import pyplot as plt

    rows = table()
    drawing, axes = plt.subplots(1, len(TEMPERATURES), figsize=(6, 2.8), sharey=True)
    for ax, temperature in zip(axes, TEMPERATURES, strict=True):
        here = [row for row in rows if row["temperature"] == temperature]
        for way, color in (("verifier", "green"), ("vote", "blue"), ("likeliest", "orange")):
            values = [[row[way] for row in here if row["draws"] == n] for n in SIZES]
            low, mean, high = (
                [f(v) for v in values] for f in (min, lambda v: sum(v) / len(v), max)
            )
            band(ax, SIZES, low, mean, high, PALETTE[color], label=way)
        ax.axhline(here[0]["greedy"], color="black", linestyle=":", linewidth=1)
        ax.set(xscale="log", ylim=(0, 1.02), title=f"T = {temperature:g}", xlabel="draws")
        ax.set_xticks(SIZES, map(str, SIZES))
    axes[0].set_ylabel("share of problems solved")
    axes[0].legend(fontsize=7, loc="lower right")
    drawing.suptitle("A vote comes up to greedy decoding (dotted), not past it", x=0, ha="left")
    return drawing
