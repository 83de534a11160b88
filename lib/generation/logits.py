"""Every filter and penalty in one list, and the order in which they are applied.

A processor is a pure function from logits to logits. `PROCESSORS` says for each when it is on and
what it is given; its name is that of the setting that switches it on. `GenerationConfig.order`
holds the names in the order of application. The functions themselves are importable from here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.generation.constraints import bad_words, no_stop, sequence_bias
from lib.generation.entropy_filters import eta_cutoff, top_h, typical_p
from lib.generation.filters import (
    epsilon_cutoff,
    min_p,
    p_less,
    tail_free,
    top_a,
    top_k,
    top_n_sigma,
    top_p,
    xtc,
)
from lib.generation.grammar import constrain
from lib.generation.mirostat import mirostat_1, mirostat_2, mirostat_step
from lib.generation.penalties import (
    dry,
    frequency_penalty,
    no_repeat_ngram,
    presence_penalty,
    repetition_penalty,
)
from lib.generation.reshaping import (
    dynamic_temperature,
    entropy,
    quadratic_smoothing,
    temperature,
)

__all__ = [
    "DEFAULT_ORDER", "LLAMA_CPP_ORDER", "PROCESSORS", "History", "bad_words", "checked",
    "dry",
    "dynamic_temperature", "entropy", "epsilon_cutoff", "eta_cutoff", "frequency_penalty", "min_p",
    "mirostat_1", "mirostat_2", "mirostat_step", "no_repeat_ngram", "no_stop", "p_less",
    "presence_penalty",
    "probabilities", "quadratic_smoothing", "repetition_penalty", "sequence_bias", "steps_of",
    "tail_free", "temperature", "top_a", "top_h", "top_k", "top_n_sigma", "top_p", "typical_p",
    "xtc",
]  # fmt: skip


@dataclass
class History:
    """What a processor may look at besides the logits: the text so far.

    `attention_mask` is False at padding. `mu` is Mirostat's limit in bits for each row; it is the
    only thing here that changes while a text grows, besides the text.
    """

    ids: Int[Tensor, "B T"]
    prompt_length: int
    attention_mask: Bool[Tensor, "B T"] | None = None
    generator: torch.Generator | None = None
    mu: Float[Tensor, "B"] | None = None

    @property
    def new_ids(self) -> Int[Tensor, "B N"]:
        """The tokens generated so far."""
        return self.ids[:, self.prompt_length :]


class Processor(NamedTuple):
    """`on(config)`: is it switched on? `apply(logits, config, history)`: the new logits.

    `draws` is true for what makes sense only when a token is drawn: greedy decoding ignores it.
    """

    on: Callable[[Any], bool]
    apply: Callable[[Tensor, Any, History | None], Tensor]
    draws: bool = True


def _scale(logits: Tensor, c: Any, h: History | None) -> Tensor:
    if c.dynatemp_range == 0:
        return temperature(logits, c.temperature)
    low, high = max(0.0, c.temperature - c.dynatemp_range), c.temperature + c.dynatemp_range
    return dynamic_temperature(logits, low, high, c.dynatemp_exponent)


def _last(ids: Tensor | None, n: int | None) -> Tensor | None:
    """The last n columns; all for None."""
    return ids if n is None or ids is None else ids[:, max(0, ids.shape[1] - n) :]


def _repetition(logits: Tensor, c: Any, h: History) -> Tensor:
    ids, counted = (_last(x, c.penalty_last_n) for x in (h.ids, h.attention_mask))
    return repetition_penalty(logits, ids, c.repetition_penalty, counted)


def _dry(logits: Tensor, c: Any, h: History) -> Tensor:
    ids, counted = (_last(x, c.dry_penalty_last_n) for x in (h.ids, h.attention_mask))
    settings = (c.dry_multiplier, c.dry_base, c.dry_allowed_length, c.dry_sequence_breakers)
    return dry(logits, ids, *settings, counted)


def _bad_words(logits: Tensor, c: Any, h: History) -> Tensor:
    alone = [(i,) for i in c.stop_ids]  # transformers lets a text end in any case
    return bad_words(logits, h.ids, [w for w in c.bad_words_ids if tuple(w) not in alone])


def _minimum(logits: Tensor, c: Any, h: History) -> Tensor:
    length, new = h.ids.shape[1], h.new_ids.shape[1]
    too_short = length < c.min_length or new < c.min_new_tokens
    return no_stop(logits, c.stop_ids) if too_short else logits


def _constrain(logits: Tensor, c: Any, h: History) -> Tensor:
    return constrain(logits, h.new_ids, c.grammar, c.max_new_tokens, c.stop_ids)


# Which text counts: penalties of transformers see prompt and continuation, without padding; those
# of OpenAI's API see the continuation alone.
PROCESSORS: dict[str, Processor] = {
    "sequence_bias": Processor(
        lambda c: bool(c.sequence_bias),
        lambda z, c, h: sequence_bias(z, h.ids, c.sequence_bias),
        draws=False,
    ),
    "repetition_penalty": Processor(lambda c: c.repetition_penalty != 1, _repetition, draws=False),
    "presence_penalty": Processor(
        lambda c: c.presence_penalty != 0,
        lambda z, c, h: presence_penalty(z, _last(h.new_ids, c.penalty_last_n), c.presence_penalty),
        draws=False,
    ),
    "frequency_penalty": Processor(
        lambda c: c.frequency_penalty != 0,
        lambda z, c, h: frequency_penalty(
            z, _last(h.new_ids, c.penalty_last_n), c.frequency_penalty
        ),
        draws=False,
    ),
    "dry_multiplier": Processor(lambda c: c.dry_multiplier > 0, _dry, draws=False),
    "no_repeat_ngram_size": Processor(
        lambda c: c.no_repeat_ngram_size > 0,
        lambda z, c, h: no_repeat_ngram(z, h.ids, c.no_repeat_ngram_size, h.attention_mask),
        draws=False,
    ),
    "bad_words_ids": Processor(lambda c: bool(c.bad_words_ids), _bad_words, draws=False),
    "min_length": Processor(
        lambda c: bool(c.stop_ids) and max(c.min_length, c.min_new_tokens) > 0,
        _minimum,
        draws=False,
    ),
    "grammar": Processor(lambda c: c.grammar is not None, _constrain, draws=False),
    "temperature": Processor(lambda c: c.temperature != 1 or c.dynatemp_range > 0, _scale),
    "smoothing_factor": Processor(
        lambda c: c.smoothing_factor > 0,
        lambda z, c, h: quadratic_smoothing(z, c.smoothing_factor, c.smoothing_curve),
    ),
    "top_n_sigma": Processor(
        lambda c: c.top_n_sigma > 0, lambda z, c, h: top_n_sigma(z, c.top_n_sigma)
    ),
    "top_h": Processor(lambda c: c.top_h is not None, lambda z, c, h: top_h(z, c.top_h)),
    "top_k": Processor(lambda c: c.top_k > 0, lambda z, c, h: top_k(z, c.top_k)),
    "top_p": Processor(lambda c: c.top_p < 1, lambda z, c, h: top_p(z, c.top_p)),
    "p_less": Processor(lambda c: c.p_less, lambda z, c, h: p_less(z)),
    "min_p": Processor(lambda c: c.min_p > 0, lambda z, c, h: min_p(z, c.min_p)),
    "top_a": Processor(lambda c: c.top_a > 0, lambda z, c, h: top_a(z, c.top_a)),
    "tfs": Processor(lambda c: c.tfs < 1, lambda z, c, h: tail_free(z, c.tfs)),
    "typical_p": Processor(lambda c: c.typical_p < 1, lambda z, c, h: typical_p(z, c.typical_p)),
    "epsilon_cutoff": Processor(
        lambda c: c.epsilon_cutoff > 0, lambda z, c, h: epsilon_cutoff(z, c.epsilon_cutoff)
    ),
    "eta_cutoff": Processor(
        lambda c: c.eta_cutoff > 0, lambda z, c, h: eta_cutoff(z, c.eta_cutoff)
    ),
    "xtc_probability": Processor(
        lambda c: c.xtc_probability > 0,
        lambda z, c, h: xtc(z, c.xtc_threshold, c.xtc_probability, h.generator if h else None),
    ),
}

# As in transformers 5, which applies temperature before all filters.
DEFAULT_ORDER: tuple[str, ...] = tuple(PROCESSORS)

# llama.cpp's default chain: filters see the model's own distribution, temperature comes last.
_CHAIN = "dry_multiplier top_n_sigma top_k typical_p top_p min_p xtc_probability temperature"
LLAMA_CPP_ORDER: tuple[str, ...] = (
    *(name for name in DEFAULT_ORDER if not PROCESSORS[name].draws and name != "dry_multiplier"),
    *_CHAIN.split(),
)


def probabilities(
    logits: Float[Tensor, "B V"], config: Any, history: History | None
) -> Float[Tensor, "B V"]:
    """Softmax after all that is switched on. Raises ValueError if there is no token to choose."""
    p = config.process(checked(logits.float()), history).softmax(dim=-1)
    return checked(p)  # nothing but -inf makes a whole row NaN


def checked(logits: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
    """Raise ValueError for NaN, which some filters would hide."""
    if (wrong := logits.isnan().any(dim=-1)).any():
        raise ValueError(
            f"row {wrong.nonzero()[0].item()} has no token to choose: its logits are all -inf "
            "(too much is forbidden) or hold NaN"
        )
    return logits


def steps_of(config: Any) -> list[tuple[str, Callable[[Tensor, History | None], Tensor]]]:
    """The processors that a GenerationConfig switches on, by name, in its order.

    Each takes logits and history. Raises ValueError if one is on that `config.order` leaves out.
    """
    on = [
        name
        for name, processor in PROCESSORS.items()
        if processor.on(config) and (config.do_sample or not processor.draws)
    ]
    missing = [name for name in on if name not in config.order]
    if missing:
        raise ValueError(f"{', '.join(missing)}: switched on, but not in order; add it there")

    def bound(processor: Processor) -> Callable[[Tensor, History | None], Tensor]:
        def step(logits: Tensor, history: History | None) -> Tensor:
            if history is None and not processor.draws:
                raise ValueError("penalties and constraints need the text so far: pass history")
            return processor.apply(logits, config, history)

        return step

    return [(name, bound(PROCESSORS[name])) for name in config.order if name in on]
