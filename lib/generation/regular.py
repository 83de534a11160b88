"""Regular expressions over UTF-8 bytes, compiled to a deterministic finite automaton (DFA).

An automaton reads one byte after another and is always in one state; a table says for each state
and byte which state comes next, or that nothing can. Sources: Thompson (1968) for the way from
expression to automaton, Rabin & Scott (1959) for making it deterministic.

Understood: literals, `.` (all but a line break), classes `[a-z]` and `[^"]`, `\\d \\w \\s` (ASCII)
and their complements, `\\n \\t \\r \\xhh \\uhhhh`, groups, `|`, `* + ? {m} {m,} {m,n}`. The whole
text must match, as with `re.fullmatch`.
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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


Node = Chars | Chain | Choice | Repeat


def size(node: Node) -> int:
    """About how many states an expression needs before it is made deterministic."""
    if isinstance(node, Chars):
        return sum(len(sequence) for r in node.ranges for sequence in utf8_ranges(*r))
    if isinstance(node, Repeat):
        return size(node.part) * max(node.low + 1, node.high or 1)
    return 1 + sum(map(size, node.parts))


class Nfa:
    """States with edges for ranges of bytes, and free moves: what an expression says directly."""

    def __init__(self, node: Node):
        if size(node) > 4 * MOST_STATES:
            raise ValueError("the expression is too large: shorten its repetitions")
        self.edges: list[list[tuple[int, int, int]]] = []  # (lowest byte, highest byte, target)
        self.free: list[list[int]] = []
        self.start = self._state()
        self.end = self.add(node, self.start)

    def _state(self) -> int:
        self.edges.append([])
        self.free.append([])
        return len(self.edges) - 1

    def add(self, node: Node, start: int) -> int:
        """Add `node` after state `start`; return the state at its end."""
        if isinstance(node, Chain):
            for part in node.parts:
                start = self.add(part, start)
            return start
        end = self._state()
        if isinstance(node, Choice):
            for part in node.parts:
                own = self._state()
                self.free[start].append(own)
                self.free[self.add(part, own)].append(end)
        elif isinstance(node, Chars):
            for low, high in node.ranges:
                for sequence in utf8_ranges(low, high):
                    here = start
                    for place, (a, b) in enumerate(sequence):
                        there = end if place == len(sequence) - 1 else self._state()
                        self.edges[here].append((a, b, there))
                        here = there
        else:
            self._repeat(node, start, end)
        return end

    def _repeat(self, node: Repeat, start: int, end: int) -> None:
        for _ in range(node.low):
            start = self.add(node.part, start)
        if node.high is None:
            loop = self._state()
            self.free[start].append(loop)
            self.free[self.add(node.part, loop)].append(loop)
            self.free[loop].append(end)
            return
        for _ in range(node.high - node.low):
            self.free[start].append(end)
            start = self.add(node.part, start)
        self.free[start].append(end)

    def closure(self, states: Sequence[int]) -> frozenset[int]:
        """All states that free moves reach."""
        seen, waiting = set(states), list(states)
        while waiting:
            for state in self.free[waiting.pop()]:
                if state not in seen:
                    seen.add(state)
                    waiting.append(state)
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


@dataclass(frozen=True)
class Automaton:
    """A DFA: `table[state, byte]` is the next state or -1; state 0 is the start.

    The table's last row, which -1 refers to, is all -1. `accepts[state]`: the text may end here.
    From every state the end can be reached.
    """

    table: np.ndarray  # (states + 1, 256) int32
    accepts: np.ndarray  # (states + 1,) bool

    @property
    def n_states(self) -> int:
        """Without the dead one."""
        return len(self.table) - 1

    def read(self, data: bytes, state: int = 0) -> int:
        """The state after `data`, -1 if there is none."""
        for byte in data:
            state = int(self.table[state, byte])
        return state

    def matches(self, text: str) -> bool:
        """Whether the whole text matches."""
        return bool(self.accepts[self.read(text.encode())])

    def distance(self, usable: Sequence[int] = range(256)) -> np.ndarray:
        """For each state the least number of bytes to an accepting one, all of them `usable`.

        Where there is no way it is a large number.
        """
        far = np.iinfo(np.int32).max // 2
        found = np.where(self.accepts, 0, far)
        table = self.table[:, list(usable)]
        while True:
            nearer = np.minimum(found, found[table].min(axis=1) + 1)
            if (nearer == found).all():
                return np.minimum(found, far)
            found = nearer


def determinize(nfa: Nfa) -> Automaton:
    """Make it deterministic: a state is the set of states that could have been reached."""
    start = nfa.closure([nfa.start])
    number, rows, waiting = {start: 0}, [], [start]
    for states in waiting:  # grows while it runs
        row = np.full(256, -1, dtype=np.int32)
        edges = [edge for state in states for edge in nfa.edges[state]]
        cuts = sorted({a for a, _, _ in edges} | {b + 1 for _, b, _ in edges})
        for low, high in itertools.pairwise(cuts):
            targets = [t for a, b, t in edges if a <= low and high - 1 <= b]
            if not targets:
                continue
            there = nfa.closure(targets)
            if there not in number:
                if len(number) >= MOST_STATES:
                    raise ValueError(
                        f"the automaton needs more than {MOST_STATES:,} states: lower the limits "
                        "of repetition or the depth"
                    )
                number[there] = len(number)
                waiting.append(there)
            row[low:high] = number[there]
        rows.append(row)
    dead = np.full(256, -1, dtype=np.int32)
    accepts = np.array([nfa.end in states for states in waiting] + [False])
    return Automaton(np.stack([*rows, dead]), accepts)
