"""What no training run takes: each of CASES must raise a clear error, or return."""

import dataclasses
import math
import tempfile
from pathlib import Path

import numpy as np
import torch

from lib.model import LanguageModel, ModelConfig
from lib.tokenization import BPETokenizer
from lib.training import (
    Batches,
    TrainingConfig,
    byte_tokens,
    evaluate,
    load_tokens,
    next_token_loss,
    save_model,
    split,
    train,
)
from lib.training.ngrams import ngram_losses
from lib.training.optimizer import clip_gradients, make_optimizer

SMALL = dict(vocab_size=11, context_length=8, d_model=12, n_layers=1, n_heads=2, d_ff=20)
RUN = dict(steps=2, batch_size=2, context_length=4)
VALUES = [None, True, "16", "", math.nan, math.inf, -1, 0, 1.5, 10**30, 1j, [], [3], {}, "a" * 9999]
VALUES += [(1,), np.array([1, 2]), torch.ones(2), object()]
TOKENS = np.arange(60) % 11
TEXTS = {
    "a text": "abc",
    "none": None,
    "a list": [1, 2, 3],
    "a number": 3,
    "nothing": TOKENS[:0],
    "few": TOKENS[:3],
    "floats": TOKENS.astype(float),
    "two axes": TOKENS.reshape(2, 30),
    "no axis": np.array(3),
    "texts": np.array(["a", "b"] * 9),
    "objects": np.array([None] * 20),
    "flags": TOKENS > 2,
    "too large": TOKENS + 9,
    "negative": TOKENS - 5,
    "a tensor of floats": torch.ones(30),
    "on meta": torch.zeros(30, dtype=torch.long, device="meta"),
    "sparse": torch.tensor(TOKENS).to_sparse(),
}
FILES = {
    "empty.txt": b"",
    "latin1.txt": "é".encode("latin-1") * 99,
    "broken.npy": b"\x93NUMPY" + b"\xff" * 40,
    "empty.npy": b"",
    "text.npy": b"a text",
}


def model() -> LanguageModel:
    return LanguageModel(ModelConfig(**SMALL))


def run(**changes):
    arguments = dict(model=model(), tokens=TOKENS, config=TrainingConfig(**RUN), validation=None)
    return train(**(arguments | changes))


def load(name: str, content: bytes):
    path = Path(tempfile.mkdtemp(prefix="hostile-")) / name
    path.write_bytes(content)
    return load_tokens(path)


def save(*arguments):
    return save_model(Path(tempfile.mkdtemp(prefix="hostile-")) / "out", *arguments)


CASES = [
    (
        f"TrainingConfig({field.name}={value!r:.20})",
        lambda f=field.name, v=value: TrainingConfig(**(RUN | {f: v})),
    )
    for field in dataclasses.fields(TrainingConfig)
    for value in VALUES
]
for name, text in TEXTS.items():
    CASES += [
        (f"train(tokens: {name})", lambda v=text: run(tokens=v)),
        (f"train(validation: {name})", lambda v=text: run(validation=v)),
        (f"Batches(tokens: {name})", lambda v=text: Batches(v, 4, 2).step(0)),
        (f"split({name})", lambda v=text: split(v)),
        (f"evaluate(tokens: {name})", lambda v=text: evaluate(model(), v, 4)),
        (f"ngram_losses({name})", lambda v=text: ngram_losses(v, TOKENS, 11)),
        (f"ngram_losses(validation: {name})", lambda v=text: ngram_losses(TOKENS, v, 11)),
        (f"next_token_loss({name})", lambda v=text: next_token_loss(model(), v)),
    ]
for value in VALUES:
    name = f"{value!r:.20}"
    CASES += [
        (f"train(model={name})", lambda v=value: run(model=v)),
        (f"train(config={name})", lambda v=value: run(config=v)),
        (f"split(validation={name})", lambda v=value: split(TOKENS, v)),
        (f"split(blocks={name})", lambda v=value: split(TOKENS, 0.1, v)),
        (f"Batches(batch_size={name})", lambda v=value: Batches(TOKENS, 4, v)),
        (f"Batches(context_length={name})", lambda v=value: Batches(TOKENS, v, 2)),
        (f"ngram_losses(order={name})", lambda v=value: ngram_losses(TOKENS, TOKENS, 11, v)),
        (f"ngram_losses(vocab_size={name})", lambda v=value: ngram_losses(TOKENS, TOKENS, v)),
        (f"make_optimizer(rate={name})", lambda v=value: make_optimizer(model(), v)),
        (f"clip_gradients({name})", lambda v=value: clip_gradients(model().parameters(), v)),
        (f"byte_tokens({name})", lambda v=value: byte_tokens(v)),
        (f"save_model(model={name})", lambda v=value: save(v)),
        (f"save_model(tokenizer={name})", lambda v=value: save(model(), v)),
    ]
CASES += [(f"load_tokens({name})", lambda n=name, c=c: load(n, c)) for name, c in FILES.items()]
CASES += [
    ("load_tokens(a folder)", lambda: load_tokens(tempfile.mkdtemp(prefix="hostile-"))),
    ("load_tokens(document_end)", lambda: load_tokens(__file__, None, "<|endoftext|>")),
    ("save_model(a tokenizer too large)", lambda: save(model(), BPETokenizer.train("a b", 300))),
]
