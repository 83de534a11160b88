"""Beam search: keep the few most probable beginnings of a text, and continue all of them.

Greedy decoding commits itself at every token. Beam search keeps `num_beams` hypotheses, extends
each by every token of the vocabulary, and keeps the best of all these. Sources: Lowerre (1976) for
the search; Wu et al. (2016), section 7, for the length penalty (here transformers' simpler one);
Vijayakumar et al. (2018), algorithm 1, for groups that are pushed apart. Equal to transformers 5 in
sequences and scores.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.generation.config import GenerationConfig
from lib.generation.logits import History, checked
from lib.generation.prefill import check_entry, read_prompts
from lib.model import LanguageModel
from lib.model.inputs import PaddingMask


@dataclass(frozen=True)
class Hypothesis:
    """A finished continuation (the stop token included), ln p of it, and ln p over its length."""

    ids: tuple[int, ...]
    log_p: float
    score: float  # log_p / length ** length_penalty


@dataclass(frozen=True)
class Candidate:
    """One way to go on: beam `parent` continued by `token`, with ln p of the whole continuation."""

    parent: int  # among the beams before this step
    token: int
    log_p: float  # with diversity penalties, if there are groups
    fate: Literal["runs", "finished", "dropped"]
    beam: int | None = None  # which beam it becomes, if it runs

    def moved(self, start: int) -> "Candidate":
        """The same with beams counted from `start`: from within a group to all beams."""
        beam = None if self.beam is None else self.beam + start
        return replace(self, parent=self.parent + start, beam=beam)


@dataclass
class Group:
    """The finished hypotheses of one prompt and one group of beams, best first."""

    finished: list[Hypothesis] = field(default_factory=list)
    done: bool = False

    def add(self, hypothesis: Hypothesis, size: int) -> None:
        """Keep it if it is among the best `size`."""
        self.finished.append(hypothesis)
        self.finished.sort(key=lambda h: -h.score)
        del self.finished[size:]


@dataclass(frozen=True)
class BeamStep:
    """The search after one step: what runs on, which candidates there were, what has finished."""

    ids: Int[Tensor, "B beams T"]  # prompt and continuation
    log_p: Float[Tensor, "B beams"]
    candidates: list[list[Candidate]]  # for each prompt
    groups: list[list[Group]]  # for each prompt

    def best(self, row: int) -> list[Hypothesis]:
        """The finished hypotheses of a prompt over all groups, best first."""
        return sorted((h for g in self.groups[row] for h in g.finished), key=lambda h: -h.score)


def step_log_p(
    logits: Float[Tensor, "R V"], config: GenerationConfig, history: History
) -> Float[Tensor, "R V"]:
    """ln p of every next token, then penalties and constraints. Raises ValueError for NaN."""
    return checked(config.process(checked(logits.float().log_softmax(dim=-1)), history))


def push_apart(
    log_p: Float[Tensor, "beams V"], taken: list[int], penalty: float | int
) -> Float[Tensor, "beams V"]:
    """Subtract `penalty` for each time that earlier groups took a token at this step.

    The Hamming diversity of Vijayakumar et al. (2018), section 4.
    """
    if not taken:
        return log_p
    taken_ids = torch.tensor(taken, device=log_p.device)
    times = torch.bincount(taken_ids, minlength=log_p.shape[-1])
    return log_p - penalty * times.to(log_p.dtype)


def rank(log_p: Float[Tensor, "beams V"], n: int) -> list[tuple[int, int, float]]:
    """The n best continuations over all beams of a group:
    (parent, token, ln p), best first.

    Impossible ones (at -inf) are left out.
    """
    values, indices = log_p.flatten().topk(min(n, log_p.numel()))
    found = zip(values.tolist(), indices.tolist(), strict=True)
    width = log_p.shape[-1]
    return [(*divmod(i, width), value) for value, i in found if value > -math.inf]


def sort_out(
    ranked: list[tuple[int, int, float]],
    before: list[tuple[int, ...]],
    group: Group,
    config: GenerationConfig,
) -> list[Candidate]:
    """Decide each candidate's fate: run on, be finished, or be dropped. Fills `group`.

    A candidate that ends counts only among the best `size`; the best `size` others run
    on, so that the search never has fewer beams. `before` holds the continuation of
    each beam.
    """
    size, length = config.num_beams // config.num_beam_groups, len(before[0]) + 1
    candidates, n_running = [], 0
    for place, (parent, token, log_p) in enumerate(ranked):
        stops, fate, beam = token in config.stop_ids, "dropped", None
        if (stops or length == config.max_new_tokens) and place < size:
            fate = "finished"
            if not group.done:
                score = log_p / length**config.length_penalty
                group.add(Hypothesis((*before[parent], token), log_p, score), size)
        elif not stops and n_running < size:
            fate, beam, n_running = "runs", n_running, n_running + 1
        candidates.append(Candidate(parent, token, log_p, fate, beam))
    return candidates


def is_done(
    group: Group,
    best_running: float | int,
    length: int,
    config: GenerationConfig,
) -> bool:
    """Whether no running beam can, or is thought to, replace a finished hypothesis.

    `early_stopping`: True stops when enough are finished. "never" asks for the best
    that a running beam could still reach: ln p can only fall, but a longer text divides
    it by more. False takes the present length for that (a heuristic, the default of
    transformers).
    """
    size = config.num_beams // config.num_beam_groups
    if group.done or len(group.finished) < size:
        return group.done
    if config.early_stopping is True:
        return True
    if config.early_stopping == "never" and config.length_penalty > 0:
        length = config.max_new_tokens
    return best_running / length**config.length_penalty <= group.finished[-1].score


def extend(
    log_p: Float[Tensor, "beams V"],
    before: list[tuple[int, ...]],
    groups: list[Group],
    config: GenerationConfig,
) -> list[Candidate]:
    """One step of one prompt, group by group; `log_p` is that of the whole continuations.

    Raises ValueError if nothing may follow and nothing has finished.
    """
    size, found = config.num_beams // config.num_beam_groups, []
    n_wanted = size * max(2, 1 + len(config.stop_ids))  # at least `size` of them do not stop
    taken: list[int] = []
    for g, group in enumerate(groups):
        start = g * size
        own = push_apart(log_p[start : start + size], taken, config.diversity_penalty)
        candidates = sort_out(rank(own, n_wanted), before[start : start + size], group, config)
        running = [c for c in candidates if c.fate == "runs"]
        if not running and not group.finished:
            raise ValueError("all that could follow is forbidden: no token is left to choose")
        if not group.done:
            taken += [c.token for c in candidates if c.token not in config.stop_ids][:size]
        best = running[0].log_p if running else -math.inf
        group.done = is_done(group, best, len(before[0]) + 1, config)
        found += [c.moved(start) for c in candidates]
    return found


@torch.inference_mode()
def beam_steps(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    config: GenerationConfig,
    attention_mask: PaddingMask | None = None,
) -> Iterator[BeamStep]:
    """Yield the search after every step, until all prompts are done.

    All beams of all prompts are rows of one batch; after a step the cache's rows are reordered, so
    that each beam continues its parent. Raises ValueError if the context is too short, if a logit
    is NaN, or if nothing may follow.
    """
    attention_mask = check_entry(model, ids, config, attention_mask)
    shape, prompt = (len(ids), config.num_beams), ids.shape[1]
    hidden, cache = read_prompts(model, ids, attention_mask, shape[1], config.max_new_tokens)
    logits = model.unembed(hidden[:, -1]).repeat_interleave(shape[1], dim=0)
    rows = ids.repeat_interleave(shape[1], dim=0)
    if attention_mask is not None:
        attention_mask = attention_mask.repeat_interleave(shape[1], dim=0)
    log_p = torch.full(shape, -math.inf, device=ids.device)
    log_p[:, :: shape[1] // config.num_beam_groups] = 0  # all beams are the same: count one
    groups = [[Group() for _ in range(config.num_beam_groups)] for _ in ids]
    while True:
        following = step_log_p(logits, config, History(rows, prompt, attention_mask))
        total = following.unflatten(0, shape) + log_p[:, :, None]
        before = [
            [tuple(x) for x in beams] for beams in rows[:, prompt:].unflatten(0, shape).tolist()
        ]
        found = [extend(*of_one, config) for of_one in zip(total, before, groups, strict=True)]
        log_p, order, token = continue_with(found, log_p, config.stop_ids)
        rows = torch.cat([rows[order], token[:, None]], dim=1)
        yield BeamStep(rows.unflatten(0, shape), log_p, found, groups)
        done = all(group.done for row in groups for group in row)
        if done or rows.shape[1] - prompt == config.max_new_tokens:
            return
        cache.reorder(order)
        if attention_mask is not None:
            one = torch.ones_like(token[:, None], dtype=torch.bool)
            attention_mask = torch.cat([attention_mask, one], dim=1)
        logits = model.unembed(model.hidden(token[:, None], attention_mask, cache)[:, -1])


def continue_with(
    found: list[list[Candidate]],
    log_p: Float[Tensor, "B beams"],
    stop_ids: Sequence[int],
) -> tuple[Float[Tensor, "B beams"], Int[Tensor, "R"], Int[Tensor, "R"]]:
    """The running candidates as tensors: ln p, each row's parent row, and its token.

    A beam for which there was no candidate does what the prompt's best one does, at
    -inf, so that a grammar can follow it; where none runs on, it ends.
    """
    n_prompts, beams = log_p.shape
    order = torch.arange(n_prompts * beams)
    token = torch.full_like(order, stop_ids[0] if stop_ids else 0)
    log_p = torch.full_like(log_p, -math.inf)
    for row, candidates in enumerate(found):
        own = slice(row * beams, (row + 1) * beams)
        running = [c for c in candidates if c.beam is not None]
        if running:
            order[own], token[own] = row * beams + running[0].parent, running[0].token
        for c in running:
            order[row * beams + c.beam] = row * beams + c.parent
            token[row * beams + c.beam] = c.token
            log_p[row, c.beam] = c.log_p
    return log_p, order.to(log_p.device), token.to(log_p.device)


def chosen(
    step: BeamStep, ids: Int[Tensor, "B T"], config: GenerationConfig
) -> tuple[Int[Tensor, "R S"], Float[Tensor, "R"]]:
    """The best `num_return_sequences` of each prompt with their scores, filled to one length.

    Raises ValueError if a prompt has not so many.
    """
    best = [step.best(row)[: config.num_return_sequences] for row in range(len(ids))]
    for row, found in enumerate(best):
        if len(found) < config.num_return_sequences:
            raise ValueError(
                f"prompt {row} has {len(found)} possible continuations, num_return_sequences asks "
                f"for {config.num_return_sequences}"
            )
    longest = max(len(h.ids) for found in best for h in found)
    rows = [
        [*prompt, *h.ids, *[config.fill_id] * (longest - len(h.ids))]
        for prompt, found in zip(ids.tolist(), best, strict=True)
        for h in found
    ]
    scores = torch.tensor([h.score for found in best for h in found])
    return torch.tensor(rows, device=ids.device), scores
