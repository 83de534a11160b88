"""WordPiece, BERT's tokenizer: the longest token that fits, again and again.

Sources: Schuster and Nakajima 2012 for the idea, Wu et al. 2016 (arXiv 1609.08144) for the use in
translation, Devlin et al. 2018 (arXiv 1810.04805) and the released code of BERT for the encoding.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import SupportsIndex

from lib.files import write_file
from lib.settings import require
from lib.tokenization.bpe_merging import WordCache
from lib.tokenization.bpe_training import Pair
from lib.tokenization.pretokenization import (
    as_ids,
    as_texts,
    bert_words,
    check_text,
    count_words,
    parts_of,
)
from lib.tokenization.wordpiece_training import PREFIX, learn_wordpieces

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(eq=False, repr=False)
class WordPieceTokenizer:
    """BERT's tokenizer over a list of tokens; "##" marks those that continue a word.

    lowercase        as in BERT's uncased models: lower case, no accents
    unknown_token    stands for a whole word that cannot be spelled with the tokens
    max_word_length  characters; a longer word is unknown
    merges           how the tokens were learned, where they were
    """

    tokens: list[str]
    lowercase: bool = True
    unknown_token: str = "[UNK]"
    max_word_length: int = 100
    merges: list[Pair] | None = None

    def __post_init__(self) -> None:
        self.token_to_id = {token: i for i, token in enumerate(self.tokens)}
        if len(self.token_to_id) < len(self.tokens):
            raise ValueError("the vocabulary holds a token twice")
        if self.unknown_token not in self.token_to_id:
            raise ValueError(f"unknown_token {self.unknown_token!r} is not in the vocabulary")
        self.special_tokens = {
            token: self.token_to_id[token] for token in SPECIAL_TOKENS if token in self.token_to_id
        }
        self._longest = max(map(len, self.tokens))
        self._cache = WordCache(self._encode_word)

    @classmethod
    def train(
        cls,
        text: str | Iterable[str],
        vocab_size: int = 4096,
        min_frequency: int = 2,
        lowercase: bool = True,
        special_tokens: Iterable[str] = SPECIAL_TOKENS,
    ) -> "WordPieceTokenizer":
        """Learn tokens by the likelihood score (see `wordpiece_training`).

        Ends at `vocab_size` tokens, or when no pair comes `min_frequency` times. Raises ValueError
        on an empty corpus and on a vocabulary smaller than the alphabet.
        """
        require("vocab_size", vocab_size, "[1, inf)", whole=True)
        require("min_frequency", min_frequency, "[1, inf)", whole=True)
        special_tokens = as_texts("special_tokens", special_tokens)
        parts = (" ".join(bert_words(part, lowercase)) for part in parts_of(text))
        words = count_words(parts, "whitespace")
        letters = set(chain.from_iterable(map(split_letters, words)))
        tokens = [*special_tokens, *sorted(letters)]
        if vocab_size < len(tokens):
            raise ValueError(
                f"vocab_size must be at least {len(tokens)} ({len(letters)} for the alphabet), "
                f"got {vocab_size}"
            )
        ids = {token: i for i, token in enumerate(tokens)}
        word_counts = {tuple(map(ids.__getitem__, split_letters(w))): n for w, n in words.items()}
        merges = learn_wordpieces(word_counts, tokens, vocab_size, min_frequency)
        return cls(tokens, lowercase, merges=merges)

    @property
    def vocab_size(self) -> int:
        """The number of tokens, special tokens among them."""
        return len(self.tokens)

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """The ids of `text`, between [CLS] and [SEP] if `add_special_tokens`.

        Text such as "[SEP]" is plain text: it is cut at its brackets.
        """
        check_text(text)
        words = bert_words(text, self.lowercase)
        ids = list(chain.from_iterable(map(self._cache.__getitem__, words)))
        if add_special_tokens:
            return [self.token_to_id["[CLS]"], *ids, self.token_to_id["[SEP]"]]
        return ids

    def _encode_word(self, word: str) -> list[int]:
        """Take the longest token that fits, then the longest that continues it, to the end.

        A word with a rest that nothing fits is one unknown token, however well it began.
        """
        unknown = [self.token_to_id[self.unknown_token]]
        if len(word) > self.max_word_length:
            return unknown
        ids, start = [], 0
        while start < len(word):
            prefix = PREFIX if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                token = self.token_to_id.get(prefix + word[start:end])
                if token is not None:
                    break
            else:
                return unknown
            ids.append(token)
            start = end
        return ids

    def decode(self, ids: Iterable[SupportsIndex], skip_special_tokens: bool = False) -> str:
        """The words of `ids`, one space between them: what white space there was is lost."""
        tokens = [self.tokens[i] for i in as_ids(ids, self.vocab_size)]
        if skip_special_tokens:
            tokens = [token for token in tokens if token not in self.special_tokens]
        return " ".join(tokens).replace(f" {PREFIX}", "")

    @classmethod
    def load(cls, path: str | os.PathLike, lowercase: bool = True) -> "WordPieceTokenizer":
        """Read a BERT vocab.txt: one token on each line, its id the line's number from 0."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not a vocab.txt, which is UTF-8 ({error})") from error
        tokens = text.removesuffix("\n").split("\n")
        try:
            return cls([token.removesuffix("\r") for token in tokens], lowercase)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def save(self, path: str | os.PathLike) -> None:
        """Write a BERT vocab.txt."""
        write_file(path, "".join(f"{t}\n" for t in self.tokens))


def split_letters(word: str) -> tuple[str, ...]:
    """A word as letters, each but the first marked: "hug" becomes h, ##u, ##g."""
    return (word[:1], *(PREFIX + letter for letter in word[1:]))
