r"""The regular expressions of a tokenizer.json, said so that the `regex` module reads them alike.

Hugging Face tokenizers hands them to Oniguruma, in the syntax of Ruby. There `\w` is no joiner but,
outside a class, ² and ½; `\h` is a hexadecimal digit, `^` and `$` stand at every line, `x{1,3}+`
repeats `x{1,3}`, and a class may hold classes, as in BLOOM's `[^(\s|[.,!?])]`.
Source: doc/RE of Oniguruma; \w as measured over all of Unicode 3.2.
"""

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
    "[:word:]": _CLASS,
    "[:digit:]": r"\p{Nd}",
    "[:alnum:]": r"\p{Alphabetic}\p{Nd}",
}
OUTSIDE = {
    r"\w": f"[{_WORD}]",
    r"\W": f"[^{_WORD}]",
    r"\h": f"[{_HEX}]",
    r"\H": f"[^{_HEX}]",
    "^": "(?m:^)",
    "$": "(?m:$)",
    r"\Z": r"(?=\n?\Z)",
    r"\z": r"\Z",
    r"\b": f"(?:{_AFTER}{_NOT_BEFORE}|{_NOT_AFTER}{_BEFORE})",
    r"\B": f"(?:{_AFTER}{_BEFORE}|{_NOT_AFTER}{_NOT_BEFORE})",
    r"\N": r"[^\n]",
    r"\O": "(?s:.)",
}
_PARTS = regex.compile(
    r"\\[pP]\{[^}]*\}|\\.|\[:\^?\w+:\]|\[\^?\]?|\]|\(\?[imx-]+[:)]|\{\d*,?\d*\}\+|&&|.",
    regex.DOTALL,
)


def from_oniguruma(pattern: str) -> str:
    """An expression of the `regex` module that matches what `pattern` matches in Oniguruma."""
    made: list[str] = []
    groups: list[int] = []  # where each open group began
    depth, atom, nested = 0, 0, False  # of classes; where the last thing that may repeat began
    for part in _PARTS.findall(pattern):
        if depth:
            opens = part[0] == "[" and part[:2] != "[:"
            depth += opens - (part == "]")
            nested = nested or opens or part in ("&&", r"\W", r"\H")
            made.append(IN_CLASS.get(part, f"\\{part}" if part in "|~" else part))
        elif part[-2:] == "}+" and part[0] == "{":
            made[atom:] = ["(?:", *made[atom:], part[:-1], ")+"]
        elif part == ")":
            atom = groups.pop() if groups else 0
            made.append(part)
        else:
            if part[0] not in "*+?{":
                atom = len(made)
            if part[0] == "(" and part[-1] != ")":
                groups.append(atom)
            depth += part[0] == "["
            flags = part.replace("m", "s") if part[:2] == "(?" else part
            made.append(OUTSIDE.get(part, flags))
    return "(?V1)" * nested + "".join(made)
