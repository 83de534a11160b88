"""The tokenizer in a GGUF file: byte-level BPE with a published split, or SentencePiece.

Sources: the specification in ggml's repository, docs/gguf.md; what an absent field means is as in
llama.cpp, which names the splits.
"""

from typing import Any

from lib.settings import shortened
from lib.tokenization import BPETokenizer, sentencepiece_bpe
from lib.tokenization.pretokenization import GGUF_PATTERNS, SPACE
from lib.tokenization.sentencepiece_model import CONTROL, USER_DEFINED, SentencePieceModel

LLAMA_3 = ("llama-bpe", "llama3", "llama-v3")  # a word that is a token is never merged


class Metadata(dict):
    """The key/value part of the file; a missing key is an error that names it."""

    def __init__(self, filename: str, fields: dict[str, Any]):
        super().__init__(fields)
        self.filename = filename

    def __missing__(self, key: str):
        raise ValueError(f"{self.filename} lacks the field {key!r}")

    def list_of(self, kind: type, key: str, length: int | None = None) -> list:
        """A list of values of one type, of this length if it is given."""
        value = self[key]
        if not isinstance(value, list) or not all(type(entry) is kind for entry in value):
            raise ValueError(f"{key} must be a list of type {kind.__name__}: {shortened(value)}")
        if length not in (None, len(value)):
            raise ValueError(f"{key} must have an entry for each of {length} tokens")
        return value


def read_tokenizer(fields: Metadata) -> BPETokenizer:
    """The tokenizer with its end ids (of a text, a turn, a message) and its chat template.

    Raises ValueError for another kind of tokenizer, an unknown split, or fields of another form.
    """
    model, pre = fields["tokenizer.ggml.model"], fields.get("tokenizer.ggml.pre", "default")
    begins = model == "llama" or pre in LLAMA_3
    if model != "llama" and (model != "gpt2" or pre not in GGUF_PATTERNS):
        raise ValueError(
            f"{fields.filename} has a tokenizer {model!r} with split {pre!r}; supported is 'llama' "
            f"(SentencePiece), and 'gpt2' with {', '.join(map(repr, GGUF_PATTERNS))}"
        )
    tokens = fields.list_of(str, "tokenizer.ggml.tokens")
    types = fields.list_of(int, "tokenizer.ggml.token_type", len(tokens))
    bos, *ends = (_id(fields, name, len(tokens)) for name in ("bos", "eos", "eot", "eom"))
    eos = ends[0]
    settings = {
        "bos_token": None if bos is None else tokens[bos],
        "eos_token": None if eos is None else tokens[eos],
        "adds_bos": bool(fields.get("tokenizer.ggml.add_bos_token", begins)),
        "other_stop_ids": tuple(i for i in dict.fromkeys(ends) if i not in (None, eos)),
        "chat_template": fields.get("tokenizer.chat_template"),
    }
    if model == "llama":
        return BPETokenizer(**_sentencepiece(fields, tokens, types) | settings)
    return BPETokenizer.from_gpt2_strings(
        tokens,
        fields.list_of(str, "tokenizer.ggml.merges"),
        GGUF_PATTERNS[pre],
        special_tokens={tokens[i]: i for i, kind in enumerate(types) if kind == CONTROL},
        added_tokens={tokens[i]: i for i, kind in enumerate(types) if kind == USER_DEFINED},
        ignore_merges=pre in LLAMA_3,
        **settings,
    )


def _id(fields: Metadata, name: str, n_tokens: int) -> int | None:
    key = f"tokenizer.ggml.{name}_token_id"
    i = fields.get(key)
    if i is not None and (type(i) is not int or not 0 <= i < n_tokens):
        raise ValueError(f"{key} must be one of the {n_tokens} ids, got {shortened(i)}")
    return i


def _sentencepiece(fields: Metadata, tokens: list[str], types: list[int]) -> dict[str, Any]:
    """Types and scores mean what they mean in a .model file; added tokens hold plain spaces."""
    added = (kind == USER_DEFINED for kind in types)
    model = SentencePieceModel(
        [t.replace(" ", SPACE) if plain else t for t, plain in zip(tokens, added, strict=True)],
        fields.list_of(float, "tokenizer.ggml.scores", len(tokens)),
        types,
        add_dummy_prefix=bool(fields.get("tokenizer.ggml.add_space_prefix", True)),
        remove_extra_whitespaces=bool(fields.get("tokenizer.ggml.remove_extra_whitespaces")),
    )
    return sentencepiece_bpe.settings(model, fields.filename)
