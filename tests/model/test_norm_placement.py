"""Post- and pre-norm blocks against torch's; Gemma 3 and OLMo 2 are held to theirs as models."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lib.model import KVCache, LanguageModel, ModelConfig
from lib.model.inspection import logit_attribution
from lib.model.parameters import parameters_by_part
from lib.model.transformer import Block

SMALL = dict(vocab_size=31, context_length=24, d_model=16, n_layers=2, n_heads=4, d_ff=24)


@pytest.mark.parity("post- and pre-norm blocks", "torch TransformerEncoderLayer", "1e-5")
@pytest.mark.parametrize("placement", ["post", "pre"])
def test_block_equals_torch(placement):
    theirs = nn.TransformerEncoderLayer(
        16, 4, 24, dropout=0.0, activation="gelu", batch_first=True, norm_first=placement == "pre"
    )
    config = ModelConfig.gpt2(
        **SMALL, positions="none", activation="gelu", norm_placement=placement
    )
    ours = Block(config, 0)
    names = {
        "self_attn.in_proj_": "attention.query_key_value.",
        "self_attn.out_proj.": "attention.output.",
        "linear1.": "feedforward.up.",
        "linear2.": "feedforward.down.",
        "norm1.": "attention_output_norm." if placement == "post" else "attention_norm.",
        "norm2.": "feedforward_output_norm." if placement == "post" else "feedforward_norm.",
    }
    weights = {}
    for name, weight in theirs.state_dict().items():
        prefix = next(prefix for prefix in names if name.startswith(prefix))
        weights[name.replace(prefix, names[prefix])] = weight.normal_(0, 0.5)
    ours.load_state_dict(weights)
    x = torch.randn(2, 9, 16)
    mask = nn.Transformer.generate_square_subsequent_mask(9)
    torch.testing.assert_close(ours(x), theirs(x, src_mask=mask), atol=1e-5, rtol=1e-5)


@st.composite
def configs(draw):
    """Small models with every norm at every place."""
    norm = draw(st.sampled_from(["layernorm", "rmsnorm", "batchnorm", "dynamic_tanh"]))
    offset = norm == "rmsnorm" and draw(st.booleans())
    qk_norm = draw(st.booleans())
    window = draw(st.sampled_from([None, 5, (None, 4)]))
    return ModelConfig(
        **SMALL,
        n_kv_heads=draw(st.sampled_from([1, 2, 4])),
        norm=norm,
        norm_placement=draw(st.sampled_from(["pre", "post", "sandwich", "output"])),
        norm_unit_offset=offset,
        norm_cast="after scale"
        if offset
        else draw(st.sampled_from(["before scale", "after scale"])),
        qk_norm=qk_norm,
        qk_norm_all_heads=qk_norm and draw(st.booleans()),
        window=window,
        window_rope_base=100.0 if window and draw(st.booleans()) else None,
        scale_embeddings=draw(st.booleans()),
        tie_embeddings=draw(st.booleans()),
    )


def build(config):
    torch.manual_seed(0)
    model = LanguageModel(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.3)
    return model


@given(config=configs())
def test_parameters_by_formula(config):
    counted = sum(parameters_by_part(config).values())
    assert counted == LanguageModel(config).count_parameters()


@given(config=configs(), data=st.data())
def test_the_future_does_not_matter_in_evaluation_and_the_cache_changes_nothing(config, data):
    model, ids = build(config), torch.randint(31, (2, 14))
    cut = data.draw(st.integers(1, 13))
    changed = ids.clone()
    changed[:, cut:] = (ids[:, cut:] + 1) % 31
    cache = KVCache(config, 2, 14)
    with torch.inference_mode():
        logits, after = model(ids), model(changed)
        pieces = [model(ids[:, :cut], cache=cache), model(ids[:, cut:], cache=cache)]
    torch.testing.assert_close(logits[:, :cut], after[:, :cut], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(torch.cat(pieces, 1), logits, atol=1e-3, rtol=1e-3)


def test_batch_norm_sees_the_future_in_training():
    torch.manual_seed(0)
    model = LanguageModel(ModelConfig(**SMALL, norm="batchnorm")).train()
    ids = torch.randint(31, (1, 8))
    changed = ids.clone()
    changed[0, 7] = (ids[0, 7] + 1) % 31
    assert not torch.allclose(model(ids)[0, 0], model(changed)[0, 0], atol=1e-5)


def test_the_output_norm_bounds_what_a_block_writes():
    model = build(ModelConfig(**SMALL, norm_placement="output", norm_eps=1e-9))
    with torch.no_grad():
        for norm in (
            model.blocks[0].attention_output_norm,
            model.blocks[0].feedforward_output_norm,
        ):
            norm.weight.fill_(1.0)
    before, after = model.residual_stream(torch.randint(31, (1, 5)))[:2]
    assert (after - before).norm(dim=-1).max() <= 2 * 16**0.5 + 1e-3


def test_embeddings_start_as_told():
    torch.manual_seed(0)
    model = LanguageModel(ModelConfig(**(SMALL | {"vocab_size": 4000}), embedding_std=0.5))
    assert model.embedding.weight.std().item() == pytest.approx(0.5, rel=0.02)
    with pytest.raises(ValueError, match="embedding_std must be above 0, got 0"):
        ModelConfig(**SMALL, embedding_std=0.0)


@pytest.mark.parametrize("changes", [{"norm_placement": "post"}, {"norm": "batchnorm"}])
def test_attribution_says_what_it_needs(changes):
    model = build(ModelConfig(**SMALL, **changes))
    with pytest.raises(ValueError, match="attribution needs a pre-norm model"):
        logit_attribution(model, torch.tensor([[1, 2]]), 3)
