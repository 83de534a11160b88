import math

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.deepseek_v3.modeling_deepseek_v3 import apply_rotary_pos_emb_interleave
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from lib.model import LanguageModel, ModelConfig
from lib.model.parameters import parameters_by_part
from lib.model.positions import (
    alibi_bias,
    apply_rope,
    apply_rope_interleaved,
    interleaved_to_half_split,
    rope_frequencies,
    rope_tables,
    sinusoidal_table,
)
from lib.model.rope_scaling import LinearScaling, Llama3Scaling, NTKScaling, YarnScaling


def angles(n_positions, half, base=10_000.0):
    table = torch.arange(n_positions)[:, None] * rope_frequencies(2 * half, base)
    return table[None, None]


@pytest.mark.parity("sinusoidal positions", "NumPy, from the paper's formula", "1e-5")
@given(st.integers(1, 20), st.integers(0, 5000), st.integers(1, 33))
def test_sinusoidal_table(n_positions, start, width):
    positions = torch.arange(start, start + n_positions)
    expected = np.zeros((n_positions, width))
    for row, position in enumerate(positions.numpy().astype(np.float64)):
        for i in range(width):
            angle = position / 10_000 ** (2 * (i // 2) / width)
            expected[row, i] = np.sin(angle) if i % 2 == 0 else np.cos(angle)
    table = sinusoidal_table(positions, width).double().numpy()
    np.testing.assert_allclose(table, expected, atol=2e-3)  # single-precision angles up to 5000


@pytest.mark.parity("RoPE in both pairings", "transformers Llama and DeepSeek-V3", "1e-6")
def test_both_pairings_equal_transformers():
    query, key = torch.randn(2, 3, 9, 8), torch.randn(2, 1, 9, 8)
    table = angles(9, 4)
    cos, sin = table.cos(), table.sin()
    both = torch.cat([table, table], dim=-1)[:, 0]
    expected = apply_rotary_pos_emb(query, key, both.cos(), both.sin())
    torch.testing.assert_close(apply_rope(query, cos, sin), expected[0])
    torch.testing.assert_close(apply_rope(key, cos, sin), expected[1])
    # DeepSeek's result is in half-split order; scores do not notice.
    query_rotated, key_rotated = apply_rotary_pos_emb_interleave(query, key, both.cos(), both.sin())
    ours = apply_rope_interleaved(query, cos, sin) @ apply_rope_interleaved(key, cos, sin).mT
    torch.testing.assert_close(ours, query_rotated @ key_rotated.mT, atol=1e-5, rtol=1e-5)


@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 7))
def test_the_permutation_turns_one_pairing_into_the_other(n_heads, half, n_positions):
    x = torch.randn(2, n_heads, n_positions, 2 * half)
    table = angles(n_positions, half)
    rows = interleaved_to_half_split(n_heads, 2 * half)
    flat = x.transpose(1, 2).flatten(2)[..., rows]  # what permuted weight rows would give
    permuted = flat.unflatten(2, (n_heads, -1)).transpose(1, 2)
    rotated = apply_rope(permuted, table.cos(), table.sin())
    expected = apply_rope_interleaved(x, table.cos(), table.sin())
    first, second = rotated.chunk(2, dim=-1)
    torch.testing.assert_close(torch.stack([first, second], -1).flatten(-2), expected)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 1000))
def test_scores_depend_on_the_distance_only(query_position, key_position, shift):
    torch.manual_seed(0)
    query, key = torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)

    def score(first, second):
        table = angles(2000, 8)
        one, other = table[:, :, first : first + 1], table[:, :, second : second + 1]
        rotated = apply_rope(query, one.cos(), one.sin())
        return (rotated * apply_rope(key, other.cos(), other.sin())).sum()

    here = score(query_position, key_position)
    there = score(query_position + shift, key_position + shift)
    torch.testing.assert_close(here, there, atol=2e-3, rtol=1e-3)
    assert torch.isclose(score(5, 5), (query * key).sum(), atol=1e-4)


