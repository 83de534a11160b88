"""Checks of chapter 10 on beams: one step of the search, and which finished text wins."""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Probe


def beam_step(
    totals: Float[Tensor, "beams"],
    log_p: Float[Tensor, "beams V"],
    k: int,
    *,
    score: Callable = lambda t, q: t[:, None] + q,
    width: Callable = lambda q, k: q.shape[1],
    choice: Callable = lambda table, k: table.flatten().topk(k),
    result: Callable | None = None,
) -> list[tuple[int, int]] | Any:
    """The k best continuations over all beams: (beam, token), best first."""
    table = score(totals, log_p)
    best = choice(table, k)
    if isinstance(best, list):
        return best
    pairs = [divmod(i, width(log_p, k)) for i in best.indices.tolist()]
    return pairs if result is None else result(pairs, best)


def _beam_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    small = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.85, 0.05]]).log()
    return [
        (torch.tensor([0.45, 0.55]).log(), small, 2),
        (-torch.rand(3) * 4, torch.randn(3, 7).log_softmax(-1), 3),
        (-torch.rand(4) * 2, torch.randn(4, 11).log_softmax(-1), 5),
        (-torch.rand(3), torch.randn(3, 5).log_softmax(-1), 6),
        (-torch.rand(5) * 2, (2 * torch.randn(5, 5)).log_softmax(-1), 4),
    ]


def _each_beam(table: Tensor, k: int, each: int) -> list[tuple[int, int]]:
    """The `each` best tokens of every beam, in order of the beams."""
    best = table.topk(min(each, table.shape[1]), dim=1).indices.tolist()
    return [(beam, token) for beam, tokens in enumerate(best) for token in tokens]


def _ranked(table: Tensor, pairs: list[tuple[int, int]], k: int) -> list[tuple[int, int]]:
    return sorted(pairs, key=lambda pair: -table[pair].item())[:k]


TOTALS = "add what each beam has so far."

check_beam_step = Exercise(
    title="One step of a beam search",
    reference=beam_step,
    cases=_beam_cases,
    switches={
        "score": {
            lambda t, q: q: f"It ranks the next tokens alone: {TOTALS}",
            lambda t, q: t[:, None] * q: "It multiplies: logarithms of probabilities are added.",
            lambda t, q: q - t[:, None]: "It subtracts the totals: add them.",
            lambda t, q: t[:, None] + q.exp(): "It adds a probability to a logarithm: add ln p.",
            lambda t, q: t.exp()[:, None] * q: "It multiplies a probability with a logarithm.",
            lambda t, q: t.softmax(0)[:, None] + q: "It takes a softmax over the totals: add them "
            "as they are.",
            lambda t, q: t[None, : q.shape[1]] + q: "The totals run along the vocabulary: each "
            "belongs to a beam, a row. Write totals[:, None].",
            lambda t, q: t[:, None] / 2 + q: "The totals count half: add them as they are.",
            lambda t, q: t[:, None] + q - q.amax(1, keepdim=True): "Each beam's largest ln p is "
            "subtracted, so that the beams cannot be compared.",
            lambda t, q: -(t[:, None] + q): "It takes the least probable: the largest sum is best.",
            lambda t, q: (t[:, None] + q).where((t == t.max())[:, None], -math.inf): (
                "It continues one beam alone: look at all."
            ),
        },
        "width": {
            lambda q, k: k: "It divides the index by k: divide by the size of the vocabulary.",
            lambda q, k: len(q): "It divides the index by the number of beams: divide by the size "
            "of the vocabulary.",
            lambda q, k: q.shape[1] - 1: "It divides by V - 1: divide by the vocabulary's size V.",
        },
        "choice": {
            lambda s, k: _ranked(s, _each_beam(s, k, 1), k): (
                "It takes the best token of each beam. A beam may have several of the k best "
                "continuations, and another none."
            ),
            lambda s, k: [
                (int(s[:, v].argmax()), v) for v in s.amax(0).topk(min(k, s.shape[1])).indices
            ]: "A token is taken once, from its best beam: it may follow several beams.",
            lambda s, k: _each_beam(s, k, k): "It takes k tokens of each beam: k over all beams "
            "are asked for.",
            lambda s, k: _each_beam(s, k, k)[:k]: "The first beam's best k fill the list: the k "
            "best over all beams are asked for.",
            lambda s, k: [
                divmod(i, s.shape[1]) for i in s.T.flatten().topk(k).indices.tolist()
            ]: "The table is flattened column by column, but read row by row.",
            lambda s, k: s.flatten().topk(1): "It returns one continuation: k are asked for.",
            lambda s, k: s.flatten().topk(min(k + 1, s.numel())): "It returns one too many.",
            lambda s, k: s.flatten().topk(k - 1): "It returns one too few: k are asked for.",
            lambda s, k: s.flatten().topk(len(s)): "It returns one for each beam: k are asked for.",
        },
        "result": {
            lambda pairs, best: [(b, a) for a, b in pairs]: (
                "The pairs are turned: first the beam, then the token."
            ),
            lambda pairs, best: pairs[::-1]: "The worst comes first: sort from the best.",
            lambda pairs, best: sorted(pairs): "They come in order of the beams: best first.",
            lambda pairs, best: best.indices.tolist(): "Indices of the flattened table are "
            "returned: divide by the vocabulary's size.",
            lambda pairs, best: best.values.tolist(): "Sums are returned: return their places.",
            lambda pairs, best: [(a, b + 1) for a, b in pairs]: "Tokens count from 0.",
            lambda pairs, best: [b for _, b in pairs]: "The beams are missing: return pairs.",
            lambda pairs, best: [a for a, _ in pairs]: "The tokens are missing: return pairs.",
            lambda pairs, best: [
                (*pair, value) for pair, value in zip(pairs, best.values.tolist(), strict=True)
            ]: "The sums are returned too: return pairs (beam, token).",
        },
    },
    probes=[
        Probe(
            "Probabilities of long texts become 0 in floating point: add logarithms.",
            (
                torch.tensor([-200.0, -201.0]),
                torch.tensor([[0.1, 0.2, 0.7], [0.05, 0.9, 0.05]]).log(),
                3,
            ),
            alone=True,
        )
    ],
    difficulty=1,
    minutes=10,
)


