import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from references import save_small_model

from lib.model import LanguageModel, ModelConfig
from lib.model.inspection import (
    copying_score,
    first_token_score,
    head_weights,
    induction_score,
    logit_attribution,
    previous_token_score,
    repeated_tokens,
    without_heads,
)
from lib.pretrained import load_folder

SHAPE = dict(vocab_size=40, context_length=32, d_model=24, n_layers=2, n_heads=4, d_ff=20)


@pytest.fixture(scope="module", params=["gpt2", "llama-bias", "qwen3", "mistral"])
def pair(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    reference = save_small_model(request.param, folder)
    return reference, load_folder(folder)[0]


@pytest.mark.parity("attention weights of all heads", "transformers output_attentions", "1e-5")
def test_weights_equal_transformers(pair):
    reference, model = pair
    ids = torch.randint(97, (2, 11))
    expected = torch.stack(reference(ids, output_attentions=True).attentions)
    torch.testing.assert_close(head_weights(model, ids), expected, atol=1e-5, rtol=1e-5)


@given(st.integers(3, 9), st.integers(2, 8), st.integers(0, 99))
def test_scores_by_their_definitions(n, period, seed):
    weights = torch.rand(2, 3, n, n, generator=torch.Generator().manual_seed(seed)).tril()

    def mean_over(pairs):
        return torch.stack([weights[..., query, key] for query, key in pairs]).mean(0)

    expected = mean_over([(i, i - 1) for i in range(1, n)])
    torch.testing.assert_close(previous_token_score(weights), expected)
    expected = mean_over([(i, 0) for i in range(1, n)])
    torch.testing.assert_close(first_token_score(weights), expected)
    if period < n:
        expected = mean_over([(i, i - period + 1) for i in range(period, n)])
        torch.testing.assert_close(induction_score(weights, period), expected)


def test_a_period_that_cannot_be_is_named():
    with pytest.raises(ValueError, match=r"period must be in 2 .. 3, got 4"):
        induction_score(torch.rand(4, 4), 4)


def test_repeated_tokens_repeat():
    ids = repeated_tokens(500, n_texts=3, period=7)
    assert ids.shape == (3, 14)
    assert torch.equal(ids[:, :7], ids[:, 7:])
    assert ids.min() >= 100
    assert ids.max() < 500


def test_copying_by_construction():
    """A head whose W_v W_o is the identity copies; with the sign turned it does the opposite."""
    torch.manual_seed(0)
    config = ModelConfig(
        **SHAPE | {"n_heads": 1, "n_layers": 1, "d_model": 40}, tie_embeddings=True
    )
    model = LanguageModel(config).eval()
    with torch.no_grad():
        model.embedding.weight.copy_(torch.eye(40))
        attention = model.blocks[0].attention
        attention.query_key_value.weight[80:] = torch.eye(40)
        attention.output.weight.copy_(torch.eye(40))
    ids = torch.stack([torch.randperm(40)[:20], torch.arange(20)])
    assert copying_score(model, ids).tolist() == [[[1.0], [1.0]]]
    with torch.no_grad():
        attention.output.weight.neg_()
    assert copying_score(model, ids).max() == 0


def test_parts_add_up_to_the_logit_of_transformers(pair):
    reference, model = pair
    ids = torch.randint(97, (1, 11))
    logits = reference(ids).logits[0, -1].detach()
    for token in (0, 55):
        parts = logit_attribution(model, ids, token)
        assert parts.logit == pytest.approx(float(logits[token]), abs=1e-4)
        assert parts.total == pytest.approx(float(logits[token]), abs=1e-3)
    direction = torch.zeros(97)
    direction[3], direction[8] = 1, -1
    parts = logit_attribution(model, ids, direction)
    assert parts.total == pytest.approx(float(logits[3] - logits[8]), abs=1e-3)


def test_ablation_is_zeroing_columns(pair):
    _, model = pair
    ids = torch.randint(97, (2, 9))
    before = model(ids)
    with without_heads(model, [(0, 1), (2, 4), (2, 0)]):
        without = model(ids)
    torch.testing.assert_close(model(ids), before)
    changed = {name: weight.clone() for name, weight in model.state_dict().items()}
    for layer, head in [(0, 1), (2, 4), (2, 0)]:
        weight = changed[f"blocks.{layer}.attention.output.weight"]
        weight.unflatten(1, (6, -1))[:, head] = 0
    twin = LanguageModel(model.config).eval()
    twin.load_state_dict(changed)
    torch.testing.assert_close(without, twin(ids))
    assert not torch.allclose(without, before)


def test_an_error_inside_restores_the_model(pair):
    _, model = pair
    ids = torch.randint(97, (1, 5))
    before = model(ids)
    with pytest.raises(RuntimeError, match="stop"), without_heads(model, [(0, 0)]):
        raise RuntimeError("stop")
    assert torch.equal(model(ids), before)


@pytest.mark.parametrize("head", [(3, 0), (0, 6), (-1, 0)])
def test_a_head_that_is_not_there_is_named(pair, head):
    message = f"no head {head[1]} in layer {head[0]}: the model has 3 layers of 6 heads"
    with pytest.raises(ValueError, match=message), without_heads(pair[1], [head]):
        pass
