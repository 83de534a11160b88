import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from transformers.masking_utils import create_sliding_window_causal_mask

from lib.model.masks import as_bias, causal_mask, window_mask


@given(st.integers(1, 9), st.integers(0, 9))
def test_causal_mask_by_its_definition(n_query, past):
    mask = causal_mask(n_query, n_query + past)
    for query in range(n_query):
        assert mask[query].tolist() == [key <= query + past for key in range(n_query + past)]
    positions = torch.arange(n_query + past)
    assert torch.equal(window_mask(positions[past:], positions), mask)


@pytest.mark.parity("sliding-window mask", "transformers' masking utilities", "identical")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("window", [1, 3, 8, 20])
def test_window_mask_equals_transformers(window):
    config = transformers.MistralConfig(sliding_window=window, attn_implementation="eager")
    expected = create_sliding_window_causal_mask(
        config=config,
        inputs_embeds=torch.zeros(1, 12, 8),
        attention_mask=torch.ones(1, 12, dtype=torch.long),
        past_key_values=None,
    )
    positions = torch.arange(12)
    ours = window_mask(positions, positions, window)
    assert torch.equal(ours, expected[0, 0] == 0)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 4))
def test_window_mask_by_its_definition(n, window, sinks):
    positions = torch.arange(n)
    mask = window_mask(positions, positions, window, sinks)
    for query in range(n):
        for key in range(n):
            seen = key <= query and (query - key < window or key < sinks)
            assert bool(mask[query, key]) == seen


def test_a_mask_as_numbers():
    bias = as_bias(causal_mask(2, 2))
    assert bias.tolist() == [[0.0, -float("inf")], [0.0, 0.0]]
    assert as_bias(bias) is bias
