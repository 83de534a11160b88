import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.model import KVCache, LanguageModel, ModelConfig

SMALL = dict(vocab_size=31, context_length=24, d_model=16, n_layers=3, n_heads=4, d_ff=24)


@st.composite
def configs(draw):
    """Small models of every make."""
    learned = draw(st.booleans())
    return ModelConfig(
        **SMALL,
        n_kv_heads=draw(st.sampled_from([1, 2, 4])),
        d_head=draw(st.sampled_from([4, 6])),
        positions="learned" if learned else "rope",
        norm=draw(st.sampled_from(["layernorm", "rmsnorm"])),
        activation=draw(st.sampled_from(["relu", "gelu", "gelu_tanh", "silu"])),
        gated=draw(st.booleans()),
        attention_bias=draw(st.booleans()),
        feedforward_bias=draw(st.booleans()),
        qk_norm=draw(st.booleans()),
        tie_embeddings=draw(st.booleans()),
    )


def build(config, seed=0):
    torch.manual_seed(seed)
    model = LanguageModel(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.3)
    return model


@given(config=configs(), n=st.integers(2, 24), data=st.data())
def test_the_future_does_not_matter(config, n, data):
    model = build(config)
    ids = torch.randint(31, (2, n))
    cut = data.draw(st.integers(1, n - 1))
    changed = ids.clone()
    changed[:, cut:] = (ids[:, cut:] + 1) % 31
    with torch.inference_mode():
        before, after = model(ids), model(changed)
    assert before.shape == (2, n, 31)
    torch.testing.assert_close(before[:, :cut], after[:, :cut], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(before[:, cut:], after[:, cut:])


@given(config=configs(), data=st.data())
def test_cache_on_and_off_give_the_same_logits(config, data):
    model = build(config)
    ids = torch.randint(31, (2, 16))
    cuts = sorted(data.draw(st.sets(st.integers(1, 15), max_size=6)))
    cache = KVCache(config, 2, 16)
    with torch.inference_mode():
        pieces = [model(piece, cache=cache) for piece in ids.tensor_split(cuts, dim=1)]
        torch.testing.assert_close(torch.cat(pieces, 1), model(ids), atol=1e-4, rtol=1e-4)


@given(config=configs())
def test_steps_and_stream_are_what_forward_computes(config):
    model = build(config)
    ids = torch.randint(31, (2, 9))
    stream = model.residual_stream(ids)
    assert stream.shape == (4, 2, 9, 16)
    with torch.inference_mode():
        torch.testing.assert_close(model.unembed(stream[-1]), model(ids))
        for layer, block in enumerate(model.blocks):
            steps = model.attention_steps(ids, layer)
            heads = steps.head_output.transpose(1, 2).flatten(2)
            middle = stream[layer] + block.attention.output(heads)
            after = middle + block.feedforward(block.feedforward_norm(middle))
            torch.testing.assert_close(after, stream[layer + 1], atol=1e-4, rtol=1e-4)
            assert steps.weights.sum(-1).allclose(torch.ones(()))


def test_initialization():
    torch.manual_seed(0)
    config = ModelConfig.gpt2(vocab_size=500, d_model=256, d_ff=1024, n_heads=4, n_layers=8)
    model = LanguageModel(config)
    small = 0.02 / math.sqrt(16)
    for name, weight in model.named_parameters():
        if weight.dim() == 1:
            assert torch.all(weight == (0 if name.endswith("bias") else 1)), name
        else:
            writes = name.endswith(("output.weight", "down.weight"))
            assert weight.std().item() == pytest.approx(small if writes else 0.02, rel=0.05), name
    loss = torch.nn.functional.cross_entropy(
        model(torch.randint(500, (4, 64))).flatten(0, 1), torch.randint(500, (256,))
    )
    assert loss.item() == pytest.approx(math.log(500), abs=0.1)  # knows nothing yet


def test_initial_std_is_that_of_the_matrices():
    torch.manual_seed(0)
    config = ModelConfig(**SMALL | {"d_model": 128, "d_ff": 256}, initial_std=0.1)
    block = LanguageModel(config).blocks[0]
    assert block.feedforward.up.weight.std().item() == pytest.approx(0.1, rel=0.05)
    writes = 0.1 / math.sqrt(2 * config.n_layers)
    assert block.feedforward.down.weight.std().item() == pytest.approx(writes, rel=0.05)
    with pytest.raises(ValueError, match="initial_std must be above 0, got -1"):
        ModelConfig(**SMALL, initial_std=-1.0)


def test_tied_head_is_one_tensor():
    tied = LanguageModel(ModelConfig(**SMALL, tie_embeddings=True))
    untied = LanguageModel(ModelConfig(**SMALL))
    assert tied.head.weight is tied.embedding.weight
    assert untied.count_parameters() - tied.count_parameters() == 31 * 16


def test_dropout_acts_in_training_only():
    model = LanguageModel(ModelConfig(**SMALL, dropout=0.5))
    ids = torch.randint(31, (1, 8))
    assert not torch.equal(model.train()(ids), model(ids))
    assert torch.equal(model.eval()(ids), model(ids))


def test_bad_input_is_named():
    model = LanguageModel(ModelConfig(**SMALL))
    with pytest.raises(ValueError, match="at least one token"):
        model(torch.empty(1, 0, dtype=torch.long))
    with pytest.raises(ValueError, match=r"ids must be in 0 \.\. 30, got 31 \.\. 31"):
        model(torch.tensor([[31]]))
    with pytest.raises(ValueError, match="the context is 24 positions, got 25"):
        model(torch.zeros(1, 25, dtype=torch.long))
    with pytest.raises(ValueError, match="attention_mask must cover 3 positions, got 2"):
        model(torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"layer must be an integer in \[0, 2\], got 3"):
        model.attention_steps(torch.zeros(1, 3, dtype=torch.long), 3)
