import pytest
import torch

from lib.model import LanguageModel, ModelConfig
from lib.model.head_conversion import with_kv_heads

SHAPE = dict(vocab_size=31, context_length=32, d_model=32, n_layers=2, n_heads=8, d_ff=16)


def random_model(**changes):
    torch.manual_seed(0)
    model = LanguageModel(ModelConfig(**SHAPE, **changes)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.4)
    return model


@pytest.mark.parametrize("changes", [{}, {"attention_bias": True, "tie_embeddings": True}])
@pytest.mark.parametrize("more", [2, 4, 8])
def test_more_heads_change_no_logit(changes, more):
    model = random_model(n_kv_heads=2, **changes)
    ids = torch.randint(31, (2, 9))
    converted = with_kv_heads(model, more)
    assert converted.config.n_kv_heads == more
    torch.testing.assert_close(converted(ids), model(ids), atol=1e-4, rtol=1e-4)


def test_averaging_undoes_repeating():
    model = random_model(n_kv_heads=2)
    back = with_kv_heads(with_kv_heads(model, 8), 2)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], weight)


def test_fewer_heads_are_means():
    model = random_model(n_kv_heads=4)
    ids, layer = torch.randint(31, (1, 6)), 0
    key = model.attention_steps(ids, layer).key
    pooled = with_kv_heads(model, 2).attention_steps(ids, layer).key
    torch.testing.assert_close(pooled, key.unflatten(1, (2, 2)).mean(2))


@pytest.mark.parametrize("number", [0, 3, 5])
def test_other_numbers_are_refused(number):
    with pytest.raises(ValueError, match=f"n_kv_heads must .* got {number}"):
        with_kv_heads(random_model(n_kv_heads=4), number)
