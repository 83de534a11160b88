"""Tokenizers: byte-pair encoding, and (chapter 1) WordPiece and Unigram."""

from lib.tokenization.bpe import BPETokenizer

__all__ = ["BPETokenizer"]
