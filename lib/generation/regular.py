"""Regular expressions over UTF-8 bytes, compiled to a deterministic finite automaton (DFA).

An automaton reads one byte after another and is always in one state; a table says for each state
and byte which state comes next, or that nothing can. Sources: Thompson (1968) for the way from
expression to automaton, Rabin & Scott (1959) for making it deterministic.

Understood: literals, `.` (all but a line break), classes `[a-z]` and `[^"]`, `\\d \\w \\s` (ASCII)
and their complements, `\\n \\t \\r \\xhh \\uhhhh`, groups, `|`, `* + ? {m} {m,} {m,n}`. The whole
text must match, as with `re.fullmatch`.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Ranges = tuple[tuple[int, int], ...]  # of code points, both ends included
DIGIT: Ranges = ((48, 57),)
WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
SPACE: Ranges = ((9, 13), (32, 32))
LAST = 0x10FFFF
MOST_STATES = 50_000


@dataclass(frozen=True)
class Chars:
    """One character out of ranges."""

    ranges: Ranges


@dataclass(frozen=True)
class Chain:
    """One after the other."""

    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Choice:
    """One of several."""

    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Repeat:
    """At least `low` times, at most `high` (None: no limit)."""

    part: "Node"
    low: int
    high: int | None


@dataclass(frozen=True)
class Anchor:
    """`^` or `$`: nothing, but only at the start or the end of the text."""

    sign: str


Node = Chars | Chain | Choice | Repeat | Anchor


def size(node: "Node | Nfa") -> int:
    """About how many states an expression needs before it is made deterministic."""
    if isinstance(node, Nfa):
        return len(node)
    if isinstance(node, Chars):
        return sum(len(sequence) for r in node.ranges for sequence in utf8_ranges(*r))
    if isinstance(node, Repeat):
        return size(node.part) * max(node.low + 1, node.high or 1)
    return 1 if isinstance(node, Anchor) else 1 + sum(map(size, node.parts))


class Nfa:
    """States with edges for ranges of bytes, and free moves: what an expression says directly."""

    def __init__(self, node: Node | None = None, over_bytes: bool = True):
        self.over_bytes = over_bytes  # else over code points
        self.edges: list[list[tuple[int, int, int]]] = []  # (lowest, highest, target)
        self.free: list[list[int]] = []
        self.anchors: dict[int, tuple[str, int]] = {}
        self.start = self.end = self.state()
        if node is not None:
            if size(node) > 4 * MOST_STATES:
                raise ValueError("the expression is too large: shorten its repetitions")
            self.end = self.add(node, self.start)

    def __len__(self) -> int:
        return len(self.edges)

    def state(self) -> int:
        """A new state."""
        if len(self.edges) > 8 * MOST_STATES:
            raise ValueError("too large for an automaton: lower the limits of length or the depth")
        self.edges.append([])
        self.free.append([])
        return len(self.edges) - 1

    def path(self, sequence: Sequence[Ranges], start: int, end: int) -> None:
        """Add one way from `start` to `end`: a byte out of each of the ranges."""
        for place, ranges in enumerate(sequence):
            there = end if place == len(sequence) - 1 else self.state()
            self.edges[start] += [(a, b, there) for a, b in ranges]
            start = there

    def trim(self) -> None:
        """Drop edges after which the end cannot be reached. Raises ValueError if it never can."""
        before: list[list[int]] = [[] for _ in self.edges]
        for state, edges in enumerate(self.edges):
            for target in (*self.free[state], *(t for _, _, t in edges)):
                before[target].append(state)
        for state, (_, target) in self.anchors.items():
            before[target].append(state)
        useful, waiting = {self.end}, [self.end]
        while waiting:
            new = set(before[waiting.pop()]) - useful
            useful |= new
            waiting += new
        if self.start not in useful:
            raise ValueError("no text fits: what is asked for contradicts itself")
        if len(useful) == len(self):
            return
        self.edges = [[e for e in edges if e[2] in useful] for edges in self.edges]
        self.free = [[t for t in free if t in useful] for free in self.free]

    def add(self, node: Node, start: int) -> int:
        """Add `node` after state `start`; return the state at its end."""
        if isinstance(node, Chain):
            for part in node.parts:
                start = self.add(part, start)
            return start
        end = self.state()
        if isinstance(node, Choice):
            for part in node.parts:
                own = self.state()
                self.free[start].append(own)
                self.free[self.add(part, own)].append(end)
        elif isinstance(node, Chars):
            for low, high in node.ranges:
                if self.over_bytes:
                    for sequence in utf8_ranges(low, high):
                        self.path([(part,) for part in sequence], start, end)
                elif low <= high:
                    self.edges[start].append((low, high, end))
        elif isinstance(node, Anchor):
            own = self.state()
            self.free[start].append(own)
            self.anchors[own] = (node.sign, end)
        else:
            self._repeat(node, start, end)
        return end

    def _repeat(self, node: Repeat, start: int, end: int) -> None:
        for _ in range(node.low):
            start = self.add(node.part, start)
        if node.high is None:
            loop = self.state()
            self.free[start].append(loop)
            self.free[self.add(node.part, loop)].append(loop)
            self.free[loop].append(end)
            return
        for _ in range(node.high - node.low):
            self.free[start].append(end)
            start = self.add(node.part, start)
        self.free[start].append(end)

    def closure(
        self, states: Iterable[int], at_start: bool = False, at_end: bool = False
    ) -> frozenset[int]:
        """All states that free moves reach, and anchors at the start or the end."""
        seen, waiting = set(states), list(states)
        while waiting:
            state = waiting.pop()
            moves = self.free[state]
            if state in self.anchors:
                sign, target = self.anchors[state]
                moves = [target] if (at_start if sign == "^" else at_end) else []
            for target in moves:
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
        return frozenset(seen)


@functools.lru_cache(maxsize=4096)
def utf8_ranges(low: int, high: int) -> list[list[tuple[int, int]]]:
    """The UTF-8 bytes of the code points low .. high, as sequences of byte ranges.

    Split until all code points of a part differ only in bytes whose whole range occurs. Surrogates
    have no UTF-8 and are left out.
    """
    if low > high:
        return []
    if low <= 0xDFFF and high >= 0xD800:
        return utf8_ranges(low, 0xD7FF) + utf8_ranges(0xE000, high)
    for limit in (0x7F, 0x7FF, 0xFFFF):
        if low <= limit < high:
            return utf8_ranges(low, limit) + utf8_ranges(limit + 1, high)
    for shift in (6, 12, 18):
        tail = (1 << shift) - 1
        if high > 0x7F and low & ~tail != high & ~tail:
            if low & tail:
                return utf8_ranges(low, low | tail) + utf8_ranges((low | tail) + 1, high)
            if high & tail != tail:
                return utf8_ranges(low, (high & ~tail) - 1) + utf8_ranges(high & ~tail, high)
    return [list(zip(chr(low).encode(), chr(high).encode(), strict=True))]
