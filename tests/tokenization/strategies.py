"""Texts for property-based tests of tokenizers."""

import unicodedata

from hypothesis import strategies as st

# Unicode grows from version to version, and each library ships its own tables: a comparison of
# splitters is fair only on characters that all of them know (Python 3.10 knows Unicode 13).
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
assigned = st.characters(exclude_categories=["Cs", "Cn", "Co"])
HARD = [
    "'s", "'RE", "'ll", " ", "  ", "\t", "\n", "\r\n", "\n\n", "1", "23", "4567", "²", "½", "Ⅷ",
    "don't", "I'M", "...", "!?", "_", "é", "e\u0301", "ß", "ſ", "İ", "中文", "हिंदी", "👍🏽",
    "\u00a0", "\u2003", "\u200b", "\u200d", "ab", "Hello", " world", "<|endoftext|>",
    "\x85", "\x1c",
]  # fmt: skip
mixed_text = st.lists(st.one_of(st.sampled_from(HARD), assigned), max_size=25).map("".join)
letters = st.text("abc ", max_size=30)


def is_old(text: str) -> bool:
    """Whether all characters of `text` were in Unicode 3.2, which Python can look up."""
    return all(unicodedata.ucd_3_2_0.category(char) != "Cn" for char in text)
