import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from lib.model.masks import causal_mask
from lib.model.online_softmax import online_softmax_step, score_elements, tiled_attention


@pytest.mark.parity("online softmax, tile by tile", "torch scaled_dot_product_attention", "1e-10")
@given(
    heads=st.sampled_from([(1, 1), (4, 2), (3, 1)]),
    n_query=st.integers(1, 20),
    past=st.integers(0, 20),
    tiles=st.tuples(st.integers(1, 25), st.integers(1, 25)),
    causal=st.booleans(),
    size=st.sampled_from([0.1, 1.0, 30.0]),
)
def test_tiles_equal_the_whole(heads, n_query, past, tiles, causal, size):
    n_key = n_query + past
    # In float64: the rounding of a score grows with it, and `size` makes large ones.
    query = size * torch.randn(2, heads[0], n_query, 8, dtype=torch.float64)
    key, value = torch.randn(2, 2, heads[1], n_key, 8, dtype=torch.float64)
    mask = causal_mask(n_query, n_key) if causal else None
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True)
    output, logsum = tiled_attention(query, key, value, *tiles, causal=causal)
    torch.testing.assert_close(output, expected, atol=1e-10, rtol=1e-10)
    scores = query @ key.repeat_interleave(heads[0] // heads[1], 1).mT / math.sqrt(8)
    if causal:
        scores = scores.masked_fill(~mask, -math.inf)
    torch.testing.assert_close(logsum, scores.logsumexp(-1), atol=1e-10, rtol=1e-10)


def test_a_tile_with_nothing_to_see_changes_nothing():
    maximum, total, output = torch.full((3,), -math.inf), torch.zeros(3), torch.zeros(3, 2)
    hidden, value = torch.full((3, 4), -math.inf), torch.randn(4, 2)
    for _ in range(2):
        maximum, total, output = online_softmax_step(maximum, total, output, hidden, value)
    assert (total == 0).all()
    assert (output == 0).all()
    scores = torch.randn(3, 4)
    maximum, total, output = online_softmax_step(maximum, total, output, scores, value)
    torch.testing.assert_close(output / total[:, None], scores.softmax(-1) @ value)


def test_huge_scores_do_not_overflow():
    query, key = torch.full((1, 1, 4, 4), 100.0), torch.full((1, 1, 4, 4), 100.0)
    output, _ = tiled_attention(query, key, torch.ones(1, 1, 4, 4), 2, 2)
    assert (output == 1).all()


def test_gradients_flow_through_tiles():
    inputs = [torch.randn(1, 2, 7, 4, requires_grad=True) for _ in range(3)]
    expected = F.scaled_dot_product_attention(*inputs, is_causal=True)
    output, _ = tiled_attention(*inputs, 3, 2)
    direction = torch.randn_like(output)
    for one, other in zip(
        torch.autograd.grad(output, inputs, direction),
        torch.autograd.grad(expected, inputs, direction),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_bad_tiles_are_named():
    query = torch.randn(1, 1, 4, 4)
    with pytest.raises(ValueError, match="tiles must be at least 1 wide, got 0 and 2"):
        tiled_attention(query, query, query, 0, 2)
    with pytest.raises(ValueError, match="4 queries for 2 keys"):
        tiled_attention(query, query[:, :, :2], query[:, :, :2])


def test_memory_of_scores():
    assert score_elements(1000, 1000, 64, 32) == 64 * 32
    assert score_elements(10, 1000, 64, 32) == 10 * 32
