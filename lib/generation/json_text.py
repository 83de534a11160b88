"""How JSON spells things, as nodes of an automaton: strings, numbers, constants.

A character of a string stands for itself, or is escaped: `\\n`, `\\u00e9`, and beyond 16 bits a
pair of surrogates, which counts as one. Strings are automata over characters first (a pattern, a
limit of length, names that are taken, all at once), and their moves are then spelled. After a comma
and a colon there may be one space. Source: RFC 8259.
"""

import functools
import json
import math
from collections.abc import Sequence
from typing import Any

from lib.generation.automaton import subsets
from lib.generation.regex_parsing import MOST_REPETITIONS, complement, parse
from lib.generation.regular import (
    LAST,
    MOST_STATES,
    Chain,
    Chars,
    Choice,
    Nfa,
    Node,
    Ranges,
    Repeat,
    utf8_ranges,
)

INTEGER = parse(r"-?(0|[1-9][0-9]{0,14})")
NUMBER = parse(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?")
LARGEST = 10**15 - 1
FRACTION = parse(r"\.[0-9]{0,14}[1-9]")
PLAIN = complement(((0, 0x1F), (34, 34), (92, 92)))
HEX = ((48, 57), (65, 70), (97, 102))
Moves = tuple[list[list[tuple[int, int, int]]], list[bool]]  # of an automaton over characters
Spelling = tuple[Ranges, ...]  # a range of bytes after another


def hex_digits(low: int, high: int) -> Ranges:
    """The bytes of the hexadecimal digits low .. high, small and capital."""
    found = [(48 + low, 48 + min(high, 9))] if low <= 9 else []
    if high > 9:
        low = max(low, 10) - 10
        found += [(65 + low, 65 + high - 10), (97 + low, 97 + high - 10)]
    return tuple(found)


def hex_ranges(low: int, high: int, n: int = 4) -> list[Spelling]:
    """Numbers low .. high as n hexadecimal digits."""
    if n == 0:
        return [()]
    unit = 16 ** (n - 1)
    first, last = low // unit, high // unit
    if low % unit == 0 and high % unit == unit - 1:
        return [(hex_digits(first, last), *[HEX] * (n - 1))]
    if first == last:
        rest = hex_ranges(low % unit, high % unit, n - 1)
        return [(hex_digits(first, first), *tail) for tail in rest]
    middle = last * unit if low % unit == 0 else (first + 1) * unit
    return hex_ranges(low, middle - 1, n) + hex_ranges(middle, high, n)


@functools.lru_cache(maxsize=4096)
def spellings(low: int, high: int) -> list[Spelling]:
    """All ways in which a JSON string writes a character low .. high."""
    byte, u = (lambda c: ((ord(c), ord(c)),)), ((92, 92),)
    found: list[Spelling] = []
    for a, b in PLAIN:
        for sequence in utf8_ranges(max(low, a), min(high, b)):
            found.append(tuple((part,) for part in sequence))
    for letter, code in zip('"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True):
        if low <= code <= high:
            found.append((u, byte(letter)))
    for a, b in ((0, 0xD7FF), (0xE000, 0xFFFF)):
        if max(low, a) <= min(high, b):
            found += [(u, byte("u"), *h) for h in hex_ranges(max(low, a), min(high, b))]
    low, high = max(low, 0x10000) - 0x10000, high - 0x10000
    while low <= high:
        last = min(high, low | 0x3FF)  # of the same high surrogate
        if low & 0x3FF == 0 and high - low >= 0x3FF:
            last = low + (high - low + 1) // 0x400 * 0x400 - 1
        first = hex_ranges(0xD800 + (low >> 10), 0xD800 + (last >> 10))
        second = hex_ranges(0xDC00 + (low & 0x3FF), 0xDC00 + (last & 0x3FF))
        found += [(u, byte("u"), *a, u, byte("u"), *b) for a in first for b in second]
        low = last + 1
    return found


@functools.lru_cache(maxsize=256)
def pattern_moves(pattern: str) -> Moves:
    """The texts in which a pattern occurs, as an automaton over characters."""
    any_text = Repeat(Chars(((0, LAST),)), 0, None)
    whole = Chain((any_text, parse(pattern, search=True), any_text))
    return subsets(Nfa(whole, over_bytes=False))


def other_than(names: Sequence[str]) -> Moves:
    """All texts but these."""
    tries: list[dict[int, int]] = [{}]
    ends = {0} if "" in names else set()
    for name in names:
        state = 0
        for c in map(ord, name):
            if c not in tries[state]:
                tries[state][c] = len(tries)
                tries.append({})
            state = tries[state][c]
        ends.add(state)
    free = len(tries)
    rows = [
        [(c, c, t) for c, t in known.items()]
        + [(a, b, free) for a, b in complement(tuple((c, c) for c in known))]
        for known in tries
    ]
    return [*rows, [(0, LAST, free)]], [state not in ends for state in range(free + 1)]


def runs(moves: Moves, text: str) -> bool:
    """Whether an automaton over characters takes the text."""
    state = 0
    for c in map(ord, text):
        state = next((t for a, b, t in moves[0][state] if a <= c <= b), -1)
        if state < 0:
            return False
    return moves[1][state]


def add_string(
    nfa: Nfa, start: int, automata: Sequence[Moves] = (), low: int = 0, high: int | None = None
) -> int:
    """A string that all automata take, of low .. high characters; the state after it."""
    limited("characters", low, high)
    end, opening = nfa.state(), (*[0] * len(automata), 0)
    number, waiting = {opening: nfa.state()}, [opening]
    text(nfa, '"', start, number[opening])
    most = low if high is None else high  # counting further makes no difference
    for place in waiting:  # grows while it runs
        *states, length = place
        accepted = all(a[1][s] for a, s in zip(automata, states, strict=True))
        if accepted and length >= low:
            nfa.path([((34, 34),)], number[place], end)
        if length == high:
            continue
        pieces = [(0, LAST, ())]
        for automaton, state in zip(automata, states, strict=True):
            pieces = [
                (max(a, c), min(b, d), (*before, target))
                for a, b, before in pieces
                for c, d, target in automaton[0][state]
                if max(a, c) <= min(b, d)
            ]
        for a, b, after in pieces:
            there = (*after, min(length + 1, most))
            if there not in number:
                if len(number) > MOST_STATES:
                    raise ValueError("a string's pattern and length need too many states")
                number[there] = nfa.state()
                waiting.append(there)
            for spelling in spellings(a, b):
                nfa.path(spelling, number[place], number[there])
    return end


def limited(what: str, low: int, high: int | None) -> None:
    """Raise ValueError for a limit that needs too large an automaton."""
    if max(low, high or 0) > MOST_REPETITIONS:
        raise ValueError(f"limits above {MOST_REPETITIONS} {what} are too large for an automaton")


def text(nfa: Nfa, characters: str, start: int, end: int | None = None) -> int:
    """These very characters; the state after them."""
    end = nfa.state() if end is None else end
    nfa.path([((byte, byte),) for byte in characters.encode()], start, end)
    return end


def separator(nfa: Nfa, sign: str, start: int) -> int:
    """A comma or colon, and perhaps a space."""
    bare = text(nfa, sign, start)
    end = text(nfa, " ", bare)
    nfa.free[bare].append(end)
    return end


def add_constant(nfa: Nfa, value: Any, start: int) -> int:
    """A value as JSON writes it; in strings what is beyond ASCII may be escaped."""
    if isinstance(value, str):
        here = text(nfa, '"', start)
        for c in value:
            there = nfa.state()
            for way in spellings(ord(c), ord(c)) if c > "\x7f" else ():
                nfa.path(way, here, there)
            if c <= "\x7f":
                text(nfa, json.dumps(c)[1:-1], here, there)
            here = there
        return text(nfa, '"', here)
    if isinstance(value, dict | list):
        items = list(value.items()) if isinstance(value, dict) else value
        here = text(nfa, "{" if isinstance(value, dict) else "[", start)
        for place, item in enumerate(items):
            here = separator(nfa, ",", here) if place else here
            if isinstance(value, dict):
                here = separator(nfa, ":", add_constant(nfa, item[0], here))
                item = item[1]
            here = add_constant(nfa, item, here)
        return text(nfa, "}" if isinstance(value, dict) else "]", here)
    return text(nfa, json.dumps(value), start)


def digits(low: int, high: int) -> Node:
    """Whole numbers 0 <= low .. high in decimal, as a choice of digits one by one."""
    parts: list[Node] = []
    while low <= high:
        free = 0  # how many last digits may be anything
        while low % 10 ** (free + 1) == 0 and low + 10 ** (free + 1) - 1 <= high and low:
            free += 1
        unit = 10**free
        first, left = str(low // unit), 9 - low // unit % 10
        more = min(left, (high - low + 1) // unit - 1)
        last = int(first[-1])
        chars = [Chars(((ord(c), ord(c)),)) for c in first[:-1]]
        chars += [Chars(((48 + last, 48 + last + more),))] + [Chars(((48, 57),))] * free
        parts.append(Chain(tuple(chars)))
        low += (more + 1) * unit
    return Choice(tuple(parts))


def bounds(
    held: dict[str, Any], most: float | int = math.inf
) -> tuple[tuple[float | int, int], tuple[float | int, int]]:
    """The lowest and the highest number that may be, each with 1 where it is excluded itself."""
    return held.get("low", (-most, 0)), held.get("high", (most, 0))


def add_number(nfa: Nfa, held: dict[str, Any], start: int) -> int | None:
    """A number within its bounds, the state after it; None if there is none."""
    if "low" not in held and "high" not in held:
        whole = held.get("integer")
        return nfa.add(INTEGER if whole else NUMBER, start)
    (low, over), (high, under) = bounds(held, LARGEST)
    if held.get("integer"):
        low = math.floor(low) + 1 if over else math.ceil(low)
        high = math.ceil(high) - 1 if under else math.floor(high)
        over = under = 0
    elif low != int(low) or high != int(high):
        raise ValueError(f"bounds of a number must be whole, got {low} and {high}")
    low, high = max(int(low), -LARGEST), min(int(high), LARGEST)
    parts, point = [], Choice((Chain(()), parse(r"\.0")))
    for sign, a, b, first, last in (
        ("", low, high, over, under),
        ("-", -high, -low, under, over),
    ):
        sign_node = parse(sign)
        whole = digits(max(a + first, 1 if sign else 0), b - last)
        if whole.parts:
            tail = Chain(()) if held.get("integer") else point
            parts.append(Chain((sign_node, whole, tail)))
        broken = digits(max(a, 0), b - 1)
        if broken.parts and not held.get("integer"):
            parts.append(Chain((sign_node, broken, FRACTION)))
    return nfa.add(Choice(tuple(parts)), start) if parts else None
