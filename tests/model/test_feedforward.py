import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import norm
from transformers.activations import ACT2FN
from transformers.models.gemma.modeling_gemma import GemmaMLP
from transformers.models.gpt2.modeling_gpt2 import GPT2MLP
from transformers.models.llama.modeling_llama import LlamaMLP

from lib.model import ModelConfig
from lib.model.feedforward import (
    ACTIVATIONS,
    FUSED_ACTIVATIONS,
    GATED_FORMS,
    FeedForward,
    gated_width,
    gelu_sigmoid,
    swish,
)

SIZES = dict(vocab_size=31, context_length=24, d_model=16, n_layers=2, n_heads=2, d_ff=40)
REFERENCES = {
    "relu": torch.relu,
    "squared_relu": ACT2FN["relu2"],
    "gelu": F.gelu,
    "gelu_tanh": ACT2FN["gelu_new"],
    "gelu_sigmoid": ACT2FN["quick_gelu"],
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
    "identity": torch.nn.Identity(),
}
# bfloat16 keeps 8 bits; ours rounds after every operation, a fused kernel once.
TOLERANCE = {torch.float32: dict(atol=1e-5, rtol=1e-5), torch.bfloat16: dict(atol=2e-2, rtol=2e-2)}
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


@each_dtype
@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parity(
    "activations and their gradients, float32 and bfloat16", "torch and transformers", "1e-5, 2e-2"
)
def test_activations(name, dtype):
    x = torch.linspace(-8, 8, 4001).to(dtype).requires_grad_()
    values = [f(x) for f in (ACTIVATIONS[name], FUSED_ACTIVATIONS[name], REFERENCES[name])]
    slopes = [torch.autograd.grad(y.sum(), x)[0] for y in values]
    for ours in (0, 1):
        torch.testing.assert_close(values[ours], values[2], **TOLERANCE[dtype])
        torch.testing.assert_close(slopes[ours], slopes[2], **TOLERANCE[dtype])


@given(x=st.floats(-30, 30), beta=st.floats(0, 10))
def test_formulas_in_double_precision(x, beta):
    wide = torch.tensor(x, dtype=torch.float64)
    assert swish(wide, beta).item() == pytest.approx(x * expit(beta * x), abs=1e-9)
    assert ACTIVATIONS["gelu"](wide).item() == pytest.approx(x * norm.cdf(x), abs=1e-9)
    assert gelu_sigmoid(wide).item() == pytest.approx(x * expit(1.702 * x), abs=1e-9)


def copy(layer, parts):
    for name, part in parts.items():
        weight = part.weight.T if "Conv1D" in type(part).__name__ else part.weight
        getattr(layer, name).weight = torch.nn.Parameter(weight.detach().clone())
        if part.bias is not None:
            getattr(layer, name).bias = torch.nn.Parameter(part.bias.detach().clone())
    return layer


@each_dtype
@pytest.mark.parametrize("kind", ["GPT-2", "Llama", "Gemma"])
@pytest.mark.parity(
    "feed-forward layers of GPT-2, Llama and Gemma, float32 and bfloat16",
    "transformers",
    "identical",
)
def test_layers(kind, dtype):
    sizes = dict(hidden_size=16, intermediate_size=40, num_attention_heads=2)
    if kind == "GPT-2":
        reference = GPT2MLP(40, transformers.GPT2Config(n_embd=16)).eval()
        config = ModelConfig(**SIZES, gated=False, activation="gelu_tanh", feedforward_bias=True)
        parts = {"up": reference.c_fc, "down": reference.c_proj}
    elif kind == "Llama":
        reference = LlamaMLP(transformers.LlamaConfig(**sizes))
        config = ModelConfig(**SIZES)
    else:
        settings = transformers.GemmaConfig(**sizes, hidden_activation="gelu_pytorch_tanh")
        reference = GemmaMLP(settings)
        config = ModelConfig(**SIZES, activation="gelu_tanh")
    if kind != "GPT-2":
        parts = {name: getattr(reference, f"{name}_proj") for name in ("gate", "up", "down")}
    with torch.no_grad():
        for weight in reference.parameters():
            weight.normal_(0, 0.5)
    layer = copy(FeedForward(config), parts).to(dtype)
    x = torch.randn(2, 5, 16, dtype=dtype)
    expected = reference.to(dtype)(x)
    tolerance = dict(atol=1e-5, rtol=1e-5) if kind == "GPT-2" else dict(atol=0, rtol=0)
    if kind == "GPT-2" and dtype == torch.bfloat16:  # GPT-2 rounds its formula step by step
        tolerance = dict(atol=0.1, rtol=0.02)
    torch.testing.assert_close(layer(x), expected, **tolerance)


@pytest.mark.parametrize("name", GATED_FORMS)
@pytest.mark.parity("GLU, Bilinear, ReGLU, GEGLU, SwiGLU layers", "NumPy and SciPy", "1e-5")
def test_gated_forms(name):
    layer = FeedForward(ModelConfig(**SIZES, activation=GATED_FORMS[name]))
    x = torch.randn(5, 16)
    gate, up, down = (
        part.weight.detach().double().numpy() for part in (layer.gate, layer.up, layer.down)
    )
    function = {
        "GLU": expit,
        "Bilinear": lambda z: z,
        "ReGLU": lambda z: np.maximum(z, 0),
        "GEGLU": lambda z: z * norm.cdf(z),
        "SwiGLU": lambda z: z * expit(z),
    }[name]
    wide = x.double().numpy()
    expected = (function(wide @ gate.T) * (wide @ up.T)) @ down.T
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, atol=1e-5, rtol=1e-4)


def test_published_widths():
    assert gated_width(3072) == 2048  # Shazeer (2020)
    for width, d_ff in {4096: 11008, 5120: 13824, 8192: 22016}.items():  # LLaMA 7B, 13B, 65B
        assert gated_width(4 * width, 256) == d_ff


@given(d_ff=st.integers(1, 10_000), multiple=st.integers(1, 300))
def test_two_thirds(d_ff, multiple):
    width = gated_width(d_ff, multiple)
    assert width % multiple == 0
    assert 2 * d_ff // 3 <= width < 2 * d_ff // 3 + multiple


@pytest.mark.parametrize("sizes", [(0, 1), (8, 0)])
def test_bad_widths_are_named(sizes):
    with pytest.raises(ValueError, match=f"got d_ff={sizes[0]}, multiple_of={sizes[1]}"):
        gated_width(*sizes)
