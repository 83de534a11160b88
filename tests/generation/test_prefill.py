"""The cache that decoding starts from."""

import pytest
import torch

from lib.generation.prefill import new_cache, read_prompts
from lib.model import LanguageModel, ModelConfig

SIZES = dict(
    vocab_size=31, context_length=24, d_model=16, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=32
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_new_cache_has_the_dtype_of_the_weights(dtype):
    cache = new_cache(LanguageModel(ModelConfig(**SIZES)).to(dtype), 3, 10)
    assert len(cache.keys) == len(cache.values) == 2
    for tensor in (*cache.keys, *cache.values):
        assert tensor.shape == (3, 2, 10, 4)
        assert tensor.dtype == dtype
    assert cache.length == 0


@torch.no_grad()
def test_each_prompt_goes_on_in_n_rows():
    model = LanguageModel(ModelConfig(**SIZES)).eval()
    ids, new = torch.randint(31, (2, 6)), torch.randint(31, (6, 1))
    hidden, cache = read_prompts(model, ids, None, 3, 4)
    torch.testing.assert_close(hidden, model.hidden(ids))
    whole = torch.cat([ids.repeat_interleave(3, dim=0), new], dim=1)
    torch.testing.assert_close(
        model.hidden(new, cache=cache), model.hidden(whole)[:, -1:], atol=1e-5, rtol=1e-5
    )
    with pytest.raises(ValueError, match="take 25 positions, the context has 24"):
        read_prompts(model, ids, None, 3, 19)
