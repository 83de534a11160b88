"""What a byte-pair tokenizer does with a text once it has its tokens and merges.

Sources: Sennrich et al. 2016 (arXiv 1508.07909) for the algorithm on characters; Radford et al.
2019 (GPT-2), section 2.2, for the same on bytes; SentencePiece for bytes to fall back to.
"""

import random
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import Literal, SupportsIndex

import regex

from lib.settings import require
from lib.tokenization.bpe_merging import MergeTable, Pair, WordCache
from lib.tokenization.decoding import decoder_of, space_of, usual_decoder
from lib.tokenization.pipeline import Step, find_tokens, normalizer, pre_tokenizer
from lib.tokenization.pretokenization import (
    BYTE_PIECES,
    BYTE_TO_CHAR,
    PATTERNS,
    SPACE,
    SPACED_WORD,
    as_ids,
    as_texts,
    check_text,
    fingerprint,
    spell,
    split,
    unspell,
)

# what `encode` does not depend on
OTHER_FIELDS = ("decoder", "bos_token", "eos_token", "adds_bos")
OTHER_FIELDS += ("other_stop_ids", "chat_template", "chat_templates", "pattern")


@dataclass(eq=False, repr=False)
class BPEEncoder:
    """Byte-pair encoding on bytes, as GPT-2 has it, or on characters, as in 2016.

    tokens          spelling of each id: GPT-2's byte characters, or plain text; "" is unused
    merges          pairs of ids, in order of rank
    pattern         a name in PATTERNS, a regular expression, None (never cut), or the
                    pre-tokenizer's steps in a tokenizer.json (see `pipeline`)
    special_tokens  text → id; `encode` looks for them only where `allowed_special` says so
    added_tokens    text → id; whole tokens that `encode` always looks for
    token_options   of these: "lstrip", "rstrip", "single_word", "normalized" (see `pipeline`)
    byte_level      False: the alphabet is characters, not the 256 bytes
    end_of_word     what marks a word's last character (characters only), such as "</w>"
    decoder         a tokenizer.json's steps from tokens to text (see `decoding`); None: the usual
    unknown_token   stands for what is not in the alphabet; without one it is left out (warned)
    fuse_unknown    a run of unknown characters is one unknown token
    byte_fallback   what is not in the alphabet is spelled with the tokens <0x00> to <0xFF>
    normalization   "NFC" and the like, or a tokenizer.json's steps, applied before cutting
    ignore_merges   a word that is a token is that token, however the merges would make it
    equal_ranks     all merges that make one token have one rank (tiktoken, SentencePiece)
    adds_bos        whether `encode(..., add_special_tokens=True)` starts with `bos_token`
    starts_with     the tokens that it starts with, if others; `ends_with`: those it ends with
    other_stop_ids  ids that end a text beside `eos_token`
    chat_templates  further chat templates, by name
    """

    tokens: list[str]
    merges: list[Pair]
    pattern: str | list[Step] | None = "gpt2"
    special_tokens: dict[str, int] = field(default_factory=dict)
    added_tokens: dict[str, int] = field(default_factory=dict)
    token_options: dict[str, list[str]] = field(default_factory=dict)
    byte_level: bool = True
    end_of_word: str = ""
    decoder: list[Step] | None = None
    unknown_token: str | None = None
    fuse_unknown: bool = False
    byte_fallback: bool = False
    normalization: str | list[Step] | None = None
    ignore_merges: bool = False
    equal_ranks: bool = False
    bos_token: str | None = None
    eos_token: str | None = None
    adds_bos: bool = False
    starts_with: tuple[str, ...] = ()
    ends_with: tuple[str, ...] = ()
    other_stop_ids: tuple[int, ...] = ()
    chat_template: str | None = None
    chat_templates: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._cut = pre_tokenizer(self.pattern) if isinstance(self.pattern, list) else None
        if self._cut is None:
            split("", self.pattern)  # a broken pattern fails here, not at the first text
        steps = self.normalization
        self._normalize = normalizer([{"type": steps}] if isinstance(steps, str) else steps or [])
        usual = usual_decoder(self.byte_level, self.end_of_word)
        self.decoder_steps = usual if self.decoder is None else self.decoder
        self._decode, self._space = decoder_of(self.decoder_steps), space_of(self.decoder_steps)
        self.token_to_id = {token: i for i, token in enumerate(self.tokens) if token}
        if len(self.token_to_id) < len(self.tokens) - self.tokens.count(""):
            twice = [token for token, n in Counter(self.tokens).items() if token and n > 1]
            raise ValueError(f"tokens that stand in the vocabulary twice: {twice[:3]}")
        whole = self.special_tokens | self.added_tokens
        for token, i in whole.items():
            if self.token_to_id.get(token) != i:
                raise ValueError(f"special token {token!r} is not the token at id {i}")
        if self.adds_bos and not self.starts_with and self.bos_token:
            self.starts_with = (self.bos_token,)
        self.adds_bos = bool(self.starts_with)
        roles = [(n, getattr(self, n)) for n in ("bos_token", "eos_token", "unknown_token")]
        for role, name in [*roles, *(("template", t) for t in self.starts_with + self.ends_with)]:
            if name is not None and name not in self.token_to_id:
                raise ValueError(f"{role} {name!r} is not in the vocabulary")
        self._bytes_of = {
            i: self._plain_bytes(self._spelling(token), self.byte_level and token not in whole)
            for token, i in self.token_to_id.items()
        }
        spelled = BYTE_TO_CHAR if self.byte_level else BYTE_PIECES
        self._byte_ids = [*map(self.token_to_id.get, spelled)]
        self.merge_table = MergeTable(self.merges, merged := self._merged_ids(), self.equal_ranks)
        # where no token goes on after a word into the next space, words can be merged one by one
        crossing = (regex.search(f"[^{SPACE}]{SPACE}", self.tokens[i]) for i in {*merged})
        self._by_words = self._space == SPACE and self.byte_fallback and not any(crossing)
        self._cache = WordCache(self._encode_word)

    @property
    def fingerprint(self) -> str:
        """A checksum of all that `encode` depends on: equal for tokenizers that encode alike."""
        names = [field.name for field in fields(self) if field.name not in OTHER_FIELDS]
        pattern = PATTERNS.get(str(self.pattern), self.pattern)
        return fingerprint([pattern, *(getattr(self, name) for name in names)])

    def _spelling(self, token: str) -> str:
        """A token as it stands in a normalized text, if it is looked for there."""
        options = self.token_options.get(token, ())
        return self._normalize(token) if "normalized" in options else token

    def _plain_bytes(self, token: str, of_bytes: bool) -> bytes:
        if self.decoder == []:
            return f" {token}".encode()
        if of_bytes:
            return unspell(token)
        if self.byte_fallback and token in BYTE_PIECES:
            return bytes([BYTE_PIECES[token]])
        mark = self.end_of_word or self._space
        return (token.replace(mark, " ") if mark else token).encode()

    def _merged_ids(self) -> list[int]:
        names, tokens = self.token_to_id, self.tokens
        try:
            return [names[tokens[left] + tokens[right]] for left, right in self.merges]
        except (KeyError, IndexError) as error:
            raise ValueError(f"a merge needs a token that the vocabulary lacks: {error}") from error

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
        `add_special_tokens` puts the BOS token first where the model was trained with one, and EOS
        last. Raises TypeError and ValueError for what is no text that UTF-8 can write.
        """
        ids = self.encode_with(self.encode_plain, text, allowed_special)
        first, last = ([*map(self.token_to_id.get, t)] for t in (self.starts_with, self.ends_with))
        return [*first, *ids, *last] if add_special_tokens else ids

    def encode_bytes(self, data: bytes) -> list[int]:
        """The ids of any bytes, UTF-8 or not; `decode_bytes` gives them back."""
        if not self.byte_level:
            raise ValueError("this tokenizer's alphabet is characters: it has no token for a byte")
        if not isinstance(data, bytes | bytearray):
            raise TypeError(f"data must be bytes, got {type(data).__name__}")
        return self.encode_plain(data.decode("utf-8", "surrogateescape"))

    def encode_with_dropout(self, text: str, dropout: float, seed: int = 0) -> list[int]:
        """The ids of `text` where each possible merge is overlooked with probability `dropout`."""
        require("dropout", dropout, "[0, 1]")
        generator = random.Random(seed)

        def encode_plain(text: str, first: bool) -> list[int]:
            letters = map(self.alphabet_ids, self._pieces(text, first))
            merge = self.merge_table.merge_with_dropout
            return [i for ids in letters for i in merge(ids, dropout, generator)]

        return self.encode_with(encode_plain, text, ())

    def encode_with(
        self,
        encode_plain: Callable[[str, bool], list[int]],
        text: str,
        allowed_special: Literal["all"] | Collection[str],
    ) -> list[int]:
        """`encode`, with `encode_plain(part, whether the text begins here)` for plain parts."""
        check_text(text)
        if isinstance(allowed_special, str) and allowed_special == "all":
            allowed_special = self.special_tokens
        allowed_special = as_texts("allowed_special", allowed_special)
        if unknown := [token for token in allowed_special if token not in self.special_tokens]:
            raise ValueError(f"allowed_special has {unknown[0]!r}, which is no special token here")
        raw, normalized = {}, {}  # what is looked for before and after normalization
        options, first = self.token_options, True
        for token in (*allowed_special, *self.added_tokens):
            if "normalized" not in options.get(token, ()):
                raw[token] = token
            elif spelling := self._spelling(token):
                normalized[spelling] = token
        of_normalized = {text: options[token] for text, token in normalized.items()}
        ids: list[int] = []
        for piece, token in find_tokens(text, raw, options):
            if token is not None:
                ids.append(self.token_to_id[token])
            else:
                first = first and self._normalize(piece[:1]) != ""  # else the beginning is gone
                found = find_tokens(self._normalize(piece), normalized, of_normalized)
                for part, name in found:
                    if name is not None:
                        ids.append(self.token_to_id[normalized[name]])
                    else:
                        ids += encode_plain(part, first)
                    first = False
            first = False
        return ids

    def words(self, text: str) -> list[str]:
        """The pieces that `text` is cut into first; no token reaches across two of them."""
        return self._pieces(self._normalize(text))

    def _pieces(self, text: str, first: bool = True) -> list[str]:
        pieces = self._cut(text, first) if self._cut else split(text, self.pattern)
        return [*chain(*map(SPACED_WORD.findall, pieces))] if self._by_words else pieces

    def encode_plain(self, text: str, first: bool = True) -> list[int]:
        """The ids of a normalized text without special tokens."""
        return list(chain.from_iterable(map(self._cache.__getitem__, self._pieces(text, first))))

    def _encode_word(self, word: str) -> list[int]:
        if self.ignore_merges:
            token = spell(word.encode("utf-8", "surrogateescape")) if self.byte_level else word
            if token in self.token_to_id and token not in self.special_tokens:
                return [self.token_to_id[token]]
        return self.merge_table.merge(self.alphabet_ids(word))

    def alphabet_ids(self, word: str) -> list[int]:
        """The ids of a word's bytes or characters, before any merge."""
        if self.byte_level:
            ids = [self._byte_ids[b] for b in word.encode("utf-8", "surrogateescape")]
        else:
            ids = list(map(self.token_to_id.get, (*word[:-1], word[-1] + self.end_of_word)))
        return ids if None not in ids else self._without_unknown(word, ids)

    def _without_unknown(self, word: str, ids: list[int | None]) -> list[int]:
        """`ids` with bytes or the unknown token in the place of None."""
        unknown, found, waiting = self.token_to_id.get(self.unknown_token), [], False
        letters = word if self.byte_fallback else ""
        for i, id in enumerate(ids):
            spelled = [self._byte_ids[byte] for byte in letters[i : i + 1].encode()] or [None]
            if id is not None:
                found += [unknown, id] if waiting else [id]
                waiting = False
            elif None not in spelled:
                found += spelled
            elif unknown is not None:
                found += [unknown] if waiting and not self.fuse_unknown else []
                waiting = True  # as in tokenizers: until after the bytes beside it
            else:
                warnings.warn(
                    f"left out what the vocabulary has no token for, in {word[:50]!r}", stacklevel=3
                )
        return [*found, unknown] if waiting else found

    def decode_bytes(self, ids: Iterable[SupportsIndex]) -> bytes:
        """The bytes of `ids`, also where they end in the middle of a character."""
        try:
            return b"".join(map(self._bytes_of.__getitem__, as_ids(ids, self.vocab_size)))
        except KeyError as error:
            raise ValueError(f"id {error.args[0]} is unused: the vocabulary has a hole") from error

    def decode(self, ids: Iterable[SupportsIndex], skip_special_tokens: bool = False) -> str:
        """The text of `ids`; bytes that are no UTF-8 become U+FFFD, the replacement character."""
        special = set(self.special_tokens.values()) if skip_special_tokens else set()
        ids = [i for i in as_ids(ids, self.vocab_size) if i not in special]
        data = self.decode_bytes(ids)  # names an unused id
        if self.byte_level and self.decoder is None:
            return data.decode("utf-8", "replace")
        return self._decode([self.tokens[i] for i in ids])

    def id_to_bytes(self, id: int) -> bytes:
        """The bytes of one token."""
        return self.decode_bytes([id])
