"""Decoding: turn next-token distributions into text, one token after another."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.generation.beam import beam_steps, chosen
from lib.generation.config import GenerationConfig
from lib.generation.contrastive import contrastive_steps
from lib.generation.dola import candidate_layers, contrast_layers, stream_at_end
from lib.generation.logits import History, mirostat_1, mirostat_2, mirostat_step
from lib.generation.prefill import check_room, new_cache
from lib.model import KVCache, LanguageModel
from lib.tokenization import BPETokenizer


@dataclass(frozen=True)
class Generation:
    """What came out: `ids` holds prompt and continuation; the times are wall-clock seconds."""

    ids: Int[Tensor, "B T"]
    prompt_length: int
    prefill_seconds: float
    decode_seconds: float
    scores: Float[Tensor, "B"] | None = None  # of beam search: ln p / length ** length_penalty

    @property
    def new_ids(self) -> Int[Tensor, "B N"]:
        """The continuation alone."""
        return self.ids[:, self.prompt_length :]

    @property
    def tokens_per_second(self) -> float:
        """Decoding speed over all rows, without the first token, which the prefill gives."""
        n_tokens = self.ids.shape[0] * (self.ids.shape[1] - self.prompt_length - 1)
        return n_tokens / self.decode_seconds if n_tokens else float("nan")


def next_token(
    logits: Float[Tensor, "B V"],
    config: GenerationConfig,
    generator: torch.Generator | None = None,
    history: History | None = None,
) -> Int[Tensor, "B"]:
    """Choose one token per row: the most probable, or a draw from the filtered distribution.

    Penalties and constraints need the `history`; Mirostat's limit in it is moved. Raises ValueError
    if no token is left, or if a logit is NaN, which greedy decoding without processors passes over.
    """
    if not (config.do_sample or config.steps):
        return logits.argmax(dim=-1)
    logits = config.process(logits.float(), history)
    if config.mirostat_mode:
        return _mirostat_draw(logits, config, generator, history)
    return draw(logits, generator) if config.do_sample else greedy(logits)


def draw(
    logits: Float[Tensor, "B V"], generator: torch.Generator | None = None
) -> Int[Tensor, "B"]:
    """Draw one token per row from the softmax of its logits."""
    probability = logits.softmax(dim=-1)
    _check_choice(probability[:, 0])  # one NaN or nothing but -inf makes a whole row NaN
    return torch.multinomial(probability, 1, generator=generator)[:, 0]


def greedy(logits: Float[Tensor, "B V"]) -> Int[Tensor, "B"]:
    """The most probable token of each row; the first of several."""
    highest, token = logits.max(dim=-1)
    _check_choice(torch.where(highest.isinf() & (highest < 0), float("nan"), highest))
    return token


def _check_choice(values: Float[Tensor, "B"]) -> None:
    if values.isnan().any():
        raise ValueError(
            f"row {values.isnan().nonzero()[0].item()} has no token to choose: its logits are all "
            "-inf (too much is forbidden) or hold NaN"
        )


def _mirostat_draw(
    logits: Tensor,
    config: GenerationConfig,
    generator: torch.Generator | None,
    history: History | None,
) -> Tensor:
    if history is None:
        raise ValueError("Mirostat keeps its limit in the history: pass history")
    if history.mu is None:  # as the paper begins: twice the target
        history.mu = torch.full((len(logits),), 2 * config.mirostat_tau, device=logits.device)
    cut = mirostat_1 if config.mirostat_mode == 1 else mirostat_2
    token = draw(cut(logits, history.mu), generator)
    history.mu = mirostat_step(logits, token, history.mu, config.mirostat_tau, config.mirostat_eta)
    return token


@torch.inference_mode()
def generate_steps(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    config: GenerationConfig,
    attention_mask: Bool[Tensor, "B T"] | None = None,
) -> Iterator[Int[Tensor, "B"]]:
    """Yield the next token of every row, step by step, until all rows have stopped.

    Prompts of unequal length are padded on the left, `attention_mask` False at the padding. A row
    that has stopped goes on with `config.fill_id`.
    """
    generator = _generator(config, ids.device)
    capacity = ids.shape[1] + config.max_new_tokens
    cache = new_cache(model, len(ids), capacity) if config.use_cache else None
    stopped = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    stop_ids = torch.tensor(config.stop_ids, device=ids.device)
    history = History(ids, ids.shape[1], attention_mask, generator)
    new = ids
    for _ in range(config.max_new_tokens):
        logits = next_logits(model, new if cache else ids, attention_mask, cache, config)
        token = next_token(logits, config, generator, history)
        token = torch.where(stopped, config.fill_id, token)
        yield token
        stopped |= torch.isin(token, stop_ids)
        if stopped.all():
            return
        new = token[:, None]
        ids = torch.cat([ids, new], dim=1)
        if attention_mask is not None:
            attention_mask = torch.cat([attention_mask, torch.ones_like(new).bool()], dim=1)
        history.ids, history.attention_mask = ids, attention_mask


def next_logits(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    attention_mask: Bool[Tensor, "B S"] | None,
    cache: KVCache | None,
    config: GenerationConfig,
) -> Float[Tensor, "B V"]:
    """The last layer's logits at the last position; with `dola_layers`, the contrast of layers."""
    if config.dola_layers is None:
        return model.unembed(model.hidden(ids, attention_mask, cache)[:, -1])
    stream = stream_at_end(model, ids, attention_mask, cache)
    return contrast_layers(model, stream, config.dola_layers)[0]


