"""Names of tensors in Hugging Face's files and in ours, for each kind of model."""

# Theirs and ours; {} is the number of the layer, a second {} that of the expert.
LLAMA_NAMES = {
    "model.embed_tokens": "embedding",
    "model.norm": "final_norm",
    "lm_head": "head",
    "model.layers.{}.input_layernorm": "blocks.{}.attention_norm",
    "model.layers.{}.self_attn.q_proj": "blocks.{}.attention.query",
    "model.layers.{}.self_attn.k_proj": "blocks.{}.attention.key",
    "model.layers.{}.self_attn.v_proj": "blocks.{}.attention.value",
    "model.layers.{}.self_attn.o_proj": "blocks.{}.attention.output",
    "model.layers.{}.self_attn.q_norm": "blocks.{}.attention.query_norm",
    "model.layers.{}.self_attn.k_norm": "blocks.{}.attention.key_norm",
    "model.layers.{}.post_attention_layernorm": "blocks.{}.feedforward_norm",
    "model.layers.{}.mlp.gate_proj": "blocks.{}.feedforward.gate",
    "model.layers.{}.mlp.up_proj": "blocks.{}.feedforward.up",
    "model.layers.{}.mlp.down_proj": "blocks.{}.feedforward.down",
}
GPT2_NAMES = {
    "wte": "embedding",
    "wpe": "position",
    "ln_f": "final_norm",
    "lm_head": "head",
    "h.{}.ln_1": "blocks.{}.attention_norm",
    "h.{}.attn.c_attn": "blocks.{}.attention.query_key_value",
    "h.{}.attn.c_proj": "blocks.{}.attention.output",
    "h.{}.ln_2": "blocks.{}.feedforward_norm",
    "h.{}.mlp.c_fc": "blocks.{}.feedforward.up",
    "h.{}.mlp.c_proj": "blocks.{}.feedforward.down",
}
GPT_NEO_NAMES = {
    name: ours for name, ours in GPT2_NAMES.items() if not name.startswith("h.{}.attn")
} | {
    "h.{}.attn.attention.q_proj": "blocks.{}.attention.query",
    "h.{}.attn.attention.k_proj": "blocks.{}.attention.key",
    "h.{}.attn.attention.v_proj": "blocks.{}.attention.value",
    "h.{}.attn.attention.out_proj": "blocks.{}.attention.output",
}
GPT_NEOX_NAMES = {
    "gpt_neox.embed_in": "embedding",
    "gpt_neox.final_layer_norm": "final_norm",
    "embed_out": "head",
    "lm_head": "head",
    "gpt_neox.layers.{}.input_layernorm": "blocks.{}.attention_norm",
    "gpt_neox.layers.{}.attention.query_key_value": "blocks.{}.attention.query_key_value",
    "gpt_neox.layers.{}.attention.dense": "blocks.{}.attention.output",
    "gpt_neox.layers.{}.post_attention_layernorm": "blocks.{}.feedforward_norm",
    "gpt_neox.layers.{}.mlp.dense_h_to_4h": "blocks.{}.feedforward.up",
    "gpt_neox.layers.{}.mlp.dense_4h_to_h": "blocks.{}.feedforward.down",
}
# What Llama calls the norm after attention stands before its feed-forward layer. In Gemma 3 and
# OLMo 2 the same name is a norm of what attention has computed.
GEMMA3_NAMES = LLAMA_NAMES | {
    "model.layers.{}.post_attention_layernorm": "blocks.{}.attention_output_norm",
    "model.layers.{}.pre_feedforward_layernorm": "blocks.{}.feedforward_norm",
    "model.layers.{}.post_feedforward_layernorm": "blocks.{}.feedforward_output_norm",
}
OLMO2_NAMES = {
    theirs: ours
    for theirs, ours in GEMMA3_NAMES.items()
    if not ours.endswith((".attention_norm", ".feedforward_norm"))
}
MIXTRAL_NAMES = LLAMA_NAMES | {
    "model.layers.{}.block_sparse_moe.gate": "blocks.{}.feedforward.router",
    "model.layers.{}.block_sparse_moe.experts.{}.w1": "blocks.{}.feedforward.experts.{}.gate",
    "model.layers.{}.block_sparse_moe.experts.{}.w2": "blocks.{}.feedforward.experts.{}.down",
    "model.layers.{}.block_sparse_moe.experts.{}.w3": "blocks.{}.feedforward.experts.{}.up",
}
QWEN3_MOE_NAMES = LLAMA_NAMES | {
    "model.layers.{}.mlp.gate": "blocks.{}.feedforward.router",
    "model.layers.{}.mlp.experts.{}.gate_proj": "blocks.{}.feedforward.experts.{}.gate",
    "model.layers.{}.mlp.experts.{}.up_proj": "blocks.{}.feedforward.experts.{}.up",
    "model.layers.{}.mlp.experts.{}.down_proj": "blocks.{}.feedforward.experts.{}.down",
}
DEEPSEEK_V3_NAMES = QWEN3_MOE_NAMES | {
    "model.layers.{}.self_attn.q_proj": "blocks.{}.attention.query_up",
    "model.layers.{}.self_attn.q_a_proj": "blocks.{}.attention.query_down",
    "model.layers.{}.self_attn.q_a_layernorm": "blocks.{}.attention.query_norm",
    "model.layers.{}.self_attn.q_b_proj": "blocks.{}.attention.query_up",
    "model.layers.{}.self_attn.kv_a_proj_with_mqa": "blocks.{}.attention.latent_down",
    "model.layers.{}.self_attn.kv_a_layernorm": "blocks.{}.attention.latent_norm",
    "model.layers.{}.self_attn.kv_b_proj": "blocks.{}.attention.latent_up",
    "model.layers.{}.mlp.shared_experts.gate_proj": "blocks.{}.feedforward.shared.gate",
    "model.layers.{}.mlp.shared_experts.up_proj": "blocks.{}.feedforward.shared.up",
    "model.layers.{}.mlp.shared_experts.down_proj": "blocks.{}.feedforward.shared.down",
}
# Sinks are a tensor of attention itself; experts are packed (`lib.pretrained.huggingface`).
GPT_OSS_NAMES = LLAMA_NAMES | {
    "model.layers.{}.self_attn": "blocks.{}.attention",
    "model.layers.{}.mlp.router": "blocks.{}.feedforward.router",
    "model.layers.{}.mlp.experts.{}.gate": "blocks.{}.feedforward.experts.{}.gate",
    "model.layers.{}.mlp.experts.{}.up": "blocks.{}.feedforward.experts.{}.up",
    "model.layers.{}.mlp.experts.{}.down": "blocks.{}.feedforward.experts.{}.down",
}
NAMES = {
    "gpt2": GPT2_NAMES,
    "gpt_neo": GPT_NEO_NAMES,
    "gpt_neox": GPT_NEOX_NAMES,
    "llama": LLAMA_NAMES,
    "mistral": LLAMA_NAMES,
    "qwen2": LLAMA_NAMES,
    "qwen3": LLAMA_NAMES,
    "smollm3": LLAMA_NAMES,
    "gemma3_text": GEMMA3_NAMES,
    "olmo2": OLMO2_NAMES,
    "mixtral": MIXTRAL_NAMES,
    "qwen3_moe": QWEN3_MOE_NAMES,
    "deepseek_v3": DEEPSEEK_V3_NAMES,
    "gpt_oss": GPT_OSS_NAMES,
}
# Buffers that old checkpoints carry: masks and tables, not weights.
BUFFERS = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")
BUFFERS += (".attention.bias", ".attention.masked_bias")


def our_name(name: str, kind: str) -> str | None:
    """Our name for a tensor of a model of this kind; None if there is no such tensor."""
    names = NAMES[kind]
    module, _, suffix = name.removeprefix("transformer.").rpartition(".")
    parts = module.split(".")
    numbers = [part for part in parts if part.isdigit()]
    pattern = ".".join("{}" if part.isdigit() else part for part in parts)
    if pattern not in names:
        return None
    ours = names[pattern].format(*numbers)
    if ours.endswith(".router"):  # the balancing bias is no gradient's; gpt-oss learns another
        suffix = {"e_score_correction_bias": "bias", "bias": "logit_bias"}.get(suffix, suffix)
    return f"{ours}.{suffix}"
