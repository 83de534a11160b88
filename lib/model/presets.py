"""The shapes of published models, as arguments of `ModelConfig`; their sources stand there."""

GPT2 = dict(
    vocab_size=50_257,
    context_length=1024,
    d_model=768,
    n_layers=12,
    n_heads=12,
    d_ff=3072,
    positions="learned",
    norm="layernorm",
    activation="gelu_tanh",
    gated=False,
    attention_bias=True,
    feedforward_bias=True,
    tie_embeddings=True,
)
LLAMA3_8B = dict(
    vocab_size=128_256,
    context_length=8192,
    d_model=4096,
    n_layers=32,
    n_heads=32,
    n_kv_heads=8,
    d_ff=14_336,
    rope_base=500_000.0,
)
QWEN3_0_6B = dict(
    vocab_size=151_936,
    context_length=40_960,
    d_model=1024,
    n_layers=28,
    n_heads=16,
    n_kv_heads=8,
    d_head=128,
    d_ff=3072,
    rope_base=1_000_000.0,
    norm_eps=1e-6,
    qk_norm=True,
    tie_embeddings=True,
)
SMOLLM2_135M = dict(
    vocab_size=49_152,
    context_length=8192,
    d_model=576,
    n_layers=30,
    n_heads=9,
    n_kv_heads=3,
    d_ff=1536,
    rope_base=100_000.0,
    tie_embeddings=True,
)
