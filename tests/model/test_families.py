"""Every step from GPT-2 to Qwen3 against a model of transformers with the same weights."""

from itertools import pairwise

import pytest
import torch
import transformers
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3MoE

from lib.model import LanguageModel, ModelConfig
from lib.model.families import (
    GPT2_TO_LLAMA,
    deepseek_v3_feedforward,
    family_steps,
    mixtral_8x7b,
    qwen3_30b_a3b,
)
from lib.model.parameters import expert_parameters, parameters_by_part

GPT2 = ModelConfig.gpt2(
    vocab_size=61, context_length=32, d_model=48, n_layers=2, n_heads=6, d_ff=80, norm_eps=1e-5
)
STEPS = family_steps(GPT2, n_kv_heads=2, d_head=12)

# Our names and theirs, where theirs are not GPT-2's; {} is the layer.
COMMON = {
    "embedding": "embed_tokens",
    "final_norm": "norm",
    "blocks.{}.attention_norm": "layers.{}.input_layernorm",
    "blocks.{}.feedforward_norm": "layers.{}.post_attention_layernorm",
    "blocks.{}.attention.output": "layers.{}.self_attn.o_proj",
    "blocks.{}.attention.query_norm": "layers.{}.self_attn.q_norm",
    "blocks.{}.attention.key_norm": "layers.{}.self_attn.k_norm",
    "blocks.{}.feedforward.gate": "layers.{}.mlp.gate_proj",
    "blocks.{}.feedforward.up": "layers.{}.mlp.up_proj",
    "blocks.{}.feedforward.down": "layers.{}.mlp.down_proj",
}
NEOX = COMMON | {
    "embedding": "embed_in",
    "final_norm": "final_layer_norm",
    "blocks.{}.attention.output": "layers.{}.attention.dense",
    "blocks.{}.feedforward.up": "layers.{}.mlp.dense_h_to_4h",
    "blocks.{}.feedforward.down": "layers.{}.mlp.dense_4h_to_h",
}


def reference(config: ModelConfig) -> transformers.PreTrainedModel:
    """The model of transformers that has this configuration's parts."""
    sizes = dict(
        vocab_size=config.vocab_size,
        hidden_size=config.d_model,
        intermediate_size=config.d_ff,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_heads,
        max_position_embeddings=config.context_length,
        tie_word_embeddings=config.tie_embeddings,
        attn_implementation="eager",
    )
    newer = dict(num_key_value_heads=config.n_kv_heads, rms_norm_eps=config.norm_eps)
    biases = dict(attention_bias=config.attention_bias, mlp_bias=config.feedforward_bias)
    if config.norm == "layernorm":  # GPT-2 with rotary positions is GPT-NeoX without its shortcut
        settings = transformers.GPTNeoXConfig(
            **sizes,
            use_parallel_residual=False,
            hidden_act="gelu_new",
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 1e4,
                "partial_rotary_factor": 1.0,
            },
        )
    elif not config.gated:  # with RMSNorm it is Arcee, but for the activation
        settings = transformers.ArceeConfig(**sizes, **newer, **biases, hidden_act="gelu_new")
    elif config.qk_norm:
        settings = transformers.Qwen3Config(**sizes, **newer, head_dim=config.d_head)
    else:
        settings = transformers.LlamaConfig(**sizes, **newer, **biases)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(settings, attn_implementation="eager")
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 1:  # norms and biases start at 1 and 0, which would hide mistakes
                weight.add_(0.3 * torch.randn_like(weight))
            else:
                weight.normal_(0, 0.15)
    return model.eval()


