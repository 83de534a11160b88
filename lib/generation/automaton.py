"""Deterministic automata: one state at a time, the next one in a table (Rabin & Scott, 1959)."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.generation.regular import MOST_STATES, Nfa

MOST_WORK = 4_000_000  # members of all sets of states: some seconds


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
