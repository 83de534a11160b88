"""The steps of a tokenizer.json that come before its model: what changes a text, what cuts it.

A step is what the file has, {"type": …, …}. `normalizer` and `pre_tokenizer` turn a list of steps
into one function, and name the step that they do not know.
Source: the `normalizers` and `pre_tokenizers` of Hugging Face tokenizers.
"""

import base64
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import groupby
from typing import Any

import regex

from lib.tokenization.oniguruma import from_oniguruma
from lib.tokenization.pretokenization import compile_pattern, find, matches_nothing, split
from lib.tokenization.sentencepiece_model import CharacterMap

Step = dict[str, Any]
Cut = Callable[[str, bool], list[str]]  # (text, whether the whole text begins here) → pieces

_SIGNS = r"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}"
WORD_SIGN = f"[{_SIGNS}]"  # Rust's \w
PUNCTUATION = r"[\p{P}$+<=>^`|~]"
CUTS = {  # type → (pattern, behavior, invert) of the Split that does the same
    "Whitespace": (rf"{WORD_SIGN}+|[^\s{_SIGNS}]+", "Removed", True),
    "WhitespaceSplit": (r"\s", "Removed", False),
}
BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
_SPACES = regex.compile(r"\s*")  # not str.isspace, which counts four separators more
LARGEST = 1 << 20  # characters that replacements may add to 16 times a text
LONGEST = 1 << 12  # characters of one of them


def normalizer(steps: Sequence[Step]) -> Callable[[str], str]:
    """One function that applies each normalizer; ValueError names a step that is not known."""
    changes = [named_step("normalizer", _change, step) for step in steps]

    def apply(text: str) -> str:
        for change in changes:
            text = change(text)
        return text

    return apply


def pre_tokenizer(steps: Sequence[Step]) -> Cut:
    """One function that cuts with each pre-tokenizer in turn; ValueError names an unknown step."""
    cuts = [named_step("pre-tokenizer", _cut, step) for step in steps]

    def apply(text: str, first: bool = True) -> list[str]:
        pieces = [text] if text else []
        for cut in cuts:
            before = pieces
            pieces = [
                part
                for n, piece in enumerate(before)
                for part in cut(piece, first and not n)
                if part
            ]
            # once a step has removed a text's beginning, no piece stands there
            first = first and pieces != [] and before[0].startswith(pieces[0])
        return pieces

    return apply


def named_step(what: str, make: Callable[[str, Step], Any], step: Step) -> Any:
    """What `make` makes of a step; ValueError names one that is damaged or not known."""
    if not isinstance(step, dict) or not isinstance(step.get("type"), str):
        raise ValueError(f"{what} {_short(step)} is no step with a type")
    try:
        made = make(step["type"], step)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{what} {_short(step)} is damaged: {error!r}") from error
    except ValueError as error:
        raise ValueError(f"{what} {_short(step)}: {error}") from error
    if made is None:
        raise ValueError(f"{what} {step['type']!r} is not supported: {_short(step)}")
    return made


def _short(step: Any) -> str:
    text = repr(step)
    return text if len(text) < 200 else f"{text[:200]}…"


def _change(kind: str, step: Step) -> Callable[[str], str] | None:
    if kind in ("NFC", "NFD", "NFKC", "NFKD"):
        return partial(unicodedata.normalize, kind)
    if kind == "Lowercase":  # letter by letter: a final Σ becomes σ, not ς
        return lambda text: "".join(map(str.lower, text))
    if kind == "StripAccents":
        return partial(regex.compile(r"\p{M}").sub, "")
    if kind == "Strip":
        ends = [r"\A\s+"] * step.get("strip_left", True) + [r"\s+\Z"] * step.get(
            "strip_right", True
        )
        return partial(regex.compile("|".join(ends) or r"(?!)").sub, "")
    if kind == "Prepend":
        prefix = _inserted(step, "prepend")
        return lambda text: prefix + text if text else text
    if kind == "Replace":
        return replacement(step)
    if kind == "Precompiled":
        return CharacterMap(base64.b64decode(step["precompiled_charsmap"])).apply
    return None


def replacement(step: Step) -> Callable[[str], str]:
    """What a step of the type Replace does with a text."""
    compile_pattern(pattern := _expression(step), empty=True)  # a broken one fails here
    return partial(_replace, pattern, _inserted(step, "content"))


def _inserted(step: Step, key: str) -> str:
    if not isinstance(step[key], str) or len(step[key]) > LONGEST:
        raise ValueError(f"{key} must be a text of at most {LONGEST:,} characters")
    return step[key]


def _replace(pattern: str, content: str, text: str) -> str:
    parts, end = [], 0
    for match in find(compile_pattern(pattern, empty=True), text) if text else ():
        parts += [text[end : match.start()], content]
        end = match.end()
    if (length := sum(map(len, parts))) > LARGEST + 16 * len(text):
        raise ValueError(f"replacing {pattern!r} makes {length:,} characters of {len(text):,}")
    return "".join([*parts, text[end:]])


def _expression(step: Step) -> str:
    """The pattern of a Split or a Replace: a regular expression, or a text as it stands."""
    pattern = step["pattern"]
    if "Regex" in pattern:
        return from_oniguruma(pattern["Regex"])
    return regex.escape(pattern["String"])


