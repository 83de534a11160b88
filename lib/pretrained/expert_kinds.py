"""How the config.json of models with experts becomes our configuration (the others: `kinds`)."""

import math
from typing import Any

from lib.model import ModelConfig
from lib.model.latent_shapes import LatentConfig
from lib.model.routing import RouterConfig
from lib.pretrained.config_parts import SLIDING, layer_count, take, windows
from lib.pretrained.kinds import READERS as DENSE
from lib.pretrained.kinds import llama_config, mistral_config
from lib.settings import require


def _mixtral_config(left: dict) -> ModelConfig:
    experts = dict(
        n_experts=left.pop("num_local_experts", 8),
        n_active_experts=left.pop("num_experts_per_tok", 2),
    )
    left.setdefault("rms_norm_eps", 1e-5)
    if "rope_parameters" not in left:
        left.setdefault("rope_theta", 1_000_000.0)
    return mistral_config(left).replace(**experts)


def _qwen3_moe_config(left: dict) -> ModelConfig:
    n_layers, step = layer_count(left), take(left, "decoder_sparse_step", int, 1)
    require("decoder_sparse_step", step, "[1, inf)")
    dense = set(take(left, "mlp_only_layers", list, []))
    dense |= {layer for layer in range(n_layers) if (layer + 1) % step}
    n_experts = left.pop("num_local_experts", 128)
    experts = dict(
        n_experts=left.pop("num_experts", n_experts),
        n_active_experts=left.pop("num_experts_per_tok", 8),
        d_expert=left.pop("moe_intermediate_size", 768),
        dense_layers=tuple(sorted(dense)),
        router=RouterConfig(normalize=left.pop("norm_topk_prob", False)),
    )
    left.setdefault("num_key_value_heads", 4)
    return llama_config(left).replace(qk_norm=True, **experts)


def _only(left: dict, values: dict[str, Any]) -> None:
    """Take settings that may have one value alone; ValueError for another."""
    for name, value in values.items():
        if (found := left.pop(name, value)) != value:
            raise ValueError(f"{name}={found!r} is not supported, only {value!r}")


def _deepseek_v3_config(left: dict) -> ModelConfig:
    """Latent attention, and experts chosen by sigmoid, bias and groups (DeepSeek-AI, 2024).

    The extra layer that predicts the token after next serves training alone and is left out.
    """
    _only(left, {"rope_interleave": True, "scoring_func": "sigmoid", "topk_method": "noaux_tc"})
    _only(left, {"moe_layer_freq": 1, "attention_bias": False})
    for name in ("ep_size", "aux_loss_alpha", "seq_aux", "num_nextn_predict_layers"):
        left.pop(name, None)  # of training, or of how it is served
    for name in ("qk_head_dim", "head_dim"):  # follow from the others
        left.pop(name, None)
    width, n_heads, eps = left["hidden_size"], left["num_attention_heads"], 1e-6
    latent = LatentConfig(
        d_model=width,
        n_heads=n_heads,
        d_latent=left.pop("kv_lora_rank", 512),
        d_rope=left.pop("qk_rope_head_dim", 64),
        d_content=left.pop("qk_nope_head_dim", 128),
        d_value=left.pop("v_head_dim", 128),
        d_query_latent=left.pop("q_lora_rank", 1536),
        norm_eps=eps,
    )
    experts = dict(
        n_experts=left.pop("n_routed_experts", 256),
        n_active_experts=left.pop("num_experts_per_tok", 8),
        n_shared_experts=left.pop("n_shared_experts", 1),
        d_expert=left.pop("moe_intermediate_size", 2048),
    )
    dense = take(left, "first_k_dense_replace", int, 3)
    require("first_k_dense_replace", dense, f"[0, {layer_count(left)}]")
    router = RouterConfig(
        gate="sigmoid",
        bias=True,
        normalize=left.pop("norm_topk_prob", True),
        scale=left.pop("routed_scaling_factor", 2.5),
        n_groups=left.pop("n_group", 8),
        n_active_groups=left.pop("topk_group", 4),
    )
    left["num_key_value_heads"], left["head_dim"] = n_heads, latent.d_head
    scale = _yarn_scale(left)
    return llama_config(left).replace(
        d_rotary=latent.d_rope,
        latent=latent,
        attention_scale=latent.d_head**-0.5 * scale,
        dense_layers=tuple(range(dense)),
        router=router,
        **experts,
    )


def _yarn_scale(left: dict) -> float:
    """What DeepSeek multiplies scores by with YaRN; the rest of its settings stays in `left`.

    m(a) = 0.1 a ln(factor) + 1. The scores get m(mscale_all_dim)^2; cosines and sines get
    m(mscale) / m(mscale_all_dim), where YaRN alone would take m(1).
    """
    new, old = take(left, "rope_parameters", dict, {}), take(left, "rope_scaling", dict, {})
    found = dict(old or new)
    both = [found.pop(name, None) for name in ("mscale", "mscale_all_dim")]
    for name, value in zip(("mscale", "mscale_all_dim"), both, strict=True):
        require(name, value or 0, "[0, inf)")
    left["rope_parameters"] = found
    if found.get("rope_type", found.get("type", "default")) == "default":
        return 1.0
    factor = found.get("factor")
    require("factor", factor, "[1, inf)")
    mscale, all_dim = (0.1 * (a or 0) * math.log(factor) + 1 for a in both)
    if all(both):
        found.setdefault("attention_factor", mscale / all_dim)
    return all_dim**2


def _gpt_oss_config(left: dict) -> ModelConfig:
    """Experts with a clamped gate, learned sinks, windows in every second layer (OpenAI, 2025)."""
    _only(left, {"swiglu_alpha": 1.702, "hidden_act": "silu"})
    left.pop("initial_context_length", None)  # what rope_scaling says again
    active = left.pop("experts_per_token", 4)
    kinds = take(left, "layer_types", list)
    if kinds is None:
        kinds = [SLIDING if i % 2 == 0 else "full_attention" for i in range(layer_count(left))]
    changes = dict(
        n_experts=left.pop("num_local_experts", 128),
        n_active_experts=left.pop("num_experts_per_tok", active),
        gate_limit=left.pop("swiglu_limit", 7.0),
        window=windows(kinds, left.pop("sliding_window", 128)),
    )
    defaults = dict(num_key_value_heads=8, head_dim=64, rms_norm_eps=1e-5, attention_bias=True)
    left.update(defaults | left)
    return llama_config(left).replace(
        activation="gelu_sigmoid",  # x sigmoid(1.702 x)
        feedforward_bias=True,
        learned_sinks=True,
        router=RouterConfig(logit_bias=True),
        **changes,
    )


READERS = DENSE | {
    "mixtral": _mixtral_config,
    "qwen3_moe": _qwen3_moe_config,
    "deepseek_v3": _deepseek_v3_config,
    "gpt_oss": _gpt_oss_config,
}
