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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Ranges = tuple[tuple[int, int], ...]  # of code points, both ends included
DIGIT: Ranges = ((48, 57),)
WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
SPACE: Ranges = ((9, 13), (32, 32))
LAST = 0x10FFFF
MOST_STATES = 50_000
MOST_WORK = 4_000_000  # members of all sets of states: some seconds


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


def size(node: Node) -> int:
    """About how many states an expression needs before it is made deterministic."""
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
        found = np.full(len(self.table), np.iinfo(np.int32).max // 2)
        targets = np.sort(self.table[:-1, list(usable)], axis=1)
        new = (np.diff(targets, axis=1, prepend=-2) != 0) & (targets >= 0)
        before: list[list[int]] = [[] for _ in self.table]
        for state, target in zip(new.nonzero()[0].tolist(), targets[new].tolist(), strict=True):
            before[target].append(state)
        level, distance = np.flatnonzero(self.accepts).tolist(), 0
        found[level] = 0
        while level:
            distance += 1
            level = sorted({s for t in level for s in before[t] if found[s] > distance})
            found[level] = distance
        return found


def subsets(nfa: Nfa) -> tuple[list[list[tuple[int, int, int]]], list[bool]]:
    """The states of a deterministic automaton: sets of states that could have been reached.

    For each its moves (lowest, highest, target), and whether the text may end there. Raises
    ValueError if there are too many states, or if they are too large to be made.
    """
    nfa.trim()
    start = nfa.closure([nfa.start], at_start=True)
    number, rows, waiting, known, work = {start: 0}, [], [start], {}, 0
    if nfa.anchors:
        number = {}  # only the first state is at the start
    for states in waiting:  # grows while it runs
        borders: dict[int, list[tuple[int, int]]] = {}
        for state in states:
            for a, b, target in nfa.edges[state]:
                borders.setdefault(a, []).append((target, 1))
                borders.setdefault(b + 1, []).append((target, -1))
        row: list[tuple[int, int, int]] = []
        active: dict[int, int] = {}
        cuts = sorted(borders)
        for low, following in itertools.zip_longest(cuts, cuts[1:]):
            for target, change in borders[low]:
                active[target] = active.get(target, 0) + change
                if not active[target]:
                    del active[target]
            if not active:
                continue
            targets = frozenset(active)
            if targets not in known:
                known[targets] = nfa.closure(targets)
                work += len(known[targets])
            there = known[targets]
            if there not in number:
                number[there] = len(waiting)
                waiting.append(there)
            if row and row[-1][1] == low - 1 and row[-1][2] == number[there]:
                row[-1] = (row[-1][0], following - 1, number[there])
            else:
                row.append((low, following - 1, number[there]))
            work += len(targets)
        work += len(states)
        if len(waiting) > MOST_STATES or work > MOST_WORK:
            raise ValueError(
                f"the automaton needs more than {MOST_STATES:,} states, or too much work: lower "
                "the limits of repetition or the depth"
            )
        rows.append(row)
    ends = [nfa.end in nfa.closure(s, i == 0, at_end=True) for i, s in enumerate(waiting)]
    return rows, ends


def determinize(nfa: Nfa) -> Automaton:
    """The automaton over bytes as a table."""
    rows, ends = subsets(nfa)
    table = np.full((len(rows) + 1, 256), -1, dtype=np.int32)
    for state, row in enumerate(rows):
        for low, high, target in row:
            table[state, low : high + 1] = target
    return Automaton(table, np.array([*ends, False]))
