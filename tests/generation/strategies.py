"""Logits and texts that are hard on filters: ties, tokens at -inf, one token, large ones."""

import math

import numpy as np
import torch
from hypothesis import strategies as st

VOCAB = 12
# Not so near to 0 that a division by a temperature makes two of them one.
smooth = st.floats(-30, 30, width=32).map(lambda x: x if abs(x) > 1e-30 else 0.0)
# Whole numbers make ties; -inf is what an earlier filter leaves behind.
value = st.one_of(smooth, st.integers(-3, 3).map(float), st.just(-math.inf))


@st.composite
def logits(draw, vocab: int | None = VOCAB, rows: int = 3, dtype: torch.dtype = torch.float32):
    """A batch of rows, each with at least one finite logit."""
    n_rows = draw(st.integers(1, rows))
    n_vocab = vocab or draw(st.integers(1, 15))
    table = draw(
        st.lists(st.lists(value, min_size=n_vocab, max_size=n_vocab), min_size=n_rows,
                 max_size=n_rows)
    )  # fmt: skip
    for row in table:
        if all(math.isinf(x) for x in row):
            row[draw(st.integers(0, n_vocab - 1))] = 1.0
    return torch.tensor(table, dtype=dtype)


def texts(rows: int, max_length: int = 14, few: int = 4):
    """Ids over a few tokens, so that repetitions are frequent."""
    return st.integers(1, max_length).flatmap(
        lambda n: st.lists(
            st.lists(st.integers(0, few - 1), min_size=n, max_size=n), min_size=rows, max_size=rows
        )
    )


def softmax(row: np.ndarray) -> np.ndarray:
    """Softmax of one row, in double precision, written without torch."""
    weights = np.exp(row - row.max())
    return weights / weights.sum()