def winner(
    texts: list[tuple[float, int]],
    length_penalty: float,
    *,
    score: Callable = lambda p, n, a: p / n**a,
    pick: Callable = max,
    result: Callable | None = None,
) -> int | Any:
    """The index of the text with the highest ln p / length ** length_penalty."""
    scores = [score(log_p, length, length_penalty) for log_p, length in texts]
    best = scores.index(pick(scores))
    return best if result is None else result(best, scores, texts)


def _texts(seed: int) -> list[tuple]:
    generator = torch.Generator().manual_seed(seed)
    pair, likely = [(-3.0, 2), (-4.0, 4)], [(-2.0, 10), (-3.0, 2)]
    equal = [(-9.0, 3), (-2.0, 5), (-2.0, 2), (-2.0, 7)]
    third = [(-0.3, 5), (-1.6, 1), (-4.0, 100)]  # ln p and p are best elsewhere
    cases = [(pair, 0.0), (pair, 1.0), (likely, 1.0), (pair[::-1], 0.0), (equal, 0.0), (third, 1.0)]
    for power in (0.3, 0.7, 1.0, 1.5, 2.0, -0.5, 0.5, 0.9):
        lengths = torch.randint(1, 30, (12,), generator=generator).tolist()
        rates = torch.rand(12, generator=generator).tolist()
        # scores that lie close together, so that each change of the formula changes the winner
        both = list(zip(rates, lengths, strict=True))
        cases.append(([(-(n**power) * (2 + r / 4), n) for r, n in both], power))
        cases.append(([(-6 * r - 0.1, n) for r, n in both], power))
    return cases


DIVIDE = "divide ln p by length ** length_penalty."

check_winner = Exercise(
    title="Which finished text wins?",
    reference=winner,
    cases=_texts,
    switches={
        "score": {
            lambda p, n, a: p: f"It leaves the length out: {DIVIDE}",
            lambda p, n, a: p * n**a: (
                "It multiplies by the length: divide, so that a longer text is not punished for it."
            ),
            lambda p, n, a: p / n: (
                "It always takes the mean per token: the length is raised to length_penalty."
            ),
            lambda p, n, a: p / (n * a) if a else p: f"It divides by length times it: {DIVIDE}",
            lambda p, n, a: p - a * n: f"It subtracts the penalty for each token: {DIVIDE}",
            lambda p, n, a: p + a * n: f"It adds the penalty for each token: {DIVIDE}",
            lambda p, n, a: p / a**n if a else p: f"It raises it to the length: {DIVIDE}",
            lambda p, n, a: p / (n + a): f"It adds it to the length: {DIVIDE}",
            lambda p, n, a: p / n ** int(a): "It cuts length_penalty to a whole number.",
            lambda p, n, a: abs(p) / n**a: "The sign of ln p is lost.",
            lambda p, n, a: p / ((5 + n) / 6) ** a: f"This is Google's ((5 + n) / 6): {DIVIDE}",
            lambda p, n, a: p / (n + 1) ** a: f"It counts one token more: {DIVIDE}",
            lambda p, n, a: p / max(n - 1, 1) ** a: f"It counts one token less: {DIVIDE}",
            lambda p, n, a: math.exp(p) / n**a: "It takes p: the score is of ln p.",
            lambda p, n, a: math.exp(p) * n**a: "It takes p for ln p, and multiplies.",
            lambda p, n, a: n: "The longest wins: ln p is not used.",
            lambda p, n, a: -n: "The shortest wins: ln p is not used.",
            lambda p, n, a: p / (1 + math.log(n)) ** a: f"It takes ln of the length: {DIVIDE}",
            lambda p, n, a: p / max(math.log(n), 1e-9) ** a: f"It takes ln of the length: {DIVIDE}",
            lambda p, n, a: p / n ** (1 / a) if a else p: f"The exponent is upside down: {DIVIDE}",
            lambda p, n, a: -(abs(p / n) ** a): "It raises or multiplies the mean per token by "
            "length_penalty: raise the length alone.",
        },
        "pick": {min: "It takes the lowest score: ln p is negative, and nearer to zero is better."},
        "result": {
            lambda best, scores, texts: scores[best]: "The score is returned: give its index.",
            lambda best, scores, texts: texts[best]: "The text is returned: give its index.",
            lambda best, scores, texts: max((s, i) for i, s in enumerate(scores))[1]: (
                "Between equal scores it takes the last: the first is asked for."
            ),
            lambda best, scores, texts: max((s, -texts[i][1], i) for i, s in enumerate(scores))[
                2
            ]: "Between equal scores it takes the shortest: the first is asked for.",
            lambda best, scores, texts: best + 1: "It counts from 1: the first index is 0.",
            lambda best, scores, texts: sorted(range(len(scores)), key=lambda i: -scores[i]): (
                "All indices are returned in order: give the best alone."
            ),
        },
    },
    difficulty=1,
    minutes=8,
)
