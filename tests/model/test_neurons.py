import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.model import LanguageModel, ModelConfig
from lib.model.neurons import neuron_activations, promoted_tokens, strongest, write_share

SIZES = dict(vocab_size=31, context_length=24, d_model=16, n_layers=3, n_heads=2, d_ff=40)


@pytest.mark.parametrize("gated", [True, False])
def test_a_layer_is_the_sum_of_its_neurons_writes(gated):
    torch.manual_seed(0)
    model = LanguageModel(ModelConfig(**SIZES, gated=gated)).eval()
    ids = torch.randint(31, (2, 9))
    (activations,) = neuron_activations(model, ids, [1])
    stream, block = model.residual_stream(ids), model.blocks[1]
    middle = stream[1] + block.attention(
        block.attention_norm(stream[1]), model.embed(ids)[1], None, None
    )
    values = block.feedforward.down.weight
    written = sum(activations[..., i, None] * values[:, i] for i in range(40))
    torch.testing.assert_close(middle + written, stream[2], atol=1e-5, rtol=1e-4)


def test_promoted_tokens_are_those_the_value_raises():
    torch.manual_seed(0)
    model = LanguageModel(ModelConfig(**SIZES)).eval()
    with torch.no_grad():
        model.final_norm.weight.uniform_(0.5, 2)
        model.blocks[2].feedforward.down.weight[:, 7] = (
            model.head.weight[5] / model.final_norm.weight * 100
        )
    assert promoted_tokens(model, 2, 7, 1).tolist() == [5]


def test_strongest_counts_both_signs():
    activations = torch.tensor([[1.0, 0.0], [-3.0, 1.0], [2.0, 5.0]])
    places, values = strongest(activations, 0, 2)
    assert (places.tolist(), values.tolist()) == ([1, 2], [-3.0, 2.0])


@given(n=st.integers(1, 6), width=st.integers(1, 9), share=st.floats(0.05, 1.0))
def test_write_share(n, width, share):
    activations, values = torch.randn(n, width), torch.randn(4, width)
    got = write_share(activations, values, share)
    for row, found in zip(activations, got, strict=True):
        squares = sorted(((row * values.norm(dim=0)) ** 2).tolist(), reverse=True)
        few, many = (fewest(squares, share + by) for by in (-1e-5, 1e-5))
        assert few - 0.01 < found.item() * width < many + 0.01


def fewest(squares, share):
    """How many of the largest hold a share; all of them where rounding lets none do."""
    held = (i for i in range(1, len(squares)) if sum(squares[:i]) >= share * sum(squares))
    return next(held, len(squares))


def test_bad_input_is_named():
    model = LanguageModel(ModelConfig(**SIZES, n_experts=4, dense_layers=(0,)))
    ids = torch.zeros(1, 2, dtype=torch.long)
    with pytest.raises(ValueError, match=r"layers must be in 0 \.\. 2, got 3"):
        neuron_activations(model, ids, [3])
    with pytest.raises(ValueError, match="layer 1 has experts"):
        neuron_activations(model, ids, [0, 1])
    with pytest.raises(ValueError, match=r"share must be in \(0, 1\], got 0"):
        write_share(torch.ones(1, 2), torch.ones(3, 2), 0.0)
