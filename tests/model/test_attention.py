import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
import transformers
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers.models.gemma2.modeling_gemma2 import eager_attention_forward as gemma2_attention
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssAttention

from lib.model import KVCache, LanguageModel, ModelConfig
from lib.model.attention import Attention, attention_steps, fused_attention
from lib.model.masks import as_bias, causal_mask, window_mask
from lib.model.positions import alibi_bias

SMALL = dict(vocab_size=31, context_length=128, d_model=24, n_layers=3, n_heads=6, d_ff=16)
VARIANTS = {
    "multi-head": {},
    "grouped": {"n_kv_heads": 2},
    "multi-query": {"n_kv_heads": 1},
    "qk-norm": {"qk_norm": True},
    "window": {"window": 5},
    "window of one": {"window": 1},
    "windows by layer": {"window": (3, None, 7), "n_kv_heads": 3},
    "window and first tokens": {"window": 4, "window_sinks": 2},
    "learned sinks": {"learned_sinks": True, "n_kv_heads": 2},
    "learned sinks and window": {"learned_sinks": True, "window": 3},
    "soft-cap": {"attention_softcap": 0.7, "n_kv_heads": 2},
    "alibi": {"positions": "alibi"},
    "alibi and window": {"positions": "alibi", "window": 6, "window_sinks": 1},
    "no positions": {"positions": "none"},
    "sinusoidal": {"positions": "sinusoidal"},
    "everything": {
        "n_kv_heads": 3,
        "qk_norm": True,
        "window": (4, 2, None),
        "window_sinks": 3,
        "learned_sinks": True,
        "attention_softcap": 1.1,
        "positions": "alibi",
    },
}
each_variant = pytest.mark.parametrize("variant", VARIANTS)


def random_model(**changes):
    torch.manual_seed(0)
    model = LanguageModel(ModelConfig(**(SMALL | changes))).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.4)
    return model


def qkv(n_heads=6, n_kv_heads=2, n_query=7, n_key=7, d_head=8, seed=0):
    random = torch.Generator().manual_seed(seed)
    shapes = [(n_heads, n_query), (n_kv_heads, n_key), (n_kv_heads, n_key)]
    return [torch.randn(2, heads, n, d_head, generator=random) for heads, n in shapes]


shapes = st.tuples(
    st.sampled_from([(1, 1), (4, 4), (4, 2), (6, 1)]), st.integers(1, 9), st.integers(0, 9)
)


