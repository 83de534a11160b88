"""Cutting a text into words before any merging: the step that no merge may cross.

A pattern is a regular expression; each match is one word, and a tokenizer never joins two words.
The patterns below are those of published models. They are written for the `regex` module, which
knows Unicode classes: `\\p{L}` any letter, `\\p{N}` any digit or number sign, `\\p{P}` punctuation.

Sources: GPT-2's and GPT-4's patterns as published with OpenAI's gpt-2 and tiktoken; Llama 3's,
Qwen's and SmolLM2's as in their tokenizer.json; BERT's rules from Devlin et al. 2018
(arXiv 1810.04805) and the released tokenization code.
"""

import hashlib
import json
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from operator import index
from typing import Any, SupportsIndex

import regex

from lib.settings import shortened

Texts = str | Iterable[str]  # one text, or several
_CONTRACTIONS = "'s|'t|'re|'ve|'m|'ll|'d"

PATTERNS: dict[str, str] = {
    # A word may take one space with it; contractions (lower case only), letters, digits and other
    # signs part; spaces before a word stay apart from the one that the word takes.
    "gpt2": rf"{_CONTRACTIONS}| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+",
    # GPT-4 (cl100k) and Llama 3: contractions in any case, any one sign before a word, digits in
    # groups of up to three, and line ends kept with the signs before them.
    "gpt4": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    # Qwen2 and Qwen3: GPT-4's, but every digit by itself.
    "qwen2": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    # GPT-2's after every digit has been cut out: a digit takes no space with it, and spaces before
    # a digit are spaces at an end.
    "smollm2": (
        rf"{_CONTRACTIONS}| ?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+|\s+(?![^\s\p{{N}}])|\s+"
    ),
    # What lies between white space.
    "whitespace": r"\S+",
    # BERT: runs of anything but white space and punctuation; each punctuation mark by itself.
    "bert": r"[^\s\p{P}$+<=>^`|~]+|[\p{P}$+<=>^`|~]",
}
# llama.cpp's names of splits (tokenizer.ggml.pre in a GGUF file), where they are one of ours, as in
# its src/llama-vocab.cpp. The three names of Llama 3 also mean ignore_merges there.
GGUF_PATTERNS = {
    **dict.fromkeys(("gpt-2", "mpt", "olmo", "jais", "trillion"), "gpt2"),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "dbrx", "smaug-bpe"), "gpt4"),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan"), "qwen2"),
    **dict.fromkeys(
        ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"),
        "smollm2",
    ),
}
DROPS_GAPS = frozenset({"whitespace", "bert"})  # these lose the white space between the words


def compile_pattern(pattern: str, *, empty: bool = False) -> regex.Pattern:
    """The compiled expression for a name in PATTERNS or for a regular expression.

    Raises ValueError for one that does not compile or, without `empty`, matches the empty text.
    """
    if not isinstance(pattern, str):
        raise TypeError(f"pattern must be a name, a regular expression or None, got {pattern!r}")
    compiled = _compile(pattern)
    if not empty and matches_nothing(pattern):
        raise ValueError(
            f"pattern {shortened(pattern, 200)} matches the empty text, so it cuts nothing"
        )
    return compiled


@lru_cache(maxsize=64)
def matches_nothing(pattern: str) -> bool:
    """Whether an expression matches the empty text."""
    return _within_limit(_compile(pattern), "", _compile(pattern).fullmatch) is not None


@lru_cache(maxsize=64)
def _compile(pattern: str) -> regex.Pattern:
    try:
        compiled = regex.compile(PATTERNS.get(pattern, pattern))
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        raise ValueError(
            f"pattern {shortened(pattern, 200)} is neither one of {sorted(PATTERNS)} nor a valid "
            f"regular expression: {error}"
        ) from error
    return compiled


