"""Decoding: turn next-token distributions into text, one token after another."""

import codecs
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.generation.beam import beam_steps, chosen
from lib.generation.config import GenerationConfig
from lib.generation.contrastive import contrastive_steps
from lib.generation.dola import contrast_layers, stream_at_end
from lib.generation.logits import History, checked, mirostat_1, mirostat_2, mirostat_step
from lib.generation.prefill import check_entry, dice, new_cache
from lib.model import KVCache, LanguageModel
from lib.model.inputs import PaddingMask
from lib.settings import require_kind
from lib.tokenization import BPETokenizer
from lib.tokenization.chat import encode_chat


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
    """Choose one token per row: the most probable, or a
    draw from the filtered distribution.

    Penalties and constraints need the `history`; Mirostat's limit in it is moved.
    Raises ValueError if no token is left, or if a logit is NaN, which greedy decoding
    without processors passes over.
    """
    if not (config.do_sample or config.steps):
        return logits.argmax(dim=-1)
    logits = config.process(checked(logits.float()), history)
    if config.mirostat_mode:
        return _mirostat_draw(logits, config, generator, history)
    return draw(logits, generator) if config.do_sample else greedy(logits)


def draw(
    logits: Float[Tensor, "B V"], generator: torch.Generator | None = None
) -> Int[Tensor, "B"]:
    """Draw one token per row from the softmax of its logits."""
    # nothing but -inf makes a whole row NaN
    probability = checked(logits.softmax(dim=-1))
    return torch.multinomial(probability, 1, generator=generator)[:, 0]


def greedy(logits: Float[Tensor, "B V"]) -> Int[Tensor, "B"]:
    """The most probable token of each row; the first of several."""
    highest, token = logits.max(dim=-1)
    checked(torch.where(highest == -torch.inf, torch.nan, highest)[:, None])
    return token


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
    attention_mask: PaddingMask | None = None,
    tokenizer: BPETokenizer | None = None,
) -> Iterator[Int[Tensor, "B"]]:
    """Yield the next token of every row, step by step, until all rows have stopped.

    Prompts of unequal length are padded on the left, `attention_mask` False at the
    padding. A row that has stopped goes on with `config.fill_id`. `stop_strings` need
    the tokenizer.
    """
    attention_mask = check_entry(model, ids, config, attention_mask)
    ending = StopStrings(config.stop_strings, tokenizer, len(ids))
    generator = dice(config, ids.device)
    capacity = ids.shape[1] + config.max_new_tokens
    cache = new_cache(model, len(ids), capacity) if config.use_cache else None
    stopped = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    stop_ids = torch.tensor(config.stop_ids, device=ids.device)
    history = History(ids, ids.shape[1], attention_mask, generator)
    new = ids
    for _ in range(config.max_new_tokens):
        read = new if cache else ids
        logits = next_logits(model, read, attention_mask, cache, config)
        token = next_token(logits, config, generator, history)
        token = torch.where(stopped, config.fill_id, token)
        yield token
        stopped |= torch.isin(token, stop_ids) | ending.read(token)
        if stopped.all():
            return
        new = token[:, None]
        ids = torch.cat([ids, new], dim=1)
        if attention_mask is not None:
            real = torch.ones_like(new).bool()
            attention_mask = torch.cat([attention_mask, real], dim=1)
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
    attention_mask: PaddingMask | None = None,
    tokenizer: BPETokenizer | None = None,
) -> Generation:
    """Continue every row of `ids`, and time the prefill and the decoding.

    By the settings this is greedy decoding, sampling, beam search (`num_beams`), contrastive search
    (`penalty_alpha`), or either of the first two with layers contrasted (`dola_layers`). Raises
    ValueError if prompt and continuation do not fit the model's context, for padding on the right,
    and for `stop_strings` without a tokenizer.
    """
    config = GenerationConfig() if config is None else config
    attention_mask = check_entry(model, ids, config, attention_mask)
    if config.num_beams > 1:
        return _beam_generation(model, ids, config, attention_mask)
    tokens, times = [ids], [time.perf_counter()]
    if config.penalty_alpha:
        steps = contrastive_steps(model, ids, config, attention_mask)
    else:
        steps = generate_steps(model, ids, config, attention_mask, tokenizer)
    for token in steps:
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


