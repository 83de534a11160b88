"""Constrained decoding: only tokens after which the text can still become what was asked for.

A grammar is an automaton over bytes; a token is a string of bytes. In a given state a token is
allowed if the automaton can read all of it. All tokens are tried at once by walking their trie, in
which a common beginning is read once; the result is kept for each state that occurs. Sources:
Willard & Louf (2023), "Efficient guided generation", for the idea; Giba (2025), "Grammar-based
sampling", for the picture of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.generation.automaton import Automaton
from lib.generation.json_schema import schema_regex
from lib.generation.regex_parsing import compile_regex
from lib.tokenization import BPETokenizer

MOST_KEPT = 500  # states: four bytes for each token and state


class TokenTrie:
    """The bytes of all tokens as a tree, level by level: beginnings in common are one node."""

    def __init__(self, tokens: Sequence[bytes]):
        self.n_tokens = len(tokens)
        self.levels: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        ids = np.array([i for i, token in enumerate(tokens) if token], dtype=np.int64)
        lengths = np.array([len(token) for token in tokens])
        node = np.zeros(len(ids), dtype=np.int64)  # of each token at this depth; 0 is the root
        for depth in range(int(lengths.max(initial=0))):
            byte = np.array([tokens[i][depth] for i in ids], dtype=np.int64)
            pairs, node = np.unique(node * 256 + byte, return_inverse=True)
            ending = lengths[ids] == depth + 1
            self.levels.append((pairs // 256, pairs % 256, ids[ending], node[ending]))
            ids, node = ids[~ending], node[~ending]

    def walk(self, automaton: Automaton, state: int) -> np.ndarray:
        """The automaton's state after each token, read from
        `state`; -1 where it cannot be read.
        """
        after = np.full(self.n_tokens, -1, dtype=np.int32)
        states = np.array([state], dtype=np.int32)
        for parents, byte, ids, nodes in self.levels:
            states = automaton.table[states[parents], byte]
            after[ids] = states[nodes]
            if (states < 0).all():
                break
        return after


class Grammar:
    """An automaton bound to a tokenizer: which tokens may come next?

    Made by `Grammar.regex` or `Grammar.json_schema`; given to GenerationConfig as `grammar`. Tokens
    that a tokenizer keeps for special use are never allowed, but for the stop tokens where the text
    may end.
    """

    def __init__(self, automaton: Automaton, tokenizer: BPETokenizer):
        self.automaton = automaton
        special = set(tokenizer.special_tokens.values())
        tokens = [
            b"" if i in special else tokenizer.decode_bytes([i])
            for i in range(tokenizer.vocab_size)
        ]
        self.trie, self._after, self._states = TokenTrie(tokens), {}, {(): 0}
        # Each byte is one token at the most expensive, so this bounds the tokens still needed.
        self.distance = automaton.distance(sorted({t[0] for t in tokens if len(t) == 1}))
        if self.distance[0] >= np.iinfo(np.int32).max // 2:
            raise ValueError("no text that this tokenizer can spell fits the grammar")

    @classmethod
    def regex(cls, pattern: str, tokenizer: BPETokenizer) -> "Grammar":
        """The texts that match a regular expression as a whole; `\\d` and `\\w` are ASCII."""
        return cls(compile_regex(pattern), tokenizer)

    @classmethod
    def json_schema(cls, schema: Mapping[str, Any], tokenizer: BPETokenizer) -> "Grammar":
        """JSON texts of a schema; see `lib.generation.json_schema` for what is understood."""
        return cls(compile_regex(schema_regex(schema)), tokenizer)

    def after(self, state: int) -> np.ndarray:
        """The state after each token, -1 where it is not allowed; computed once for each state."""
        if state not in self._after:
            if len(self._after) >= MOST_KEPT:
                self._after.clear()
            self._after[state] = self.trie.walk(self.automaton, state)
        return self._after[state]

    def state(self, ids: tuple[int, ...]) -> int:
        """The state after a text of tokens, -1 if it has left the grammar."""
        if len(self._states) > 100 * MOST_KEPT:
            self._states = {(): 0}
        known = len(ids)
        while ids[:known] not in self._states:  # usually all but the last token
            known -= 1
        state = self._states[ids[:known]]
        for place in range(known, len(ids)):
            state = -1 if state < 0 else int(self.after(state)[ids[place]])
            self._states[ids[: place + 1]] = state
        return state

    def forget(self) -> None:
        """Drop what was kept of states and texts: for long use, and to measure."""
        self._after, self._states = {}, {(): 0}

    def allowed(
        self,
        state: int,
        n_left: int,
        stop_ids: Sequence[int],
    ) -> Bool[Tensor, "V"]:
        """Which tokens may come, if with this one at most
        `n_left` do: the text ends in time.

        A token is allowed if enough room is left after it for the rest and the stop token.
        """
        after = self.after(state)
        found = torch.from_numpy((after >= 0) & (self.distance[after] + 2 <= n_left))
        found[list(stop_ids)] = bool(self.automaton.accepts[state])
        return found


def constrain(
    logits: Float[Tensor, "B V"],
    new_ids: Int[Tensor, "B N"],
    grammar: Grammar,
    max_new_tokens: int,
    stop_ids: Sequence[int],
) -> Float[Tensor, "B V"]:
    """Send to -inf what the grammar does not allow after the tokens generated so far.

    A row that has stopped stays as it is.
    """
    result = torch.full_like(logits, -torch.inf)
    n_left = max_new_tokens - new_ids.shape[1]
    for row, ids in enumerate(new_ids.tolist()):
        if any(i in stop_ids for i in ids):
            result[row] = logits[row]
            continue
        state = grammar.state(tuple(ids))
        if state < 0:
            raise ValueError(f"row {row}: the text so far is not the beginning of any valid text")
        ok = grammar.allowed(state, n_left, stop_ids).to(logits.device)
        n = min(len(ok), logits.shape[-1])  # a model's vocabulary may be rounded up
        result[row, :n] = logits[row, :n].masked_fill(~ok[:n], -torch.inf)
    return result
