"""The references of chapter 4's exercises, held to torch, transformers and the library."""

import torch
import torch.nn.functional as F
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm

from lib.exercises import norm_placement, normalization
from lib.model import ModelConfig
from lib.model.transformer import Block


def test_references_agree_with_torch_transformers_and_the_library():
    x, weight, bias = torch.randn(5, 12) + 1, torch.randn(12), torch.randn(12)
    expected = F.layer_norm(x, (12,), weight, bias, 1e-2)
    torch.testing.assert_close(normalization.layer_norm(x, weight, bias), expected)

    theirs = Gemma3RMSNorm(12, eps=1e-6).bfloat16()
    theirs.weight.data = (weight / 4).bfloat16()
    got = normalization.gemma_norm(x.bfloat16(), theirs.weight)
    torch.testing.assert_close(got, theirs(x.bfloat16()), rtol=0, atol=0)

    config = ModelConfig(
        vocab_size=5, context_length=8, d_model=12, n_layers=1, n_heads=2, d_ff=8,
        norm_placement="output", positions="none",
    )  # fmt: skip
    block = Block(config, 0)
    norms = [block.attention_output_norm, block.feedforward_output_norm]
    attention = lambda x: block.attention(x[None])[0]  # noqa: E731
    got = norm_placement.output_norm_block(x, attention, block.feedforward, norms)
    torch.testing.assert_close(got, block(x[None])[0])


def test_centered_weights_write_no_mean_so_that_both_norms_agree():
    weight, bias = normalization.centered(torch.randn(12, 6), torch.randn(12))
    written = torch.randn(9, 6) @ weight.T + bias
    assert written.mean(dim=-1).abs().max() < 1e-5
    rms = F.rms_norm(written, (12,), eps=1e-5)
    torch.testing.assert_close(rms, F.layer_norm(written, (12,)), atol=1e-4, rtol=1e-4)


def test_no_score_passes_the_bound():
    query, key = (F.rms_norm(torch.randn(4000, 8), (8,)) for _ in range(2))
    scores = (1.5 * query) @ (0.5 * key).T / 8**0.5
    bound = normalization.largest_score(8, 1.5, 0.5)
    assert 0.9 * bound < scores.max() <= bound + 1e-5