def _cut(kind: str, step: Step) -> Cut | None:
    if kind == "Split":
        return _splitter(_expression(step), step["behavior"], step.get("invert", False))
    if kind == "Digits":
        behavior = "Isolated" if step.get("individual_digits") else "Contiguous"
        return _splitter(r"\p{N}", behavior, False)
    if kind == "Punctuation":
        return _splitter(PUNCTUATION, step.get("behavior", "Isolated"), False)
    if kind == "CharDelimiterSplit":
        return _splitter(regex.escape(step["delimiter"]), "Removed", False)
    if kind in CUTS:
        return _splitter(*CUTS[kind])
    if kind == "BertPreTokenizer":
        return pre_tokenizer([{"type": "WhitespaceSplit"}, {"type": "Punctuation"}])
    if kind == "ByteLevel":
        prefix = " " if step.get("add_prefix_space", True) else ""
        cut = partial(split, pattern="gpt2" if step.get("use_regex", True) else None)
        return lambda text, first: cut(text if text[:1] == " " else prefix + text)
    if kind == "Metaspace":
        return _metaspace(step)
    return None


def _metaspace(step: Step) -> Cut:
    space = step.get("replacement", "▁")
    scheme = step.get("prepend_scheme") or (
        "always" if step.get("add_prefix_space", True) else "never"
    )
    if scheme not in ("always", "first", "never"):
        raise ValueError(f"prepend_scheme must be 'always', 'first' or 'never', got {scheme!r}")
    cut = _splitter(regex.escape(space), "MergedWithNext", False)

    def apply(text: str, first: bool) -> list[str]:
        text = text.replace(" ", space)
        if text[:1] != space and (scheme == "always" or (scheme == "first" and first)):
            text = space + text
        return cut(text, first) if step.get("split", True) else [text]

    return apply


def _splitter(pattern: str, behavior: str, invert: bool) -> Cut:
    if behavior not in BEHAVIORS:
        raise ValueError(f"behavior must be one of {BEHAVIORS}, got {behavior!r}")
    compiled = compile_pattern(pattern, empty=True)
    if behavior == "Isolated" and not matches_nothing(pattern):
        return lambda text, first: split(text, pattern)
    return lambda text, first: _pieces(_matches(compiled, text, invert), behavior)


def _matches(compiled: regex.Pattern, text: str, invert: bool) -> list[tuple[str, bool]]:
    """The whole text in pieces, and whether each is a match (with `invert`: no match).

    Empty matches are among them, since those beside them are no neighbors then.
    """
    pieces, end = [], 0
    for match in find(compiled, text):
        gap = text[end : match.start()]
        pieces += [(gap, invert)] * bool(gap) + [(match.group(), not invert)]
        end = match.end()
    return pieces + [(text[end:], invert)] * (end < len(text))


def _pieces(pieces: list[tuple[str, bool]], behavior: str) -> list[str]:
    if behavior == "Isolated":
        return [piece for piece, _ in pieces]
    if behavior == "Removed":
        return [piece for piece, hit in pieces if not hit]
    if behavior == "Contiguous":
        groups = groupby(pieces, lambda piece: piece[1])
        return ["".join(piece for piece, _ in group) for _, group in groups]
    backward = behavior == "MergedWithNext"
    merged: list[str] = []
    previous = False
    for piece, hit in reversed(pieces) if backward else pieces:
        if hit and not previous and merged:  # the first of a run of matches joins its neighbor
            merged[-1] = piece + merged[-1] if backward else merged[-1] + piece
        else:
            merged.append(piece)
        previous = hit
    return merged[::-1] if backward else merged


@lru_cache(maxsize=64)
def _finder(tokens: frozenset[str]) -> regex.Pattern:
    return regex.compile(r"\L<tokens>", tokens=tokens)


def find_tokens(
    text: str, tokens: Collection[str], options: Mapping[str, Collection[str]] | None = None
) -> Iterator[tuple[str, str | None]]:
    """(piece, the token that it is or None): `text` cut at `tokens`, the longest match first.

    `options` of a token: "lstrip" and "rstrip" take the white space beside it along, "single_word"
    finds it only where no letter, digit or underscore touches it.
    """
    end = 0
    for match in _finder(frozenset(tokens)).finditer(text) if tokens else ():
        token, (start, stop) = match.group(), match.span()
        option = options.get(token, ()) if options else ()
        if "single_word" in option and _touches(text, start, stop):
            continue
        if "lstrip" in option:
            while start > end and _SPACES.fullmatch(text[start - 1]):
                start -= 1
            if max(start, end) >= stop:  # the token before it has taken all of it
                continue
        if "rstrip" in option:
            stop = _SPACES.match(text, stop).end()
        if start > end:
            yield text[end:start], None
        yield text[max(start, end) : stop], token
        end = max(end, stop)
    if end < len(text):
        yield text[end:], None


def _touches(text: str, start: int, stop: int) -> bool:
    sign = compile_pattern(WORD_SIGN)
    before, after = text[start - 1 : start] if start else "", text[stop : stop + 1]
    return bool(sign.match(before) or sign.match(after))
