"""Parameters as compute sees them: which of them each token is multiplied with."""

from lib.model import ModelConfig
from lib.model.parameters import non_embedding_parameters, parameters_by_part

__all__ = [
    "attention_matrix_parameters",
    "block_matrix_parameters",
    "expert_matrix_parameters",
    "feedforward_matrix_parameters",
    "non_embedding_parameters",
    "parameters",
    "parameters_by_part",
]


def parameters(config: ModelConfig, *, active: bool = False) -> int:
    """All parameters, embeddings included; `active`: without the experts a token does not use."""
    return sum(parameters_by_part(config, active=active).values())


def attention_matrix_parameters(config: ModelConfig) -> int:
    """One layer's W_q, W_k, W_v and W_o, without biases and norms."""
    heads = 2 * config.n_heads + 2 * config.n_kv_heads
    return config.d_model * heads * config.d_head


def feedforward_matrix_parameters(config: ModelConfig, layer: int) -> int:
    """The feed-forward matrices of one layer that a token is multiplied with.

    Two, or three with a gate. In a layer of experts: the router's C x E and the matrices of the
    chosen and the shared experts.
    """
    matrices = (3 if config.gated else 2) * config.d_model
    if not config.has_experts(layer):
        return matrices * config.d_ff
    used = config.n_active_experts + config.n_shared_experts
    return config.d_model * config.n_experts + used * matrices * config.d_expert


def expert_matrix_parameters(config: ModelConfig) -> int:
    """The matrices of one expert."""
    return (3 if config.gated else 2) * config.d_model * config.d_expert


def block_matrix_parameters(config: ModelConfig) -> int:
    """The N of 6 N: matrices of all blocks, 2 C L (2 d_attn + d_ff) for GPT-2's kind.

    Source: Kaplan et al. (2020), table 1. Norms, biases, embedding, positions and head are left
    out; so are the experts that a token does not use.
    """
    layers = range(config.n_layers)
    feedforward = sum(feedforward_matrix_parameters(config, layer) for layer in layers)
    return config.n_layers * attention_matrix_parameters(config) + feedforward