RULES = [
    (LinearScaling(4.0), {"rope_type": "linear", "factor": 4.0}),
    (
        Llama3Scaling(8.0, 1.0, 4.0, 256),
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 256,
        },
    ),
]
for more in ({}, {"beta_fast": 8.0, "beta_slow": 2.0}, {"attention_factor": 1.5}):
    yarn = {"rope_type": "yarn", "factor": 16.0, "original_max_position_embeddings": 512}
    RULES.append((YarnScaling(16.0, 512, **more), yarn | more))
RULES.append((YarnScaling(16.0, 512, truncate=False), yarn | {"truncate": False}))


@pytest.mark.parity("rotary scaling: linear, Llama 3.1, YaRN", "transformers", "1e-6")
@pytest.mark.parametrize(("scaling", "rope"), RULES)
@pytest.mark.parametrize("d_head", [4, 64, 128])
def test_scaling_equals_transformers(scaling, rope, d_head):
    config = transformers.LlamaConfig(
        head_dim=d_head, max_position_embeddings=8192, rope_parameters=rope | {"rope_theta": 5000.0}
    )
    expected, factor = ROPE_INIT_FUNCTIONS[rope["rope_type"]](config, "cpu")
    torch.testing.assert_close(rope_frequencies(d_head, 5000.0, scaling), expected)
    scaled, our_factor = scaling.scale(rope_frequencies(d_head, 5000.0), 5000.0)
    torch.testing.assert_close(scaled, expected)
    assert math.isclose(our_factor, factor)


@pytest.mark.parity("NTK-aware rotary scaling", "transformers, dynamic NTK at the length", "1e-6")
@pytest.mark.parametrize("factor", [2, 5])
def test_ntk_scaling_equals_transformers(factor):
    rope = {"rope_type": "dynamic", "factor": 1.0, "rope_theta": 10_000.0}
    config = transformers.LlamaConfig(
        head_dim=64, max_position_embeddings=128, rope_parameters=rope
    )
    expected, _ = ROPE_INIT_FUNCTIONS["dynamic"](config, "cpu", seq_len=128 * factor)
    ours = rope_frequencies(64, 10_000.0, NTKScaling(float(factor)))
    torch.testing.assert_close(ours, expected)
    plain = rope_frequencies(64)
    assert ours[0] == plain[0]
    assert torch.isclose(ours[-1] * factor, plain[-1])


def test_yarn_warms_the_tables():
    shape = dict(vocab_size=9, context_length=99, d_model=16, n_layers=1, n_heads=2, d_ff=4)
    config = ModelConfig(**shape, rope_scaling=YarnScaling(4.0, 16))
    cos, sin = rope_tables(config, torch.arange(5)[None])
    size = (0.1 * math.log(4.0) + 1) ** 2
    torch.testing.assert_close(cos.square() + sin.square(), torch.full((1, 1, 5, 4), size))


@pytest.mark.parity("ALiBi", "transformers Bloom", "up to a constant a row, 1e-5")
@pytest.mark.parametrize("n_heads", [1, 2, 3, 6, 8, 12, 16, 20])
def test_alibi_equals_bloom(n_heads):
    bloom = build_alibi_tensor(torch.ones(1, 9), n_heads, torch.float32)  # H 1 S
    positions = torch.arange(9)
    ours = alibi_bias(n_heads, positions, positions)
    difference = bloom - ours  # softmax does not see what is the same for all keys of a query
    torch.testing.assert_close(difference, difference[..., :1].expand_as(difference))
    assert (ours.diagonal(dim1=1, dim2=2) == 0).all()


def test_learned_positions_beside_rotary_ones():
    shape = dict(vocab_size=9, context_length=12, d_model=16, n_layers=1, n_heads=2, d_ff=4)
    config = ModelConfig(**shape, learned_positions=True)
    model, ids = LanguageModel(config), torch.randint(9, (2, 12))
    rotary_alone = LanguageModel(ModelConfig(**shape))
    rotary_alone.load_state_dict(model.state_dict(), strict=False)
    assert model.count_parameters() - rotary_alone.count_parameters() == 12 * 16
    assert sum(parameters_by_part(config).values()) == model.count_parameters()
    assert not torch.allclose(model(ids), rotary_alone(ids))
    with torch.no_grad():
        model.position.weight.zero_()
    torch.testing.assert_close(model(ids), rotary_alone(ids))
