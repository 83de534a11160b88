"""The references of chapter 2's exercises, by hand."""

import torch

from lib.exercises import attention, attention_in_use


def test_references_by_hand():
    half = torch.full((2, 2), 0.5)
    zeros, value = torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert torch.equal(attention.scaled_attention(zeros, zeros, value), half)
    assert attention.causal_weights(zeros).tolist() == [[1, 0], [0.5, 0.5]]
    x = torch.arange(4.0).view(1, 1, 4)
    assert attention.split_heads(x, 2).tolist() == [[[[0, 1]], [[2, 3]]]]
    assert torch.equal(attention.merge_heads(attention.split_heads(x, 2)), x)
    turned = attention_in_use.rotate(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), 10.0)
    torch.testing.assert_close(turned, torch.tensor([[1, 0], [0.5403, 0.8415]]), atol=1e-4, rtol=0)
