"""Speculative decoding: guess several tokens cheaply, let the model check all of them at once.

Where reading the weights is what takes the time, a pass over five positions costs hardly more than
one over one. Accepted guesses are then nearly free, and the rule of acceptance keeps the model's
distribution exactly. Sources: Leviathan, Kalman & Matias (2023), algorithm 1; Chen et al. (2023),
who found the same.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.generation.config import GenerationConfig
from lib.generation.drafts import Draft, distribution
from lib.generation.logits import History
from lib.generation.prefill import check_entry, dice, new_cache
from lib.model import LanguageModel
from lib.settings import require, shortened


@dataclass(frozen=True)
class Round:
    """One pass of the model: how many tokens were guessed, how many held, and what was added.

    `tokens` holds the accepted guesses and one token of the model's own, unless the text stopped.
    """

    n_guessed: int
    n_accepted: int
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Speculation:
    """What came out: `ids` holds prompt and continuation; the time is that after round one."""

    ids: Int[Tensor, "1 T"]
    prompt_length: int
    rounds: list[Round]
    decode_seconds: float

    @property
    def new_ids(self) -> Int[Tensor, "1 N"]:
        """The continuation alone."""
        return self.ids[:, self.prompt_length :]

    @property
    def acceptance(self) -> float:
        """Share of the guesses that were looked at and held: an estimate of alpha.

        A guess behind a rejected one is not looked at, whatever it is.
        """
        looked_at = sum(min(r.n_accepted + 1, r.n_guessed) for r in self.rounds)
        return sum(r.n_accepted for r in self.rounds) / looked_at if looked_at else float("nan")

    @property
    def tokens_per_second(self) -> float:
        """Decoding speed, without the first round, whose end the clock starts at."""
        n_tokens = sum(len(r.tokens) for r in self.rounds[1:])
        return n_tokens / self.decode_seconds if n_tokens else float("nan")

    @property
    def tokens_per_pass(self) -> float:
        """New tokens for each pass of the model: 1 without speculation."""
        return sum(len(r.tokens) for r in self.rounds) / len(self.rounds)


def accept(
    p: Float[Tensor, "N1 V"],
    q: Float[Tensor, "N V"],
    guesses: Int[Tensor, "N"],
    generator: torch.Generator | None = None,
) -> tuple[int, int]:
    """How many guesses hold, and the token after them.

    Guess x is accepted with probability min(1, p(x) / q(x)). The first that is not is
    replaced by a draw from max(0, p - q), scaled to 1; if all hold, p's last row gives
    one more. Whatever q is, each token then has the distribution p: it comes with q(x)
    min(1, p(x) / q(x)) = min(p, q) by acceptance, and the draw adds just what is
    missing, p - min(p, q). `p` has one row more than q.
    """
    for i, x in enumerate(guesses.tolist()):
        if torch.rand((), generator=generator, device=p.device) * q[i, x] >= p[i, x]:
            missing = (p[i] - q[i]).clamp(min=0)
            return i, int(torch.multinomial(missing, 1, generator=generator))
    n = len(guesses)
    return n, int(torch.multinomial(p[n], 1, generator=generator))


def expected_tokens(alpha: float | int, n_draft: int) -> float:
    """New tokens to be expected for each pass: (1 - alpha^(n+1)) / (1 - alpha).

    If each of n guesses holds with probability alpha, independently of the others.
    Leviathan et al. (2023), equation 1.
    """
    if alpha == 1:
        return float(n_draft + 1)
    return (1 - alpha ** (n_draft + 1)) / (1 - alpha)


def expected_speedup(
    alpha: float | int,
    n_draft: int,
    draft_cost: float | int,
    check_cost: float | int = 1.0,
) -> float:
    """Times faster than one token for each pass: expected tokens / (n c + check_cost).

    `draft_cost` c is the time of one guess and `check_cost` that of checking n guesses
    and one token more, both in passes over one token. Leviathan et al. (2023), theorem
    3.8, takes check_cost = 1.
    """
    return expected_tokens(alpha, n_draft) / (n_draft * draft_cost + check_cost)


@torch.inference_mode()
def speculative_rounds(
    model: LanguageModel,
    draft: Draft,
    ids: Int[Tensor, "B T"],
    config: GenerationConfig,
    n_draft: int = 4,
) -> Iterator[Round]:
    """Yield round after round: guess, check in one pass, keep what holds.

    Greedy settings are the case where p and q are 1 at one token. Raises ValueError for more than
    one prompt, for a search or Mirostat, or if the context is too short.
    """
    _check(model, draft, ids, config, n_draft)
    generator = dice(config, ids.device)
    prompt = ids.shape[1]
    capacity = prompt + config.max_new_tokens
    cache = new_cache(model, 1, capacity, whole=True)
    if prompt > 1:
        model.hidden(ids[:, :-1], cache=cache)
    draft.begin(prompt, capacity)
    while (left := capacity - ids.shape[1]) > 0:
        history, most = History(ids, prompt), min(n_draft, left - 1)
        guesses, q = draft.propose(history, most, config, generator)
        text = torch.cat([ids, guesses[None]], dim=1)
        logits = model.unembed(model.hidden(text[:, cache.length :], cache=cache)[0])
        p: list[Tensor] = []
        for i, row in enumerate(logits):
            history = History(text[:, : ids.shape[1] + i], prompt, generator=generator)
            p.append(distribution(row[None], config, history))
            if i < len(guesses) and p[i][0, guesses[i]] == 0:
                break  # surely rejected; a grammar could not go on after it
        n_accepted, token = accept(torch.cat(p), q[: len(p)], guesses[: len(p)], generator)
        tokens = (*guesses[:n_accepted].tolist(), token)
        stop = next((i for i, t in enumerate(tokens) if t in config.stop_ids), None)
        tokens = tokens if stop is None else tokens[: stop + 1]
        yield Round(len(guesses), min(n_accepted, len(tokens)), tokens)
        if stop is not None:
            return
        ids = torch.cat([ids, torch.tensor([tokens], device=ids.device)], dim=1)
        cache.truncate(ids.shape[1] - 1)  # all but the last token, which was not read yet


def speculate(
    model: LanguageModel,
    draft: Draft,
    ids: Int[Tensor, "B T"],
    config: GenerationConfig,
    n_draft: int = 4,
) -> Speculation:
    """Continue one prompt by speculative decoding; see `speculative_rounds` for the errors."""
    rounds, times = [], []
    for one in speculative_rounds(model, draft, ids, config, n_draft):
        rounds.append(one)
        times.append(time.perf_counter())
    new = torch.tensor([[t for r in rounds for t in r.tokens]], device=ids.device)
    return Speculation(torch.cat([ids, new], dim=1), ids.shape[1], rounds, times[-1] - times[0])


def _check(
    model: LanguageModel, draft: Draft, ids: Tensor, config: GenerationConfig, n_draft: int
) -> None:
    check_entry(model, ids, config)
    if not isinstance(draft, Draft):
        raise ValueError(f"draft must be a ModelDraft or LookupDraft, got {shortened(draft)}")
    n_vocab = getattr(draft, "vocab_size", model.config.vocab_size)
    if n_vocab != model.config.vocab_size:
        raise ValueError(f"draft and model need one vocabulary, got {n_vocab} tokens")
    if len(ids) != 1:
        raise ValueError(f"speculative decoding takes one prompt, got {len(ids)}")
    require("n_draft", n_draft, "[1, inf)", whole=True)
    others = ("num_beams", "penalty_alpha", "dola_layers", "mirostat_mode", "stop_strings")
    if config.num_beams > 1 or any(getattr(config, name) for name in others[1:]):
        raise ValueError(f"speculative decoding draws or is greedy: leave out {', '.join(others)}")
