"""tiktoken's rank files against tiktoken."""

import base64

import pytest
import tiktoken
from hypothesis import assume, given
from tiktoken.load import load_tiktoken_bpe
from tiktoken_ext import openai_public

from lib import corpora
from lib.tokenization import BPETokenizer
from tests.tokenization.strategies import is_old, mixed_text


def write_ranks(path, tokens):
    lines = [base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens)]
    path.write_bytes(b"".join(lines))
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    trained = BPETokenizer.train([corpora.english(200_000), *corpora.SAMPLES.values()], 3000)
    tokens = [trained.id_to_bytes(i) for i in range(trained.vocab_size)]
    path = write_ranks(tmp_path_factory.mktemp("ranks") / "ours.tiktoken", tokens)
    special = {"<|endoftext|>": trained.vocab_size}
    encoding = tiktoken.Encoding(
        "ours",
        pat_str=openai_public.r50k_pat_str,
        mergeable_ranks=load_tiktoken_bpe(str(path)),
        special_tokens=special,
    )
    return encoding, BPETokenizer.load_tiktoken(path, "gpt2", special)


@pytest.mark.parity("tiktoken rank files", "tiktoken", "same ids")
@given(text=mixed_text)
def test_ids(pair, text):
    assume(is_old(text))
    encoding, ours = pair
    assert ours.encode(text, "all") == encoding.encode(text, allowed_special="all")
    assert ours.encode(text) == encoding.encode(text, disallowed_special=())


def test_ids_of_longer_texts(pair):
    encoding, ours = pair
    for text in [*corpora.SAMPLES.values(), corpora.english(200_000)]:
        assert ours.encode(text) == encoding.encode(text, disallowed_special=())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"IQ==", "line 257: not a token and a rank: b'IQ=='"),
        (b"!!! 256", "line 257: not a token and a rank"),
        (b"YWI= x", "line 257: not a token and a rank"),
        (b"YWI= 3000000", "id 3000000 is not near the 257 tokens"),
        (b"YWI= 7", "two tokens have the same rank"),
    ],
)
def test_damaged_files(tmp_path, line, message):
    path = write_ranks(tmp_path / "x.tiktoken", [bytes([b]) for b in range(256)])
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(ValueError) as error:  # noqa: PT011
        BPETokenizer.load_tiktoken(path)
    assert message in str(error.value)


def test_missing_bytes_and_taken_ids(tmp_path):
    path = write_ranks(tmp_path / "x.tiktoken", [bytes([b]) for b in range(100)])
    with pytest.raises(ValueError, match=r"no token for byte 100 \(156 bytes missing\)"):
        BPETokenizer.load_tiktoken(path)
    path = write_ranks(tmp_path / "x.tiktoken", [bytes([b]) for b in range(256)])
    with pytest.raises(ValueError, match="special token '<s>': id 7 is taken"):
        BPETokenizer.load_tiktoken(path, special_tokens={"<s>": 7})