@pytest.mark.parity(
    "attention in named steps: MHA, GQA, MQA", "torch scaled_dot_product_attention", "1e-5"
)
@given(shapes, st.integers(0, 5))
def test_steps_equal_torch(shape, seed):
    (n_heads, n_kv_heads), n_query, past = shape
    query, key, value = qkv(n_heads, n_kv_heads, n_query, n_query + past, seed=seed)
    mask = causal_mask(n_query, n_query + past)
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True)
    steps = attention_steps(query, key, value)
    torch.testing.assert_close(steps.head_output, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(steps.weights.sum(-1), torch.ones(2, n_heads, n_query))
    torch.testing.assert_close(fused_attention(query, key, value), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parity("soft-capped attention", "transformers Gemma 2 (eager)", "1e-6")
def test_softcap_equals_gemma2():
    query, key, value = qkv()
    module = SimpleNamespace(num_key_value_groups=3, head_dim=8, training=False)
    bias = as_bias(causal_mask(7, 7))
    output, weights = gemma2_attention(module, query, key, value, bias, softcap=0.8)
    steps = attention_steps(query, key, value, softcap=0.8)
    torch.testing.assert_close(steps.weights, weights, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(steps.head_output, output.transpose(1, 2), atol=1e-6, rtol=1e-6)
    assert steps.capped.abs().max() < 0.8 < steps.scaled.abs().max()


@given(scale=st.floats(0.01, 4))
@pytest.mark.parity("attention of another scale", "torch sdpa", "1e-5")
def test_scale_equals_torch(scale):
    query, key, value = qkv()
    steps = attention_steps(query, key, value, scale=scale)
    expected = F.scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=scale, enable_gqa=True
    )
    torch.testing.assert_close(steps.head_output, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parity("learned sinks, windows, grouped heads", "transformers gpt-oss (eager)", "1e-5")
def test_learned_sinks_equal_gpt_oss():
    torch.manual_seed(0)
    settings = transformers.GptOssConfig(
        hidden_size=24,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=8,
        num_hidden_layers=2,
        sliding_window=3,
        layer_types=["sliding_attention", "full_attention"],
        attn_implementation="eager",
    )
    config = ModelConfig(
        **SMALL | {"n_layers": 2},
        n_kv_heads=2,
        d_head=8,
        attention_bias=True,
        learned_sinks=True,
        window=(3, None),
    )
    x, angles = torch.randn(2, 9, 24), torch.rand(2, 1, 9, 4) * 6
    for layer in (0, 1):
        reference = GptOssAttention(settings, layer).eval()
        for weight in reference.parameters():
            nn.init.normal_(weight, std=0.3)
        attention = Attention(config, layer)
        names = ("q_proj", "k_proj", "v_proj")
        merged = [getattr(reference, name) for name in names]
        attention.query_key_value.weight = nn.Parameter(torch.cat([m.weight for m in merged]))
        attention.query_key_value.bias = nn.Parameter(torch.cat([m.bias for m in merged]))
        attention.output, attention.sinks = reference.o_proj, reference.sinks
        positions = torch.arange(9)
        bias = as_bias(window_mask(positions, positions, config.layer_window(layer)))[None, None]
        expected, weights = reference(x, (angles[:, 0].cos(), angles[:, 0].sin()), bias)
        rotary = angles.cos(), angles.sin()
        torch.testing.assert_close(attention(x, rotary), expected, atol=1e-5, rtol=1e-5)
        steps = attention.steps(x, rotary)
        torch.testing.assert_close(steps.weights, weights, atol=1e-5, rtol=1e-5)
        assert (steps.weights.sum(-1) < 1).all()


@each_variant
def test_steps_are_the_twin_of_forward(variant):
    model = random_model(**VARIANTS[variant])
    x, rotary, mask = model.embed(torch.randint(31, (2, 13)))
    for block in model.blocks:
        attention = block.attention
        steps = attention.steps(x, rotary, mask)
        output = attention.output(steps.head_output.transpose(1, 2).flatten(2))
        torch.testing.assert_close(attention(x, rotary, mask), output, atol=1e-4, rtol=1e-4)


@each_variant
@pytest.mark.parametrize("chunks", [[1] * 22, [9, 1, 1, 1, 4, 1, 5], [21, 1]])
def test_cache_gives_the_same_logits(variant, chunks):
    model = random_model(**VARIANTS[variant])
    ids = torch.randint(31, (2, 22))
    cache = KVCache(model.config, batch_size=2, capacity=22)
    with torch.inference_mode():
        pieces = [model(piece, cache=cache) for piece in ids.split(chunks, dim=1)]
        expected = model(ids)
    torch.testing.assert_close(torch.cat(pieces, dim=1), expected, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("variant", [v for v in VARIANTS if "window_sinks" not in VARIANTS[v]])
def test_padding_changes_nothing(variant):
    model = random_model(**VARIANTS[variant])
    ids = torch.randint(31, (1, 11))
    padded = torch.cat([torch.full((1, 4), 7), ids], dim=1)
    mask = torch.arange(15)[None] >= 4
    with torch.inference_mode():
        torch.testing.assert_close(model(padded, mask)[:, 4:], model(ids), atol=2e-4, rtol=2e-4)
        cache = KVCache(model.config, batch_size=1, capacity=15)
        pieces = [model(padded[:, :9], mask[:, :9], cache)]
        pieces += [model(padded[:, t : t + 1], mask[:, : t + 1], cache) for t in range(9, 15)]
    torch.testing.assert_close(torch.cat(pieces, 1)[:, 4:], model(ids), atol=2e-4, rtol=2e-4)


def test_a_token_beyond_the_receptive_field_has_no_influence():
    model = random_model(window=4, positions="none")
    ids = torch.randint(31, (1, 30))
    changed = ids.clone()
    changed[0, 10] = (ids[0, 10] + 1) % 31
    with torch.inference_mode():
        moved = (model(ids) - model(changed)).abs().amax(-1)[0] > 1e-6
    reach = 3 * (4 - 1)  # layers times (window - 1)
    assert moved.nonzero().flatten().tolist() == list(range(10, 10 + reach + 1))


def test_without_positions_or_mask_order_does_not_matter():
    model = random_model(positions="none")
    ids = torch.randperm(31)[None, :9]
    order = torch.cat([torch.randperm(8), torch.tensor([8])])
    everywhere = torch.ones(1, 1, 9, 9, dtype=torch.bool)
    attention = model.blocks[0].attention
    x = model.embedding(ids)
    same = attention(x, None, everywhere)[:, -1]
    torch.testing.assert_close(attention(x[:, order], None, everywhere)[:, -1], same)


def test_gqa_equals_mha_with_its_key_heads_repeated():
    grouped = random_model(n_kv_heads=2)
    full = random_model()
    full.load_state_dict(grouped.state_dict() | _repeated(grouped), strict=True)
    ids = torch.randint(31, (2, 9))
    torch.testing.assert_close(full(ids), grouped(ids))


def _repeated(grouped):
    """Query rows as they are, each of the two key and value heads three times."""
    changed = {}
    for name, weight in grouped.state_dict().items():
        if name.endswith("query_key_value.weight"):
            query, key, value = weight.split((24, 8, 8))
            pairs = [
                m.unflatten(0, (2, 4)).repeat_interleave(3, 0).flatten(0, 1) for m in (key, value)
            ]
            changed[name] = torch.cat([query, *pairs])
    return changed


def test_gradients_of_both_forms_agree():
    query, key, value = (tensor.requires_grad_() for tensor in qkv())
    sinks = torch.randn(6, requires_grad=True)
    mask = alibi_bias(6, torch.arange(7), torch.arange(7))[None] + as_bias(causal_mask(7, 7))
    inputs = (query, key, value, sinks)
    fused = fused_attention(query, key, value, mask, sinks=sinks)
    steps = attention_steps(query, key, value, mask, sinks=sinks).head_output
    direction = torch.randn_like(fused)
    for one, other in zip(
        torch.autograd.grad(fused, inputs, direction),
        torch.autograd.grad(steps, inputs, direction),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 0}, "window must be an integer at least 1, got 0"),
        ({"window": (2, 3)}, "one value for each of 3 layers, got 2"),
        ({"window_sinks": 4}, "window_sinks needs a window"),
        ({"window": 4, "window_sinks": -1}, "window_sinks must be an integer at least 0, got -1"),
        ({"attention_softcap": 0.0}, "attention_softcap must be above 0, got 0.0"),
        ({"attention_softcap": 5.0, "dropout": 0.1}, "attention_softcap with dropout"),
        ({"n_kv_heads": 4}, "n_kv_heads must divide n_heads"),
    ],
)
def test_bad_config_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**(SMALL | change))


def test_first_tokens_and_padding_do_not_mix():
    model = random_model(window=4, window_sinks=2)
    with pytest.raises(ValueError, match="window_sinks needs texts of equal length"):
        model(torch.randint(31, (1, 5)), torch.tensor([[False, True, True, True, True]]))


def test_steps_keep_every_intermediate():
    names = [field.name for field in dataclasses.fields(attention_steps(*qkv()))]
    assert names == [
        *("query", "key", "value", "scores", "scaled", "capped", "masked", "weights"),
        "head_output",
    ]
    steps = attention_steps(*qkv())
    torch.testing.assert_close(steps.scores / math.sqrt(8), steps.scaled)
