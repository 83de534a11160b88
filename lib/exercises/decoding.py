"""Checks of chapter 10, decoding."""

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.checking import Exercise, Mistake
from lib.generation.contrastive import contrastive_scores, degeneration_penalty


def beam_step(
    totals: Float[Tensor, "beams"], log_p: Float[Tensor, "beams V"], k: int
) -> list[tuple[int, int]]:
    """The k best continuations over all beams: (beam, token), best first."""
    best = (totals[:, None] + log_p).flatten().topk(k).indices.tolist()
    return [divmod(i, log_p.shape[1]) for i in best]


def _beam_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    small = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.85, 0.05]]).log()
    return [
        (torch.tensor([0.45, 0.55]).log(), small, 2),
        (-torch.rand(3) * 4, torch.randn(3, 7).log_softmax(-1), 3),
        (-torch.rand(4) * 2, torch.randn(4, 11).log_softmax(-1), 4),
    ]


def _best_of_each_beam(totals: Tensor, log_p: Tensor, k: int) -> list[tuple[int, int]]:
    best = totals + log_p.amax(dim=-1)
    order = best.argsort(descending=True)[:k].tolist()
    return [(i, int(log_p[i].argmax())) for i in order]


check_beam_step = Exercise(
    title="One step of a beam search",
    reference=beam_step,
    cases=_beam_cases,
    mistakes=[
        Mistake(
            lambda totals, log_p, k: beam_step(torch.zeros_like(totals), log_p, k),
            "It ranks the next tokens alone: add what each beam has so far.",
        ),
        Mistake(
            _best_of_each_beam,
            "It takes the best token of each beam. A beam may have several of the k best "
            "continuations, and another none.",
        ),
        Mistake(
            lambda totals, log_p, k: [(t, b) for b, t in beam_step(totals, log_p, k)],
            "The pairs are turned: first the beam, then the token.",
        ),
        Mistake(
            lambda totals, log_p, k: beam_step(totals, log_p, k)[::-1],
            "The worst comes first: sort from the best.",
        ),
    ],
    difficulty=1,
    minutes=10,
)


def winner(texts: list[tuple[float, int]], length_penalty: float) -> int:
    """The index of the text with the highest ln p / length ** length_penalty."""
    scores = [log_p / length**length_penalty for log_p, length in texts]
    return scores.index(max(scores))


def _texts(seed: int) -> list[tuple]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 40, (9,), generator=generator).tolist()
    rate = (1 + torch.rand(9, generator=generator)).tolist()
    texts = [(-r * n, n) for r, n in zip(rate, lengths, strict=True)]
    pair = [(-3.0, 2), (-4.0, 4)]
    likely = [(-2.0, 10), (-3.0, 2)]
    return [(pair, 0.0), (pair, 1.0), (likely, 1.0), (texts, 0.7), (texts, 1.0), (texts, 2.0)]


def _score(texts: list[tuple[float, int]], rule: object) -> int:
    scores = [rule(*text) for text in texts]  # type: ignore[operator]
    return scores.index(max(scores))


check_winner = Exercise(
    title="Which finished text wins?",
    reference=winner,
    cases=_texts,
    mistakes=[
        Mistake(
            lambda texts, length_penalty: _score(texts, lambda p, n: p),
            "It leaves the length out: divide ln p by length ** length_penalty.",
        ),
        Mistake(
            lambda texts, length_penalty: _score(texts, lambda p, n: p * n**length_penalty),
            "It multiplies by the length: divide, so that a longer text is not punished for it.",
        ),
        Mistake(
            lambda texts, length_penalty: _score(texts, lambda p, n: p / n),
            "It always takes the mean per token: the length is raised to length_penalty.",
        ),
        Mistake(
            lambda texts, length_penalty: _score(texts, lambda p, n: -p / n**length_penalty),
            "It takes the lowest score: ln p is negative, and nearer to zero is better.",
        ),
    ],
    difficulty=1,
    minutes=8,
)


def contrastive(
    p: Float[Tensor, "k"],
    candidates: Float[Tensor, "k C"],
    states: Float[Tensor, "T C"],
    alpha: float,
) -> int:
    """The candidate with the highest (1 - alpha) p - alpha max cosine."""
    penalty = degeneration_penalty(states[None], candidates[None])
    return int(contrastive_scores(p[None], penalty, alpha).argmax())


def _contrastive_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    cases = [
        (
            torch.tensor([0.6, 0.3]),
            torch.tensor([[2.0, 0.0], [0.0, 1.0]]),
            torch.tensor([[1.0, 0.1], [3.0, 0.0]]),
            0.6,
        )
    ]
    for k, length, alpha in ((3, 5, 0.3), (4, 6, 0.6), (5, 9, 0.6), (6, 4, 0.8), (8, 12, 0.5)):
        p = torch.randn(k).softmax(-1)
        sizes = 0.2 + 3 * torch.rand(k + length, 1)
        vectors = torch.randn(k + length, 6) * sizes
        cases.append((p, vectors[:k], vectors[k:], alpha))
    return cases


def _contrast(
    p: Tensor, candidates: Tensor, states: Tensor, alpha: float, how: str = "", cosine: bool = True
) -> int:
    if cosine:
        candidates = candidates / candidates.norm(dim=-1, keepdim=True)
        states = states / states.norm(dim=-1, keepdim=True)
    product = candidates @ states.T
    penalty = product.mean(dim=-1) if how == "mean" else product.amax(dim=-1)
    return int(((1 - alpha) * p + (alpha if how == "plus" else -alpha) * penalty).argmax())


