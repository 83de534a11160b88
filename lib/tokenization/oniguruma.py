r"""The regular expressions of a tokenizer.json, said so that the `regex` module reads them alike.

Hugging Face tokenizers hands them to Oniguruma, in the syntax of Ruby. There `\w` is no joiner but,
outside a class, ² and ½; `\h` is a hexadecimal digit, `^` and `$` stand at every line, `x{1,3}+`
repeats `x{1,3}`, and a class may hold classes, as in BLOOM's `[^(\s|[.,!?])]`. Under `(?i)` ß is
also ss, a property such as `\p{Lu}` stays what it is, and no i is Turkish.
Source: doc/RE of Oniguruma; \w as measured over all of Unicode 3.2.
"""

from collections.abc import Iterable, Iterator

import regex

_CLASS, _HEX = r"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}", "0-9a-fA-F"
_WORD = f"{_CLASS}²³¹¼½¾"
_BEFORE, _AFTER = f"(?=[{_WORD}])", f"(?<=[{_WORD}])"
_NOT_BEFORE, _NOT_AFTER = f"(?![{_WORD}])", f"(?<![{_WORD}])"
IN_CLASS = {
    r"\w": _CLASS,
    r"\W": f"[^{_CLASS}]",
    r"\h": _HEX,
    r"\H": f"[^{_HEX}]",
    r"\p{XDigit}": _HEX,
    r"\p{Word}": _CLASS,
    r"\P{Word}": f"[^{_CLASS}]",
    "[:word:]": _CLASS,
    "[:^word:]": f"[^{_CLASS}]",
    "[:digit:]": r"\p{Nd}",
    "[:^digit:]": r"\P{Nd}",
    "[:alnum:]": r"\p{Alphabetic}\p{Nd}",
    "[:^alnum:]": r"[^\p{Alphabetic}\p{Nd}]",
    "[:punct:]": r"\p{P}\p{S}",
    "[:^punct:]": r"[^\p{P}\p{S}]",
}
OUTSIDE = {
    r"\w": f"[{_WORD}]",
    r"\W": f"[^{_WORD}]",
    r"\h": f"[{_HEX}]",
    r"\H": f"[^{_HEX}]",
    r"\p{XDigit}": f"[{_HEX}]",
    r"\p{Word}": f"[{_WORD}]",
    r"\P{Word}": f"[^{_WORD}]",
    "^": r"(?:\A|(?<=\n)(?!\Z))",
    "$": "(?m:$)",
    r"\Z": r"(?=\n?\Z)",
    r"\z": r"\Z",
    r"\b": f"(?:{_AFTER}{_NOT_BEFORE}|{_NOT_AFTER}{_BEFORE})",
    r"\B": f"(?:{_AFTER}{_BEFORE}|{_NOT_AFTER}{_NOT_BEFORE})",
    r"\N": r"[^\n]",
    r"\O": "(?s:.)",
}
# of a letter without regard to case, where `regex` also takes the Turkish ones
FOLDED = {"i": "(?-i:[iI])", "I": "(?-i:[iI])", "ı": "(?-i:ı)", "İ": "(?-i:İ|[iI]\u0307)"}
# Characters that are several letters without regard to case: ß is ss, ﬃ is ffi
_WIDE = {char: char.casefold() for char in map(chr, range(0x10000)) if len(char.casefold()) > 1}
_PIECES = regex.compile("|".join([*sorted(_WIDE.values(), key=len, reverse=True), "."]), regex.I)
_PARTS = regex.compile(
    r"\\[pP]\{[^}]*\}|\\k<\w+>|\\x\{[0-9a-fA-F]{1,6}\}|\\.|\[:\^?\w+:\]|\[\^?\]?|\]"
    r"|\(\?[imx-]+[:)]|\{\d*,?\d*\}\+|&&|.",
    regex.DOTALL,
)


def from_oniguruma(pattern: str) -> str:
    """An expression of the `regex` module that matches what `pattern` matches in Oniguruma."""
    made: list[str] = []
    groups: list[tuple[int, bool]] = []  # where each open group began, whether it minds case
    depth, atom, nested, folds = 0, 0, False, False  # of classes; where what may repeat began
    for part in _joined(_parts(pattern)):
        if depth:
            opens = part[0] == "[" and part[:2] != "[:"
            depth += opens - (part == "]")
            nested = nested or opens or part == "&&" or "[^" in IN_CLASS.get(part, "")
            made.append(IN_CLASS.get(part, f"\\{part}" if part in "|~" else part))
            if folds and not depth:  # of the Turkish letters only those that it has itself
                made[atom:] = _minding_turkish("".join(made[atom:]))
        elif part[-2:] == "}+" and part[0] == "{":
            made[atom:] = ["(?:", *made[atom:], part[:-1], ")+"]
        elif part == ")":
            atom, folds = groups.pop() if groups else (0, folds)
            made.append(part)
        else:
            if part[0] not in "*+?{":
                atom = len(made)
            flags = regex.fullmatch(r"\(\?([imx]*)(-[imx]*)?[:)]", part)
            if part[0] == "(" and not (flags and part[-1] == ")"):
                groups.append((atom, folds))
            if flags:
                folds = "i" in flags[1] or (folds and "i" not in (flags[2] or ""))
                part = part.replace("m", "s").replace("i", "if", "i" in flags[1])
            depth += part[0] == "["
            part = OUTSIDE.get(part, part)
            if folds and part[:2] in (r"\p", r"\P"):
                part = f"(?-i:{part})"
            elif folds and part.casefold() in _WIDE.values():
                letters = "".join(FOLDED.get(letter, letter) for letter in part.casefold())
                same = [FOLDED.get(c, c) for c in _WIDE if _WIDE[c] == part.casefold()]
                part = f"(?-f:{'|'.join([letters, *same])})"
            elif folds:
                part = FOLDED.get(part, part)
            made.append(part)
    return "(?V1)" * nested + "".join(made)


def _parts(pattern: str) -> Iterator[str]:
    """The parts of an expression, escapes of one character as `regex` spells them."""
    for part in _PARTS.findall(pattern):
        if part == r"\e":
            yield r"\x1b"
        elif part[:3] == r"\x{":
            code = int(part[3:-1], 16)
            yield f"\\U{code:08x}" if code < 0x110000 else part  # which `regex` refuses
        elif part in (r"\p", r"\P"):  # without braces it is a letter
            yield part[1]
        elif part[:2] == r"\k":
            yield f"(?P={part[3:-1]})"
        else:
            negated = regex.fullmatch(r"\\([pP])\{\^(.*)\}", part)
            yield rf"\{'Pp'[negated[1] == 'P']}{{{negated[2]}}}" if negated else part


def _joined(parts: Iterable[str]) -> Iterator[str]:
    """The parts, but letters that are one of `_WIDE` together, from left to right, as one.

    The last letter of several stays alone where what follows repeats it.
    """
    letters = ""
    for part in [*parts, ""]:
        if len(part) == 1 and (part.isalpha() or not part.isascii()):
            letters += part
            continue
        alone = letters[-1:] if part[:1] in tuple("*+?{") else ""
        yield from _PIECES.findall(letters.removesuffix(alone))
        yield from filter(None, (alone, part))
        letters = ""


def _minding_turkish(chars: str) -> list[str]:
    return [f"(?:(?-i:(?=[ıİ]){chars})|(?-i:(?![ıİ]))", chars, ")"]
