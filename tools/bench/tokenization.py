"""Byte-pair encoding of 1.1 MB of English: training and cold encoding, against other libraries.

Hugging Face's tokenizers uses all cores where it can (TOKENIZERS_PARALLELISM is not set here); a
single text is encoded on one core by all.
"""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import tiktoken
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from lib import corpora
from lib.tokenization import BPETokenizer
from lib.tokenization.bpe_training import learn_merges_naive
from lib.tokenization.pretokenization import PATTERNS
from tools.bench.measure import Row, compare

COMMAND = "python -m tools.bench tokenization"
VOCAB_SIZE, MIN_FREQUENCY = 4096, 2
NAIVE_BYTES, NAIVE_VOCAB_SIZE = 100_000, 512  # what the naive trainer can do in seconds


def hugging_face_trained(text: str) -> Tokenizer:
    """A tokenizer trained by the library with the same settings as ours."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        min_frequency=MIN_FREQUENCY,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
    return tokenizer


def run() -> list[Row]:
    """The results are compared before the times: the same merges, the same ids."""
    os.environ.pop("TOKENIZERS_PARALLELISM", None)
    text = corpora.english(1_100_000)
    # Lines, so that the library can use its threads; no word crosses a line's end in the same way.
    lines = text.splitlines(keepends=True)
    ours, theirs = BPETokenizer.train(lines, VOCAB_SIZE), hugging_face_trained(text)
    merges = [[ours.tokens[left], ours.tokens[right]] for left, right in ours.merges]
    if merges != json.loads(theirs.to_str())["model"]["merges"]:
        raise RuntimeError("our merges and the library's differ; the times mean nothing")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokenizer.json"
        ours.save(file)
        serialized = file.read_text(encoding="utf-8")

    ranks = {ours.id_to_bytes(i): i for i in range(ours.vocab_size)}
    encoding = tiktoken.Encoding(
        "ours", pat_str=PATTERNS["gpt2"], mergeable_ranks=ranks, special_tokens={}
    )
    if not ours.encode(text) == theirs.encode(text).ids == encoding.encode_ordinary(text):
        raise RuntimeError("ids differ between libraries; the times mean nothing")

    small = corpora.english(NAIVE_BYTES)
    return [
        compare(
            f"BPE training, 1.1 MB of English, {VOCAB_SIZE:,} tokens, the same merges",
            lambda: BPETokenizer.train(lines, VOCAB_SIZE),
            lambda: hugging_face_trained(text),
            "tokenizers, all cores",
            budget=0.9,
            command=COMMAND,
        ),
        compare(
            f"BPE training, {NAIVE_BYTES // 1000} kB, {NAIVE_VOCAB_SIZE} tokens, the same merges",
            lambda: BPETokenizer.train(small, NAIVE_VOCAB_SIZE),
            lambda: BPETokenizer.train(small, NAIVE_VOCAB_SIZE, learn=learn_merges_naive),
            "our naive trainer",
            budget=0.1,
            command=COMMAND,
            repeats=3,
        ),
        compare(
            "BPE encoding, cold, 1.1 MB of English, the same ids",
            cold(lambda: BPETokenizer(ours.tokens, ours.merges), lambda t: t.encode(text)),
            cold(lambda: Tokenizer.from_str(serialized), lambda t: t.encode(text).ids),
            "tokenizers",
            budget=0.4,
            command=COMMAND,
        ),
        compare(
            "BPE encoding, cold, 1.1 MB of English, the same ids",
            cold(lambda: BPETokenizer(ours.tokens, ours.merges), lambda t: t.encode(text)),
            lambda: encoding.encode_ordinary(text),
            "tiktoken",
            budget=3.5,
            command=COMMAND,
        ),
    ]


def cold(build: Callable[[], object], use: Callable[[object], object]) -> Callable[[], object]:
    """Each call uses a new tokenizer, whose cache is empty; all are built beforehand."""
    fresh = [build() for _ in range(9)]
    return lambda: use(fresh.pop())
