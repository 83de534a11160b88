"""Where the parameters of a model are: by formula, from the configuration alone."""

from lib.model.config import ModelConfig


def attention_parameters(config: ModelConfig) -> int:
    """One layer's: W_q (C x HD), W_k and W_v (C x KD), W_o (HD x C), biases, QK-norm, sinks."""
    width, d_head = config.d_model, config.d_head
    query, key_value = config.n_heads * d_head, 2 * config.n_kv_heads * d_head
    weights = width * (query + key_value) + query * width
    biases = query + key_value + width if config.attention_bias else 0
    norms = 2 * norm_parameters(config, d_head) if config.qk_norm else 0
    return weights + biases + norms + (config.n_heads if config.learned_sinks else 0)


def feedforward_parameters(config: ModelConfig) -> int:
    """One layer's: two matrices C x F, or three with a gate, and their biases."""
    into = 2 if config.gated else 1
    biases = into * config.d_ff + config.d_model if config.feedforward_bias else 0
    return (into + 1) * config.d_model * config.d_ff + biases


def norm_parameters(config: ModelConfig, width: int) -> int:
    """One normalization's: a gain for each feature, and for LayerNorm a shift too."""
    return width * (2 if config.norm == "layernorm" else 1)


def parameters_by_part(config: ModelConfig) -> dict[str, int]:
    """Parameters of a whole model; the parts add up to `LanguageModel(config).count_parameters()`.

    With tied embeddings the head is the embedding, and counts nothing.
    """
    table = config.vocab_size * config.d_model
    learned = config.positions == "learned"
    return {
        "embedding": table,
        "positions": config.context_length * config.d_model if learned else 0,
        "attention": config.n_layers * attention_parameters(config),
        "feed-forward": config.n_layers * feedforward_parameters(config),
        "norms": (2 * config.n_layers + 1) * norm_parameters(config, config.d_model),
        "head": 0 if config.tie_embeddings else table,
    }


def non_embedding_parameters(config: ModelConfig) -> int:
    """All but embedding, positions and head: Kaplan et al.'s N (2020), about 12 L C^2 for GPT-2."""
    parts = parameters_by_part(config)
    return sum(parts[name] for name in ("attention", "feed-forward", "norms"))
