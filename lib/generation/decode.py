"""Decoding: turn next-token distributions into text, one token after another."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.generation.logits import temperature, top_k, top_p
from lib.model import KVCache, LanguageModel
from lib.tokenization import BPETokenizer


@dataclass(frozen=True)
class GenerationConfig:
    """How to decode; field names as in transformers' GenerationConfig, plus `seed`.

    Without `do_sample` the most probable token is taken (greedy). `top_k=0` and `top_p=1` switch
    those filters off, which is the default here (transformers' default is top_k=50).
    Raises ValueError for a value out of range.
    """

    max_new_tokens: int = 64
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    eos_token_id: int | tuple[int, ...] | None = None
    pad_token_id: int | None = None
    use_cache: bool = True
    seed: int | None = None

    def __post_init__(self):
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be 0 (off) or above, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], got {self.top_p}")

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """The ids that end a sequence, possibly none."""
        if self.eos_token_id is None:
            return ()
        return (self.eos_token_id,) if isinstance(self.eos_token_id, int) else self.eos_token_id


@dataclass(frozen=True)
class Generation:
    """What came out: `ids` holds prompt and continuation; the times are wall-clock seconds."""

    ids: Int[Tensor, "B T"]
    prompt_length: int
    prefill_seconds: float
    decode_seconds: float

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
) -> Int[Tensor, "B"]:
    """Choose one token per row: the most probable, or a draw from the filtered distribution."""
    if not config.do_sample:
        return logits.argmax(dim=-1)
    logits = temperature(logits.float(), config.temperature)
    if config.top_k:
        logits = top_k(logits, config.top_k)
    if config.top_p < 1:
        logits = top_p(logits, config.top_p)
    return torch.multinomial(logits.softmax(dim=-1), 1, generator=generator)[:, 0]


@torch.inference_mode()
def generate_steps(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    config: GenerationConfig,
    attention_mask: Bool[Tensor, "B T"] | None = None,
) -> Iterator[Int[Tensor, "B"]]:
    """Yield the next token of every row, step by step, until all rows have stopped.

    Prompts of unequal length are padded on the left, `attention_mask` False at the padding. A row
    that has stopped goes on with `pad_token_id`.
    """
    generator = _generator(config, ids.device)
    cache = _new_cache(model, ids, config) if config.use_cache else None
    stopped = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    stop_ids = torch.tensor(config.stop_ids, device=ids.device)
    fill = config.pad_token_id if config.pad_token_id is not None else (*config.stop_ids, 0)[0]
    new = ids
    for _ in range(config.max_new_tokens):
        hidden = model.hidden(new if cache else ids, attention_mask, cache)
        token = next_token(model.unembed(hidden[:, -1]), config, generator)
        token = torch.where(stopped, fill, token)
        yield token
        stopped |= torch.isin(token, stop_ids)
        if stopped.all():
            return
        new = token[:, None]
        ids = torch.cat([ids, new], dim=1)
        if attention_mask is not None:
            attention_mask = torch.cat([attention_mask, torch.ones_like(new).bool()], dim=1)


def generate(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    config: GenerationConfig | None = None,
    attention_mask: Bool[Tensor, "B T"] | None = None,
) -> Generation:
    """Continue every row of `ids`, and time the prefill and the decoding.

    Raises ValueError if prompt and continuation do not fit the model's context.
    """
    config = config or GenerationConfig()
    _check_room(model, ids, config)
    tokens, times = [ids], [time.perf_counter()]
    for token in generate_steps(model, ids, config, attention_mask):
        tokens.append(token[:, None])
        times.append(time.perf_counter())
    return Generation(
        ids=torch.cat(tokens, dim=1),
        prompt_length=ids.shape[1],
        prefill_seconds=times[1] - times[0],
        decode_seconds=times[-1] - times[1],
    )


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
    ids = torch.tensor([tokenizer.encode(prompt, allowed_special="all")])
    _check_room(model, ids, config)
    waiting = b""
    for token in generate_steps(model, ids, config):
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


def _new_cache(model: LanguageModel, ids: Tensor, config: GenerationConfig) -> KVCache:
    weight = model.embedding.weight
    capacity = ids.shape[1] + config.max_new_tokens
    return KVCache(model.config, ids.shape[0], capacity, weight.dtype, weight.device)


def _check_room(model: LanguageModel, ids: Tensor, config: GenerationConfig) -> None:
    total = ids.shape[1] + config.max_new_tokens
    if total > model.config.context_length:
        raise ValueError(
            f"prompt and continuation take {total} positions, the context has "
            f"{model.config.context_length}; shorten the prompt or max_new_tokens"
        )