@torch.no_grad()
def copy_of(theirs: transformers.PreTrainedModel, config: ModelConfig) -> LanguageModel:
    ours = LanguageModel(config).eval()
    neox = isinstance(theirs, transformers.GPTNeoXForCausalLM)
    base = theirs.base_model
    if not config.tie_embeddings:
        ours.head.weight.copy_(theirs.get_output_embeddings().weight)
    for name, parameter in ours.named_parameters():
        module, _, kind = name.rpartition(".")
        layer = next((part for part in module.split(".") if part.isdigit()), "")
        pattern = module.replace(f".{layer}.", ".{}.") if layer else module
        if pattern == "head":
            continue
        if pattern == "blocks.{}.attention.query_key_value":
            part = base.layers[int(layer)]
            if neox:  # stored head by head: query, key, value of one, then of the next
                fused = getattr(part.attention.query_key_value, kind)
                value = fused.unflatten(0, (config.n_heads, 3, -1)).transpose(0, 1).flatten(0, 2)
            else:
                names = ("q_proj", "k_proj", "v_proj")
                value = torch.cat([getattr(getattr(part.self_attn, n), kind) for n in names])
        else:
            path = (NEOX if neox else COMMON)[pattern].format(layer)
            value = getattr(base.get_submodule(path), kind)
        assert value.shape == parameter.shape, name
        parameter.copy_(value)
    return ours


@pytest.mark.parity("each of 9 steps from GPT-2 to Llama 3 to Qwen3", "transformers", "1e-5")
@pytest.mark.parametrize(("name", "config"), [(n, c) for n, _, c in STEPS[1:]])
def test_each_step_equals_transformers(name, config):
    theirs = reference(config)
    ours = copy_of(theirs, config)
    assert ours.count_parameters() == sum(p.numel() for p in theirs.parameters())
    ids = torch.randint(61, (2, 24))
    with torch.inference_mode():
        torch.testing.assert_close(ours(ids), theirs(ids).logits, atol=1e-5, rtol=1e-5)


def test_the_steps_end_at_the_published_models():
    llama = ModelConfig.llama3_8b()
    start = dict(
        vocab_size=llama.vocab_size, context_length=8192, d_model=4096, n_layers=32, n_heads=32,
        d_ff=14_336, rope_base=500_000.0,
    )  # fmt: skip
    steps = family_steps(ModelConfig.gpt2(**start), n_kv_heads=8, d_head=128)
    assert steps[len(GPT2_TO_LLAMA)][2] == llama
    start = dict(
        vocab_size=151_936, context_length=40_960, d_model=1024, n_layers=28, n_heads=16,
        d_ff=3072, rope_base=1e6, norm_eps=1e-6,
    )  # fmt: skip
    steps = family_steps(ModelConfig.gpt2(**start), n_kv_heads=8, d_head=128)
    assert steps[-1][2] == ModelConfig.qwen3_0_6b()
    assert all(a != b for (_, _, a), (_, _, b) in pairwise(steps))


@pytest.mark.parity("parameters of Mixtral 8x7B and Qwen3-30B-A3B", "transformers", "identical")
@pytest.mark.parametrize(
    ("config", "settings", "billions"),
    [
        (
            mixtral_8x7b(),
            transformers.MixtralConfig(max_position_embeddings=32_768),
            (46.7, 12.9),
        ),
        (
            qwen3_30b_a3b(),
            transformers.Qwen3MoeConfig(num_hidden_layers=48, head_dim=128),
            (30.5, 3.3),
        ),
    ],
    ids=["Mixtral", "Qwen3-MoE"],
)
def test_sparse_models_have_their_published_sizes(config, settings, billions):
    with torch.device("meta"):
        theirs = transformers.AutoModelForCausalLM.from_config(settings)
    total, active = (
        sum(parameters_by_part(config, active=active).values()) for active in (False, True)
    )
    assert total == sum(weight.numel() for weight in theirs.parameters())
    assert (total / 1e9, active / 1e9) == pytest.approx(billions, abs=0.06)


@pytest.mark.parity("parameters of one expert layer of DeepSeek-V3", "transformers", "identical")
def test_deepseek_v3_layer_has_its_published_size():
    config, settings = deepseek_v3_feedforward(), transformers.DeepseekV3Config()
    with torch.device("meta"):
        block = DeepseekV3MoE(settings)
    assert expert_parameters(config) == sum(weight.numel() for weight in block.parameters())
    assert config.router.scale == settings.routed_scaling_factor
    assert (config.router.n_groups, config.router.n_active_groups) == (
        settings.n_group,
        settings.topk_group,
    )
