"""The settings of a generation: transformers' names, ranges checked at once, the order explicit."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from jaxtyping import Float
from torch import Tensor

from lib.generation.grammar import Grammar
from lib.generation.logits import DEFAULT_ORDER, PROCESSORS, History, steps_of
from lib.settings import require, require_all, require_choice, shortened


@dataclass(frozen=True)
class GenerationConfig:
    """How to decode. Names are those of transformers' GenerationConfig where it has the setting.

    Without `do_sample` the most probable token is taken (greedy), after penalties and constraints.
    The defaults switch everything off, top_k too (transformers' default for it is 50).
    Raises ValueError for a value out of range, for an unknown name in `order`, and for settings
    that contradict each other or would be ignored.
    """

    max_new_tokens: int = 64
    do_sample: bool = False
    # Reshaping
    temperature: float = 1.0
    dynatemp_range: float = 0.0  # as in llama.cpp: temperature ± this, by entropy; 0 is off
    dynatemp_exponent: float = 1.0
    smoothing_factor: float = 0.0  # as in text-generation-webui; 0 is off
    smoothing_curve: float = 1.0
    # Filters
    top_k: int = 0  # 0 is off
    top_p: float = 1.0  # 1 is off
    min_p: float = 0.0  # 0 is off
    p_less: bool = False
    top_a: float = 0.0  # 0 is off
    tfs: float = 1.0  # tail-free sampling; 1 is off
    typical_p: float = 1.0  # 1 is off
    top_h: float | None = None  # None is off
    epsilon_cutoff: float = 0.0  # 0 is off
    eta_cutoff: float = 0.0  # 0 is off
    top_n_sigma: float = 0.0  # 0 is off
    xtc_probability: float = 0.0  # 0 is off
    xtc_threshold: float = 0.1
    # Mirostat: 0 is off, 1 and 2 are its versions
    mirostat_mode: int = 0
    mirostat_tau: float = 5.0  # bits of surprise aimed at
    mirostat_eta: float = 0.1
    # Penalties
    repetition_penalty: float = 1.0  # 1 is off
    presence_penalty: float = 0.0  # 0 is off
    frequency_penalty: float = 0.0  # 0 is off
    penalty_last_n: int | None = None  # tokens those three look at (repeat_last_n); None: all
    no_repeat_ngram_size: int = 0  # 0 is off
    dry_multiplier: float = 0.0  # 0 is off
    dry_base: float = 1.75
    dry_allowed_length: int = 2  # tokens
    dry_penalty_last_n: int | None = None  # tokens looked at; None: all
    dry_sequence_breakers: tuple[int, ...] = ()  # ids
    # Constraints
    sequence_bias: Mapping[tuple[int, ...], float] | None = None  # logit bias, by sequence of ids
    bad_words_ids: Sequence[Sequence[int]] | None = None
    min_length: int = 0  # tokens, with the prompt
    min_new_tokens: int = 0  # tokens, without it
    grammar: Grammar | None = None  # what the continuation must be; see lib.generation.grammar
    # Search
    num_beams: int = 1  # 1 is off
    length_penalty: float = 1.0  # a beam's score is ln p / length ** length_penalty
    early_stopping: bool | str = False  # False, True or "never"
    num_return_sequences: int = 1  # of each prompt
    num_beam_groups: int = 1  # 1 is off
    diversity_penalty: float = 0.0  # nats, for a token that an earlier group took at this step
    penalty_alpha: float = 0.0  # contrastive search among the top_k; 0 is off
    dola_layers: str | tuple[int, ...] | None = None  # "low", "high", layers; None is off
    # The order in which what is switched on is applied: names of lib.generation.logits.PROCESSORS
    order: tuple[str, ...] = DEFAULT_ORDER
    # The loop
    eos_token_id: int | tuple[int, ...] | None = None
    pad_token_id: int | None = None
    use_cache: bool = True
    stop_strings: tuple[str, ...] = ()  # a text ends with the token that completes one of them
    seed: int | None = None

    def __post_init__(self):
        require_all(self, RANGES)
        self._check_ids()
        order = self.order if isinstance(self.order, tuple | list) else [None]
        unknown = [name for name in order if not isinstance(name, str) or name not in PROCESSORS]
        if unknown or len(set(order)) < len(order):
            raise ValueError(
                f"order must hold each of {', '.join(PROCESSORS)} at most once, got {self.order}"
            )
        self._check_conflicts()
        steps_of(self)  # raises if order leaves out what is switched on

    def _check_ids(self) -> None:
        """Ids, texts and sequences of them: no bool for an id, no text for a list of texts."""
        for name in ("eos_token_id", "dry_sequence_breakers", "dola_layers"):
            value = getattr(self, name)
            if value is None or (name == "dola_layers" and isinstance(value, str)):
                continue
            several = isinstance(value, tuple | list | set | frozenset)
            for i in value if several else (value,):
                require(name, i, "[0, inf)", whole=True)
            if several or name != "eos_token_id":  # the others have no single id
                object.__setattr__(self, name, tuple(map(int, value if several else (value,))))
        if isinstance(self.stop_strings, str):
            object.__setattr__(self, "stop_strings", (self.stop_strings,))
        for name, kind in (("sequence_bias", Mapping), ("bad_words_ids", Sequence)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, kind) or isinstance(value, str)):
                raise ValueError(f"{name} must hold sequences of ids, got {shortened(value)}")
            for sequence in value or ():
                if not isinstance(sequence, tuple | list):
                    raise ValueError(f"{name} must hold sequences of ids, got {sequence!r}")
                for i in sequence:
                    require(name, i, "[0, inf)", whole=True)
        for sequence, bias in (self.sequence_bias or {}).items():
            if not (math.isinf(bias) if isinstance(bias, float) else False):
                require(f"the bias of {sequence}", bias, "(-inf, inf)")
        stops = self.stop_strings if isinstance(self.stop_strings, tuple | list) else [None]
        if not all(isinstance(stop, str) and stop for stop in stops):
            raise ValueError(f"stop_strings must be texts, got {shortened(self.stop_strings)}")
        if self.grammar is not None and not isinstance(self.grammar, Grammar):
            raise ValueError(f"grammar must be a Grammar, got {shortened(self.grammar)}")
        if isinstance(self.early_stopping, bool):
            return
        require_choice("early_stopping", self.early_stopping, ("never", False, True))

    def _check_conflicts(self) -> None:
        changed = {f.name for f in fields(self) if getattr(self, f.name) != f.default}
        self._check_search(changed)
        if self.penalty_alpha:
            changed -= {"top_k"}  # the number of candidates
        if not self.do_sample and (ignored := changed & ONLY_DRAWING):
            raise ValueError(f"{', '.join(sorted(ignored))}: no effect without do_sample=True")
        if self.mirostat_mode and (cuts := changed & CUTS):
            raise ValueError(
                f"mirostat_mode={self.mirostat_mode} sets the cut itself; leave out "
                f"{', '.join(sorted(cuts))}"
            )
        if max(self.min_length, self.min_new_tokens) > 0 and not self.stop_ids:
            raise ValueError("a minimum length has no effect without eos_token_id")
        if self.grammar is not None:
            self._check_grammar()
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError(
                f"min_new_tokens must be at most max_new_tokens, got {self.min_new_tokens} > "
                f"{self.max_new_tokens}"
            )

    def _check_grammar(self) -> None:
        if not self.stop_ids:
            raise ValueError("a grammar needs eos_token_id, by which the text ends")
        needed = int(self.grammar.distance[0]) + 1
        if self.max_new_tokens < needed:
            raise ValueError(
                f"max_new_tokens must be at least {needed}, in which the shortest text of the "
                f"grammar surely fits, got {self.max_new_tokens}"
            )

    def _check_search(self, changed: set[str]) -> None:
        ways = [name for name in ("num_beams", "penalty_alpha", "dola_layers") if name in changed]
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)}: choose one way to decode")
        if self.do_sample and {"num_beams", "penalty_alpha"} & changed:
            raise ValueError(f"{ways[0]} searches and does not draw; leave out do_sample")
        if self.num_beams == 1 and (ignored := changed & ONLY_BEAMS):
            raise ValueError(f"{', '.join(sorted(ignored))}: no effect without num_beams")
        if self.num_return_sequences > self.num_beams:
            raise ValueError(
                f"num_return_sequences must be at most num_beams, got {self.num_return_sequences} "
                f"> {self.num_beams}; to draw several see lib.generation.voting.sample_many"
            )
        if self.num_beams % self.num_beam_groups:
            raise ValueError(
                f"num_beams must be a multiple of num_beam_groups, got {self.num_beams} and "
                f"{self.num_beam_groups}"
            )
        if (self.num_beam_groups > 1) != (self.diversity_penalty > 0):
            raise ValueError(
                "num_beam_groups above 1 and diversity_penalty above 0 need each other, got "
                f"{self.num_beam_groups} and {self.diversity_penalty}"
            )
        if self.penalty_alpha and self.top_k < 2:
            raise ValueError(f"penalty_alpha chooses among top_k >= 2 tokens, got {self.top_k}")
        if ways and self.stop_strings:
            raise ValueError(f"stop_strings: {ways[0]} ends at tokens only")
        if ways and not self.use_cache:
            raise ValueError(f"{ways[0]} needs use_cache=True")

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """The ids that end a sequence, possibly none."""
        if self.eos_token_id is None:
            return ()
        return (self.eos_token_id,) if isinstance(self.eos_token_id, int) else self.eos_token_id

    @property
    def fill_id(self) -> int:
        """What a stopped sequence goes on with: `pad_token_id`, else the first stop id, else 0."""
        return self.pad_token_id if self.pad_token_id is not None else (*self.stop_ids, 0)[0]

    @cached_property
    def steps(self) -> list[tuple[str, Callable[[Any, History | None], Any]]]:
        """The processors that are on, in order: (name, function of logits and history)."""
        return steps_of(self)

    def process(
        self, logits: Float[Tensor, "B V"], history: History | None = None
    ) -> Float[Tensor, "B V"]:
        """The logits after all processors that are on; forbidden tokens are at -inf.

        Raises ValueError if one of them needs the text so far and there is no `history`.
        """
        for _, step in self.steps:
            logits = step(logits, history)
        return logits


RANGES = {
    "max_new_tokens": "[1, inf)",
    "temperature": "(0, inf)",
    "dynatemp_range": "[0, inf)",
    "dynatemp_exponent": "(0, inf)",
    "smoothing_factor": "[0, inf)",
    "smoothing_curve": "[1, 3]",
    "top_k": "[0, inf)",
    "top_p": "(0, 1]",
    "min_p": "[0, 1]",
    "top_a": "[0, 1]",
    "tfs": "(0, 1]",
    "typical_p": "(0, 1]",
    "epsilon_cutoff": "[0, 1)",
    "eta_cutoff": "[0, 1)",
    "top_n_sigma": "[0, inf)",
    "xtc_probability": "[0, 1]",
    "xtc_threshold": "[0, 1]",
    "mirostat_mode": "[0, 2]",
    "mirostat_tau": "(0, inf)",
    "mirostat_eta": "(0, inf)",
    "repetition_penalty": "(0, inf)",
    "presence_penalty": "(-inf, inf)",
    "frequency_penalty": "(-inf, inf)",
    "no_repeat_ngram_size": "[0, inf)",
    "dry_multiplier": "[0, inf)",
    "dry_base": "[1, inf)",
    "dry_allowed_length": "[1, inf)",
    "min_length": "[0, inf)",
    "min_new_tokens": "[0, inf)",
    "num_beams": "[1, inf)",
    "length_penalty": "[-20, 20]",
    "num_return_sequences": "[1, inf)",
    "num_beam_groups": "[1, inf)",
    "diversity_penalty": "[0, inf)",
    "penalty_alpha": "[0, 1]",
    "top_h": "(0, 1]",
    "dry_penalty_last_n": "[1, inf)",
    "penalty_last_n": "[1, inf)",
    "pad_token_id": "[0, inf)",
    "seed": "[0, inf)",
}
CUTS = {
    "top_k", "top_p", "min_p", "top_a", "tfs", "typical_p", "top_h", "epsilon_cutoff", "eta_cutoff",
    "top_n_sigma", "xtc_probability", "p_less",
}  # fmt: skip
ONLY_DRAWING = CUTS | {"temperature", "dynatemp_range", "smoothing_factor", "mirostat_mode"}
ONLY_BEAMS = {
    "length_penalty", "early_stopping", "num_beam_groups", "diversity_penalty",
}  # fmt: skip
