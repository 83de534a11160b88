"""Byte-pair encoding, WordPiece and Unigram: trained, used, saved and loaded."""

from lib.tokenization.bpe import BPETokenizer
from lib.tokenization.wordpiece import WordPieceTokenizer

__all__ = ["BPETokenizer", "WordPieceTokenizer"]