def split(text: str, pattern: str | None) -> list[str]:
    """Cut `text` into words.

    Text between two matches becomes a word of its own (nothing is lost), except for the patterns
    in DROPS_GAPS, where it is white space and falls away. `pattern=None` keeps the text whole.
    """
    if pattern is None:
        return [text] if text else []
    compiled = compile_pattern(pattern)
    if compiled.groups:  # findall is quickest, but would return them
        words = [match.group() for match in find(compiled, text)]
    else:
        words = _within_limit(compiled, text, compiled.findall)
    if pattern in DROPS_GAPS or (sum(map(len, words)) == len(text) and "" not in words):
        return words
    words, end = [], 0
    for match in find(compiled, text):
        words += [text[end : match.start()], match.group()]
        end = match.end()
    return [word for word in [*words, text[end:]] if word]


def find(compiled: regex.Pattern, text: str) -> list[regex.Match]:
    """All matches, empty ones as Oniguruma has them; ValueError for too many ways to match."""
    found = _within_limit(compiled, text, lambda *a, **k: list(compiled.finditer(*a, **k)))
    if all(match.end() > match.start() for match in found):
        return found
    return _within_limit(compiled, text, partial(_find_one_by_one, compiled))


def _find_one_by_one(compiled: regex.Pattern, text: str, timeout: float) -> list[regex.Match]:
    found, start, end, stop = [], 0, None, time.monotonic() + timeout
    while start <= len(text):
        match = compiled.search(text, start, timeout=max(stop - time.monotonic(), 1e-6))
        if match is None:
            break
        if match.start() == match.end() == end:
            start += 1
        else:
            found.append(match)
            start = end = match.end()
    return found


def _within_limit(compiled: regex.Pattern, text: str, search: Callable[..., Any]) -> Any:
    seconds = 2 + len(text) / 50_000
    try:
        return search(text, timeout=seconds)
    except (TimeoutError, MemoryError) as error:
        raise ValueError(
            f"pattern {shortened(compiled.pattern, 200)} takes much memory or more "
            f"than {seconds:.0f} s on a text of {len(text):,} characters: it tries too many ways"
        ) from error


# CJK ideographs, each of which BERT takes as a word (ranges from its tokenization code).
_IDEOGRAPH = regex.compile(
    "([\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\U00020000-\U0002a6df"
    "\U0002a700-\U0002b73f\U0002b740-\U0002b81f\U0002b820-\U0002ceaf\U0002f800-\U0002fa1f])"
)
_DROPPED = regex.compile(r"[\p{C}\ufffd--[\t\n\r]]", regex.VERSION1)
_MARK = regex.compile(r"\p{Mn}")


def bert_words(text: str, lowercase: bool = True) -> list[str]:
    """Clean a text as BERT does and cut it into words.

    Control characters go, ideographs stand alone, and the uncased model (`lowercase`) also takes
    accents off: characters are decomposed (NFD) and the marks dropped.
    """
    text = _IDEOGRAPH.sub(r" \1 ", _DROPPED.sub("", text))
    if lowercase:
        text = _MARK.sub("", unicodedata.normalize("NFD", text))
        text = text.replace("Σ", "σ").lower()  # not ς, which str.lower puts at a word's end
    return split(text, "bert")


def check_text(text: str) -> None:
    """Raise unless `text` is text that UTF-8 can write."""
    if not isinstance(text, str):
        raise TypeError(f"text must be str, got {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text has a lone surrogate, U+{ord(text[error.start]):04X}, at position "
            f"{error.start}: half of a UTF-16 pair, which UTF-8 cannot write"
        ) from error


def parts_of(text: Texts) -> Iterator[str]:
    """One text, or several one after the other, each checked."""
    if not isinstance(text, str) and not isinstance(text, Iterable):
        raise TypeError(f"text must be str, or several of them, got {shortened(text)}")
    for part in [text] if isinstance(text, str) else text:
        check_text(part)
        yield part


