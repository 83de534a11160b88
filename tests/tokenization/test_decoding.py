"""From tokens to text: each decoder against tokenizers, SentencePiece's rules against it."""

import io
import json
from itertools import chain

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from lib import corpora
from lib.tokenization import BPETokenizer
from lib.tokenization.decoding import decoder_of

PIECES = [f"<0x{byte:02X}>" for byte in range(256)]
PIECES += ["<s>", *"▁abé ", "▁▁", "▁a", "a▁", "▁a▁b", "a</w>", "</w>", "<0xe9>", "<0xGG>", "ĠtÃ©"]
SPACE, BYTES = decoders.Replace("▁", " "), decoders.ByteFallback()
DECODERS = {
    "Llama 2": [SPACE, BYTES, decoders.Fuse(), decoders.Strip(" ", 1, 0)],
    "Gemma": [SPACE, BYTES, decoders.Fuse()],
    "bytes before spaces": [BYTES, SPACE, decoders.Strip(" ", 2, 0)],
    "Metaspace": [decoders.Metaspace()],
    "Metaspace, first": [decoders.Metaspace(prepend_scheme="first")],
    "Metaspace, never": [decoders.Metaspace(prepend_scheme="never")],
    "Metaspace, bytes": [BYTES, decoders.Metaspace()],
    "BPEDecoder": [decoders.BPEDecoder("</w>")],
    "ByteLevel": [decoders.ByteLevel()],
    "Fuse": [decoders.Fuse()],
    "none": [],
}
some_ids = st.lists(
    st.one_of(
        st.integers(256, len(PIECES) - 1).map(lambda i: [i]),
        st.integers(0, 255).map(lambda byte: [byte]),
        st.sampled_from("é漢😀").map(lambda char: list(char.encode())),
    ),
    max_size=6,
).map(lambda parts: [*chain(*parts)])


@pytest.fixture(scope="module", params=DECODERS)
def pair(request, tmp_path_factory):
    theirs = Tokenizer(models.BPE({p: i for i, p in enumerate(PIECES)}, [], byte_fallback=True))
    theirs.add_special_tokens(["<s>"])
    steps = DECODERS[request.param]
    if steps:
        theirs.decoder = steps[0] if len(steps) == 1 else decoders.Sequence(steps)
    folder = tmp_path_factory.mktemp("decoder")
    theirs.save(str(folder / "theirs.json"))
    ours = BPETokenizer.load(folder / "theirs.json")
    ours.save(folder / "ours.json")
    return theirs, ours, BPETokenizer.load(folder / "ours.json")


@pytest.mark.parity("every decoder of a tokenizer.json, also of broken UTF-8", "tokenizers",
                    "identical")  # fmt: skip
@given(ids=some_ids)
def test_decoded_as_tokenizers_does(pair, ids):
    theirs, ours, again = pair
    for skips in (False, True):
        expected = theirs.decode(ids, skip_special_tokens=skips)
        assert ours.decode(ids, skips) == expected
        assert again.decode(ids, skips) == expected


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (1, 1), (2, 0), (9, 9)])
@pytest.mark.parametrize("tokens", [["aaxaaa", "aay"], ["xax"]])
def test_strip_takes_so_many_at_most(start, stop, tokens):
    """Not of shorter tokens, on which tokenizers 0.23 crashes."""
    theirs = decoders.Strip("a", min(start, 3), min(stop, 3))
    step = {"type": "Strip", "content": "a", "start": start, "stop": stop}
    assert decoder_of([step])(tokens) == theirs.decode(tokens)


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"type": "CTC"}, "decoder 'CTC' is not supported"),
        ({"type": "Strip", "content": " ", "start": -1, "stop": 0}, "start must be an integer"),
        ({"type": "Strip", "content": " "}, "decoder .* is damaged"),
        ({"type": "Replace", "pattern": {"Regex": "("}, "content": ""}, "decoder .*expression"),
        ({"type": "Metaspace", "replacement": 3}, "decoder .* is damaged"),
        (3, "decoder 3 is no step"),
    ],
)
def test_a_decoder_that_is_not_read_is_named(step, message):
    with pytest.raises(ValueError, match=message):
        BPETokenizer(["a"], [], None, byte_level=False, decoder=[step])


@pytest.fixture(
    scope="module",
    params=[(prefix, strips) for prefix in (True, False) for strips in (True, False)],
    ids=lambda given: "prefix {}, spaces removed {}".format(*given),
)
def bpe_pair(request, tmp_path_factory):
    """Of SentencePiece's BPE, with bytes to fall back to, and with a map before all else."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpora.english(20_000).splitlines()),
        model_writer=model,
        model_type="bpe",
        vocab_size=500,
        byte_fallback=True,
        add_dummy_prefix=request.param[0],
        remove_extra_whitespaces=request.param[1],
        minloglevel=2,
    )
    path = tmp_path_factory.mktemp("bpe") / "m.model"
    path.write_bytes(model.getvalue())
    return BPETokenizer.load(path), sentencepiece.SentencePieceProcessor(model_file=str(path))


@pytest.mark.parity("SentencePiece BPE, ids and text", "sentencepiece", "identical")
@given(text=st.text("  ▁▁ab\n\t\x7f\u3000\u0301é\U0001f44d", max_size=9), data=st.data())
def test_sentencepieces_own_rules(bpe_pair, text, data):
    ours, theirs = bpe_pair
    ids = theirs.encode(text)
    assert ours.encode(text) == ids
    space = theirs.piece_to_id("▁")
    some = st.sampled_from([*ids, space, space, 0, 200, 230, 300, 301])
    assert ours.decode(ids) == theirs.decode(ids)
    ids = data.draw(st.lists(some, max_size=6))
    assert ours.decode(ids) == theirs.decode(ids)


def test_a_model_file_becomes_a_tokenizer_json_with_the_nearest_decoder(bpe_pair, tmp_path):
    ours, _ = bpe_pair
    ours.save(tmp_path / "tokenizer.json")
    decoder = json.loads((tmp_path / "tokenizer.json").read_text())["decoder"]
    prefix = ours.decoder[0]["add_dummy_prefix"]
    assert [step["type"] for step in decoder["decoders"]][3:] == ["Strip"] * prefix
    theirs = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in ("a word", "漢字 and more"):
        ids = ours.encode(text)
        assert theirs.decode(ids) == ours.decode(ids) == text