def generate(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    config: GenerationConfig | None = None,
    attention_mask: Bool[Tensor, "B T"] | None = None,
) -> Generation:
    """Continue every row of `ids`, and time the prefill and the decoding.

    By the settings this is greedy decoding, sampling, beam search (`num_beams`), contrastive search
    (`penalty_alpha`), or either of the first two with layers contrasted (`dola_layers`). Raises
    ValueError if prompt and continuation do not fit the model's context.
    """
    config = config or GenerationConfig()
    check_room(model, ids, config.max_new_tokens)
    if config.dola_layers is not None:
        candidate_layers(model, config.dola_layers)  # raises before any work is done
    if config.num_beams > 1:
        return _beam_generation(model, ids, config, attention_mask)
    tokens, times = [ids], [time.perf_counter()]
    steps = contrastive_steps if config.penalty_alpha else generate_steps
    for token in steps(model, ids, config, attention_mask):
        tokens.append(token[:, None])
        times.append(time.perf_counter())
    return Generation(
        ids=torch.cat(tokens, dim=1),
        prompt_length=ids.shape[1],
        prefill_seconds=times[1] - times[0],
        decode_seconds=times[-1] - times[1],
    )


def _beam_generation(
    model: LanguageModel, ids: Tensor, config: GenerationConfig, attention_mask: Tensor | None
) -> Generation:
    times = [time.perf_counter()]
    for step in beam_steps(model, ids, config, attention_mask):
        last = step
        times.append(time.perf_counter())
    rows, scores = chosen(last, ids, config)
    return Generation(rows, ids.shape[1], times[1] - times[0], times[-1] - times[1], scores)


def stream_text(
    model: LanguageModel,
    tokenizer: BPETokenizer,
    prompt: str,
    config: GenerationConfig | None = None,
) -> Iterator[str]:
    """Yield the continuation of `prompt` piece by piece, each as soon as it is readable text.

    A character may be spread over several tokens; its bytes wait until they are complete.
    """
    config = config or GenerationConfig()
    if config.num_beams > 1:
        raise ValueError("beam search knows its text only at the end: use generate, not a stream")
    ids = torch.tensor([tokenizer.encode(prompt, allowed_special="all")])
    check_room(model, ids, config.max_new_tokens)
    waiting = b""
    steps = contrastive_steps if config.penalty_alpha else generate_steps
    for token in steps(model, ids, config):
        if token.item() in config.stop_ids:
            break
        waiting += tokenizer.decode_bytes([token.item()])
        text, waiting = split_complete(waiting)
        if text:
            yield text
    if waiting:
        yield waiting.decode("utf-8", errors="replace")


def split_complete(data: bytes) -> tuple[str, bytes]:
    """The part of `data` that is whole UTF-8 characters, and the unfinished rest."""
    try:
        return data.decode("utf-8"), b""
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            return data.decode("utf-8", errors="replace"), b""
        return data[: error.start].decode("utf-8"), data[error.start :]


def _generator(config: GenerationConfig, device: torch.device) -> torch.Generator | None:
    if config.seed is None or not config.do_sample:
        return None
    return torch.Generator(device).manual_seed(config.seed)