def as_texts(name: str, value: Iterable[str]) -> list[str]:
    """`value` as a list; TypeError for what is not several texts, such as a single one."""
    try:
        several = [None] if isinstance(value, str) else list(value)
    except TypeError:  # no several at all, such as a tensor of one number
        several = [None]
    if not all(isinstance(text, str) for text in several):
        raise TypeError(f"{name} must be a list of texts, got {shortened(value)}")
    return several


def cut_out(text: str, tokens: Collection[str]) -> list[str]:
    """Cut `text` at each of `tokens`, which stay pieces of their own; the longest match wins."""
    longest_first = sorted(tokens, key=len, reverse=True)
    pieces = regex.split(f"({'|'.join(map(regex.escape, longest_first))})", text)
    return [piece for piece in pieces if piece]


def count_words(
    text: Texts, pattern: str | None, special_tokens: Collection[str] = ()
) -> Counter[str]:
    """How often each word comes in a text or in several; ValueError if there is none."""
    counts: Counter[str] = Counter()
    for part in parts_of(text):
        for piece in cut_out(part, special_tokens) if special_tokens else [part]:
            if piece not in special_tokens:
                counts.update(split(piece, pattern))
    if not counts:
        raise ValueError("the training text is empty, or the pattern finds no word in it")
    return counts


def _byte_alphabet() -> tuple[str, ...]:
    """GPT-2's printable character for each of the 256 bytes.

    Bytes that print in Latin-1 stand for themselves; the 68 others (space, line end, ...) take the
    characters from U+0100 on, in order. So a space shows as Ġ and a line end as Ċ.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte) if byte in printable else chr(next(others)) for byte in range(256))


BYTE_TO_CHAR = _byte_alphabet()
CHAR_TO_BYTE = {char: byte for byte, char in enumerate(BYTE_TO_CHAR)}


def spell(data: bytes) -> str:
    """Bytes in GPT-2's spelling: b" the" becomes "Ġthe"."""
    return "".join(map(BYTE_TO_CHAR.__getitem__, data))


def unspell(token: str) -> bytes:
    """The bytes that a token in GPT-2's spelling stands for; ValueError if it is not in it."""
    try:
        return bytes(map(CHAR_TO_BYTE.__getitem__, token))
    except KeyError as error:
        raise ValueError(
            f"token {token!r} is not in GPT-2's byte spelling: {error.args[0]!r} stands for no byte"
        ) from error


SPACE = "▁"  # what SentencePiece writes for a space
SPACED_WORD = regex.compile(f"{SPACE}*[^{SPACE}]+|{SPACE}+")
BYTE_PIECES = {f"<0x{byte:02X}>": byte for byte in range(256)}  # its tokens for single bytes


def as_ids(ids: Iterable[SupportsIndex], vocab_size: int) -> list[int]:
    """`ids` (a list, an array, a tensor) as a list; ValueError for one outside the vocabulary."""
    try:
        ids = [index(i) for i in (ids.tolist() if hasattr(ids, "tolist") else ids)]
    except TypeError as error:
        raise TypeError(f"ids must be whole numbers in one list: {error}") from error
    for i in ids:
        if not 0 <= i < vocab_size:
            raise ValueError(f"id {i} is not in the vocabulary (0 to {vocab_size - 1})")
    return ids


def fingerprint(content: Any) -> str:
    """The SHA-256 of a list or dict as canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


MOST_HOLES = 1 << 17  # ids that no token has


def in_order(ids: Mapping[str, int]) -> list[str]:
    """The tokens by id, "" where no token has the id; ValueError where two have the same."""
    by_id: dict[int, str] = {}
    for token, i in ids.items():
        if not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < len(ids) + MOST_HOLES:
            raise ValueError(
                f"token {token!r}: id {i!r} is no whole number near the {len(ids)} tokens"
            )
        if by_id.setdefault(i, token) != token:
            raise ValueError(f"two tokens have the id {i}: {by_id[i]!r} and {token!r}")
    return [by_id.get(i, "") for i in range(max(by_id, default=-1) + 1)]
