"""Parameters by formula and dimensions by hooks, against the models themselves."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.model import LanguageModel, ModelConfig
from lib.model.parameters import non_embedding_parameters, parameters_by_part
from lib.model.shape_tracing import forward_dimensions

configs = st.builds(
    lambda heads, shared, half, **rest: ModelConfig(
        n_heads=heads * shared, n_kv_heads=heads, d_head=2 * half, **rest
    ),
    heads=st.integers(1, 4),
    shared=st.integers(1, 3),
    half=st.integers(1, 6),
    vocab_size=st.integers(2, 50),
    context_length=st.integers(1, 30),
    d_model=st.integers(1, 40),
    n_layers=st.integers(1, 3),
    d_ff=st.integers(1, 40),
    positions=st.sampled_from(["learned", "rope"]),
    norm=st.sampled_from(["layernorm", "rmsnorm"]),
    gated=st.booleans(),
    attention_bias=st.booleans(),
    feedforward_bias=st.booleans(),
    qk_norm=st.booleans(),
    learned_sinks=st.booleans(),
    tie_embeddings=st.booleans(),
)


@given(configs)
def test_formula_counts_the_model(config):
    with torch.device("meta"):
        model = LanguageModel(config)
    assert sum(parameters_by_part(config).values()) == model.count_parameters()
    assert non_embedding_parameters(config) == model.count_parameters(embeddings=False)


@pytest.mark.parity("parameters by formula and on the meta device", "published counts", "equal")
@pytest.mark.parametrize(
    ("config", "count"),
    [
        (ModelConfig.gpt2(), 124_439_808),
        (ModelConfig.llama3_8b(), 8_030_261_248),
        (ModelConfig.qwen3_0_6b(), 596_049_920),
        (ModelConfig.smollm2_135m(), 134_515_008),
    ],
)
def test_published_counts(config, count):
    assert sum(parameters_by_part(config).values()) == count


SMALL = dict(
    vocab_size=50, context_length=16, d_model=24, n_layers=2, n_heads=6, n_kv_heads=2, d_ff=40
)


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig.gpt2(
            vocab_size=50, context_length=16, d_model=24, n_heads=6, d_ff=40, n_layers=2
        ),
        ModelConfig(**SMALL),
        ModelConfig(**SMALL, d_head=10, qk_norm=True),
    ],
)
def test_dimensions_are_those_of_a_real_pass(config):
    """The letters, with the sizes put in, are the shapes; and a real pass has the same shapes."""
    rows = forward_dimensions(config, batch=3, positions=5)
    sizes = {
        "B": 3, "T": 5, "C": config.d_model, "H": config.n_heads, "K": config.n_kv_heads,
        "D": config.d_head, "F": config.d_ff, "V": config.vocab_size,
    }  # fmt: skip
    for row in rows:
        python = [
            f"({part})".replace("·", "*").replace("2K", "2*K") for part in row.letters.split()
        ]
        assert tuple(eval(part, {}, sizes) for part in python) == row.shape, row
    model = LanguageModel(config).eval()
    shapes = {row.where: row.shape for row in rows}
    seen = {}
    for name, module in model.named_modules():
        name = name.replace("blocks.0", "block")
        if name in shapes:
            module.register_forward_hook(
                lambda m, i, o, name=name: seen.update({name: tuple(o.shape)})
            )
    model(torch.randint(50, (3, 5)))
    assert seen == {
        name: shape for name, shape in shapes.items() if ":" not in name and name != "ids"
    }
    steps = model.attention_steps(torch.randint(50, (3, 5)), 0)
    for name in ("query", "key", "value"):
        assert tuple(getattr(steps, name).shape) == shapes[f"block.attention: {name}"]
    assert tuple(steps.head_output.shape) == shapes["block.attention: head output"]


def test_experts_are_refused():
    config = ModelConfig(
        vocab_size=31, context_length=24, d_model=16, n_layers=1, n_heads=2, d_ff=20, n_experts=4
    )
    with pytest.raises(ValueError, match="forward_dimensions needs n_experts=None"):
        forward_dimensions(config, 1, 2)
