"""SentencePiece files: damaged ones and other kinds are refused, with the reason."""

import contextlib
import io

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from lib import corpora
from lib.tokenization import BPETokenizer, UnigramTokenizer, sentencepiece_model


def train(**settings):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpora.english(20_000).splitlines()),
        model_writer=model,
        vocab_size=300,
        minloglevel=2,
        hard_vocab_limit=False,
        **settings,
    )
    return model.getvalue()


@pytest.fixture(scope="module")
def data():
    return train(model_type="unigram")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_type": "bpe"}, "a 'bpe' model, not 'unigram'; BPETokenizer.load reads it"),
        ({"user_defined_symbols": ["<sep>"]}, "user-defined symbols are not supported, found '<s"),
        ({"treat_whitespace_as_suffix": True}, "treat_whitespace_as_suffix"),
        ({"model_type": "char"}, "a 'char' model, not 'unigram'"),
    ],
)
def test_other_kinds_are_named(tmp_path, settings, message):
    (tmp_path / "x.model").write_bytes(train(**settings))
    with pytest.raises(ValueError, match=message):
        UnigramTokenizer.load(tmp_path / "x.model")


@pytest.mark.parametrize("data", [b"", b"\xff", b"{}", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x00"])
def test_files_that_are_no_model(tmp_path, data):
    (tmp_path / "x.model").write_bytes(data)
    with pytest.raises(ValueError, match=r"x\.model: "):
        UnigramTokenizer.load(tmp_path / "x.model")


def test_file_cut_short(tmp_path, data):
    (tmp_path / "x.model").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"cut short|damaged"):
        UnigramTokenizer.load(tmp_path / "x.model")


@given(position=st.integers(0, 3000), value=st.integers(0, 255))
def test_an_altered_byte_is_an_error_or_another_model(tmp_path_factory, data, position, value):
    """Never an exception of another kind, and never an endless loop."""
    altered = bytearray(data)
    altered[position] = value
    path = tmp_path_factory.mktemp("altered") / "x.model"
    path.write_bytes(altered)
    with contextlib.suppress(ValueError):
        UnigramTokenizer.load(path).encode("some text")


def test_a_failed_write_leaves_the_old_file(tmp_path, data, monkeypatch):
    path = tmp_path / "x.model"
    path.write_bytes(data)
    tokenizer = UnigramTokenizer.load(path)
    monkeypatch.setattr(sentencepiece_model.Path, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tokenizer.save(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == data


@pytest.fixture(scope="module", params=[True, False], ids=["spaces removed", "spaces kept"])
def bpe_pair(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("bpe") / "m.model"
    settings = {"normalization_rule_name": "identity", "remove_extra_whitespaces": request.param}
    path.write_bytes(train(model_type="bpe", **settings))
    return BPETokenizer.load(path), sentencepiece.SentencePieceProcessor(model_file=str(path))


@given(text=st.text("ab \n\t\u3000\U0001f44d", max_size=12))
def test_spaces_and_lines_of_a_bpe_model(bpe_pair, text):
    """Spaces at the ends of a text are removed, those at the ends of a line are not."""
    ours, theirs = bpe_pair
    assert ours.encode(text) == theirs.encode(text)
