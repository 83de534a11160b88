"""Training a unigram model: begin with too many pieces, give each a probability, drop the useless.

Source: Kudo 2018 (arXiv 1804.10959), section 3.2. SentencePiece finds its seed with a suffix
array and smooths the M-step; here the seed is counted and the M-step is plain maximum likelihood.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import repeat

import numpy as np

LONGEST_WORD = (
    64  # characters; longer words are trained on in stretches, so that nothing underflows
)
SEPARATOR = "\uffff"  # no character: Unicode keeps it for such uses


class Lattices:
    """All ways to cut a set of words into pieces, as arrays with one entry for each edge.

    The words stand in one string, a separator after each, and a position in it is a node. An edge
    is a piece at a place: it leads from the node where the piece starts (`source`) to the one where
    it ends (`target`). All words advance together, one character at a time.
    """

    def __init__(self, words: Sequence[str], pieces: Sequence[str]) -> None:
        text = SEPARATOR.join([*words, ""])
        self.last = np.flatnonzero([char == SEPARATOR for char in text])  # node at each word's end
        self.first = np.concatenate([[0], self.last[:-1] + 1])
        ids = {piece: i for i, piece in enumerate(pieces)}
        found = []
        for length in range(1, max(map(len, pieces)) + 1):
            substrings = (text[i : i + length] for i in range(len(text)))
            piece = np.fromiter(map(ids.get, substrings, repeat(-1)), dtype=np.int32)
            at = np.flatnonzero(piece >= 0)
            found.append((piece[at], at, at + length))
        self._set_edges(*map(np.concatenate, zip(*found, strict=True)))

    def _set_edges(self, piece: np.ndarray, source: np.ndarray, target: np.ndarray) -> None:
        """Keep the edges in order of their target's place in its word: a forward pass."""
        lengths = self.last - self.first + 1
        place = np.arange(self.last[-1] + 1) - np.repeat(self.first, lengths)
        order = np.argsort(place[target], kind="stable")
        self.piece, self.source, self.target = piece[order], source[order], target[order]
        self._forward = np.split(np.arange(len(order)), _steps(place[self.target]))
        by_source = np.argsort(-place[self.source], kind="stable")
        self._backward = np.split(by_source, _steps(place[self.source[by_source]]))

    def keep(self, kept: np.ndarray) -> None:
        """Drop the edges of all pieces but `kept` (sorted ids), which are numbered anew from 0."""
        inside = np.isin(self.piece, kept)
        piece = np.searchsorted(kept, self.piece[inside])
        self._set_edges(piece, self.source[inside], self.target[inside])

    def forward(self, weights: np.ndarray, combine: np.ufunc = np.add) -> np.ndarray:
        """For each node, the sum (or np.maximum: the best) over all ways to it."""
        values = np.zeros(self.last[-1] + 1)
        values[self.first] = 1
        for at in self._forward:
            combine.at(values, self.target[at], values[self.source[at]] * weights[at])
        return values

    def backward(self, weights: np.ndarray) -> np.ndarray:
        """For each node, the sum over all ways from it to its word's end."""
        values = np.zeros(self.last[-1] + 1)
        values[self.last] = 1
        for at in self._backward:
            np.add.at(values, self.source[at], values[self.target[at]] * weights[at])
        return values

    def expected_counts(
        self, probabilities: np.ndarray, word_counts: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """How often each piece is used, on average over all
        segmentations; the log-likelihood.

        An edge is used with probability forward(source) p(piece) backward(target) /
        P(word).
        """
        weights = probabilities[self.piece]
        forward, backward = self.forward(weights), self.backward(weights)
        likelihood = forward[self.last]
        per_word = np.repeat(word_counts / likelihood, self.last - self.first + 1)
        use = forward[self.source] * weights * backward[self.target] * per_word[self.source]
        counts = np.bincount(self.piece, use, minlength=len(probabilities))
        return counts, float(word_counts @ np.log(likelihood))


def _steps(sorted_places: np.ndarray) -> np.ndarray:
    """Where the place changes."""
    return np.flatnonzero(np.diff(sorted_places)) + 1


def seed_pieces(
    word_counts: Mapping[str, int], size: int, longest: int
) -> tuple[list[str], np.ndarray]:
    """All characters, and the `size` substrings that cover most text: frequency times length.

    Returns the pieces with their frequencies. Substrings that come once are left out.
    """
    letters: Counter[str] = Counter()
    longer: Counter[str] = Counter()
    for word, count in word_counts.items():
        for start in range(len(word)):
            letters[word[start]] += count
            for end in range(start + 2, min(len(word), start + longest) + 1):
                longer[word[start:end]] += count
    covers = {piece: n * len(piece) for piece, n in longer.items() if n > 1}
    chosen = sorted(covers, key=lambda piece: (-covers[piece], piece))[:size]
    pieces = [*sorted(letters), *chosen]
    return pieces, np.array([letters[p] if len(p) == 1 else longer[p] for p in pieces], dtype=float)


def removal_losses(
    probabilities: np.ndarray, counts: np.ndarray, replacements: np.ndarray
) -> np.ndarray:
    """How much log-likelihood goes if a piece is dropped
    and its best replacement steps in.

    A piece that is used n times and has probability p costs n (log p - log q), with q
    the probability of the best way to spell it with other pieces; infinity if there is
    none.
    """
    with np.errstate(divide="ignore"):
        losses = counts * (np.log(probabilities) - np.log(replacements))
    return np.where(replacements == 0, np.inf, losses)


def replacement_probabilities(spellings: Lattices, probabilities: np.ndarray) -> np.ndarray:
    """The best way to spell each word of `spellings` with other pieces than itself."""
    whole = np.isin(spellings.source, spellings.first) & np.isin(spellings.target, spellings.last)
    weights = np.where(whole, 0, probabilities[spellings.piece])
    return spellings.forward(weights, np.maximum)[spellings.last]


def learn_pieces(
    word_counts: Mapping[str, int],
    vocab_size: int,
    longest: int = 16,
    seed_size: int | None = None,
    shrink: float = 0.75,
    em_steps: int = 2,
) -> tuple[list[str], np.ndarray]:
    """Pieces and their probabilities.

    EM for `em_steps`, then drop the pieces that cost least, keeping the share `shrink`; again until
    `vocab_size` are left. Single characters always stay. Returns fewer pieces where the text has no
    more.
    """
    words: Counter[str] = Counter()
    for word, count in word_counts.items():
        for start in range(0, len(word), LONGEST_WORD):
            words[word[start : start + LONGEST_WORD]] += count
    pieces, counts = seed_pieces(words, seed_size or 10 * vocab_size, longest)
    letters = sum(len(piece) == 1 for piece in pieces)
    if vocab_size < letters:
        raise ValueError(
            f"vocab_size must leave room for {letters} pieces, one for each character of the text; "
            f"it leaves {vocab_size}"
        )
    lattices, spellings = Lattices(list(words), pieces), None
    repeats = np.array(list(words.values()), dtype=float)
    while True:
        for _ in range(em_steps):
            # A letter that no segmentation uses any more keeps a little probability.
            probabilities = np.maximum(counts, 1e-6)
            probabilities /= probabilities.sum()
            counts, _ = lattices.expected_counts(probabilities, repeats)
        if len(pieces) <= vocab_size:
            return pieces, probabilities
        if spellings is None:  # the first time most of the seed is hardly used: drop it at once
            losses = np.where((counts >= 0.5) | (np.arange(len(pieces)) < letters), np.inf, counts)
            size = max(vocab_size, int(np.isinf(losses).sum()))
        else:
            replacements = replacement_probabilities(spellings, probabilities)[alive]
            losses = removal_losses(probabilities, counts, replacements)
            size = max(vocab_size, int(shrink * len(pieces)))
        kept = np.sort(np.argsort(-losses, kind="stable")[:size])
        lattices.keep(kept)
        pieces, counts = [pieces[i] for i in kept], counts[kept]
        if spellings is None:
            spellings, alive = Lattices(pieces, pieces), np.arange(len(pieces))
        else:
            spellings.keep(kept)
            alive = alive[kept]
