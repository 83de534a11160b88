"""The fact sheet of a configuration: parameters, cache, FLOPs, context, vocabulary."""

from dataclasses import dataclass

from lib.diagrams.diagram import short, thousands
from lib.model import ModelConfig
from lib.model.parameters import non_embedding_parameters, parameters
from lib.scaling.flops import forward_flops
from lib.scaling.memory import kv_cache_bytes


@dataclass(frozen=True)
class Facts:
    """Numbers of one model.

    `active` counts the experts that one token uses; `without_embeddings` leaves out embedding,
    positions and an untied head; `cache` is bytes for a token in 16 bits while no window is full;
    `flops` are those of all matrix products of a forward pass of one token with nothing cached.
    """

    parameters: int
    active: int
    without_embeddings: int
    cache: int
    flops: int
    context: int
    vocabulary: int

    def rows(self) -> list[tuple[str, str]]:
        """(label, value) for people."""
        rows = [("parameters", thousands(self.parameters))]
        if self.active != self.parameters:
            rows.append(("active in a token", thousands(self.active)))
        return [
            *rows,
            ("without embeddings", thousands(self.without_embeddings)),
            ("cache, bytes a token", thousands(self.cache)),
            ("FLOPs a token", short(self.flops)),
            ("context, tokens", thousands(self.context)),
            ("vocabulary, tokens", thousands(self.vocabulary)),
        ]


def facts(config: ModelConfig) -> Facts:
    """The numbers of a configuration, from the formulas of lib.model and lib.scaling."""
    return Facts(
        parameters=parameters(config),
        active=parameters(config, active=True),
        without_embeddings=non_embedding_parameters(config),
        cache=kv_cache_bytes(config, 1),
        flops=forward_flops(config, 1),
        context=config.context_length,
        vocabulary=config.vocab_size,
    )
