"""Unigram tokenization, as in SentencePiece: pieces with probabilities, and the best segmentation.

Sources: Kudo 2018 (arXiv 1804.10959); Kudo and Richardson 2018 (arXiv 1808.06226) for treating
white space as a character, written ▁ (U+2581).
"""

import math
import os
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import SupportsIndex

import regex

from lib.settings import require, require_choice
from lib.tokenization import sentencepiece_model
from lib.tokenization.bpe_merging import WordCache
from lib.tokenization.decoding import pieces_to_text
from lib.tokenization.pretokenization import (
    SPACE,
    SPACED_WORD,
    Texts,
    as_ids,
    check_text,
    count_words,
)
from lib.tokenization.sentencepiece_model import (
    BYTE,
    NORMAL,
    UNKNOWN,
    CharacterMap,
    SentencePieceModel,
)
from lib.tokenization.unigram_segmentation import (
    UNKNOWN_PENALTY,
    log_forward,
    sample_segmentation,
    viterbi,
)
from lib.tokenization.unigram_training import learn_pieces


@dataclass(eq=False, repr=False)
class UnigramTokenizer:
    """Pieces and their log-probabilities, with the settings of a SentencePiece model."""

    model: SentencePieceModel

    def __post_init__(self) -> None:
        model = self.model
        if UNKNOWN not in model.types:
            raise ValueError("the model has no piece for unknown characters")
        self.pieces = model.pieces
        self.unknown_id = model.types.index(UNKNOWN)
        normal = [i for i, kind in enumerate(model.types) if kind == NORMAL]
        if not normal:
            raise ValueError("the model has no pieces but special ones")
        self.piece_to_id = {piece: i for i, piece in enumerate(model.pieces)}
        self.scores = {model.pieces[i]: model.scores[i] for i in normal}
        self.unknown_score = min(self.scores.values()) - UNKNOWN_PENALTY
        self._longest = max(map(len, self.scores))
        self._bytes = [self.piece_to_id.get(f"<0x{byte:02X}>") for byte in range(256)]
        if model.byte_fallback and None in self._bytes:
            raise ValueError("the model falls back to bytes but lacks pieces for some of them")
        self._map = CharacterMap(model.character_map) if model.character_map else None
        # A piece with ▁ after another character would reach from one word into the next.
        self._crosses = any(regex.search(f"[^{SPACE}]{SPACE}", piece) for piece in self.scores)
        self._cache = WordCache(self._encode_word)

    @classmethod
    def train(
        cls,
        text: Texts,
        vocab_size: int = 4096,
        pattern: str | None = "gpt2",
        longest: int = 16,
        byte_fallback: bool = False,
    ) -> "UnigramTokenizer":
        """Learn pieces of at most `longest` characters; none crosses the words of `pattern`.

        Raises ValueError on an empty corpus, and if `vocab_size` leaves no room for each
        character, the unknown piece and (with `byte_fallback`) the 256 bytes.
        """
        require("vocab_size", vocab_size, "[1, inf)", whole=True)
        require("longest", longest, "[1, inf)", whole=True)
        require_choice("byte_fallback", byte_fallback, (True, False))
        words: Counter[str] = Counter()
        for word, count in count_words(text, pattern).items():
            words[word.replace(" ", SPACE)] += count
        special = [("<unk>", UNKNOWN)]
        if byte_fallback:
            special += [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
        pieces, probabilities = learn_pieces(words, vocab_size - len(special), longest)
        order = sorted(range(len(pieces)), key=lambda i: (-probabilities[i], pieces[i]))
        return cls(
            SentencePieceModel(
                [name for name, _ in special] + [pieces[i] for i in order],
                [0.0] * len(special) + [math.log(probabilities[i]) for i in order],
                [kind for _, kind in special] + [NORMAL] * len(order),
                byte_fallback=byte_fallback,
                remove_extra_whitespaces=False,
            )
        )

    @property
    def vocab_size(self) -> int:
        """The number of pieces, special ones among them."""
        return len(self.pieces)

    def encode(self, text: str) -> list[int]:
        """The ids of the most probable segmentation of `text`.

        A run of characters that no piece has is one unknown id, or its bytes if the model falls
        back to bytes. As SentencePiece's, but where two ways are equally probable (the same pieces
        in another order): it adds in float32 from the start of the text, whose rounding decides.
        """
        words = self._words(text)
        return self._join_unknown(chain.from_iterable(map(self._cache.__getitem__, words)))

    def sample(self, text: str, theta: float = 1.0, seed: int = 0) -> list[int]:
        """The ids of a segmentation drawn with probability proportional to its own ** `theta`.

        Subword regularization (Kudo 2018): a model trained on samples sees many spellings.
        """
        require("theta", theta, "[0, inf)")
        require("seed", seed, "(-inf, inf)", whole=True)
        generator = random.Random(seed)
        settings = (self.scores, self._longest, self.unknown_score, theta, generator)
        pieces = (
            piece for word in self._words(text) for piece in sample_segmentation(word, *settings)
        )
        return self._join_unknown(chain.from_iterable(map(self._ids, pieces)))

    def log_likelihood(self, text: str, best_only: bool = False) -> float:
        """Natural log of the probability of `text`: over all segmentations, or of the best one."""
        settings = (self.scores, self._longest, self.unknown_score)
        if best_only:
            return sum(viterbi(word, *settings)[1] for word in self._words(text))
        return sum(log_forward(word, *settings)[-1] for word in self._words(text))

    def normalize(self, text: str) -> str:
        """The text that is cut: replacements of the model's map, ▁ for spaces, ▁ at the start."""
        check_text(text)
        is_there = text != ""  # a text of which the map leaves nothing still begins with ▁
        if self._map:
            text = self._map.apply(text)
        if self.model.remove_extra_whitespaces:  # ▁ at the end is a space too
            text = regex.sub(" +", " ", text.strip(" ")).rstrip(f" {SPACE}")
            is_there = text != ""
        if is_there and self.model.add_dummy_prefix:
            text = " " + text
        return text.replace(" ", SPACE)

    def _words(self, text: str) -> list[str]:
        text = self.normalize(text)
        return [text] if self._crosses and text else SPACED_WORD.findall(text)

    def _encode_word(self, word: str) -> list[int]:
        pieces, _ = viterbi(word, self.scores, self._longest, self.unknown_score)
        return [i for piece in pieces for i in self._ids(piece)]

    def _ids(self, piece: str) -> list[int]:
        if piece in self.scores:
            return [self.piece_to_id[piece]]
        if self.model.byte_fallback:
            return [self._bytes[byte] for byte in piece.encode()]
        return [self.unknown_id]

    def _join_unknown(self, ids: Iterable[int]) -> list[int]:
        joined: list[int] = []
        for i in ids:
            if i != self.unknown_id or joined[-1:] != [i]:
                joined.append(i)
        return joined

    def decode(self, ids: Iterable[SupportsIndex]) -> str:
        """The text of `ids`; unknown characters come back as " ⁇ ", as SentencePiece shows them."""
        pieces: list[str | bytes] = []
        for i in as_ids(ids, self.vocab_size):
            kind, piece = self.model.types[i], self.pieces[i]
            if kind == BYTE:
                pieces.append(bytes([int(piece[1:-1], 16)]))
            elif kind in (UNKNOWN, NORMAL):
                pieces.append(" ⁇ ".encode() if kind == UNKNOWN else piece)
        model = self.model
        return pieces_to_text(pieces, model.add_dummy_prefix, model.remove_extra_whitespaces)

    def save(self, path: str | os.PathLike) -> None:
        """Write a SentencePiece .model file."""
        sentencepiece_model.write(self.model, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "UnigramTokenizer":
        """Read a SentencePiece .model file of a unigram model."""
        model = sentencepiece_model.read(path)
        try:
            return cls(model)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
