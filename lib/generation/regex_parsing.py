"""Reads a regular expression into the nodes of `lib.generation.regular`."""

import re
from functools import lru_cache

from lib.generation.automaton import Automaton, determinize
from lib.generation.regular import (
    DIGIT,
    LAST,
    SPACE,
    WORD,
    Anchor,
    Chain,
    Chars,
    Choice,
    Nfa,
    Node,
    Ranges,
    Repeat,
)
from lib.settings import shortened

CLASSES = {"d": DIGIT, "w": WORD, "s": SPACE}
CONTROL = {"n": 10, "t": 9, "r": 13, "f": 12, "v": 11, "0": 0}
SPECIAL = set("\\.[](){}|*+?^$")
MOST_REPETITIONS = 1000
MOST_NESTED = 50  # parentheses


def compile_regex(pattern: str | Nfa) -> Automaton:
    """The automaton of a regular expression, or of the nodes of `json_schema`.

    Raises ValueError where it is not understood or too large.
    """
    nodes = parse(pattern)
    return determinize(nodes if isinstance(nodes, Nfa) else Nfa(nodes))


@lru_cache
def unicode_class(letter: str) -> Ranges:
    """The characters of `\\d`, `\\w` or `\\s` as Python's `re` has them, beyond ASCII too."""
    text = "".join(map(chr, range(LAST + 1)))
    return tuple((m.start(), m.end() - 1) for m in re.finditer(rf"\{letter}+", text))


def complement(ranges: Ranges) -> Ranges:
    """All code points that are in none of the ranges."""
    found, start = [], 0
    for low, high in sorted(ranges):
        if low > start:
            found.append((start, low - 1))
        start = max(start, high + 1)
    return (*found, (start, LAST)) if start <= LAST else tuple(found)


def parse(pattern: str | Nfa, search: bool = False) -> Node | Nfa:
    """Read the whole pattern; nodes of `json_schema` are read already.

    With `search` it may have `^` and `$`, and `\\D`, `\\W`, `\\S` leave out what any dialect
    calls a digit, a word's character or a space.
    """
    if isinstance(pattern, Nfa):
        return pattern
    if not isinstance(pattern, str):
        raise ValueError(f"a pattern must be a text, got {shortened(pattern)}")
    parser = _Parser(pattern, search)
    node = parser.choice()
    if parser.place < len(pattern):
        parser.fail("a parenthesis is closed that was not opened")
    return node


class _Parser:
    """Recursive descent: a choice of chains of repeated atoms."""

    def __init__(self, pattern: str, search: bool):
        self.pattern, self.search, self.place, self.depth = pattern, search, 0, 0

    def fail(self, problem: str) -> None:
        raise ValueError(f"{problem}, at character {self.place + 1} of {shortened(self.pattern)}")

    def peek(self) -> str:
        return self.pattern[self.place : self.place + 1]

    def take(self, *wanted: str) -> bool:
        """Go past one of the given pieces if it comes next."""
        for piece in wanted:
            if self.pattern.startswith(piece, self.place):
                self.place += len(piece)
                return True
        return False

    def choice(self) -> Node:
        parts = [self.chain()]
        while self.take("|"):
            parts.append(self.chain())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def chain(self) -> Node:
        parts = []
        while self.peek() and self.peek() not in "|)":
            parts.append(self.repeated())
        return Chain(tuple(parts))

    def repeated(self) -> Node:
        node = self.atom()
        if self.peek() and self.peek() in "*+?{":
            low, high = self.bounds()
            if self.peek() and self.peek() in "?+":
                self.fail("lazy and possessive repetition make no difference here: leave it out")
            if self.peek() and self.peek() in "*{":
                self.fail("a repetition is repeated: put the inner one in parentheses")
            node = Repeat(node, low, high)
        return node

    def bounds(self) -> tuple[int, int | None]:
        for sign, limits in {"*": (0, None), "+": (1, None), "?": (0, 1)}.items():
            if self.take(sign):
                return limits
        self.take("{")
        inside, closed, _ = self.pattern[self.place :].partition("}")
        first, comma, last = inside.partition(",")
        if (
            not closed
            or not re.fullmatch("[0-9]{1,9}", first)
            or len(last) > 9
            or not (last.isdecimal() or not last)
        ):
            self.fail("a repetition is written {m}, {m,} or {m,n}; a brace itself is \\{")
        self.place += len(inside) + 1
        low, high = int(first), int(last) if last else None if comma else int(first)
        if max(low, high or 0) > MOST_REPETITIONS or (high is not None and high < low):
            self.fail(f"a repetition needs 0 <= m <= n <= {MOST_REPETITIONS}, got {inside}")
        return low, high

    def atom(self) -> Node:
        if self.take("("):
            self.take("?:")
            if self.peek() == "?":
                self.fail("of groups only (...) and (?:...) are understood")
            self.depth += 1
            if self.depth > MOST_NESTED:
                self.fail(f"parentheses nest deeper than {MOST_NESTED}")
            node = self.choice()
            if not self.take(")"):
                self.fail("a parenthesis is not closed")
            self.depth -= 1
            return node
        if self.search and self.peek() in ("^", "$"):
            self.place += 1
            return Anchor(self.pattern[self.place - 1])
        if self.take("["):
            return Chars(self.characters())
        if self.take("."):
            return Chars(complement(((10, 10),)))
        if self.take("\\"):
            return Chars(self.escape())
        letter = self.peek()
        if letter in SPECIAL - {"]", "}"}:
            self.fail(f"{letter!r} cannot stand here; for the character itself write \\{letter}")
        self.place += 1
        return Chars(((ord(letter), ord(letter)),))

    def escape(self, wide: bool = False) -> Ranges:
        letter = self.peek()
        self.place += 1
        if letter and letter.lower() in CLASSES:
            narrow = letter.islower() != (wide and self.search)  # what any, or no, dialect means
            known = narrow or not self.search
            ranges = CLASSES[letter.lower()] if known else unicode_class(letter.lower())
            return ranges if letter.islower() else complement(ranges)
        if letter in CONTROL and letter:
            return ((CONTROL[letter], CONTROL[letter]),)
        if letter in ("x", "u"):
            size = 2 if letter == "x" else 4
            digits = self.pattern[self.place : self.place + size]
            try:
                code = int(digits, 16) if len(digits) == size else -1
            except ValueError:
                code = -1
            if code < 0:
                self.fail(f"\\{letter} needs {size} hexadecimal digits")
            self.place += size
            return ((code, code),)
        if not letter or letter.isalnum():
            self.fail(f"the escape \\{letter} is not understood")
        return ((ord(letter), ord(letter)),)

    def characters(self) -> Ranges:
        negated, ranges, first = self.take("^"), [], True
        while first or self.peek() != "]":
            first = False
            low = self.one(negated)
            if self.peek() == "-" and self.pattern[self.place + 1 : self.place + 2] not in (
                "]",
                "",
            ):
                self.place += 1
                high = self.one(negated)
                if len(low) > 1 or len(high) > 1 or low[0][0] > high[0][1]:
                    self.fail("a range goes from a lower to a higher character")
                low = ((low[0][0], high[0][1]),)
            ranges += low
        self.place += 1
        return complement(tuple(ranges)) if negated else tuple(ranges)

    def one(self, negated: bool) -> Ranges:
        if self.take("\\"):
            return self.escape(negated)
        letter = self.peek()
        if not letter:
            self.fail("a class [ is not closed")
        self.place += 1
        return ((ord(letter), ord(letter)),)
