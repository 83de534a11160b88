"""The token widget: every control driven, and what it shows is what the tokenizers give."""

from itertools import pairwise

import pytest

from lib import corpora
from lib.tokenization import BPETokenizer, UnigramTokenizer, WordPieceTokenizer
from lib.tokenization.bpe_training import merge_in_word
from lib.widgets.tokens import EXAMPLES, MOST_ROWS, State, replay, token_drawing, token_explorer
from lib.widgets.tokens import bpe_tokens as tokens_of
from tools.bench.driving import drive, measure_latency

TEXT = corpora.english(60_000)


@pytest.fixture(scope="module")
def tokenizers():
    return {
        "BPE": BPETokenizer.train(TEXT, 1000),
        "BPE on characters": BPETokenizer.train(
            TEXT, 1000, "whitespace", byte_level=False, end_of_word="</w>", unknown_token="[UNK]"
        ),
        "WordPiece": WordPieceTokenizer.train(TEXT, 1000),
        "Unigram": UnigramTokenizer.train(TEXT, 1000, byte_fallback=True),
    }


def test_every_control(tokenizers):
    frames = list(drive(token_explorer(tokenizers)))
    assert {frame.state.tokenizer for frame in frames} == set(tokenizers)
    assert {frame.state.text for frame in frames} >= set(EXAMPLES)
    assert all(
        frame.caption.startswith(f"{len(frame.state.text.encode())} bytes") for frame in frames
    )


@pytest.mark.parametrize("text", [*EXAMPLES, *corpora.SAMPLES.values(), ""])
def test_replay_goes_from_bytes_to_the_encoding(tokenizers, text):
    tokenizer = tokenizers["BPE"]
    stages, ranks = replay(tokenizer, text)
    assert [tokenizer.id_to_bytes(i) for i in stages[0]] == [bytes([b]) for b in text.encode()]
    assert stages[-1] == tokenizer.encode(text)
    assert len(stages) == len(ranks) + 1
    assert ranks == sorted(ranks)


def test_replay_of_one_word_is_merging_by_rank(tokenizers):
    tokenizer = tokenizers["BPE"]
    stages, ranks = replay(tokenizer, " tokenization")
    word = tuple(stages[0])
    for rank, stage in zip(ranks, stages[1:], strict=True):
        left, right = tokenizer.merges[rank]
        new = tokenizer.token_to_id[tokenizer.tokens[left] + tokenizer.tokens[right]]
        word = merge_in_word(word, (left, right), new)
        assert list(word) == stage


def test_the_caption_counts(tokenizers):
    explorer = token_explorer(tokenizers)
    explorer.set(State("aé", "BPE", 0))
    assert explorer.describe(explorer.state) == "3 bytes, 3 tokens, 1.00 bytes a token."
    explorer.set(State(EXAMPLES[0], "BPE", 100))
    n = len(tokenizers["BPE"].encode(EXAMPLES[0]))
    assert f"{len(EXAMPLES[0])} bytes, {n} tokens" in explorer.describe(explorer.state)


def test_what_does_not_fit_is_counted(tokenizers):
    tokens = tokens_of(tokenizers["BPE"], list(range(97, 107)) * 60)
    drawing = token_drawing(tokens)
    texts = [shape.text for shape in drawing.shapes if hasattr(shape, "text")]
    (more,) = [text for text in texts if text.endswith("more tokens")]
    shown = sum(1 for shape in drawing.shapes if hasattr(shape, "fill"))
    assert int(more.split()[1]) + shown == len(tokens)
    rows = {shape.y for shape in drawing.shapes if hasattr(shape, "fill")}
    assert len(rows) == MOST_ROWS


def test_boxes_stay_inside_and_do_not_overlap(tokenizers):
    drawing = token_drawing(tokens_of(tokenizers["BPE"], tokenizers["BPE"].encode(TEXT[:300])))
    boxes = [shape for shape in drawing.shapes if hasattr(shape, "fill")]
    for a, b in pairwise(boxes):
        assert a.x + a.width <= b.x or a.y + a.height <= b.y
        assert a.x >= 0
        assert a.x + a.width <= drawing.width
        assert a.y + a.height <= drawing.height


def test_no_tokenizer():
    with pytest.raises(ValueError, match="needs at least one tokenizer in a dict of names"):
        token_explorer({})


def test_measured_updates_send_a_picture(tokenizers):
    assert measure_latency(token_explorer(tokenizers), updates=10).kilobytes > 1
