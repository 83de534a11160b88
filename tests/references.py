"""Small random models of transformers, saved as a reader's folder or GGUF file would be."""

from pathlib import Path

import gguf
import torch
import transformers

HARD_STRINGS = [
    "",
    " ",
    "   three   spaces   ",
    "\n\n\t\r\n mixed white space \u00a0\u2003",
    "in 1999 there were 12,345.678 of them",
    "x²+y³ ½ Ⅷ ٣٤ १२३",
    "don't can't WE'LL",
    "naïve café Ångström",
    "हिन्दी में लिखा हुआ पाठ",
    "中文和 English 混在一起",
    "👩‍👩‍👧‍👦 emoji 🇫🇷 family",
    "a\u0301 combining",
    "<|im_start|> as text <|endoftext|>",
    "def f(x):\n    return x  # comment\n",
    "\x00\x01\x7f control",
]
SMALL = dict(
    vocab_size=97,
    hidden_size=48,
    intermediate_size=80,
    num_hidden_layers=3,
    num_attention_heads=6,
    num_key_value_heads=2,
    max_position_embeddings=64,
)
LLAMA_31_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 500.0,
    "factor": 4.0,
    "beta_fast": 4.0,
    "beta_slow": 1.0,
    "original_max_position_embeddings": 16,
}
LINEAR = {"rope_type": "linear", "rope_theta": 500.0, "factor": 4.0}
ROPE = {"llama-scaled": LLAMA_31_ROPE, "llama-yarn": YARN, "llama-linear": LINEAR}


