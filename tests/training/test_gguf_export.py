"""What save_gguf writes: read by the gguf package and by load_pretrained."""

import gguf
import numpy as np
import pytest
import torch

from lib.model import LanguageModel
from lib.pretrained import load_pretrained
from lib.tokenization import BPETokenizer
from lib.training.corpus import CONTROL
from lib.training.gguf_export import main, save_gguf
from lib.training.saving import save_model
from lib.training.shapes import shape
from lib.training.tokens import byte_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    text = "the cat and the hat, 12 of them " * 9
    return BPETokenizer.train(text, 290, special_tokens=CONTROL, eos_token=CONTROL[0])


@pytest.mark.parity(
    "a model exported to GGUF: logits and ids", "gguf, load_pretrained", "identical"
)
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_a_gguf_file_is_the_model(kind, tokenizer, tmp_path):
    torch.manual_seed(0)
    model = LanguageModel(shape(kind, tokenizer.vocab_size, 32, 2)).eval()
    tokenizer.chat_template = "{{ messages[0].content }}"
    save_model(tmp_path / "run", model, tokenizer)
    assert main([str(tmp_path / "run"), str(tmp_path / "m.gguf")]) == 0
    again, found = load_pretrained(tmp_path / "m.gguf")
    ids = tokenizer.encode("the cat <|im_end|> 🏔️", allowed_special="all")
    assert found.encode("the cat <|im_end|> 🏔️", allowed_special="all") == ids
    assert found.stop_ids == tokenizer.stop_ids
    assert found.chat_template == tokenizer.chat_template
    batch = torch.tensor([ids])
    torch.testing.assert_close(again(batch), model(batch), atol=0, rtol=0)
    tensors = {t.name: t for t in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
    assert np.array_equal(tensors["token_embd.weight"].data, model.embedding.weight.detach())


def test_what_llama_cpp_cannot_read_is_named(tokenizer, tmp_path, capsys):
    torch.manual_seed(0)
    model = LanguageModel(shape("gpt2", 290, 32, 1))
    with pytest.raises(ValueError, match="and this model is gpt2"):
        save_gguf(tmp_path / "m.gguf", model, tokenizer)
    model = LanguageModel(shape("llama", 290, 32, 1))
    with pytest.raises(ValueError, match="no split like None: train with --tokenizer bpe"):
        save_gguf(tmp_path / "m.gguf", model, byte_tokenizer())
    assert main(["one"]) == 2
    assert "give a folder and a file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