check_contrastive = Exercise(
    title="Contrastive choice",
    reference=contrastive,
    cases=_contrastive_cases,
    mistakes=[
        Mistake(
            lambda *a: _contrast(*a, cosine=False),
            "It takes the product of the vectors: a cosine divides by both lengths.",
        ),
        Mistake(
            lambda *a: _contrast(*a, how="mean"),
            "It takes the mean over the text: one state that is alike suffices, so the maximum.",
        ),
        Mistake(
            lambda *a: _contrast(*a, how="plus"),
            "The sign is turned: likeness is a penalty, to be subtracted.",
        ),
        Mistake(
            lambda p, candidates, states, alpha: int(p.argmax()),
            "It takes the most probable candidate: that is greedy decoding.",
        ),
    ],
    difficulty=2,
    minutes=15,
)


def rejection(p: Float[Tensor, "V"], q: Float[Tensor, "V"]) -> tuple[float, Float[Tensor, "V"]]:
    """The probability that a guess from q is accepted, and what is drawn if it is not."""
    missing = (p - q).clamp(min=0)
    return torch.minimum(p, q).sum().item(), missing / missing.sum()


def _rejection_cases(seed: int) -> list[tuple]:
    torch.manual_seed(seed)
    return [
        (torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.1, 0.1, 0.8])),
        (torch.randn(6).softmax(-1), torch.randn(6).softmax(-1)),
        (torch.randn(30).softmax(-1), torch.randn(30).softmax(-1)),
    ]


check_rejection = Exercise(
    title="What follows a rejected guess",
    reference=rejection,
    cases=_rejection_cases,
    mistakes=[
        Mistake(
            lambda p, q: (torch.minimum(p, q).sum().item(), p),
            "It draws from p after a rejection: tokens with p > q would then come too rarely. "
            "Draw what acceptance leaves missing, max(0, p - q), scaled to 1.",
        ),
        Mistake(
            lambda p, q: (torch.minimum(p, q).sum().item(), (p - q).clamp(min=0)),
            "What is missing is not scaled to 1.",
        ),
        Mistake(
            lambda p, q: (
                torch.minimum(p, q).sum().item(),
                (p - q).abs() / (p - q).abs().sum(),
            ),
            "It takes |p - q|: where q is above p nothing is missing, so 0 and not q - p.",
        ),
        Mistake(
            lambda p, q: ((p * (p / q).clamp(max=1)).sum().item(), rejection(p, q)[1]),
            "The guess comes from q: weight min(1, p / q) by q(x), not by p(x).",
        ),
    ],
    difficulty=2,
    minutes=15,
)


def allowed(table: list[list[int]], state: int, tokens: list[bytes]) -> list[int]:
    """The ids of the tokens that the automaton can read from `state`."""
    found = []
    for i, token in enumerate(tokens):
        here = state
        for byte in token:
            here = table[here][byte] if here >= 0 else -1
        if token and here >= 0:
            found.append(i)
    return found


def _table(edges: dict[tuple[int, str], int], n_states: int) -> list[list[int]]:
    table = [[-1] * 256 for _ in range(n_states)]
    for (state, letters), target in edges.items():
        for letter in letters:
            table[state][ord(letter)] = target
    return table


def _allowed_cases(seed: int) -> list[tuple]:
    number = _table({(0, "123456789"): 1, (1, "0123456789"): 1, (1, "."): 2, (2, "05"): 3}, 4)
    tokens = [b"1", b"0", b"10", b"7.", b"7.5", b"7.x1", b".", b"5", b"", b"x", b"1x", b".5", b"00"]
    loop = _table({(0, "a"): 1, (1, "b"): 0, (2, "x"): 2}, 3)  # the last row must not be reached
    words = [b"a", b"ab", b"b", b"ax", b"aba", b"", b"xx", b"ba"]
    more = [token * (seed + 2) for token in words]
    return [(number, 0, tokens), (number, 1, tokens), (number, 2, tokens), (loop, 1, words + more)]


def _first_byte(table: list[list[int]], state: int, tokens: list[bytes]) -> list[int]:
    return [i for i, token in enumerate(tokens) if token and table[state][token[0]] >= 0]


def _through_last_row(table: list[list[int]], state: int, tokens: list[bytes]) -> list[int]:
    found = []
    for i, token in enumerate(tokens):
        here = state
        for byte in token:
            here = table[here][byte]
        if token and here >= 0:
            found.append(i)
    return found


def _with_empty(table: list[list[int]], state: int, tokens: list[bytes]) -> list[int]:
    return sorted(
        allowed(table, state, tokens) + [i for i, token in enumerate(tokens) if not token]
    )


check_allowed = Exercise(
    title="Which tokens does a grammar allow?",
    reference=allowed,
    cases=_allowed_cases,
    mistakes=[
        Mistake(_first_byte, "It looks at the first byte alone: all bytes must be readable."),
        Mistake(
            _through_last_row,
            "After -1 it reads on: as an index, -1 is the last row. Stop there.",
        ),
        Mistake(_with_empty, "An empty token is let through: it would never get anywhere."),
        Mistake(
            lambda table, state, tokens: allowed(table, 0, tokens),
            "It always begins in state 0: begin in `state`.",
        ),
    ],
    difficulty=2,
    minutes=15,
)