def small_model(kind: str) -> transformers.PreTrainedModel:
    """A random model of the named kind, in evaluation mode, no parameter at its default."""
    torch.manual_seed(0)
    if kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=97, n_positions=64, n_embd=48, n_layer=3, n_head=6
        )
    elif kind.startswith("llama"):
        config = transformers.LlamaConfig(
            **SMALL,
            tie_word_embeddings="tied" in kind,
            attention_bias="bias" in kind,
            mlp_bias="bias" in kind,
            rope_parameters=ROPE.get(kind),
        )
    elif kind == "mistral":
        config = transformers.MistralConfig(**SMALL, sliding_window=5)
    elif kind == "qwen2":
        config = transformers.Qwen2Config(**SMALL)
    elif kind == "qwen2-windows":  # from layer 1 on
        config = transformers.Qwen2Config(
            **SMALL, use_sliding_window=True, sliding_window=4, max_window_layers=1
        )
    elif kind.startswith("gpt-neox"):
        config = transformers.GPTNeoXConfig(
            **{key: value for key, value in SMALL.items() if key != "num_key_value_heads"},
            rotary_pct=0.5,
            use_parallel_residual="serial" not in kind,
        )
    elif kind == "gpt-neo":
        config = transformers.GPTNeoConfig(
            vocab_size=97,
            hidden_size=48,
            num_layers=3,
            num_heads=6,
            max_position_embeddings=64,
            window_size=5,
            attention_types=[[["global", "local", "global"], 1]],
        )
    elif kind == "smollm3":
        config = transformers.SmolLM3Config(
            **SMALL, no_rope_layer_interval=2, pad_token_id=None, bos_token_id=1, eos_token_id=2
        )
    elif kind == "qwen3":
        config = transformers.Qwen3Config(**SMALL, head_dim=16, tie_word_embeddings=True)
    elif kind == "qwen3-windows":  # a window in the first and the last layer
        config = transformers.Qwen3Config(
            **SMALL,
            head_dim=16,
            use_sliding_window=True,
            sliding_window=4,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        )
    elif kind == "gemma3-deep":  # as published: every sixth layer without a window
        config = transformers.Gemma3TextConfig(
            **(SMALL | {"num_hidden_layers": 6}),
            head_dim=16,
            query_pre_attn_scalar=16,
            sliding_window=4,
        )
    elif kind.startswith("gemma3"):
        windows = ["sliding_attention", "full_attention", "sliding_attention"]
        config = transformers.Gemma3TextConfig(
            **SMALL,
            head_dim=16,
            query_pre_attn_scalar=16,
            sliding_window=4,
            layer_types=windows if kind == "gemma3" else ["full_attention"] * 3,
            rope_parameters={
                "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
                "full_attention": {"rope_type": "default", "rope_theta": 5000.0},
            },
        )
    elif kind == "mixtral":
        config = transformers.MixtralConfig(**SMALL, num_local_experts=4)
    elif kind == "qwen3-moe":  # the middle layer is dense
        config = transformers.Qwen3MoeConfig(
            **SMALL,
            head_dim=16,
            num_experts=6,
            num_experts_per_tok=3,
            moe_intermediate_size=20,
            mlp_only_layers=[1],
        )
    elif kind.startswith("deepseek-v3"):  # as published, and with YaRN and a query of its own
        yarn = {"rope_type": "yarn", "rope_theta": 500.0, "factor": 4.0}
        yarn |= {"original_max_position_embeddings": 16, "beta_fast": 32, "beta_slow": 1}
        yarn |= {"mscale": 0.7, "mscale_all_dim": 1.3}
        config = transformers.DeepseekV3Config(
            **(SMALL | {"num_key_value_heads": 6}),
            moe_intermediate_size=20,
            n_routed_experts=8,
            num_experts_per_tok=3,
            n_group=4,
            topk_group=2,
            first_k_dense_replace=1,
            kv_lora_rank=12,
            q_lora_rank=None if "yarn" in kind else 20,
            qk_rope_head_dim=8,
            qk_nope_head_dim=10,
            v_head_dim=14,
            rope_parameters=yarn if "yarn" in kind else None,
        )
    elif kind == "gpt-oss":
        config = transformers.GptOssConfig(
            **SMALL,
            head_dim=16,
            num_local_experts=5,
            num_experts_per_tok=2,
            sliding_window=4,
            swiglu_limit=0.8,  # so low that it matters
        )
    elif kind == "olmo2":
        config = transformers.Olmo2Config(**SMALL)
    else:
        raise ValueError(f"no small model of kind {kind!r}")
    model = transformers.AutoModelForCausalLM.from_config(
        config, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:  # norms and biases start at 1 and 0, which would hide mistakes
                parameter.add_(0.3 * torch.randn_like(parameter))
            else:
                parameter.normal_(0, 0.15)
    return model


def save_small_model(kind: str, folder: Path, **save_options) -> transformers.PreTrainedModel:
    """Write such a model to `folder` in Hugging Face format, and return it."""
    model = small_model(kind)
    model.save_pretrained(folder, **save_options)
    return model


def write_small_tokenizer(writer, model="gpt2"):
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre("smollm")
    tokens = ["<|end|>", *(chr(256 + i) for i in range(32)), *"abcdefghijklmnopqrstuvwxyz"]
    tokens += [f"{a}{b}" for a in "abcd" for b in "abcdefghij"][: 97 - len(tokens)]
    writer.add_token_list(tokens)
    writer.add_token_types([3] + [1] * 96)
    writer.add_token_merges([" ".join(token) for token in tokens if len(token) == 2])


def write_small_gguf(path, reference, **changes):
    """A random model as a GGUF file: Llama's query and key rows interleaved, as llama.cpp has it,
    and Gemma's gains with the one that its norms add.
    """
    config, kind = reference.config, changes.get("architecture", "llama")
    writer = gguf.GGUFWriter(path, kind)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    if kind == "llama":
        writer.add_rope_dimension_count(head_dim)
    else:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if kind == "gemma3":
        writer.add_sliding_window(config.sliding_window)
    if "rope_freqs" in changes:
        writer.add_tensor("rope_freqs.weight", changes["rope_freqs"])
    if "rms_eps" not in changes:
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope.get("full_attention", rope)["rope_theta"])
    changes.get("write_tokenizer", write_small_tokenizer)(writer)
    architecture = gguf.MODEL_ARCH[kind.upper() if kind != "mamba" else "LLAMA"]
    table = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    for name, tensor in reference.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        array = tensor.numpy()
        if kind == "gemma3" and "norm" in name:
            array = array + 1
        if kind == "llama" and ("q_proj" in name or "k_proj" in name):
            half = array.reshape(-1, 2, head_dim // 2, array.shape[1])
            array = half.swapaxes(1, 2).reshape(array.shape)
        for wrong, replacement in changes.get("tensors", {}).items():
            if wrong in name:
                array = replacement
        if array is not None:
            writer.add_tensor(table.get_name(name, try_suffixes=(".weight", ".bias")), array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
