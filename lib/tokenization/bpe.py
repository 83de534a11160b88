"""Byte-pair encoding: a tokenizer that is trained, encodes, decodes, saves and loads.

Sources: Sennrich et al. 2016 (arXiv 1508.07909) for the algorithm on characters; Radford et al.
2019 (GPT-2), section 2.2, for the same on bytes.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lib.settings import require
from lib.tokenization import tiktoken_ranks, tokenizer_folder
from lib.tokenization.bpe_encoding import BPEEncoder
from lib.tokenization.bpe_merging import Pair
from lib.tokenization.bpe_training import learn_merges, learn_vocabulary
from lib.tokenization.pretokenization import as_texts, count_words


class BPETokenizer(BPEEncoder):
    """Byte-pair encoding that is trained, saved and loaded; its settings are in `BPEEncoder`."""

    @property
    def bos_id(self) -> int | None:
        """The id of `bos_token`."""
        return self.token_to_id.get(self.bos_token)

    @property
    def eos_id(self) -> int | None:
        """The id of `eos_token`, or the first stop id where it has no name."""
        return self.token_to_id.get(self.eos_token, next(iter(self.other_stop_ids), None))

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """All ids that end a text: EOS first, then those that a model's files name beside it."""
        first = () if self.eos_id is None else (self.eos_id,)
        return tuple(dict.fromkeys((*first, *self.other_stop_ids)))

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
        require("vocab_size", vocab_size, "[1, inf)", whole=True)
        require("min_frequency", min_frequency, "[1, inf)", whole=True)
        named = as_texts("special_tokens", special_tokens)
        others = [token for token in (unknown_token, eos_token) if token is not None]
        named += as_texts("unknown_token and eos_token", others)
        special = list(dict.fromkeys(filter(None, named)))
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
        **settings: Any,
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

    def save(self, path: str | os.PathLike) -> None:
        """Write a tokenizer.json, or a folder with one and its tokenizer_config.json."""
        tokenizer_folder.write(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "BPETokenizer":
        """Read a Hugging Face tokenizer.json, a folder with one, or a SentencePiece .model file.

        From a folder come BOS, EOS, all stop ids and all chat templates too, from the files beside
        tokenizer.json. Raises FileNotFoundError, and ValueError that names what is not supported.
        """
        return cls(**tokenizer_folder.read(path))

    @classmethod
    def load_tiktoken(
        cls,
        path: str | os.PathLike,
        pattern: str | None = "gpt4",
        special_tokens: Mapping[str, int] | None = None,
    ) -> "BPETokenizer":
        """Read a tiktoken rank file: lines of a token in base64 and its rank."""
        return cls(**tiktoken_ranks.read(path, special_tokens or {}), pattern=pattern)
