"""Where the parameters of a model are: by formula, from the configuration alone.

And which of them each token is multiplied with, as compute sees them.
"""

from lib.model.config import ModelConfig


def attention_parameters(config: ModelConfig) -> int:
    """One layer's: W_q (C x HD), W_k and W_v (C x KD), W_o
    (HD x C), biases, QK-norm, sinks.

    Latent attention has matrices of its own.
    """
    if config.latent is not None:
        return config.latent.parameters
    width, d_head = config.d_model, config.d_head
    query, key_value = config.n_heads * d_head, 2 * config.n_kv_heads * d_head
    weights = width * (query + key_value) + query * width
    biases = (query + key_value) * config.attention_bias + width * config.output_bias
    norms = qk_norm_parameters(config) if config.qk_norm else 0
    return weights + biases + norms + (config.n_heads if config.learned_sinks else 0)


def feedforward_parameters(config: ModelConfig, d_ff: int | None = None) -> int:
    """A dense layer's, or an expert's: two matrices C x F,
    or three with a gate, and biases.
    """
    into, width = 2 if config.gated else 1, d_ff or config.d_ff
    biases = into * width + config.d_model if config.feedforward_bias else 0
    return (into + 1) * config.d_model * width + biases


def expert_parameters(config: ModelConfig, *, active: bool = False) -> int:
    """One layer with experts: router, experts, shared experts. `active`: those one token uses.

    The bias that balances loads is not counted: no gradient reaches it.
    """
    router = config.n_experts * config.d_model * (2 if config.router.noisy else 1)
    router += config.n_experts * config.router.logit_bias
    n_experts = config.n_active_experts if active else config.n_experts
    shared = config.n_shared_experts * config.d_expert
    return (
        router
        + n_experts * feedforward_parameters(config, config.d_expert)
        + (feedforward_parameters(config, shared) if shared else 0)
    )


def norm_parameters(config: ModelConfig, width: int) -> int:
    """One normalization's: a gain for each feature, for all but RMSNorm a shift too.

    Dynamic Tanh has one number more, its alpha.
    """
    return width * (1 if config.norm == "rmsnorm" else 2) + (config.norm == "dynamic_tanh")


def qk_norm_parameters(config: ModelConfig) -> int:
    """One layer's norms of queries and keys: as wide as a head, or as all heads together."""
    if not config.qk_norm_all_heads:
        return 2 * norm_parameters(config, config.d_head)
    heads = (config.n_heads, config.n_kv_heads)
    return sum(norm_parameters(config, n * config.d_head) for n in heads)


def n_norms(config: ModelConfig) -> int:
    """Norms on the residual stream: 2 a block, 4 in a sandwich; the last, which post has not."""
    per_block = 4 if config.norm_placement == "sandwich" else 2
    return per_block * config.n_layers + (config.norm_placement != "post")


def parameters_by_part(config: ModelConfig, *, active: bool = False) -> dict[str, int]:
    """Parameters of a whole model; the parts add up to `LanguageModel(config).count_parameters()`.

    With tied embeddings the head is the embedding, and counts nothing. With `active`, of the
    experts only those that one token uses.
    """
    table = config.vocab_size * config.d_model
    learned = config.positions == "learned" or config.learned_positions
    sparse = sum(config.has_experts(layer) for layer in range(config.n_layers))
    feedforward = (config.n_layers - sparse) * feedforward_parameters(config)
    if sparse:
        feedforward += sparse * expert_parameters(config, active=active)
    return {
        "embedding": table,
        "positions": config.context_length * config.d_model if learned else 0,
        "attention": config.n_layers * attention_parameters(config),
        "feed-forward": feedforward,
        "norms": n_norms(config) * norm_parameters(config, config.d_model),
        "head": 0 if config.tie_embeddings else table,
    }


def non_embedding_parameters(config: ModelConfig) -> int:
    """All but embedding, positions and head: Kaplan et al.'s N (2020), about 12 L C^2 for GPT-2."""
    parts = parameters_by_part(config)
    return sum(parts[name] for name in ("attention", "feed-forward", "norms"))


def parameters(config: ModelConfig, *, active: bool = False) -> int:
    """All parameters, embeddings included; `active`: without the experts a token does not use."""
    return sum(parameters_by_part(config, active=active).values())


def attention_matrix_parameters(config: ModelConfig) -> int:
    """One layer's W_q, W_k, W_v and W_o, without biases and norms."""
    if config.latent is not None:
        return config.latent.matrices_in + config.latent.matrix_out
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
