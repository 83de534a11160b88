"""Capstone of chapter 10: the reader's own beam search continues a prompt."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lib.display import claim
from lib.exercises.capstones_generation import PROMPT
from lib.exercises.checking import Exercise
from lib.generation import GenerationConfig, generate
from lib.pretrained import load_pretrained

NextLogP = Callable[[list[int]], Tensor]
Found = list[tuple[float, list[int]]]


def _best(found: Found, k: int) -> Found:
    return sorted(found, key=lambda beam: -beam[0])[:k]


def _best_of_each(found: Found, k: int, n: int, each: int) -> Found:
    """The k best, where each beam, of which `n` stand in a row, goes on with its `each` best."""
    rows = [found[i : i + n] for i in range(0, len(found), n)]
    return _best([beam for row in rows for beam in _best(row, each)], k)


def beam(
    next_log_p: NextLogP,
    prompt: list[int],
    k: int,
    steps: int,
    *,
    kept: Callable = lambda found, k, n: _best(found, k),
    read: Callable = lambda ids, prompt: ids,
    total: Callable = lambda before, now: before + now,
    result: Callable = lambda best, prompt: best[0][1],
) -> list[int] | Any:
    """The text of the highest ln p that a search with k beams finds, the prompt in front."""
    beams = [(0.0, list(prompt))]
    for _ in range(steps):
        found = []
        for before, ids in beams:
            log_p = next_log_p(read(ids, prompt)).tolist()
            found += [(total(before, now), [*ids, i]) for i, now in enumerate(log_p)]
        beams = kept(found, k, len(log_p))
    return result(beams, prompt)


def _chain(seed: int, size: int) -> NextLogP:
    """A made-up language in which the next token depends on the last two."""
    generator = torch.Generator().manual_seed(seed)
    table = (2 * torch.randn(size, size, size, generator=generator)).log_softmax(-1)
    return lambda ids: table[ids[-2], ids[-1]]


def search(my_beam: Callable, steps: int = 8) -> None:
    """Search SmolLM2's continuations greedily and with four beams, and compare their ln p."""
    model, tokenizer = load_pretrained("smollm2-135m-instruct", dtype=torch.float32)

    @torch.inference_mode()
    def next_log_p(ids: list[int]) -> Tensor:
        return model(torch.tensor([ids]))[0, -1].float().log_softmax(-1)

    def log_p(ids: list[int]) -> float:
        return sum(next_log_p(ids[:i])[ids[i]].item() for i in range(len(prompt), len(ids)))

    prompt = tokenizer.encode(PROMPT)
    found = {k: list(my_beam(next_log_p, prompt, k, steps)) for k in (1, 4)}
    scores = {k: log_p(ids) for k, ids in found.items()}
    for k, ids in found.items():
        print(f"{k} beams, ln p {scores[k]:.2f}: {tokenizer.decode(ids[len(prompt) :])!r}")
    greedy = generate(model, torch.tensor([prompt]), GenerationConfig(max_new_tokens=steps))
    claim("one beam is greedy decoding", found[1] == greedy.ids[0].tolist())
    claim("on this prompt four beams find a text at least as probable", scores[4] >= scores[1])


check_my_beam = Exercise(
    title="Your own beam search",
    reference=beam,
    cases=lambda seed: [
        (_chain(10 * seed + i, size), [0, 1], k, steps)
        for i, (size, k, steps) in enumerate([(3, 1, 2), (4, 2, 4), (5, 3, 6)] + 9 * [(8, 3, 5)])
    ],
    switches={
        "kept": {
            lambda found, k, n: _best(found, 1): "One beam is kept: keep the k best after each "
            "step.",
            lambda found, k, n: _best(found, k + 1): "One beam too many is kept.",
            lambda found, k, n: _best(found, len(found))[-k:]: "The worst are kept.",
            lambda found, k, n: _best(found, len(found))[::-1][:k]: "The worst are kept.",
            lambda found, k, n: _best(found[-n:], k): "The last beam alone goes on: collect the "
            "continuations of all.",
            lambda found, k, n: _best_of_each(found, k, n, 1 if len(found) > n else k): (
                "Each beam goes on with its best token alone: keep the k best over all."
            ),
            lambda found, k, n: _best_of_each(found, k, n, 2): (
                "Two tokens of each beam are looked at: all k best may come from one."
            ),
        },
        "read": {
            lambda ids, prompt: prompt: "It always asks what follows the prompt: ask what follows "
            "each beam.",
        },
        "total": {
            lambda before, now: now: "Each step ranks the next tokens alone: add what a beam has.",
            lambda before, now: before * now if before else now: "It multiplies ln p: add it.",
            lambda before, now: before - now: "ln p is subtracted: add it.",
            lambda before, now: before + math.exp(now): "Probabilities are added: add ln p.",
            lambda before, now: (before + now) / 2: "It takes means of means: add ln p.",
        },
        "result": {
            lambda best, prompt: best[-1][1]: "The worst of the beams is returned: give the best.",
            lambda best, prompt: best[0][1][len(prompt):]: "The prompt is missing in front.",
            lambda best, prompt: best[0]: "The sum is returned too: give the ids alone.",
            lambda best, prompt: [ids for _, ids in best]: "All beams are returned: give the best.",
        },
    },
    difficulty=3,
    minutes=30,
    result=search,
)  # fmt: skip
