import pytest
import torch
import transformers

from lib.model import LanguageModel, ModelConfig
from lib.pretrained import load_folder
from tests.generation.references.make_references import SMALL, fill
from tests.references import small_model


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A small random Llama, ours and transformers'."""
    folder = tmp_path_factory.mktemp("llama")
    reference = small_model("llama")
    reference.save_pretrained(folder)
    return load_folder(folder)[0], reference


@pytest.fixture(scope="module")
def old_model(tmp_path_factory):
    """The model whose outputs under transformers 4.49 are stored: weights made from sines."""
    folder = tmp_path_factory.mktemp("sines")
    config = transformers.LlamaConfig(**SMALL, tie_word_embeddings=False)
    model = transformers.LlamaForCausalLM(config).eval()
    fill(model)
    model.save_pretrained(folder)
    return load_folder(folder)[0]


@pytest.fixture(scope="module")
def babbler(smollm2):
    """A small random model of SmolLM2's tokens, with the tokenizer: for what a grammar forces."""
    torch.manual_seed(2)
    tokenizer = smollm2[1]
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        context_length=64,
        d_model=16,
        n_layers=4,
        n_heads=2,
        d_ff=32,
    )
    return LanguageModel(config).eval().requires_grad_(False), tokenizer


@pytest.fixture(scope="module")
def tiny():
    """Six tokens, two layers: small enough to enumerate all short texts."""
    torch.manual_seed(3)
    config = ModelConfig(
        vocab_size=6, context_length=32, d_model=16, n_layers=2, n_heads=2, d_ff=32
    )
    model = LanguageModel(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.4)
    return model.requires_grad_(False)
