"""Byte-pair encoding: a tokenizer that is trained, encodes, decodes, saves and loads.

Sources: Sennrich et al. 2016 (arXiv 1508.07909) for the algorithm on characters; Radford et al.
2019 (GPT-2), section 2.2, for the same on bytes.
"""

import os
import random
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, SupportsIndex

from lib.tokenization import tiktoken_ranks, tokenizer_json
from lib.tokenization.bpe_merging import MergeTable, Pair, WordCache
from lib.tokenization.bpe_training import learn_merges, learn_vocabulary
from lib.tokenization.pretokenization import (
    BYTE_TO_CHAR,
    check_text,
    count_words,
    cut_out,
    split,
    unspell,
)


@dataclass(eq=False, repr=False)
class BPETokenizer:
    """Byte-pair encoding on bytes, as GPT-2 has it, or on characters, as in 2016.

    tokens          spelling of each id: GPT-2's byte characters, or plain text
    merges          pairs of ids, in order of rank
    pattern         a name in PATTERNS, a regular expression, or None: never cut
    special_tokens  text → id; `encode` looks for them only where `allowed_special` says so
    added_tokens    text → id; whole tokens that `encode` always looks for
    byte_level      False: the alphabet is characters, not the 256 bytes
    end_of_word     what marks a word's last character (characters only), such as "</w>"
    unknown_token   stands for what is not in the alphabet; without one it is left out (warned)
    normalization   "NFC" and the like, applied before cutting
    ignore_merges   a word that is a token is that token, however the merges would make it
    adds_bos        whether `encode(..., add_special_tokens=True)` starts with `bos_token`
    """

    tokens: list[str]
    merges: list[Pair]
    pattern: str | None = "gpt2"
    special_tokens: dict[str, int] = field(default_factory=dict)
    added_tokens: dict[str, int] = field(default_factory=dict)
    byte_level: bool = True
    end_of_word: str = ""
    unknown_token: str | None = None
    normalization: str | None = None
    ignore_merges: bool = False
    bos_token: str | None = None
    eos_token: str | None = None
    adds_bos: bool = False
    chat_template: str | None = None

    def __post_init__(self) -> None:
        split("", self.pattern)  # a broken pattern fails here, not at the first text
        self.token_to_id = {token: i for i, token in enumerate(self.tokens)}
        if len(self.token_to_id) < len(self.tokens):
            twice = [token for token, n in Counter(self.tokens).items() if n > 1]
            raise ValueError(f"tokens that stand in the vocabulary twice: {twice[:3]}")
        whole = self.special_tokens | self.added_tokens
        for token, i in whole.items():
            if self.token_to_id.get(token) != i:
                raise ValueError(f"special token {token!r} is not the token at id {i}")
        for name in ("bos_token", "eos_token", "unknown_token"):
            if getattr(self, name) not in (None, *self.token_to_id):
                raise ValueError(f"{name} {getattr(self, name)!r} is not in the vocabulary")
        self.bos_id = self.token_to_id.get(self.bos_token)
        self.eos_id = self.token_to_id.get(self.eos_token)

        self._bytes_of = {
            i: token.encode() if token in whole else self._plain_bytes(token)
            for i, token in enumerate(self.tokens)
        }
        self._byte_ids = [self.token_to_id.get(char) for char in BYTE_TO_CHAR]
        self.merge_table = MergeTable(self.merges, self._merged_ids())
        self._cache = WordCache(self._encode_word)

    def _plain_bytes(self, token: str) -> bytes:
        if self.byte_level:
            return unspell(token)
        return (token.replace(self.end_of_word, " ") if self.end_of_word else token).encode()

    def _merged_ids(self) -> list[int]:
        names, tokens = self.token_to_id, self.tokens
        try:
            return [names[tokens[left] + tokens[right]] for left, right in self.merges]
        except (KeyError, IndexError) as error:
            raise ValueError(f"a merge needs a token that the vocabulary lacks: {error}") from error

    @classmethod
    def train(
        cls,
        text: str | Iterable[str],
        vocab_size: int = 4096,
        pattern: str | None = "gpt2",
        min_frequency: int = 2,
        special_tokens: Iterable[str] = (),
        *,
        byte_level: bool = True,
        end_of_word: str = "",
        unknown_token: str | None = None,
        eos_token: str | None = None,
        learn: Callable[..., list[Pair]] = learn_merges,
    ) -> "BPETokenizer":
        """Learn merges from a text or from several.

        Ends when the vocabulary (special tokens, alphabet and merges) has `vocab_size` tokens, when
        no pair is left, or when the most frequent pair comes fewer than `min_frequency` times.
        Special tokens take the first ids; where they stand in the text they part it, and are not
        learned from. Raises ValueError on an empty corpus, a vocabulary smaller than the alphabet,
        a broken pattern.
        """
        special = list(dict.fromkeys([*special_tokens, *filter(None, (unknown_token, eos_token))]))
        words = count_words(text, pattern, special)
        tokens, merges = learn_vocabulary(
            words, vocab_size, min_frequency, special, byte_level, end_of_word, learn
        )
        return cls(
            tokens,
            merges,
            pattern,
            {token: i for i, token in enumerate(special)},
            byte_level=byte_level,
            end_of_word=end_of_word,
            unknown_token=unknown_token,
            eos_token=eos_token,
        )

    @classmethod
    def from_gpt2_strings(
        cls,
        tokens: list[str],
        merges: Iterable[str],
        pattern: str | None = "smollm2",
        special_tokens: Mapping[str, int] | None = None,
        **settings: str | bool | None,
    ) -> "BPETokenizer":
        """From tokens and "left right" merges in GPT-2's spelling, as a GGUF file holds them."""
        ids = {token: i for i, token in enumerate(tokens)}
        pairs = []
        for rank, merge in enumerate(merges):
            left, _, right = merge.partition(" ")
            if left not in ids or right not in ids:
                raise ValueError(f"merge {rank} {merge!r} needs a token that the vocabulary lacks")
            pairs.append((ids[left], ids[right]))
        return cls(list(tokens), pairs, pattern, dict(special_tokens or {}), **settings)

    @property
    def vocab_size(self) -> int:
        """The number of tokens, special tokens among them."""
        return len(self.tokens)

    def encode(
        self,
        text: str,
        allowed_special: Literal["all"] | Collection[str] = (),
        add_special_tokens: bool = False,
    ) -> list[int]:
        """The ids of `text`.

        A special token's text is plain text unless `allowed_special` names it ("all": each one).
        `add_special_tokens` puts the BOS token first where the model was trained with one.
        """
        start = [self.bos_id] if add_special_tokens and self.adds_bos else []
        return start + self._encode_with(self._encode_plain, text, allowed_special)

    def encode_bytes(self, data: bytes) -> list[int]:
        """The ids of any bytes, UTF-8 or not; `decode_bytes` gives them back."""
        if not self.byte_level:
            raise ValueError("this tokenizer's alphabet is characters: it has no token for a byte")
        return self._encode_plain(data.decode("utf-8", "surrogateescape"))

    def encode_with_dropout(self, text: str, dropout: float, seed: int = 0) -> list[int]:
        """The ids of `text` where each possible merge is overlooked with probability `dropout`."""
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout must be in [0, 1], got {dropout}")
        generator = random.Random(seed)

        def encode_plain(piece: str) -> list[int]:
            letters = map(self.alphabet_ids, self.words(piece))
            merge = self.merge_table.merge_with_dropout
            return [i for ids in letters for i in merge(ids, dropout, generator)]

        return self._encode_with(encode_plain, text, ())

    def _encode_with(
        self,
        encode_plain: Callable[[str], list[int]],
        text: str,
        allowed_special: Literal["all"] | Collection[str],
    ) -> list[int]:
        check_text(text)
        if allowed_special == "all":
            allowed_special = self.special_tokens
        unknown = [token for token in allowed_special if token not in self.special_tokens]
        if unknown:
            raise ValueError(f"allowed_special has {unknown[0]!r}, which is no special token here")
        whole = {token: self.token_to_id[token] for token in (*allowed_special, *self.added_tokens)}
        if not whole:
            return encode_plain(text)
        ids: list[int] = []
        for piece in cut_out(text, whole):
            ids += [whole[piece]] if piece in whole else encode_plain(piece)
        return ids

    def words(self, text: str) -> list[str]:
        """The pieces that `text` is cut into first; no token reaches across two of them."""
        if self.normalization:
            text = unicodedata.normalize(self.normalization, text)
        return split(text, self.pattern)

    def _encode_plain(self, text: str) -> list[int]:
        return list(chain.from_iterable(map(self._cache.__getitem__, self.words(text))))

    def _encode_word(self, word: str) -> list[int]:
        if self.ignore_merges and self.byte_level:
            token = "".join(BYTE_TO_CHAR[b] for b in word.encode("utf-8", "surrogateescape"))
            if token in self.token_to_id and token not in self.special_tokens:
                return [self.token_to_id[token]]
        return self.merge_table.merge(self.alphabet_ids(word))

    def alphabet_ids(self, word: str) -> list[int]:
        """The ids of a word's bytes or characters, before any merge."""
        if self.byte_level:
            data = word.encode("utf-8", "surrogateescape")
            ids = list(map(self._byte_ids.__getitem__, data))
        else:
            ids = list(map(self.token_to_id.get, (*word[:-1], word[-1] + self.end_of_word)))
        if None not in ids:
            return ids
        if self.unknown_token is None:
            warnings.warn(
                f"left out what the vocabulary has no token for, in {word[:50]!r}", stacklevel=2
            )
        unknown = self.token_to_id.get(self.unknown_token)
        return [i for i in (unknown if i is None else i for i in ids) if i is not None]

    def decode_bytes(self, ids: Iterable[SupportsIndex]) -> bytes:
        """The bytes of `ids`, also where they end in the middle of a character."""
        try:
            return b"".join(map(self._bytes_of.__getitem__, _as_list(ids)))
        except KeyError as error:
            raise ValueError(
                f"id {error.args[0]} is not in the vocabulary (0 to {self.vocab_size - 1})"
            ) from error

    def decode(self, ids: Iterable[SupportsIndex], skip_special_tokens: bool = False) -> str:
        """The text of `ids`; bytes that are no UTF-8 become U+FFFD, the replacement character."""
        if skip_special_tokens:
            special = set(self.special_tokens.values())
            ids = [i for i in _as_list(ids) if i not in special]
        text = self.decode_bytes(ids).decode("utf-8", "replace")
        return text.removesuffix(" ") if self.end_of_word else text

    def id_to_bytes(self, id: int) -> bytes:
        """The bytes of one token."""
        return self.decode_bytes([id])

    def save(self, path: str | os.PathLike) -> None:
        """Write a tokenizer.json, or a folder with one and its tokenizer_config.json."""
        tokenizer_json.write(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "BPETokenizer":
        """Read a Hugging Face tokenizer.json, or a folder with one."""
        return cls(**tokenizer_json.read(path))

    @classmethod
    def load_tiktoken(
        cls,
        path: str | os.PathLike,
        pattern: str | None = "gpt4",
        special_tokens: Mapping[str, int] | None = None,
    ) -> "BPETokenizer":
        """Read a tiktoken rank file: lines of a token in base64 and its rank."""
        return cls(**tiktoken_ranks.read(path, special_tokens or {}), pattern=pattern)


def _as_list(ids: Iterable[SupportsIndex]) -> list[int]:
    return ids.tolist() if hasattr(ids, "tolist") else list(ids)
