"""What save_model writes, opened by transformers and by load_pretrained."""

import json

import pytest
import torch
import transformers

from lib.model import LanguageModel, ModelConfig
from lib.pretrained import load_pretrained
from lib.tokenization import BPETokenizer
from lib.training import save_model

SIZES = dict(vocab_size=300, context_length=32, d_model=24, n_layers=2, n_heads=4, d_ff=40)
LLAMA = dict(n_kv_heads=2, rope_base=5e4, norm_eps=1e-6)
CONFIGS = {
    "gpt2": ModelConfig.gpt2(**SIZES),
    "gpt2-untied": ModelConfig.gpt2(**SIZES, tie_embeddings=False, dropout=0.1),
    "llama": ModelConfig(**SIZES, **LLAMA),
    "llama-tied": ModelConfig(**SIZES, **LLAMA, tie_embeddings=True, d_head=8),
    "qwen3": ModelConfig(**SIZES, **LLAMA, qk_norm=True, tie_embeddings=True),
}
CHAT = "{% for m in messages %}{{ m.content }}<|end|>{% endfor %}"


@pytest.fixture(scope="module")
def tokenizer():
    tokenizer = BPETokenizer.train(
        "the cat and the hat " * 9, 270, special_tokens=("<|end|>", "<|stop|>"), eos_token="<|end|>"
    )
    tokenizer.other_stop_ids = (tokenizer.token_to_id["<|stop|>"],)
    tokenizer.chat_template = CHAT
    return tokenizer


def model_of(config):
    torch.manual_seed(0)
    model = LanguageModel(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return model


@pytest.mark.parity("logits of saved GPT-2, Llama and Qwen3 folders", "transformers", "1e-4")
@pytest.mark.parametrize("name", CONFIGS)
def test_a_saved_folder_opens_elsewhere_and_here(name, tokenizer, tmp_path):
    model, folder = model_of(CONFIGS[name]), tmp_path / "runs" / "mine"
    save_model(folder, model, tokenizer)
    text = "the cat<|end|> and héllo"
    ids = tokenizer.encode(text, allowed_special="all")
    expected = model(torch.tensor([ids]))

    theirs, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True
    )
    assert not any(report.values())
    with torch.no_grad():
        logits = theirs(torch.tensor([ids])).logits
    torch.testing.assert_close(logits, expected.detach(), atol=1e-4, rtol=1e-4)
    assert transformers.AutoTokenizer.from_pretrained(folder).encode(text) == ids
    assert theirs.generation_config.eos_token_id == list(tokenizer.stop_ids)

    again, found = load_pretrained(folder)
    torch.testing.assert_close(again(torch.tensor([ids])), expected, atol=0, rtol=0)
    assert found.encode(text, allowed_special="all") == ids
    assert found.stop_ids == tokenizer.stop_ids
    assert found.chat_template == CHAT
    files = {path.name for path in folder.iterdir()}
    assert files == {
        *("config.json", "model.safetensors", "generation_config.json"),
        *("tokenizer.json", "tokenizer_config.json"),
    }
    save_model(folder, model)  # again, without a tokenizer: nothing of the old folder stays
    assert len(list(folder.iterdir())) == 3
    assert load_pretrained(folder)[1] is None
    settings = json.loads((folder / "config.json").read_text())
    assert settings["eos_token_id"] is None
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": "alibi"}, "no place for positions='alibi'"),
        ({"window": 4}, "no place for window=4"),
        ({"activation": "squared_relu"}, "no kind of folder has the activation 'squared_relu'"),
        ({"gated": False}, "gpt2 has no place for positions='rope', norm='rmsnorm'"),
    ],
)
def test_a_model_of_another_kind_is_named(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        save_model(tmp_path / "out", LanguageModel(ModelConfig(**SIZES, **changes)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("as_a_reader")
def test_wrong_arguments_write_nothing(tokenizer, tmp_path):
    model = model_of(CONFIGS["llama"])
    small = LanguageModel(ModelConfig(**{**SIZES, "vocab_size": 200}))
    with pytest.raises(ValueError, match="the tokenizer has 269 ids, and the model embeddings for"):
        save_model(tmp_path / "out", small, tokenizer)
    with pytest.raises(TypeError, match="save_model needs a LanguageModel, got 'model'"):
        save_model(tmp_path / "out", "model", tokenizer)
    with pytest.raises(TypeError, match="needs a BPETokenizer or None, got 'bytes'"):
        save_model(tmp_path / "out", model, "bytes")
    with torch.no_grad():
        model.head.weight[3, 3] = float("nan")
    with pytest.raises(ValueError, match=r"lm_head\.weight holds values that are NaN"):
        save_model(tmp_path / "out", model, tokenizer)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds other files; give a new folder"):
        save_model(tmp_path, model_of(CONFIGS["gpt2"]))
