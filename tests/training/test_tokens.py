import dataclasses
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib.corpora import english
from lib.tokenization import BPETokenizer
from lib.training import __main__ as command
from lib.training.batches import split
from lib.training.tokens import byte_tokens, load_tokens

END = "<|endoftext|>"


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
        (["--steps", "0"], "steps must be an integer in [1, 1e8), got 0"),
        (["--data", "nowhere.txt"], "there is no file nowhere.txt"),
        (
            ["--accumulate", "3", "--batch-size", "16", "--steps", "9"],
            "batch_size must be a multiple of",
        ),
        (["--learning-rate", "-1"], "learning_rate must be at least 0"),
    ],
)
def test_the_command_names_what_is_wrong(capsys, arguments, message):
    assert command.main(["--device", "cpu", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_cuda_without_cuda_is_named(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert command.main(["--device", "cuda"]) == 2
    assert "device 'cuda' needs an NVIDIA GPU with CUDA" in capsys.readouterr().err


@pytest.mark.parametrize("length", [1, 500, 1200])
def test_a_text_that_is_too_short_says_how_long_it_must_be(tmp_path, capsys, length):
    (tmp_path / "tiny.txt").write_text("x" * length)
    options = ["--device", "cpu", "--tokenizer", "bytes"]
    assert command.main([*options, "--data", str(tmp_path / "tiny.txt")]) == 2
    least = re.search(r"at least ([\d,]+) tokens", capsys.readouterr().err)[1]
    _, validation = split(np.zeros(int(least.replace(",", "")), int), 0.1)
    assert len(validation) >= 257


def variant(tokenizer, **changes):
    fields = {f.name: getattr(tokenizer, f.name) for f in dataclasses.fields(tokenizer)}
    return BPETokenizer(**(fields | changes))


def test_each_tokenizer_has_its_own_file(tmp_path):
    text = "cafe\u0301 caf\u00e9 <|doc|> hello hello the cat the cat\n" * 30
    (tmp_path / "text.txt").write_text(text)
    one = BPETokenizer.train(text, 300, special_tokens=["<|doc|>"])
    others = [
        one,
        variant(one, normalization="NFC"),
        variant(one, added_tokens={"<|doc|>": one.special_tokens["<|doc|>"]}),
        variant(one, merges=one.merges[:3]),
        variant(one, pattern=None),
    ]
    for tokenizer in others:
        tokens = load_tokens(tmp_path / "text.txt", tokenizer).tolist()
        assert tokens == tokenizer.encode(text)
    assert len(list(tmp_path.glob("*.npy"))) == len(others)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("a b\n\t.é\r"), min_size=1, max_size=60))
def test_parts_are_the_whole(tmp_path, tokenizer, text):
    """However small the parts, with whichever line ends: the ids are those of the whole text."""
    path = tmp_path / f"{abs(hash(text))}.txt"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lib.training.tokens.PART", 3)
        assert load_tokens(path, tokenizer).tolist() == tokenizer.encode(unified)
    assert bytes(load_tokens(path)).decode() == unified


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.sampled_from(["a b", "\n", "\n ", " ", END, "x" * 9]), min_size=1))
def test_parts_of_documents_are_the_whole(tmp_path, parts):
    """Whether two lines can be parted depends on the token that ends a document, too."""
    tokenizer = BPETokenizer.train("a b\n \n x" * 9, 280, special_tokens=[END])
    text = "".join(parts)
    path = tmp_path / "documents.txt"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lib.training.tokens.PART", 3)
        found = load_tokens(path, tokenizer, END).tolist()
    assert found == tokenizer.encode(text, allowed_special=[END])


def test_documents_end_where_the_text_says_so(tmp_path):
    text = "one document<|endoftext|>another<|endoftext|>"
    tokenizer = BPETokenizer.train(text, 300, special_tokens=["<|endoftext|>"])
    end = tokenizer.special_tokens["<|endoftext|>"]
    (tmp_path / "text.txt").write_text(text)
    assert end not in load_tokens(tmp_path / "text.txt", tokenizer)
    tokens = load_tokens(tmp_path / "text.txt", tokenizer, "<|endoftext|>").tolist()
    assert tokens == tokenizer.encode(text, allowed_special="all")
    assert tokens.count(end) == 2
    for spelled, message in ((tokenizer, "no special token of this"), (None, "give a tokenizer")):
        with pytest.raises(ValueError, match=message):
            load_tokens(tmp_path / "text.txt", spelled, "<|end|>")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "text.txt is empty"),
        ("hé, café".encode("latin-1"), "text.txt is not UTF-8: byte 0xe9 at position 1"),
        ("text".encode("utf-16"), "byte 0xff at position 0.*utf-16"),
    ],
)
@pytest.mark.parametrize("with_tokenizer", [True, False])
def test_a_file_that_is_no_text_is_named(tmp_path, tokenizer, content, message, with_tokenizer):
    (tmp_path / "text.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_tokens(tmp_path / "text.txt", tokenizer if with_tokenizer else None)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"no array", b"\x80\x04N."])
def test_an_array_that_cannot_be_read_is_named(tmp_path, content):
    (tmp_path / "tokens.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"tokens\.npy holds no array that NumPy can read"):
        load_tokens(tmp_path / "tokens.npy")
    with pytest.raises(ValueError, match="is a folder"):
        load_tokens(tmp_path)
