"""Byte-pair encoding, WordPiece and Unigram: trained, used, saved and loaded."""

from lib.tokenization.bpe import BPETokenizer
from lib.tokenization.unigram import UnigramTokenizer
from lib.tokenization.wordpiece import WordPieceTokenizer

__all__ = ["BPETokenizer", "UnigramTokenizer", "WordPieceTokenizer"]
