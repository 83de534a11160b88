import numpy as np
import pytest

from lib.corpora import english
from lib.tokenization import BPETokenizer
from lib.training import __main__ as command
from lib.training.tokens import byte_tokens, load_tokens


@pytest.fixture(scope="module")
def tokenizer():
    return BPETokenizer.train(english(50_000), vocab_size=400, pattern="gpt2")


def test_bytes_are_the_text():
    assert bytes(byte_tokens("naïve 🏔️")).decode() == "naïve 🏔️"


def test_a_text_is_encoded_once(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr("lib.training.tokens.PART", 1000)  # many parts
    text = english(20_000)
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8")
    tokens = load_tokens(path, tokenizer)
    assert tokens.dtype == np.uint16
    assert tokenizer.decode(tokens.tolist()) == text
    monkeypatch.setattr(BPETokenizer, "encode", None)  # is not called again
    assert np.array_equal(load_tokens(path, tokenizer), tokens)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_changed_text_is_encoded_anew(tmp_path, tokenizer):
    path = tmp_path / "text.txt"
    for text in ("one text", "another text"):
        path.write_text(text)
        assert tokenizer.decode(load_tokens(path, tokenizer).tolist()) == text


@pytest.mark.parametrize("array", [np.ones((2, 3), int), np.ones(4), np.array(["a"])])
def test_an_array_of_no_tokens_is_named(tmp_path, array):
    np.save(tmp_path / "tokens.npy", array)
    with pytest.raises(ValueError, match=r"tokens.npy must hold whole numbers in one dimension"):
        load_tokens(tmp_path / "tokens.npy")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "steps must be at least 1, got 0"),
        (["--data", "nowhere.txt"], "No such file"),
        (["--accumulate", "3"], "batch_size must be a multiple of"),
        (["--learning-rate", "-1"], "peak learning rate must be above 0"),
    ],
)
def test_the_command_names_what_is_wrong(capsys, arguments, message):
    assert command.main(["--device", "cpu", *arguments]) == 2
    assert message in capsys.readouterr().err