class StopStrings:
    """Which rows hold one of some texts by now? Read as bytes, across the borders of tokens."""

    def __init__(self, texts: Sequence[str], tokenizer: BPETokenizer | None, n_rows: int):
        if texts and tokenizer is None:
            raise ValueError(f"stop_strings {list(texts)} need the tokenizer: pass tokenizer=...")
        self.texts, self.tokenizer = [text.encode() for text in texts], tokenizer
        self.tails = [b""] * n_rows  # as much as may be the beginning of a stop string

    def read(self, token: Int[Tensor, "B"]) -> Bool[Tensor, "B"]:
        """Go on by one token in each row."""
        found = torch.zeros(len(token), dtype=torch.bool, device=token.device)
        if self.texts:
            longest = max(map(len, self.texts))
            for row, i in enumerate(token.tolist()):
                text = self.tails[row] + self.tokenizer.decode_bytes([i])
                found[row] = any(stop in text for stop in self.texts)
                self.tails[row] = text[max(0, len(text) - longest + 1) :]
        return found


def stream_text(
    model: LanguageModel,
    tokenizer: BPETokenizer,
    prompt: str | Sequence[dict[str, str]],
    config: GenerationConfig | None = None,
) -> Iterator[str]:
    """Yield the continuation of `prompt` piece by piece, each as soon as it is readable text.

    A prompt of messages is a chat: what they say is text, even where it spells a control token. In
    a prompt that is a text, such spellings are the tokens. A character may be spread over several
    tokens; its bytes wait until they are complete, and so does what may be the beginning of one of
    `config.stop_strings`, at which the text ends. Without `config.eos_token_id` the tokenizer's own
    ends count.
    """
    config = GenerationConfig() if config is None else config
    require_kind("tokenizer", tokenizer, BPETokenizer)
    require_kind("config", config, GenerationConfig)
    if config.num_beams > 1:
        raise ValueError("beam search knows its text only at the end: use generate, not a stream")
    if config.eos_token_id is None and tokenizer.stop_ids:
        config = replace(config, eos_token_id=tokenizer.stop_ids)
    if isinstance(prompt, str):
        encoded = tokenizer.encode(prompt, allowed_special="all")
    else:
        encoded = encode_chat(tokenizer, prompt)
    ids = torch.tensor([encoded], dtype=torch.long)
    if config.penalty_alpha:
        steps = contrastive_steps(model, ids, config)
    else:
        steps = generate_steps(model, ids, config, None, tokenizer)
    decoder, waiting = codecs.getincrementaldecoder("utf-8")("replace"), ""
    for token in steps:
        if token.item() in config.stop_ids:
            break
        waiting += decoder.decode(tokenizer.decode_bytes([token.item()]))
        ready = before_stop(waiting, config.stop_strings)
        if ready:
            yield waiting[:ready]
            waiting = waiting[ready:]
    waiting += decoder.decode(b"", final=True)
    ends = [waiting.find(stop) for stop in config.stop_strings if stop in waiting]
    if waiting[: min(ends, default=None)]:
        yield waiting[: min(ends, default=None)]


def before_stop(text: str, stop_strings: Sequence[str]) -> int:
    """How many characters of a text come surely before any stop string, complete or begun."""
    ready = len(text)
    for stop in stop_strings:
        if stop in text:
            ready = min(ready, text.index(stop))
        for n in range(1, min(len(stop), len(text) + 1)):
            if text.endswith(stop[:n]):
                ready = min(ready, len(text) - n)
    return ready
